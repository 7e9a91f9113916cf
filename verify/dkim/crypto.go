package dkim

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"slices"
	"strings"

	"authmilter/verify/message"
)

// goMinRSABits is the smallest key that crypto/rsa verifies with.
const goMinRSABits = 1024

var (
	errSignature = fault(Fail, ReasonSignature, "signature did not verify")
	errKeyType   = fault(PermError, ReasonKeyUse, "key is of another type than the signature")
	errKeyHash   = fault(PermError, ReasonKeyUse, "key does not allow the hash")
	errKeyUse    = fault(PermError, ReasonKeyUse, "key is not for email")
	errKeyStrict = fault(PermError, ReasonKeyUse, "key does not allow a subdomain in i=")
)

// allows tells whether key may be used for s (RFC 6376 section 6.1.2).
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

// VerifyDigest tells whether value is a signature of digest, which hash made,
// by key.
func VerifyDigest(key *Key, hash crypto.Hash, digest, value []byte) bool {
	switch public := key.Public.(type) {
	case *rsa.PublicKey:
		return rsa.VerifyPKCS1v15(public, hash, digest, value) == nil
	case ed25519.PublicKey:
		// RFC 8463 section 3: what is signed is the digest.
		return ed25519.Verify(public, digest, value)
	}
	return false
}

// headerDigest returns the digest that s signs: of the fields that its h= tag
// selects, bottom-most first for each name, and of its own field without the
// signature (RFC 6376 sections 3.7 and 5.4.2). own is the position of its field
// in h.
func (s *Signature) headerDigest(h message.Header, index *message.Index, own int) []byte {
	hash := s.Hash.New()
	buf := make([]byte, 0, 1024)
	for _, i := range index.Select(s.Fields) {
		// The signature was not there when it was made: what selects it, or a
		// field above that has its name, selects the next one above.
		if 0 <= i && i <= own && h[i].Is(FieldName) {
			i = index.Above(i)
		}
		if i >= 0 {
			buf = s.HeaderCanon.AppendField(buf[:0], h[i])
			hash.Write(buf)
		}
	}
	buf = s.HeaderCanon.AppendField(buf[:0], s.unsigned)
	hash.Write(buf[:len(buf)-len("\r\n")])
	return hash.Sum(buf[:0])
}

// singular are the fields that a message has at most one of (RFC 5322 section
// 3.6) and that people read. A second one, put above the signed one, is what
// they would see.
var singular = []string{"from", "subject"}

// unsignedDuplicate returns the name of a singular field of which s signs some
// but not all, or "" (RFC 6376 section 8.15).
func (s *Signature) unsignedDuplicate(index *message.Index) string {
	for _, name := range singular {
		signed := 0
		for _, f := range s.Fields {
			if strings.EqualFold(f, name) {
				signed++
			}
		}
		present := 0
		for i := index.Last(name); i >= 0; i = index.Above(i) {
			present++
		}
		if signed > 0 && present > signed {
			return name
		}
	}
	return ""
}
