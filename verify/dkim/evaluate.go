package dkim

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"authmilter/verify/dns"
	"authmilter/verify/fault"
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
	// MinRSABits and MaxRSABits bound the keys that are accepted; a key of fewer
	// than 1024 bits never is (RFC 8301 section 3.2).
	MinRSABits int
	MaxRSABits int
	// MaxSignatures is how many signatures of a message are verified. Twice as
	// many are parsed and reported, starting with the ones nearest to the author
	// domains; the rest are ignored.
	MaxSignatures int
	// AllowPartialBody accepts signatures whose l= leaves some of the body
	// unsigned.
	AllowPartialBody bool
	// ClockSkew is how far t= may lie in the future and x= in the past.
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

// Input is a message whose header is complete.
type Input struct {
	Header message.Header
	Index  *message.Index
	// Authors are the author domains: if there are too many signatures, theirs
	// are verified first.
	Authors []string
	// Body computes the digests that the signatures need. Nothing may have been
	// written to it yet.
	Body *message.Body
	// Now is when the message arrived.
	Now time.Time
}

// Verification verifies one signature. After [Begin], FetchKey does everything that
// needs the header and DNS, and Result everything that needs the body. FetchKey can
// run while the body is still arriving, and for several signatures of a message at
// once.
type Verification struct {
	opts Options
	in   *Input
	own  int // position of the field in the header
	// singular are the fields that must not occur a second time, unsigned.
	singular  []string
	signature *Signature
	key       *Key
	// err is why the signature failed; policy is why it is refused even if it
	// verifies.
	err    error
	policy error
}

var (
	errTooMany     = fault.New(Policy, ReasonTooMany, "too many signatures")
	errExpired     = fault.New(Neutral, ReasonExpired, "signature expired")
	errFuture      = fault.New(Neutral, ReasonFuture, "signature is from the future")
	errBodyHash    = fault.New(Fail, ReasonBodyHash, "body hash did not verify")
	errBodyLength  = fault.New(Fail, ReasonBodyLength, "body is shorter than the signed length")
	errInterrupted = fault.New(TempError, ReasonDNS, "key not available now: not looked up")
)

// Begin parses the signatures of a message and requests the digests that they
// need from its body. It returns them in the order of the header.
func Begin(opts Options, in *Input) []*Verification {
	opts = opts.withDefaults()
	fields := signatureFields(in.Header)
	if len(fields) > opts.MaxSignatures {
		sortByAuthor(fields, in)
	}
	// A header has room for thousands, so signatures that will not be reported
	// are not even parsed.
	fields = fields[:min(len(fields), 2*opts.MaxSignatures)]
	all := make([]*Verification, 0, len(fields))
	left := opts.MaxSignatures
	for _, i := range fields {
		v := &Verification{opts: opts, in: in, own: i, singular: singular}
		v.signature, v.err = ParseSignature(in.Header[i])
		if v.err == nil {
			v.err = v.checkPossible()
		}
		switch {
		case v.err != nil:
		case left == 0:
			v.err = errTooMany
		default:
			left--
			in.Body.Want(v.signature.Digest())
		}
		all = append(all, v)
	}
	slices.SortFunc(all, func(a, b *Verification) int { return a.own - b.own })
	return all
}

// BeginOne is like [Begin], for a single signature that has the form of a
// DKIM-Signature but another name. s is the field at position own of the header,
// already parsed.
func BeginOne(opts Options, in *Input, own int, s *Signature) *Verification {
	v := &Verification{opts: opts.withDefaults(), in: in, own: own, singular: singularInChain, signature: s}
	if v.err = v.checkPossible(); v.err == nil {
		in.Body.Want(s.Digest())
	}
	return v
}

// signatureFields returns the positions of the signature fields of h.
func signatureFields(h message.Header) []int {
	var fields []int
	for i := range h {
		if h[i].Is(FieldName) {
			fields = append(fields, i)
		}
	}
	return fields
}

// sortByAuthor sorts signature fields by how many labels, counted from the right,
// their d= tags share with an author domain, most first. Fields that share equally
// many stay in header order. This puts signatures that may align first, without
// knowing any Organizational Domain.
//
// A d= tag in U-labels matches no author domain: converting it is most of the work
// that sorting is meant to avoid.
func sortByAuthor(fields []int, in *Input) {
	common := make(map[int]int, len(fields))
	for _, i := range fields {
		d := peek(in.Header[i].Raw, "d")
		for _, author := range in.Authors {
			common[i] = max(common[i], commonLabels(d, author))
		}
	}
	slices.SortStableFunc(fields, func(a, b int) int { return common[b] - common[a] })
}

// commonLabels returns how many labels a and b share, counted from the right.
func commonLabels(a, b string) int {
	for n := 0; ; n++ {
		i, j := strings.LastIndexByte(a, '.'), strings.LastIndexByte(b, '.')
		if a == "" || b == "" || !strings.EqualFold(a[i+1:], b[j+1:]) {
			return n
		}
		a, b = a[:max(i, 0)], b[:max(j, 0)]
	}
}

// checkPossible returns why the signature cannot pass, whatever key is published.
// No key is looked up for such a signature: a DNS failure must not turn a certain
// failure into a temporary one.
func (v *Verification) checkPossible() error {
	if err := v.opts.checkSize(v.signature); err != nil {
		return err
	}
	return v.checkTime(v.in.Now)
}

// checkTime compares t= and x= with now (RFC 6376 section 3.5).
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

// NeedsKey reports whether FetchKey has anything to do.
func (v *Verification) NeedsKey() bool { return v.err == nil && v.key == nil }

// Domain returns the signing domain, or "" if it could not be parsed.
func (v *Verification) Domain() string { return v.signature.Domain }

// FetchKey looks up the key and verifies the signature of the header with it.
func (v *Verification) FetchKey(ctx context.Context, r dns.Resolver) {
	v.UseKeys(LookupKeys(ctx, r, v.signature.Selector, v.signature.Domain))
}

// UseKeys is like FetchKey, given what [LookupKeys] returned.
func (v *Verification) UseKeys(keys []*Key, err error) {
	if v.err = err; err != nil {
		if bits := 8 * len(v.signature.Value); IsTemporary(err) && v.signature.KeyType == RSA && bits < v.opts.MinRSABits {
			// Whatever the key is, it is too weak to be accepted.
			v.err = weakKey(bits)
		}
		return
	}
	digest := v.signature.headerDigest(v.in.Header, v.in.Index, v.own)
	v.key, v.policy, v.err = v.opts.VerifyDigest(v.signature, keys, digest)
	if v.err != nil {
		return
	}
	if name := v.signature.unsignedDuplicate(v.singular, v.in.Index); name != "" {
		v.policy = fault.New(Policy, ReasonUnsignedDuplicate, "a second "+name+" field is not signed")
	}
}

// Err returns why the signature fails, as far as that is known without the
// body. It is nil if the signature may still pass.
func (v *Verification) Err() error {
	if v.err != nil {
		return v.err
	}
	return v.policy
}

// Open reports whether the outcome is undecided because of a temporary error.
func (v *Verification) Open() bool { return IsTemporary(v.Err()) }

// Result ends the verification. Everything that body wanted must have been written
// to it. A signature whose key was never fetched is a TempError.
func (v *Verification) Result(body *message.Body) Result {
	err := v.err
	if err == nil && v.key == nil {
		err = errInterrupted
	}
	if err == nil || IsTemporary(err) {
		// A wrong body hash is a failure even if the key is unknown.
		if e := v.checkBody(body); e != nil {
			err = e
		}
	}
	if err == nil {
		err = v.policy
	}
	r := Result{Status: Pass, Signature: v.signature, Key: v.key, Err: err}
	if e, ok := errors.AsType[*Error](err); ok {
		return r.because(e)
	}
	return r
}

// IsTemporary reports whether err is a temporary error, from a look-up that got no
// answer.
func IsTemporary(err error) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && e.Status == TempError
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
		// RFC 6376 section 3.5, tag l=: it must not be larger than the body.
		return errBodyLength
	case length > s.Length && !v.opts.AllowPartialBody && v.policy == nil:
		v.policy = fault.New(Policy, ReasonPartialBody, "l= leaves a part of the body unsigned")
	}
	return nil
}
