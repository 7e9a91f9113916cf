package milter

import (
	"errors"

	"authmilter/policy"
	"authmilter/verify/message"
)

// ownMail is a message from a client of ours: it is signed where there is a key
// for it, and nothing else is done to it.
type ownMail struct {
	keys    []SigningKey
	sealed  func(message.Header) (results string, ok bool) // nil where it is not looked for
	header  message.Header
	octets  int
	signing *signing // nil where the message is not signed, for the reason err
	err     error
}

// Bounds of the header of a message that is signed.
const (
	maxOwnFields = 2000
	maxOwnHeader = 1 << 20 // octets
)

var (
	errOwnHeader = errors.New("message header too large")
	errReceived  = errors.New("it came from outside under the name of its author domain")
)

// newOwnMail returns what signs a message that is skipped for a reason, nil where
// its header is of no interest.
func newOwnMail(s *Settings, why policy.Skip) *ownMail {
	o := &ownMail{keys: s.Signing}
	if why == policy.LocalNetwork && s.Verifier.Seals() {
		o.sealed = s.Verifier.SealedBefore
	}
	if len(o.keys) == 0 && o.sealed == nil {
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

// endHeader begins the signatures. Of the results that claim to be ours it keeps
// those that we have written ourselves, before a content filter passed the
// message back to the MTA: our seal vouches for them.
func (o *ownMail) endHeader(r *removals) {
	claims := o.claims(r)
	if o.sealed != nil && len(claims) > 0 {
		if payload, ok := o.sealed(o.header); ok {
			r.keep(func(at int) bool { return at < len(o.header) && policy.SameResults(o.header[at].Raw, payload) })
		}
	}
	if o.err == nil {
		o.signing, o.err = beginSigning(o.keys, o.header)
	}
	if o.signing != nil && receivedFrom(o.signing.author, claims) {
		o.signing.cancel()
		o.signing, o.err = nil, errReceived
	}
	o.header = nil
}

// claims returns the values of the results that claim to be ours. In own mail no
// other field is forged.
func (o *ownMail) claims(r *removals) []string {
	var values []string
	for _, f := range r.forged {
		if f.at < len(o.header) {
			values = append(values, o.header[f.at].Raw)
		}
	}
	return values
}

// receivedFrom reports whether results of ours say that a message came from outside
// under the name of author, or do not say under whose. Mail of our own never has
// such results; what a content filter, a redirection or a server behind us hands
// back has, and may be forged. Whoever has put another author there, as lists do,
// answers for it himself. That anybody could write such results does no harm:
// all that follows is that there is no signature.
func receivedFrom(author string, claims []string) bool {
	for _, value := range claims {
		if from, ok := policy.AuthorOf(value); !ok || from == author {
			return true
		}
	}
	return false
}

// write takes the next octets of the body, and reports whether any of those after
// them matter.
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

// sign returns the signatures of own mail, and tells v. Where there are none the
// message passes on without.
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
	case errors.Is(err, errNoSigningKey):
		v.Signing = policy.Signing{}
	case err == nil:
		for _, k := range o.signing.keys {
			v.Signing.Domain = k.Domain
			v.Signing.Selectors = append(v.Signing.Selectors, k.Selector)
		}
	}
	return fields
}
