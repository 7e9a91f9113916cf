package dkim

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"authmilter/verify/dns"
	"authmilter/verify/domain"
	"authmilter/verify/message"
)

// Defaults of [Options].
const (
	DefaultMinRSABits    = 1024 // RFC 8301 section 3.2
	DefaultMaxRSABits    = 8192
	DefaultMaxSignatures = 10
	DefaultClockSkew     = 5 * time.Minute
)

// Options are the receiver's limits. The zero value of a number means its
// default.
type Options struct {
	// MinRSABits and MaxRSABits bound the keys that are accepted.
	MinRSABits int
	MaxRSABits int
	// MaxSignatures is how many signatures of a message are verified. As many
	// again are reported as too many; further ones are ignored.
	MaxSignatures int
	// AllowPartialBody accepts signatures whose l= leaves some of the body
	// unsigned.
	AllowPartialBody bool
	// ClockSkew is how far t= may be ahead and x= behind.
	ClockSkew time.Duration
}

func (o Options) withDefaults() Options {
	if o.MinRSABits == 0 {
		o.MinRSABits = DefaultMinRSABits
	}
	if o.MaxRSABits == 0 {
		o.MaxRSABits = DefaultMaxRSABits
	}
	if o.MaxSignatures == 0 {
		o.MaxSignatures = DefaultMaxSignatures
	}
	if o.ClockSkew == 0 {
		o.ClockSkew = DefaultClockSkew
	}
	return o
}

// Input is a message at the end of its header.
type Input struct {
	Header message.Header
	Index  *message.Index
	// Authors are the author domains: their signatures are verified first.
	Authors []string
	// Body is told which digests are needed. It must not have begun.
	Body *message.Body
	// Now is when the message arrived.
	Now time.Time
}

// Verification is one signature on its way to a [Result]. After [Begin],
// FetchKey does all that needs the header and DNS, Result all that needs the
// body. The two may overlap with the body's arrival, and the Verifications of a
// message with each other.
type Verification struct {
	opts      Options
	in        *Input
	own       int // position of the field in the header
	signature *Signature
	key       *Key
	// err is what the signature failed by; policy what it would be refused for
	// though it verifies.
	err    error
	policy error
}

var (
	errTooMany     = fault(Policy, ReasonTooMany, "too many signatures")
	errExpired     = fault(Neutral, ReasonExpired, "signature expired")
	errFuture      = fault(Neutral, ReasonFuture, "signature is from the future")
	errBodyHash    = fault(Fail, ReasonBodyHash, "body hash did not verify")
	errBodyLength  = fault(Fail, ReasonBodyLength, "body is shorter than the signed length")
	errInterrupted = fault(TempError, ReasonDNS, "key not available now: not looked up")
)

// Begin parses the signatures of a message and says to its body which digests
// they need. It returns them in the order of the header.
func Begin(opts Options, in *Input) []*Verification {
	opts = opts.withDefaults()
	var all []*Verification
	for i := range in.Header {
		if !in.Header[i].Is(FieldName) {
			continue
		}
		v := &Verification{opts: opts, in: in, own: i}
		v.signature, v.err = ParseSignature(in.Header[i])
		if v.err == nil {
			v.err = v.checkTime(in.Now)
		}
		all = append(all, v)
	}
	all = limit(all, opts.MaxSignatures, in.Authors)
	for _, v := range all {
		if v.err == nil {
			in.Body.Want(v.signature.Digest())
		}
	}
	return all
}

// limit lets at most max signatures that could still pass be verified, those of
// the authors' domains first, and drops those beyond twice that number.
func limit(all []*Verification, max int, authors []string) []*Verification {
	if len(all) <= max {
		return all
	}
	left := max
	accepted := make([]bool, len(all))
	for _, aligned := range []bool{true, false} {
		for i, v := range all {
			if left > 0 && v.err == nil && !accepted[i] && v.signature.isRelated(authors) == aligned {
				accepted[i] = true
				left--
			}
		}
	}
	kept := all[:0]
	others := max
	for i, v := range all {
		if !accepted[i] {
			if others == 0 {
				continue
			}
			others--
			if v.err == nil {
				v.err = errTooMany
			}
		}
		kept = append(kept, v)
	}
	return kept
}

// isRelated tells whether the signing domain is at, above or below one of the
// author domains: where a signature has to be to align with it.
func (s *Signature) isRelated(authors []string) bool {
	for _, a := range authors {
		if domain.IsSubdomain(a, s.Domain) || domain.IsSubdomain(s.Domain, a) {
			return true
		}
	}
	return false
}

// checkTime holds t= and x= against now (RFC 6376 section 3.5).
func (v *Verification) checkTime(now time.Time) error {
	s, skew := v.signature, int64(v.opts.ClockSkew/time.Second)
	switch {
	case s.Expires != Absent && now.Unix()-skew > s.Expires:
		return errExpired
	case s.Time != Absent && now.Unix()+skew < s.Time:
		return errFuture
	}
	return nil
}

// NeedsKey tells whether FetchKey has anything to do.
func (v *Verification) NeedsKey() bool { return v.err == nil && v.key == nil }

// Domain returns the signing domain, or "" where it could not be read.
func (v *Verification) Domain() string { return v.signature.Domain }

// FetchKey looks the key up and verifies the signature of the header with it.
func (v *Verification) FetchKey(ctx context.Context, r dns.Resolver) {
	key, err := LookupKey(ctx, r, v.signature.Selector, v.signature.Domain)
	if err != nil {
		v.err = err
		return
	}
	v.UseKey(key)
}

// UseKey is FetchKey with a key that is known already.
func (v *Verification) UseKey(key *Key) {
	s := v.signature
	v.key = key
	if v.err = s.allows(key); v.err != nil {
		return
	}
	if key.Type == RSA {
		switch {
		case key.Bits > v.opts.MaxRSABits:
			v.err = fault(Policy, ReasonLargeKey, fmt.Sprintf("key too large: %d bits", key.Bits))
			return
		case key.Bits < v.opts.MinRSABits:
			v.policy = fault(Policy, ReasonWeakKey, fmt.Sprintf("key too weak: %d bits", key.Bits))
			if key.Bits < goMinRSABits {
				v.err = v.policy
				return
			}
		}
	}
	digest := s.headerDigest(v.in.Header, v.in.Index, v.own)
	if !VerifyDigest(key, s.Hash, digest, s.Value) {
		v.err = errSignature
		return
	}
	if name := s.unsignedDuplicate(v.in.Index); name != "" {
		v.policy = fault(Policy, ReasonUnsignedDuplicate, "a second "+name+" field is not signed")
	}
}

// Result ends the verification: body must have been written whole, as far as it
// wanted to be. A signature whose key was never fetched is a TempError.
func (v *Verification) Result(body *message.Body) Result {
	err := v.err
	if err == nil && v.key == nil {
		err = errInterrupted
	}
	if err == nil {
		err = v.checkBody(body)
	}
	if err == nil {
		err = v.policy
	}
	r := Result{Status: Pass, Signature: v.signature, Key: v.key, Err: err}
	var e *Error
	if errors.As(err, &e) {
		r.Status, r.Reason = e.Status, e.Reason
	}
	return r
}

func (v *Verification) checkBody(body *message.Body) error {
	s := v.signature
	if !bytes.Equal(body.Sum(s.Digest()), s.BodyHash) {
		return errBodyHash
	}
	if s.Length == Absent {
		return nil
	}
	switch length := body.Length(s.BodyCanon); {
	case length < s.Length:
		// RFC 6376 section 3.5, tag l=: not larger than the body.
		return errBodyLength
	case length > s.Length && !v.opts.AllowPartialBody && v.policy == nil:
		v.policy = fault(Policy, ReasonPartialBody, "l= leaves a part of the body unsigned")
	}
	return nil
}
