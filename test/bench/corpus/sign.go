package corpus

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/base64"
	"fmt"
	"strings"

	"authmilter/verify/dkim"
	"authmilter/verify/message"
)

// Signature is the part of a DKIM signature that needs public-key cryptography:
// the least that a verifier must do with it.
type Signature struct {
	Key    crypto.PublicKey
	Digest []byte // of the header, with SHA-256
	Value  []byte
}

// Verify reports whether the signature matches Digest.
func (s *Signature) Verify() bool {
	switch key := s.Key.(type) {
	case *rsa.PublicKey:
		return rsa.VerifyPKCS1v15(key, crypto.SHA256, s.Digest, s.Value) == nil
	case ed25519.PublicKey:
		return ed25519.Verify(key, s.Digest, s.Value)
	}
	return false
}

// signer says how a message is signed.
type signer struct {
	key              crypto.Signer
	domain, selector string
	header, body     message.Canon
}

// signedFields are signed if they are present. From is listed once more than it
// occurs, as RFC 6376 section 8.15 advises.
var signedFields = []string{"from", "to", "subject", "date", "message-id", "mime-version", "content-type", "list-unsubscribe", "from"}

// sign puts a signature on top of msg (RFC 6376 section 3.5).
func (s signer) sign(msg *Message) error {
	digest := message.Digest{Canon: s.body, Hash: crypto.SHA256, Length: message.WholeBody}
	var body message.Body
	body.Want(digest)
	_, _ = body.Write(msg.Body) // never fails before the end

	index := message.NewIndex(msg.Header)
	var names []string
	for i, position := range index.Select(signedFields) {
		if position >= 0 || i == len(signedFields)-1 {
			names = append(names, signedFields[i])
		}
	}
	algorithm := "rsa-sha256"
	if _, ok := s.key.(ed25519.PrivateKey); ok {
		algorithm = "ed25519-sha256"
	}
	unsigned := message.Field{Name: "DKIM-Signature", Raw: fmt.Sprintf(
		" v=1; a=%s; c=%s/%s; d=%s; s=%s;\r\n\tt=%d; h=%s;\r\n\tbh=%s;\r\n\tb=",
		algorithm, s.header, s.body, s.domain, s.selector,
		signedAt.Unix(), strings.Join(names, ":"), base64.StdEncoding.EncodeToString(body.Sum(digest)),
	)}
	hashed := dkim.DigestHeader(crypto.SHA256, s.header, msg.Header, index.Select(names), unsigned)
	// Ed25519 signs the digest as it is (RFC 8463 section 3).
	var opts crypto.SignerOpts = crypto.SHA256
	if algorithm == "ed25519-sha256" {
		opts = crypto.Hash(0)
	}
	value, err := s.key.Sign(nil, hashed, opts)
	if err != nil {
		return err
	}
	signed := unsigned
	signed.Raw += fold(base64.StdEncoding.EncodeToString(value))
	msg.Header = append(message.Header{signed}, msg.Header...)
	msg.Signatures = append(msg.Signatures, Signature{Key: s.key.Public(), Digest: hashed, Value: value})
	return nil
}

// fold breaks text into lines of 72 octets.
func fold(text string) string {
	var b strings.Builder
	for len(text) > 72 {
		b.WriteString(text[:72] + "\r\n\t ")
		text = text[72:]
	}
	return b.String() + text
}
