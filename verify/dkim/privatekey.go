package dkim

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
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

// NewPrivateKey makes a key; bits is for RSA only, from [MinSigningBits] to
// [DefaultMaxRSABits].
func NewPrivateKey(t KeyType, bits int) (*PrivateKey, error) {
	switch t {
	case RSA:
		// Before the work, which grows with the fourth power of the size.
		if err := checkSigningBits(bits); err != nil {
			return nil, err
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

var (
	errNoPEM      = errors.New("no private key in PEM form")
	errDamagedPEM = errors.New("damaged PEM: a block without an end, or not in base64")
	errSeveralPEM = errors.New("more than one PEM block, and the private key must be alone")
	errEncrypted  = errors.New("the key is encrypted; remove its passphrase")
	errPublic     = errors.New("a public key, where the private one belongs")
	errCert       = errors.New("a certificate, where a private key belongs")
	errOpenSSH    = errors.New("a key in the form of OpenSSH, and PKCS #1 or PKCS #8 is needed")
	errDamagedKey = errors.New("damaged private key")
	errNotSigning = errors.New("neither an RSA nor an Ed25519 key, and DKIM knows no other")
)

// ParsePrivateKey reads a private key in PEM: RSA in PKCS #1 or PKCS #8, Ed25519
// in PKCS #8. The text must hold no other block.
func ParsePrivateKey(text []byte) (*PrivateKey, error) {
	if len(text) > maxPEM {
		return nil, errors.New("too long for a private key")
	}
	blocks := bytes.Count(text, []byte("-----BEGIN "))
	block, _ := pem.Decode(text)
	switch {
	case blocks == 0:
		return nil, errNoPEM
	case block == nil:
		return nil, errDamagedPEM
	case block.Type == "EC PARAMETERS", block.Type == "DSA PARAMETERS":
		// OpenSSL writes them before the key itself.
		return nil, errNotSigning
	case blocks > 1:
		return nil, errSeveralPEM
	case block.Headers["DEK-Info"] != "", block.Type == "ENCRYPTED PRIVATE KEY":
		return nil, errEncrypted
	}
	switch block.Type {
	case "RSA PRIVATE KEY":
		key, err := x509.ParsePKCS1PrivateKey(block.Bytes)
		if err != nil {
			return nil, errDamagedKey
		}
		return newPrivateKey(key)
	case "PRIVATE KEY":
		return parsePKCS8(block.Bytes)
	case "PUBLIC KEY", "RSA PUBLIC KEY":
		return nil, errPublic
	case "CERTIFICATE":
		return nil, errCert
	case "EC PRIVATE KEY", "DSA PRIVATE KEY":
		return nil, errNotSigning
	case "OPENSSH PRIVATE KEY":
		return nil, errOpenSSH
	}
	return nil, fmt.Errorf("not a private key but %.40q", block.Type)
}

// The algorithms of keys in PKCS #8: rsaEncryption (RFC 8017 appendix A.1) and
// Ed25519 (RFC 8410 section 3).
var (
	oidRSA     = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1}
	oidEd25519 = asn1.ObjectIdentifier{1, 3, 101, 112}
)

func parsePKCS8(der []byte) (*PrivateKey, error) {
	// RFC 5208 section 5. That an algorithm is another one is looked at here,
	// because crypto/x509 gives one error for an algorithm and for octets that
	// it does not know.
	var info struct {
		Version   int
		Algorithm pkix.AlgorithmIdentifier
		Key       []byte
	}
	if _, err := asn1.Unmarshal(der, &info); err != nil {
		return nil, errDamagedKey
	}
	if a := info.Algorithm.Algorithm; !a.Equal(oidRSA) && !a.Equal(oidEd25519) {
		return nil, errNotSigning
	}
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, errDamagedKey
	}
	return newPrivateKey(key)
}

func newPrivateKey(key any) (*PrivateKey, error) {
	switch key := key.(type) {
	case *rsa.PrivateKey:
		if err := checkSigningBits(key.N.BitLen()); err != nil {
			return nil, err
		}
		// The key record must be one that verifies.
		if !isUsable(&key.PublicKey) {
			return nil, errDamagedKey
		}
		return &PrivateKey{Type: RSA, Bits: key.N.BitLen(), signer: key}, nil
	case ed25519.PrivateKey:
		return &PrivateKey{Type: Ed25519, Bits: 8 * ed25519.PublicKeySize, signer: key}, nil
	}
	return nil, errNotSigning
}

// checkSigningBits checks the size of an RSA key.
func checkSigningBits(bits int) error {
	switch {
	case bits < MinSigningBits:
		return fmt.Errorf("an RSA key of %d bits, and %d are the least (RFC 8301)", bits, MinSigningBits)
	case bits > DefaultMaxRSABits:
		return fmt.Errorf("an RSA key of %d bits, and %d are the most that we verify with", bits, DefaultMaxRSABits)
	}
	return nil
}

// String describes the key, without its secret.
func (k *PrivateKey) String() string { return fmt.Sprintf("%d-bit %s key", k.Bits, k.Type) }

// GoString is [PrivateKey.String]: the verb %#v shows no secret either.
func (k *PrivateKey) GoString() string { return k.String() }

// Signer returns the key as the standard library knows it.
func (k *PrivateKey) Signer() crypto.Signer { return k.signer }

// Algorithm returns the a= tag of its signatures.
func (k *PrivateKey) Algorithm() string { return string(k.Type) + "-sha256" }

// SignDigest signs a SHA-256 digest (RFC 6376 section 3.3; RFC 8463 section 3).
func (k *PrivateKey) SignDigest(digest []byte) ([]byte, error) {
	if len(digest) != sha256.Size {
		return nil, fmt.Errorf("%d octets are no SHA-256 digest", len(digest))
	}
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

// Record returns the key record to publish (RFC 6376 section 3.6.1;
// RFC 8463 section 4.2). It has no tag h=: SHA-256 is the only hash that verifiers
// accept anyway (RFC 8301 section 3.1).
func (k *PrivateKey) Record() string {
	return "v=DKIM1; k=" + string(k.Type) + "; p=" + base64.StdEncoding.EncodeToString(k.public())
}
