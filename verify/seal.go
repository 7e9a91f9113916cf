package verify

import (
	"authmilter/verify/arc"
	"authmilter/verify/authres"
	"authmilter/verify/message"
)

// Seals tells whether the Verifier has a sealer.
func (v *Verifier) Seals() bool { return v.opts.Sealer != nil }

// SealedBefore returns the results in the newest ARC Set of a message with header
// h, where the sealer has made that set: the message has been here before. ok is
// false where he has not.
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

// Seal returns the fields of an ARC Set for the message, in the order in which
// they are put on top of it, or an error that says why there is none: those of
// [arc.Sealer.Seal], and [ErrHeaderTooLarge]. Finish comes before it, and
// Options.Sealer must be set.
func (c *Check) Seal(authservID string, results []authres.Method) ([]message.Field, error) {
	if c.header.err != nil {
		return nil, c.header.err
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
