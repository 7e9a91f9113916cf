package dkim_test

import (
	"strings"
	"testing"

	"authmilter/verify/dkim"
)

// TestAnyChangeBreaks holds that no change of one octet in a signed field, in
// the signature field or in the body keeps a pass, but for those that
// canonicalization undoes.
func TestAnyChangeBreaks(t *testing.T) {
	z := zone(t)
	msg := sign(ed25519Key(), "v=1; a=ed25519-sha256; d=example.com; s=ed; h=from:to:subject:date", plain)
	if r := verify(t, msg, z, dkim.Options{}, 100); r[0].Status != dkim.Pass {
		t.Fatal(r[0].Err)
	}
	received := strings.Index(msg, "Received:")
	from := strings.Index(msg, "From:")
	for i := range msg {
		if received <= i && i < from {
			continue // not signed
		}
		for _, flip := range []byte{0x01, 0x20, 0x80} {
			changed := []byte(msg)
			changed[i] ^= flip
			for _, r := range verify(t, string(changed), z, dkim.Options{}, 100) {
				// The case of a field name in h= does not count, nor that of
				// "DKIM-Signature" itself in any canonicalization but simple.
				if r.Status == dkim.Pass && !harmless(msg, i, flip) {
					t.Errorf("%q at %d became %q: still a pass", msg[i], i, changed[i])
				}
			}
		}
	}
}

// harmless tells whether a change cannot matter: base64 has bits that mean
// nothing at its end, and white space within b= is not a part of it.
func harmless(msg string, i int, flip byte) bool {
	b := strings.Index(msg, "\r\n b=") + len("\r\n b=")
	end := b + strings.Index(msg[b:], "\r\n")
	return i >= end-4 && i < end+2
}
