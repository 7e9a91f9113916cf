package milter

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"errors"
	"io"
	"strings"
	"testing"

	"authmilter/verify"
)

// oddKey is a key that counts its uses, and can fail or panic.
type oddKey struct {
	crypto.Signer
	used   int
	err    error
	panics bool
}

func (k *oddKey) Sign(random io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	k.used++
	switch {
	case k.panics:
		panic("key on fire")
	case k.err != nil:
		return nil, k.err
	}
	return k.Signer.Sign(random, digest, opts)
}

// odd returns keys, the second of which is k.
func odd(t testing.TB, k *oddKey) []SigningKey {
	keys, _ := signingKeys(t)
	k.Signer = keys[1].Signer
	keys[1].Signer = k
	return keys
}

// TestSigningEnds abandons messages at every stage: no goroutine of go-msgauth is
// left running, and no key is used for a message that did not arrive whole.
func TestSigningEnds(t *testing.T) {
	header, _ := parse(t, ownMsg)
	for name, give := range map[string]func(s *signing){
		"after the header":    func(*signing) {},
		"in the body":         func(s *signing) { s.write([]byte("Hello")) },
		"twice":               func(s *signing) { s.write([]byte(ownBody)); s.cancel() },
		"after a lone LF":     func(s *signing) { s.write([]byte("a\nb")); s.write([]byte("c\r\n")) },
		"after an error":      func(s *signing) { s.write([]byte("a\r")); _, _ = s.finish() },
		"large":               func(s *signing) { s.write(bytes.Repeat([]byte("line\r\n"), 100_000)) },
		"nothing to the pipe": func(s *signing) { s.write(nil) },
	} {
		done := noLeak(t)
		key := &oddKey{}
		s, err := beginSigning(odd(t, key), header)
		if err != nil {
			t.Fatal(err)
		}
		give(s)
		s.cancel()
		done()
		if fields, err := s.finish(); fields != nil || err == nil {
			t.Errorf("%s: %q, %v", name, fields, err)
		}
		if key.used != 0 {
			t.Errorf("%s: the key was used", name)
		}
	}
	// After finish, cancel changes nothing.
	done := noLeak(t)
	key := &oddKey{}
	s, err := beginSigning(odd(t, key), header)
	if err != nil {
		t.Fatal(err)
	}
	s.write([]byte(ownBody))
	fields, err := s.finish()
	s.cancel()
	done()
	if len(fields) != 2 || err != nil || key.used != 1 {
		t.Errorf("%q, %v, %d", fields, err, key.used)
	}
}

// TestBadKeys checks that a key that does not sign leaves no goroutine behind.
func TestBadKeys(t *testing.T) {
	header, body := parse(t, ownMsg)
	errKey := errors.New("token removed")

	done := noLeak(t)
	fields, err := signWith(odd(t, &oddKey{err: errKey}), header, body, whole)
	done()
	if fields != nil || !errors.Is(err, errKey) {
		t.Errorf("%q, %v", fields, err)
	}

	keys, _ := signingKeys(t)
	var none ecdsa.PrivateKey
	none.Curve = elliptic.P256()
	keys[1].Signer = &none
	done = noLeak(t)
	fields, err = signWith(keys, header, body, whole)
	done()
	if fields != nil || err == nil || !strings.HasPrefix(err.Error(), "selector ed25519 of example.org: ") {
		t.Errorf("%q, %v", fields, err)
	}

	for name, keys := range map[string][]SigningKey{
		"at the end":   odd(t, &oddKey{panics: true}),
		"at the start": {keys[0], {Domain: "example.org", Selector: "none"}},
	} {
		done = noLeak(t)
		func() {
			defer func() {
				v := recover()
				if p, ok := v.(*verify.Panic); name == "at the end" && (!ok || p.Value != "key on fire" || !bytes.Contains(p.Stack, []byte("oddKey"))) || v == nil {
					t.Errorf("%s: panic %v", name, v)
				}
			}()
			fields, err := signWith(keys, header, body, whole)
			t.Errorf("%s: %q, %v", name, fields, err)
		}()
		done()
	}
}
