package dkim

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"

	"authmilter/verify/dns"
)

// maxPEM bounds the text of a private key, in octets: an RSA key of 16384 bits
// takes 13,000.
const maxPEM = 64 << 10

// MinSigningBits is the smallest RSA key to sign with: RFC 8301 section 3.2
// says that signers MUST use at least 1024 bits.
const MinSigningBits = 1024

// PrivateKey signs.
type PrivateKey struct {
	Type KeyType
	// Bits is the size of the key.
	Bits   int
	signer crypto.Signer
}

// NewPrivateKey makes a key; bits is for RSA only.
func NewPrivateKey(t KeyType, bits int) (*PrivateKey, error) {
	switch t {
	case RSA:
		if bits < MinSigningBits || bits > DefaultMaxRSABits {
			return nil, fmt.Errorf("%d bits are not between %d and %d", bits, MinSigningBits, DefaultMaxRSABits)
		}
		key, err := rsa.GenerateKey(rand.Reader, bits)
		if err != nil {
			return nil, err
		}
		return newPrivateKey(key)
	case Ed25519:
		_, key, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			return nil, err
		}
		return newPrivateKey(key)
	}
	return nil, fmt.Errorf("unknown key type %q", t)
}

// ParsePrivateKey reads a private key in PEM: RSA in PKCS #1 or PKCS #8, Ed25519
// in PKCS #8.
func ParsePrivateKey(text []byte) (*PrivateKey, error) {
	if len(text) > maxPEM {
		return nil, errors.New("too long for a private key")
	}
	block, rest := pem.Decode(text)
	if block == nil {
		return nil, errors.New("no private key in PEM form")
	}
	if other, _ := pem.Decode(rest); other != nil {
		return nil, errors.New("more than one key")
	}
	var key any
	var err error
	switch block.Type {
	case "RSA PRIVATE KEY":
		if block.Headers["DEK-Info"] != "" {
			return nil, errors.New("the key is encrypted; remove its passphrase")
		}
		key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	case "PRIVATE KEY":
		key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	case "ENCRYPTED PRIVATE KEY":
		return nil, errors.New("the key is encrypted; remove its passphrase")
	case "PUBLIC KEY", "RSA PUBLIC KEY", "CERTIFICATE":
		return nil, errors.New("a public key, where the private one belongs")
	case "EC PRIVATE KEY":
		return nil, errNotSigning
	default:
		return nil, fmt.Errorf("not a private key but %.40q", block.Type)
	}
	if err != nil {
		return nil, fmt.Errorf("damaged private key: %w", err)
	}
	return newPrivateKey(key)
}

var errNotSigning = errors.New("neither an RSA nor an Ed25519 key, and DKIM knows no other")

func newPrivateKey(key any) (*PrivateKey, error) {
	switch key := key.(type) {
	case *rsa.PrivateKey:
		if bits := key.N.BitLen(); bits < MinSigningBits {
			return nil, fmt.Errorf("an RSA key of %d bits, and %d are the least (RFC 8301)", bits, MinSigningBits)
		}
		return &PrivateKey{Type: RSA, Bits: key.N.BitLen(), signer: key}, nil
	case ed25519.PrivateKey:
		return &PrivateKey{Type: Ed25519, Bits: 8 * ed25519.PublicKeySize, signer: key}, nil
	}
	return nil, errNotSigning
}

// Signer returns the key as the standard library knows it.
func (k *PrivateKey) Signer() crypto.Signer { return k.signer }

// Algorithm returns the a= tag of its signatures.
func (k *PrivateKey) Algorithm() string { return string(k.Type) + "-sha256" }

// SignDigest signs a SHA-256 digest (RFC 6376 section 3.3; RFC 8463 section 3).
func (k *PrivateKey) SignDigest(digest []byte) ([]byte, error) {
	if k.Type == Ed25519 {
		// Plain Ed25519 over the digest, which it takes for the message.
		return k.signer.Sign(rand.Reader, digest, crypto.Hash(0))
	}
	return k.signer.Sign(rand.Reader, digest, crypto.SHA256)
}

// PEM returns the key in PKCS #8.
func (k *PrivateKey) PEM() ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(k.signer)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// public returns the p= tag of the key record, before base64.
func (k *PrivateKey) public() []byte {
	if p, ok := k.signer.Public().(ed25519.PublicKey); ok {
		return p // RFC 8463 section 4.2
	}
	der, err := x509.MarshalPKIXPublicKey(k.signer.Public())
	if err != nil {
		panic(err) // an RSA key always encodes
	}
	return der
}

// Public returns the key as it is published.
func (k *PrivateKey) Public() *Key {
	return &Key{Type: k.Type, Public: k.signer.Public(), Bits: k.Bits}
}

// Record returns the key record to publish (RFC 6376 section 3.6.1).
func (k *PrivateKey) Record() string {
	return "v=DKIM1; k=" + string(k.Type) + "; p=" + base64.StdEncoding.EncodeToString(k.public())
}

// Published is what a domain publishes about a key of ours.
type Published string

// What can be published.
const (
	PublishedOK       Published = "ok"
	PublishedMissing  Published = "missing"  // no record
	PublishedMismatch Published = "mismatch" // the record of another key
	PublishedUnusable Published = "unusable" // malformed, revoked, or not for mail
	PublishedUnknown  Published = "unknown"  // DNS gave no answer
)

// PublishedStates returns every Published.
func PublishedStates() []Published {
	return []Published{PublishedOK, PublishedMissing, PublishedMismatch, PublishedUnusable, PublishedUnknown}
}

// CheckPublished tells whether domain publishes k for selector. The error
// explains everything but PublishedOK.
func (k *PrivateKey) CheckPublished(ctx context.Context, r dns.Resolver, selector, domain string) (Published, error) {
	keys, err := LookupKeys(ctx, r, selector, domain)
	var e *Error
	switch {
	case errors.As(err, &e) && e.Status == TempError:
		return PublishedUnknown, err
	case errors.As(err, &e) && e.Reason == ReasonNoKey:
		return PublishedMissing, errors.New("no key record")
	case err != nil:
		return PublishedUnusable, err
	}
	// A signature in the name of the domain itself, which is what we make.
	s := &Signature{KeyType: k.Type, Hash: crypto.SHA256, Domain: domain, IdentityDomain: domain}
	var unusable error
	for _, key := range keys {
		if !k.matches(key) {
			continue
		}
		if unusable = s.allows(key); unusable == nil {
			return PublishedOK, nil
		}
	}
	if unusable != nil {
		return PublishedUnusable, unusable
	}
	return PublishedMismatch, errors.New("the key record is that of another key")
}

// matches tells whether key is the public half of k.
func (k *PrivateKey) matches(key *Key) bool {
	switch p := key.Public.(type) {
	case *rsa.PublicKey:
		return p.Equal(k.signer.Public())
	case ed25519.PublicKey:
		own, ok := k.signer.Public().(ed25519.PublicKey)
		return ok && bytes.Equal(own, p)
	}
	return false
}
