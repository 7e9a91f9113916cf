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

var errOwnHeader = errors.New("message header too large")

// newOwnMail returns what signs a message, nil where nothing is signed at all.
func newOwnMail(s *Settings) *ownMail {
	if len(s.Signing) == 0 {
		return nil
	}
	return &ownMail{keys: s.Signing}
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

func (o *ownMail) endHeader() {
	if o.err == nil {
		o.signing, o.err = beginSigning(o.keys, o.header)
	}
	o.header = nil
}

// write takes the next octets of the body, and tells whether any of those after
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
