package verify

import (
	"authmilter/verify/arc"
	"authmilter/verify/authres"
	"authmilter/verify/message"
)

// Seals reports whether the Verifier has a sealer.
func (v *Verifier) Seals() bool { return v.opts.Sealer != nil }

// SealedBefore returns the results in the newest ARC Set of a message with header
// h if our sealer made that set: the message has been here before. Otherwise ok is
// false.
func (v *Verifier) SealedBefore(h message.Header) (results string, ok bool) {
	if v.opts.Sealer == nil {
		return "", false
	}
	set := v.opts.Sealer.Made(h)
	if set == nil {
		return "", false
	}
	return set.Results, true
}

// Seal returns the fields of an ARC Set for the message, in the order in which to
// insert them at the top. If it cannot make one, it returns [ErrHeaderTooLarge],
// [message.ErrLongLine] or an error of [arc.Sealer.Seal]. Finish must be called
// first, and Options.Sealer must be set.
func (c *Check) Seal(authservID string, results []authres.Method) ([]message.Field, error) {
	if c.header.err != nil {
		return nil, c.header.err
	}
	if c.lines.Long() || c.header.fields.LongLine() {
		return nil, message.ErrLongLine
	}
	return c.opts.Sealer.Seal(&arc.SealInput{
		Header:     c.header.fields.Header,
		Index:      c.index,
		BodyHash:   c.body.Sum(arc.SealDigest()),
		Chain:      &c.chain,
		AuthservID: authservID,
		Results:    results,
		At:         c.opts.Now(),
	})
}
