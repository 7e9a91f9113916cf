package arc

import (
	"crypto"
	"errors"
	"strconv"
	"time"

	"authmilter/verify/authres"
	"authmilter/verify/dkim"
	"authmilter/verify/message"
)

// Sealer adds sets to chains on behalf of one domain.
type Sealer struct {
	// Domain and Selector are where the key is published.
	Domain, Selector string
	Key              *dkim.PrivateKey
}

// SealInput is a complete message to seal.
type SealInput struct {
	Header message.Header
	Index  *message.Index
	// BodyHash is the [SealDigest] of the body.
	BodyHash []byte
	// Chain is the result of verifying the chain that the message has.
	Chain *Result
	// AuthservID and Results are the contents of the ARC-Authentication-Results
	// field.
	AuthservID string
	Results    []authres.Method
	At         time.Time
}

// SealDigest returns the digest of the body that a [Sealer] signs.
func SealDigest() message.Digest {
	return message.Digest{Canon: message.Relaxed, Hash: crypto.SHA256, Length: message.WholeBody}
}

// Reasons not to seal a message.
var (
	// ErrBroken means that the chain has already been marked as failed
	// (RFC 8617 section 5.1 step 2).
	ErrBroken = errors.New("the chain is already marked as failed")
	// ErrFull means that the chain has the maximum number of sets
	// (RFC 8617 section 4.2.1).
	ErrFull = errors.New("the chain already has 50 sets")
	// ErrOwn means that the newest set is ours and nothing has changed since.
	ErrOwn = errors.New("the newest set is our own")
	// ErrUnknown means that the chain could not be verified now. A recorded
	// cv=fail is permanent (RFC 8617 section 5.2.1), while a chain that we do not
	// seal can still verify at the next hop.
	ErrUnknown = errors.New("the chain could not be verified now")
	// ErrTooManyFields means that a field occurs too often for a signature to
	// prevent additions.
	ErrTooManyFields = errors.New("too many fields of one name to sign")
)

// maxSigned bounds how many fields of one name are signed.
const maxSigned = 20

// Seal returns the fields of the next set, in the order in which they are inserted
// at the top of the message, so that the last one ends up highest. An error is one
// of the reasons above, unless signing itself fails.
func (s *Sealer) Seal(in *SealInput) ([]message.Field, error) {
	instance, err := s.next(in.Chain)
	if err != nil {
		return nil, err
	}
	names, ok := dkim.Intermediary.HeaderNames(in.Index, maxSigned)
	if !ok {
		return nil, ErrTooManyFields
	}
	results := message.Field{
		Name: authResults.String(),
		Raw:  " " + authres.FormatARC(instance, in.AuthservID, in.Results),
	}
	signature, err := s.signMessage(in, instance, names)
	if err != nil {
		return nil, err
	}
	seal, err := s.seal(in, instance, results, signature)
	if err != nil {
		return nil, err
	}
	return []message.Field{results, signature, seal}, nil
}

// Made returns the newest set of a message if s made it, otherwise nil. The seal
// must name the domain and selector of s and verify with its key. Nothing is looked
// up, and the rest of the chain is not verified.
func (s *Sealer) Made(h message.Header) *Set {
	newest, digest := newestSet(h)
	if newest == nil || newest.Seal.Domain != s.Domain || newest.Seal.Selector != s.Selector {
		return nil
	}
	_, policy, err := dkim.Options{}.VerifyDigest(newest.Seal.Signature, []*dkim.Key{s.Key.Public()}, digest)
	if err != nil || policy != nil {
		return nil
	}
	return newest
}

// newestSet returns the newest set of h and the digest that its seal signs, or nil
// if the set, or the chain that it covers, is malformed.
func newestSet(h message.Header) (*Set, []byte) {
	c, sets, _ := collect(h)
	if c == nil || !c.Broken {
		c, err := readChain(h)
		if err != nil || c == nil {
			return nil, nil
		}
		digests := sealDigests(h, c)
		return c.Newest(), digests[len(digests)-1]
	}
	// A set that marks a chain as failed covers only itself
	// (RFC 8617 section 5.1.2), whatever is below it.
	newest := &sets[c.Highest]
	if _, missing := newest.missing(); missing {
		return nil, nil
	}
	set, err := newest.read(h, c.Highest, Fail)
	if err != nil {
		return nil, nil
	}
	digests := sealDigests(h, &Chain{Sets: []Set{set}})
	return &set, digests[0]
}

// next returns the instance of the next set of a chain (RFC 8617 section 5.1).
func (s *Sealer) next(r *Result) (int, error) {
	c := r.Chain
	switch {
	case c == nil:
		return 1, nil
	case c.Broken:
		return 0, ErrBroken
	case r.Status == Fail && r.Reason == ReasonDNS:
		return 0, ErrUnknown
	case r.Status == Pass && c.Newest().Seal.Domain == s.Domain:
		return 0, ErrOwn
	case c.Highest >= MaxSets || r.Reason == ReasonTooMany:
		return 0, ErrFull
	}
	return c.Highest + 1, nil
}

// signMessage returns the ARC-Message-Signature field.
func (s *Sealer) signMessage(in *SealInput, instance int, names []string) (message.Field, error) {
	w := newTagWriter(messageSignature.String())
	w.tag("i", strconv.Itoa(instance))
	w.tag("a", s.Key.Algorithm())
	w.tag("c", "relaxed/relaxed")
	w.tag("d", s.Domain)
	w.tag("s", s.Selector)
	w.tag("t", strconv.FormatInt(in.At.Unix(), 10))
	w.list("h", names)
	w.base64("bh", in.BodyHash)
	digest := dkim.DigestHeader(crypto.SHA256, message.Relaxed, in.Header, in.Index.Select(names), w.unsigned())
	return w.sign(s.Key, digest)
}

// seal returns the ARC-Seal field.
func (s *Sealer) seal(in *SealInput, instance int, results, signature message.Field) (message.Field, error) {
	w := newTagWriter(seal.String())
	w.tag("i", strconv.Itoa(instance))
	w.tag("a", s.Key.Algorithm())
	w.tag("t", strconv.FormatInt(in.At.Unix(), 10))
	w.tag("cv", string(in.Chain.Status))
	w.tag("d", s.Domain)
	w.tag("s", s.Selector)
	d := newSealDigest()
	// RFC 8617 section 5.1.2: over a failed chain the seal covers only its own
	// set.
	if in.Chain.Status == Pass {
		for i := range in.Chain.Chain.Sets {
			set := &in.Chain.Chain.Sets[i]
			for _, at := range set.at {
				d.add(in.Header[at])
			}
		}
	}
	d.add(results)
	d.add(signature)
	return w.sign(s.Key, d.sum(w.unsigned()))
}
