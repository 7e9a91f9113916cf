package dkim

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"fmt"
	"slices"
	"strings"

	"authmilter/verify/fault"
	"authmilter/verify/message"
)

// goMinRSABits is the size of the smallest key that crypto/rsa accepts.
const goMinRSABits = 1024

var (
	errSignature = fault.New(Fail, ReasonSignature, "signature did not verify")
	errSize      = fault.New(PermError, ReasonSignatureSize, "signature of an impossible length")
	errKeyType   = fault.New(PermError, ReasonKeyUse, "key is of another type than the signature")
	errKeyHash   = fault.New(PermError, ReasonKeyUse, "key does not allow the hash")
	errKeyUse    = fault.New(PermError, ReasonKeyUse, "key is not for email")
	errKeyStrict = fault.New(PermError, ReasonKeyUse, "key does not allow a subdomain in i=")
)

// allows returns an error if key must not be used for s (RFC 6376 section 6.1.2).
func (s *Signature) allows(key *Key) error {
	switch {
	case key.Type != s.KeyType:
		return errKeyType
	case key.Hashes != nil && !slices.Contains(key.Hashes, hashName(s.Hash)):
		return errKeyHash
	case key.Services != nil && !slices.Contains(key.Services, "*") && !slices.Contains(key.Services, "email"):
		return errKeyUse
	case key.Strict && s.IdentityDomain != s.Domain:
		return errKeyStrict
	}
	return nil
}

func hashName(h crypto.Hash) string {
	if h == crypto.SHA1 {
		return "sha1"
	}
	return "sha256"
}

// maxKeys bounds how many keys of one selector are tried.
const maxKeys = 3

// VerifyDigest verifies s, a signature of digest, with the keys published for
// it, of which there must be at least one. It returns the key that decided. err is
// why the signature does not verify; policy is why a signature that verifies is
// refused for its key. Both errors are an *[Error].
//
// RFC 6376 section 3.6.2.2 leaves several key records at one name undefined, and
// their order changes from answer to answer. Each key that suits the signature is
// tried until one verifies (section 6.1.2).
func (o Options) VerifyDigest(s *Signature, keys []*Key, digest []byte) (key *Key, policy, err error) {
	o = o.withDefaults()
	if fit := s.fitting(keys); len(fit) > 0 {
		keys = fit
	}
	err = errNoKey
	for _, key = range keys[:min(len(keys), maxKeys)] {
		if policy, err = o.verifyDigest(s, key, digest); err == nil {
			break
		}
	}
	return key, policy, err
}

// fitting returns the keys that may be used for s.
func (s *Signature) fitting(keys []*Key) []*Key {
	var fit []*Key
	for _, key := range keys {
		if s.allows(key) == nil {
			fit = append(fit, key)
		}
	}
	return fit
}

func (o Options) verifyDigest(s *Signature, key *Key, digest []byte) (policy, err error) {
	if err := s.allows(key); err != nil {
		return nil, err
	}
	if key.Type == RSA {
		switch {
		case key.Bits > o.MaxRSABits:
			return nil, largeKey(key.Bits)
		case key.Bits < goMinRSABits:
			return nil, weakKey(key.Bits)
		case key.Bits < o.MinRSABits:
			policy = weakKey(key.Bits)
		}
	}
	if !isSignature(s.Value, digest, s.Hash, key) {
		return nil, errSignature
	}
	return policy, nil
}

func weakKey(bits int) error {
	return fault.New(Policy, ReasonWeakKey, fmt.Sprintf("key too weak: %d bits", bits))
}

func largeKey(bits int) error {
	return fault.New(Policy, ReasonLargeKey, fmt.Sprintf("key too large: %d bits", bits))
}

// minSignature is the length of the smallest RSA signature in use, in octets: the
// one that a 512-bit key makes.
const minSignature = 512 / 8

// checkSize returns an error if no acceptable key can have made a signature of this
// length. An RSA signature is as long as the modulus of its key
// (RFC 8017 section 8.2.1), an Ed25519 signature has 64 octets
// (RFC 8032 section 5.1.6).
func (o Options) checkSize(s *Signature) error {
	length := len(s.Value)
	bits := 8 * length
	switch {
	case s.KeyType == Ed25519 && length != ed25519.SignatureSize, length < minSignature:
		return errSize
	case s.KeyType == Ed25519:
		return nil
	case bits < goMinRSABits:
		return weakKey(bits)
	case bits-7 > o.MaxRSABits: // up to seven bits of the first octet of the modulus can be unused
		return largeKey(bits)
	}
	return nil
}

// isSignature reports whether value is key's signature of digest, computed with
// hash.
func isSignature(value, digest []byte, hash crypto.Hash, key *Key) bool {
	switch public := key.Public.(type) {
	case *rsa.PublicKey:
		return rsa.VerifyPKCS1v15(public, hash, digest, value) == nil
	case ed25519.PublicKey:
		// RFC 8463 section 3: the digest itself is signed.
		return ed25519.Verify(public, digest, value)
	}
	return false
}

// headerDigest returns the digest that s signs. It covers the fields that the h= tag
// selects, the bottommost of each name first, and the field of s itself without the
// signature (RFC 6376 sections 3.7 and 5.4.2). own is the position of that field
// in h.
func (s *Signature) headerDigest(h message.Header, index *message.Index, own int) []byte {
	selected := index.Select(s.Fields)
	name := strings.ToLower(strings.TrimRight(h[own].Name, " \t"))
	for n, i := range selected {
		// The signature field was not in the header when it was signed: a name
		// that selects it, or a field of that name above it, selects the next one
		// above instead.
		if 0 <= i && i <= own && h[i].Is(name) {
			selected[n] = index.Above(i)
		}
	}
	return DigestHeader(s.Hash, s.HeaderCanon, h, selected, s.unsigned)
}

// DigestHeader returns the digest of the selected fields of h and of the signature
// field without its signature (RFC 6376 section 3.7). It skips positions that
// are -1.
func DigestHeader(hash crypto.Hash, c message.Canon, h message.Header, selected []int, unsigned message.Field) []byte {
	state := hash.New()
	buf := make([]byte, 0, 1024)
	for _, i := range selected {
		if i >= 0 {
			buf = c.AppendField(buf[:0], h[i])
			state.Write(buf)
		}
	}
	buf = c.AppendField(buf[:0], unsigned)
	state.Write(buf[:len(buf)-len("\r\n")])
	return state.Sum(buf[:0])
}
