package milter

import (
	"errors"
	"slices"

	gomilter "github.com/d--j/go-milter"

	"authmilter/policy"
	"authmilter/verify/message"
)

// ownMail is a message from a client of ours. It is signed if there is a key for
// it, and gets the results of its signatures if the settings ask for them. It is not
// changed otherwise.
type ownMail struct {
	keys    []SigningKey
	results policy.ResultsOptions
	sealed  func(message.Header) (results string, ok bool) // nil if seals of ours are not looked for
	header  message.Header
	octets  int
	signing *signing // nil if the message is not signed; err is why
	err     error
	// received reports that the message came from outside on an earlier pass, or
	// that this is not known. reported reports that it keeps our results of then.
	received, reported bool
}

// Bounds of the header of a message that is signed.
const (
	maxOwnFields = 2000
	maxOwnHeader = 1 << 20 // octets
)

var (
	errOwnHeader = errors.New("message header too large")
	errReceived  = errors.New("it was received from outside with this author domain")
)

// newOwnMail returns the ownMail for a message that is skipped because of why, or
// nil if its header is not needed.
func newOwnMail(s *Settings, why policy.Skip) *ownMail {
	o := &ownMail{keys: s.Signing, results: s.Results}
	if why == policy.LocalNetwork && s.Verifier.Seals() {
		o.sealed = s.Verifier.SealedBefore
	}
	if len(o.keys) == 0 && o.sealed == nil && !s.SkipCheckDKIM {
		return nil
	}
	return o
}

func (o *ownMail) field(f message.Field) {
	o.octets += len(f.Name) + len(f.Raw)
	if o.octets > maxOwnHeader || len(o.header) == maxOwnFields {
		o.err, o.header = errOwnHeader, nil
	}
	if o.err == nil {
		o.header = append(o.header, f)
	}
}

// endHeader begins the signatures, and sets received and reported. It keeps
// Authentication-Results fields that we really wrote ourselves, before a content filter
// passed the message back to the MTA: our seal vouches for them. Other fields that
// claim to be ours are removed.
func (o *ownMail) endHeader(r *removals) {
	claims := o.claims(r)
	if o.sealed != nil && len(claims) > 0 {
		if payload, ok := o.sealed(o.header); ok {
			// claims are the first of r.forged, in the same order.
			same, i := policy.SameResults(claims, payload, o.results), 0
			o.reported = r.keep(func(removal) bool {
				i++
				return i <= len(same) && same[i-1]
			})
		}
	}
	o.received = o.err != nil || received(o.header, claims)
	if o.err == nil {
		o.signing, o.err = beginSigning(o.keys, o.header)
	}
	if o.signing != nil && o.received {
		o.signing.cancel()
		o.signing, o.err = nil, errReceived
	}
	o.header = nil
}

// claims returns the values of the Authentication-Results fields that claim to be
// ours. No other kind of field is treated as forged in our own mail.
func (o *ownMail) claims(r *removals) []string {
	var values []string
	for _, f := range r.forged {
		if f.at < len(o.header) {
			values = append(values, o.header[f.at].Raw)
		}
	}
	return values
}

// received reports whether claims, results that claim to be ours, say that a
// message came from outside with one of the author domains in h, or do not name an
// author domain. Our own mail never has such results. Mail that a content filter, a
// redirection or a server behind us hands back has them, and may be forged. Software
// that has changed the author domain since, as mailing lists do, is responsible for
// the message itself. Anybody can write such results, but that is harmless: the
// message is merely not signed.
func received(h message.Header, claims []string) bool {
	if len(claims) == 0 {
		return false
	}
	authors := h.Author().Domains
	return slices.ContainsFunc(claims, func(value string) bool { return policy.ReceivedFrom(value, authors) })
}

// write takes the next octets of the body, and reports whether more are needed.
func (o *ownMail) write(p []byte) bool {
	if o.signing == nil {
		return false
	}
	o.signing.write(p)
	return o.signing.err == nil
}

func (o *ownMail) cancel() {
	if o.signing != nil {
		o.signing.cancel()
	}
}

// handleOwn returns the fields to insert into our own mail, and records in v what
// they say.
func (s *session) handleOwn(t *transaction, m gomilter.Modifier, v *policy.Verdict) []message.Field {
	signatures := s.sign(t, v)
	// Our signatures are above the results: these are about the message as it came.
	return append(s.checkOwn(t, m, v), signatures...)
}

// checkOwn returns the results of the signatures that our own mail came with, if the
// settings ask for them. A bug costs the message these results and nothing else.
func (s *session) checkOwn(t *transaction, m gomilter.Modifier, v *policy.Verdict) []message.Field {
	defer s.guard()
	if t.check == nil {
		return nil
	}
	t.wait(m)
	v.DKIMOnly = t.check.Finish()
	return []message.Field{{
		Name: resultsName,
		Raw:  " " + policy.FormatOwnResults(t.settings.AuthservID, v.DKIMOnly.DKIM, !t.own.received),
	}}
}

// sign returns the signatures of our own mail, and records the outcome in v. If
// signing fails, the message passes unsigned.
func (s *session) sign(t *transaction, v *policy.Verdict) (fields []message.Field) {
	defer func() {
		if t.failure != nil {
			fields, v.Signing = nil, policy.Signing{Err: t.failure}
		}
	}()
	defer s.guard()
	if t.failure != nil {
		return nil
	}
	t.endHeader()
	o := t.own
	err := o.err
	if o.signing != nil {
		fields, err = o.signing.finish()
	}
	v.Signing = policy.Signing{Err: err}
	switch {
	case len(o.keys) == 0 || errors.Is(err, errNoSigningKey):
		v.Signing = policy.Signing{}
	case err == nil:
		for _, k := range o.signing.keys {
			v.Signing.Domain = k.Domain
			v.Signing.Selectors = append(v.Signing.Selectors, k.Selector)
		}
	}
	return fields
}
