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

// maxPEM bounds the text of a private key, in octets. A 16384-bit RSA key takes
// 13,000.
const maxPEM = 64 << 10

// MinSigningBits is the size of the smallest RSA key to sign with:
// RFC 8301 section 3.2 says that signers MUST use at least 1024 bits.
const MinSigningBits = 1024

// PrivateKey is a key to sign with.
type PrivateKey struct {
	Type KeyType
	// Bits is the size of the key.
	Bits   int
	signer crypto.Signer
}

// NewPrivateKey generates a key. bits is the size of an RSA key, from
// [MinSigningBits] to [DefaultMaxRSABits]; for Ed25519 it is ignored.
func NewPrivateKey(t KeyType, bits int) (*PrivateKey, error) {
	switch t {
	case RSA:
		// Check before the work, which grows with the fourth power of the size.
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
	errSeveralPEM = errors.New("more than one PEM block; only the private key is allowed")
	errEncrypted  = errors.New("the key is encrypted; remove its passphrase")
	errPublic     = errors.New("a public key, not a private key")
	errCert       = errors.New("a certificate, not a private key")
	errOpenSSH    = errors.New("a key in OpenSSH format; PKCS #1 or PKCS #8 is needed")
	errDamagedKey = errors.New("damaged private key")
	errNotSigning = errors.New("neither an RSA nor an Ed25519 key; DKIM supports no others")
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
		// OpenSSL writes these before the key itself.
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
	return nil, fmt.Errorf("a PEM block of type %.40q, not a private key", block.Type)
}

// The algorithms of keys in PKCS #8: rsaEncryption (RFC 8017 appendix A.1) and
// Ed25519 (RFC 8410 section 3).
var (
	oidRSA     = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1}
	oidEd25519 = asn1.ObjectIdentifier{1, 3, 101, 112}
)

func parsePKCS8(der []byte) (*PrivateKey, error) {
	// RFC 5208 section 5. The algorithm is checked here because crypto/x509
	// returns the same error for an unknown algorithm as for damaged octets.
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
		// Verifiers must be able to use the key record.
		if !isUsable(&key.PublicKey) {
			return nil, errDamagedKey
		}
		return &PrivateKey{Type: RSA, Bits: key.N.BitLen(), signer: key}, nil
	case ed25519.PrivateKey:
		return &PrivateKey{Type: Ed25519, Bits: 8 * ed25519.PublicKeySize, signer: key}, nil
	}
	return nil, errNotSigning
}

// checkSigningBits returns an error if an RSA key is too small or too large.
func checkSigningBits(bits int) error {
	switch {
	case bits < MinSigningBits:
		return fmt.Errorf("a %d-bit RSA key; the minimum is %d (RFC 8301)", bits, MinSigningBits)
	case bits > DefaultMaxRSABits:
		return fmt.Errorf("a %d-bit RSA key; the maximum is %d", bits, DefaultMaxRSABits)
	}
	return nil
}

// String describes the key without its secret.
func (k *PrivateKey) String() string { return fmt.Sprintf("%d-bit %s key", k.Bits, k.Type) }

// GoString is like [PrivateKey.String], so that %#v does not show the secret either.
func (k *PrivateKey) GoString() string { return k.String() }

// Signer returns the key as a [crypto.Signer].
func (k *PrivateKey) Signer() crypto.Signer { return k.signer }

// Algorithm returns the a= tag of its signatures.
func (k *PrivateKey) Algorithm() string { return string(k.Type) + "-sha256" }

// SignDigest signs a SHA-256 digest (RFC 6376 section 3.3; RFC 8463 section 3).
func (k *PrivateKey) SignDigest(digest []byte) ([]byte, error) {
	if len(digest) != sha256.Size {
		return nil, fmt.Errorf("%d octets are not a SHA-256 digest", len(digest))
	}
	if k.Type == Ed25519 {
		// Plain Ed25519, with the digest as the message.
		return k.signer.Sign(rand.Reader, digest, crypto.Hash(0))
	}
	return k.signer.Sign(rand.Reader, digest, crypto.SHA256)
}

// PEM returns the key as PKCS #8 in PEM.
func (k *PrivateKey) PEM() ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(k.signer)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// public returns the contents of the p= tag of the key record, before base64.
func (k *PrivateKey) public() []byte {
	if p, ok := k.signer.Public().(ed25519.PublicKey); ok {
		return p // RFC 8463 section 4.2
	}
	der, err := x509.MarshalPKIXPublicKey(k.signer.Public())
	if err != nil {
		panic(err) // an RSA key can always be encoded
	}
	return der
}

// Public returns the key as it is published.
func (k *PrivateKey) Public() *Key {
	return &Key{Type: k.Type, Public: k.signer.Public(), Bits: k.Bits}
}

// Record returns the key record to publish (RFC 6376 section 3.6.1;
// RFC 8463 section 4.2). It has no h= tag, because verifiers accept only SHA-256
// anyway (RFC 8301 section 3.1).
func (k *PrivateKey) Record() string {
	return "v=DKIM1; k=" + string(k.Type) + "; p=" + base64.StdEncoding.EncodeToString(k.public())
}
