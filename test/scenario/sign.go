package scenario

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-msgauth/dkim"
)

// keyring holds the test keys, keyed by file name without extension.
type keyring map[string]crypto.Signer

func loadKeys(t testing.TB, dir string) keyring {
	t.Helper()
	k := keyring{}
	for _, name := range []string{"rsa2048", "rsa1024", "ed25519"} {
		text, err := os.ReadFile(filepath.Join(dir, name+".pem"))
		if err != nil {
			t.Fatal(err)
		}
		block, _ := pem.Decode(text)
		if block == nil {
			t.Fatalf("%s: not a PEM file", name)
		}
		key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		k[name] = key.(crypto.Signer)
	}
	return k
}

// fillIn replaces key names in braces with the key records
// (RFC 6376 section 3.6.1, RFC 8463 section 4), split into strings.
func (k keyring) fillIn(zone string) string {
	for name, key := range k {
		var kind string
		var public []byte
		switch p := key.Public().(type) {
		case *rsa.PublicKey:
			kind = "rsa"
			public, _ = x509.MarshalPKIXPublicKey(p) // an RSA key always encodes
		case ed25519.PublicKey:
			kind, public = "ed25519", p
		}
		record := "v=DKIM1; k=" + kind + "; p=" + base64.StdEncoding.EncodeToString(public)
		var parts []string
		for record != "" {
			n := min(255, len(record))
			parts = append(parts, strconv.Quote(record[:n]))
			record = record[n:]
		}
		zone = strings.ReplaceAll(zone, "{"+name+"}", strings.Join(parts, " "))
	}
	return zone
}

// options parses the words of a line in a sign file.
func (k keyring) options(words []string) (*dkim.SignOptions, error) {
	if len(words) == 0 || k[words[0]] == nil {
		return nil, fmt.Errorf("no such key in %q", words)
	}
	o := &dkim.SignOptions{Signer: k[words[0]]}
	for _, w := range words[1:] {
		tag, value, _ := strings.Cut(w, "=")
		switch tag {
		case "d":
			o.Domain = value
		case "s":
			o.Selector = value
		case "i":
			o.Identifier = value
		case "h":
			o.HeaderKeys = strings.Split(value, ":")
		case "c":
			header, body, _ := strings.Cut(value, "/")
			o.HeaderCanonicalization = dkim.Canonicalization(header)
			o.BodyCanonicalization = dkim.Canonicalization(body)
		case "x":
			at, err := strconv.ParseInt(value, 10, 64)
			if err != nil {
				return nil, err
			}
			o.Expiration = time.Unix(at, 0)
		default:
			return nil, fmt.Errorf("unknown tag %q", tag)
		}
	}
	return o, nil
}

// sign returns message with a DKIM-Signature field on top. words are a line of a
// sign file. The signature is the same in every run, because the clock in a
// synctest bubble always starts in the year 2000.
func (k keyring) sign(t *testing.T, message []byte, words []string) ([]byte, error) {
	o, err := k.options(words)
	if err != nil {
		return nil, err
	}
	var signed bytes.Buffer
	synctest.Test(t, func(*testing.T) {
		err = dkim.Sign(&signed, bytes.NewReader(message), o)
	})
	return signed.Bytes(), err
}
