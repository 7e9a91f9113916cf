package dkim_test

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"authmilter/verify/dkim"
)

// TestParsePrivateKey parses the files of testdata/privatekey. The first line of
// each is the expected result for the rest. Most were made with OpenSSL.
func TestParsePrivateKey(t *testing.T) {
	files, err := filepath.Glob("testdata/privatekey/*.pem")
	if err != nil || len(files) < 30 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".pem"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			first, text, _ := bytes.Cut(text, []byte("\n"))
			want := strings.TrimPrefix(string(first), "want: ")
			key, err := dkim.ParsePrivateKey(text)
			got := fmt.Sprint(err)
			if err == nil {
				got = key.String()
			}
			if got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		})
	}
}

func TestParsePrivateKeyBounds(t *testing.T) {
	text, err := os.ReadFile("testdata/privatekey/rsa-pkcs8.pem")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		size int
		err  string
	}{
		{64 << 10, "<nil>"},
		{64<<10 + 1, "too long for a private key"},
	} {
		padded := append([]byte(strings.Repeat("\n", c.size-len(text))), text...)
		if _, err := dkim.ParsePrivateKey(padded); fmt.Sprint(err) != c.err {
			t.Errorf("%d octets: %v", c.size, err)
		}
	}
	for _, c := range []struct {
		keyType dkim.KeyType
		bits    int
		err     string
	}{
		{dkim.RSA, 1023, "a 1023-bit RSA key; the minimum is 1024 (RFC 8301)"},
		{dkim.RSA, 8193, "a 8193-bit RSA key; the maximum is 8192"},
		{dkim.RSA, -1, "a -1-bit RSA key; the minimum is 1024 (RFC 8301)"},
		{"dsa", 1024, `unknown key type "dsa"`},
	} {
		if _, err := dkim.NewPrivateKey(c.keyType, c.bits); fmt.Sprint(err) != c.err {
			t.Errorf("%s %d: %v", c.keyType, c.bits, err)
		}
	}
}

// newKeys returns a new key of each type.
func newKeys(t testing.TB) []*dkim.PrivateKey {
	t.Helper()
	var keys []*dkim.PrivateKey
	for _, keyType := range []dkim.KeyType{dkim.RSA, dkim.Ed25519} {
		k, err := dkim.NewPrivateKey(keyType, 1024)
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, k)
	}
	return keys
}

// TestPrivateKeySigns checks that signatures by a key verify with its record, both of
// a digest and of a whole message.
func TestPrivateKeySigns(t *testing.T) {
	for _, k := range newKeys(t) {
		t.Run(k.Algorithm(), func(t *testing.T) {
			public, err := dkim.ParseKey(k.Record())
			if err != nil {
				t.Fatal(err)
			}
			if public.Type != k.Type || public.Bits != k.Bits {
				t.Errorf("%s publishes a %d-bit %s key", k, public.Bits, public.Type)
			}
			digest := sha256.Sum256([]byte("text"))
			value, err := k.SignDigest(digest[:])
			if err != nil {
				t.Fatal(err)
			}
			s := &dkim.Signature{KeyType: k.Type, Hash: crypto.SHA256, Value: value}
			if _, policy, err := (dkim.Options{}).VerifyDigest(s, []*dkim.Key{public}, digest[:]); policy != nil || err != nil {
				t.Errorf("%v, %v", policy, err)
			}
			digest[0]++
			if _, _, err := (dkim.Options{}).VerifyDigest(s, []*dkim.Key{public}, digest[:]); err == nil {
				t.Error("verifies another digest")
			}

			z := zone(t)
			z.AddTXT("own._domainkey.example.com", k.Record())
			signed := sign(k.Signer(), "v=1; a="+k.Algorithm()+"; d=example.com; s=own; h=from; c=relaxed/relaxed", "From: a@example.com\r\n\r\nhello\r\n")
			if results := verify(t, signed, z, dkim.Options{}, 100); len(results) != 1 || results[0].Status != dkim.Pass {
				t.Errorf("%+v", results)
			}
		})
	}
}

func TestSignDigestRefusesOthers(t *testing.T) {
	for _, k := range newKeys(t) {
		for _, n := range []int{0, 20, 31, 33, 64} {
			if value, err := k.SignDigest(make([]byte, n)); err == nil {
				t.Errorf("%s signs %d octets: %x", k, n, value)
			}
		}
	}
}

// TestRFC8463Key makes the record of RFC 8463 appendix A.2 from the private key of
// RFC 8032 section 7.1, test 1.
func TestRFC8463Key(t *testing.T) {
	k, err := dkim.ParsePrivateKey([]byte(`-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g
-----END PRIVATE KEY-----
`))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := k.Record(), "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="; got != want {
		t.Errorf("record %s, not %s", got, want)
	}
}

// TestPrivateKeyHidesItself checks that no verb of fmt, as used in logs, shows the
// secret.
func TestPrivateKeyHidesItself(t *testing.T) {
	for _, k := range newKeys(t) {
		var secret string
		switch s := k.Signer().(type) {
		case *rsa.PrivateKey:
			secret = s.D.String()
		case ed25519.PrivateKey:
			secret = strings.Trim(fmt.Sprint([]byte(s.Seed())), "[]")
		}
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
			text := fmt.Sprintf(verb, k) + fmt.Sprintf(verb, struct{ K *dkim.PrivateKey }{k})
			if strings.Contains(text, secret) || strings.Contains(text, hex.EncodeToString([]byte(secret))) {
				t.Errorf("%s: %s", verb, text)
			}
		}
	}
}

// FuzzParsePrivateKey checks that a parsed key can be written and parsed again, and
// that its record is valid.
func FuzzParsePrivateKey(f *testing.F) {
	files, err := filepath.Glob("testdata/privatekey/*.pem")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		once, err := dkim.ParsePrivateKey(text)
		if err != nil {
			return
		}
		written, err := once.PEM()
		if err != nil {
			t.Fatal(err)
		}
		twice, err := dkim.ParsePrivateKey(written)
		if err != nil {
			t.Fatalf("%q parses as %s, but does not parse again from %q: %v", text, once, written, err)
		}
		equal, ok := once.Signer().(interface{ Equal(crypto.PrivateKey) bool })
		if !ok || !equal.Equal(twice.Signer()) || once.Type != twice.Type || once.Bits != twice.Bits {
			t.Fatalf("%s parses again as %s", once, twice)
		}
		public, err := dkim.ParseKey(once.Record())
		if err != nil || public.Type != once.Type || public.Bits != once.Bits {
			t.Fatalf("%s has the record %s: %v", once, once.Record(), err)
		}
	})
}
