package dkim

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"math"
	"strings"

	"authmilter/verify/fault"
)

// maxKeyText bounds the base64 text of a key, in octets. A 16384-bit RSA key takes
// 2,800.
const maxKeyText = 4096

// Key is a key record (RFC 6376 section 3.6.1).
type Key struct {
	Type KeyType
	// Public is the key: *rsa.PublicKey or ed25519.PublicKey.
	Public crypto.PublicKey
	// Bits is the size of the key.
	Bits int
	// Hashes are the names in the h= tag; nil allows all.
	Hashes []string
	// Services are the names in the s= tag; nil allows all.
	Services []string
	// Testing is the flag t=y: the domain is testing DKIM. It does not change any
	// result.
	Testing bool
	// Strict is the flag t=s: the domain of i= must be the same as d=.
	Strict bool

	// CNAMEs and Authentic are set for a key that was looked up: the aliases that
	// led to it, and whether the resolver vouched for the answer.
	CNAMEs    []string
	Authentic bool
}

var (
	errKeySyntax = fault.New(PermError, ReasonKeySyntax, "malformed key record")
	errRevoked   = fault.New(PermError, ReasonRevoked, "key revoked")
)

func keySyntax(text string) *Error {
	return fault.New(PermError, ReasonKeySyntax, "malformed key record: "+text)
}

// lineEnds makes the line ends in a key record white space. A record has no lines:
// these come from keys that were pasted together with the ends of theirs, which
// RFC 6376 section 3.6.1 allows only before more white space.
var lineEnds = strings.NewReplacer("\r", " ", "\n", " ")

// ParseKey parses the text of a key record. An error is an *[Error].
func ParseKey(txt string) (*Key, error) {
	tags, err := ParseTags(lineEnds.Replace(txt))
	if err != nil {
		return nil, errKeySyntax.Because(err)
	}
	// RFC 6376 section 3.6.1: v= is optional, but must come first.
	if v, ok := tags.Get("v"); ok && (tags[0].Name != "v" || v != "DKIM1") {
		return nil, keySyntax("tag v=")
	}
	k := &Key{Type: RSA}
	if t, ok := tags.Get("k"); ok {
		k.Type = KeyType(strings.ToLower(t))
	}
	k.Hashes = list(tags, "h")
	k.Services = list(tags, "s")
	for _, flag := range list(tags, "t") {
		switch flag {
		case "y":
			k.Testing = true
		case "s":
			k.Strict = true
		}
	}
	p, ok := tags.Get("p")
	if !ok {
		return nil, keySyntax("tag p= is missing")
	}
	if p = removeFWS(p); p == "" {
		return nil, errRevoked
	}
	if len(p) > maxKeyText {
		return nil, keySyntax("tag p= is too long")
	}
	data, err := decodeBase64(p)
	if err != nil {
		return nil, keySyntax("tag p= is not base64")
	}
	if err := k.parsePublic(data); err != nil {
		return nil, err
	}
	return k, nil
}

// list returns the names in a colon-separated tag, or nil if it is absent.
func list(tags Tags, name string) []string {
	text, ok := tags.Get(name)
	if !ok {
		return nil
	}
	var names []string
	for s := range strings.SplitSeq(text, ":") {
		names = append(names, strings.ToLower(trimFWS(s)))
	}
	return names
}

func (k *Key) parsePublic(data []byte) error {
	switch k.Type {
	case RSA:
		// RFC 6376 section 3.6.1 specifies an RSAPublicKey, but most domains
		// publish it wrapped in a SubjectPublicKeyInfo.
		public, err := x509.ParsePKIXPublicKey(data)
		if err != nil {
			if public, err = x509.ParsePKCS1PublicKey(data); err != nil {
				return keySyntax("tag p= is not an RSA key")
			}
		}
		key, ok := public.(*rsa.PublicKey)
		if !ok {
			return keySyntax("tag p= is not an RSA key")
		}
		if !isUsable(key) {
			return keySyntax("unusable RSA key")
		}
		k.Public, k.Bits = key, key.N.BitLen()
	case Ed25519:
		// RFC 8463 section 4.2: the bare 32 octets.
		if len(data) != ed25519.PublicKeySize {
			return keySyntax("tag p= is not an Ed25519 key")
		}
		k.Public, k.Bits = ed25519.PublicKey(data), 8*len(data)
	default:
		return keySyntax("unknown key type")
	}
	return nil
}

// isUsable reports whether crypto/rsa accepts key, apart from its size: modulus and
// exponent must be odd, and the exponent from 3 to 2^31-1. A larger exponent only
// burdens verifiers (RFC 6376 section 8.13), and with an exponent of 1 anyone can
// sign.
func isUsable(key *rsa.PublicKey) bool {
	return key.N.Bit(0) == 1 && key.E%2 == 1 && 3 <= key.E && key.E <= math.MaxInt32
}
