package dkim_test

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"authmilter/verify/dkim"
	"authmilter/verify/message"
)

func FuzzTags(f *testing.F) {
	for _, s := range []string{tags, "v=DKIM1; k=rsa; p=", "a=b;;c=\r\n d ; e = f=g;", " ", "v=1; v=1", "=x", "a"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		list, err := dkim.ParseTags(s)
		if err != nil {
			return
		}
		again, err := dkim.ParseTags(list.String())
		if err != nil || again.String() != list.String() || len(again) != len(list) {
			t.Fatalf("%q: once %q, twice %q, %v", s, list, again, err)
		}
		for i := range list {
			if list[i].Name != again[i].Name || list[i].Value != again[i].Value {
				t.Fatalf("%q: %+v, then %+v", s, list[i], again[i])
			}
		}
	})
}

func FuzzSignature(f *testing.F) {
	for _, s := range []string{
		tags + "; bh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=; b=AAAA",
		"v=1; a=ed25519-sha256; d=bücher.example; s=ü; i=ü@a.bücher.example; h=From : to; l=0; t=1; x=2; q=dns/txt; c=relaxed; bh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=; b=A A\r\n AA",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		once, err := dkim.ParseSignature(message.Field{Name: "DKIM-Signature", Raw: s})
		if once == nil {
			t.Fatal("no signature")
		}
		if err != nil {
			return
		}
		// Formatted from its parsed form, it parses to the same signature.
		canon := once.HeaderCanon.String() + "/" + once.BodyCanon.String()
		text := fmt.Sprintf("v=1; a=%s; d=%s; s=%s; i=%s; c=%s; h=%s; bh=%s; b=%s", once.Algorithm, once.Domain, once.Selector,
			once.Identity, canon, strings.Join(once.Fields, ":"), base64.StdEncoding.EncodeToString(once.BodyHash), once.Text)
		for name, n := range map[string]int64{"l": once.Length, "t": once.Time, "x": once.Expires} {
			if n != dkim.Absent {
				text += fmt.Sprintf("; %s=%d", name, n)
			}
		}
		twice, err := dkim.ParseSignature(message.Field{Name: "DKIM-Signature", Raw: text})
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		if a, b := fmt.Sprintf("%+v", exported(once)), fmt.Sprintf("%+v", exported(twice)); a != b {
			t.Fatalf("%q\nonce  %s\ntwice %s", s, a, b)
		}
	})
}

// exported returns the exported fields of s, except Text.
func exported(s *dkim.Signature) any {
	return []any{s.Algorithm, s.KeyType, s.Hash, s.Domain, s.Selector, s.Identity, s.IdentityDomain, s.Fields,
		s.HeaderCanon, s.BodyCanon, s.BodyHash, s.Value, s.Length, s.Time, s.Expires}
}

// FuzzMessage verifies a correctly signed message with an arbitrary header, body and
// h= tag. It must pass, and must fail with one more octet in the body.
func FuzzMessage(f *testing.F) {
	f.Add("Subject: a\r\n\tb \r\nTo : x\r\n", " a \r\n\r\n", "to:subject:to", true, false)
	f.Add(": a\r\nSubject: b\r\n", "", ":subject:: :", true, true)
	f.Add("From: a\r\nFrom: b\r\nDKIM-Signature: v=1; b=x\r\n", "", "from:dkim-signature", false, true)
	z := zone(f)
	f.Fuzz(func(t *testing.T, fields, body, names string, relaxedHeader, relaxedBody bool) {
		h := "from:from:from:subject:subject:subject"
		if isNames(names) {
			h += ":" + names
		}
		header, more := split("From: joe@example.com\r\n" + fields + "\r\n" + body)
		canon := map[bool]string{false: "simple", true: "relaxed"}
		digest := sha256.Sum256([]byte(modelBody(relaxedBody, more)))
		own := message.Field{Name: "DKIM-Signature", Raw: " v=1; a=ed25519-sha256; d=example.com; s=ed; c=" + canon[relaxedHeader] + "/" +
			canon[relaxedBody] + "; h=" + h + "; bh=" + base64.StdEncoding.EncodeToString(digest[:]) + "; b="}
		selected := strings.Split(h, ":")
		for i := range selected {
			selected[i] = strings.Trim(selected[i], " \t")
		}
		own.Raw += modelSignature(modelHeader(relaxedHeader, header, selected, -1, own))
		all := verify(t, text(append(message.Header{own}, header...))+more, z, dkim.Options{MaxSignatures: 2000}, 10)
		if r := all[0]; r.Status != dkim.Pass && r.Reason != dkim.ReasonUnsignedDuplicate {
			t.Fatalf("%s: %v", r.Status, r.Err)
		}
		all = verify(t, text(append(message.Header{own}, header...))+more+"!", z, dkim.Options{MaxSignatures: 2000}, 10)
		if r := all[0]; r.Reason != dkim.ReasonBodyHash {
			t.Fatalf("with one more octet: %s: %v", r.Status, r.Err)
		}
	})
}

// isNames reports whether s can be a list of names in an h= tag, some of them empty.
func isNames(s string) bool {
	for name := range strings.SplitSeq(s, ":") {
		if name = strings.Trim(name, " \t"); strings.ContainsFunc(name, func(c rune) bool {
			return c <= ' ' || c >= 0x7f || c == ';'
		}) {
			return false
		}
	}
	return true
}

func FuzzKey(f *testing.F) {
	f.Add("v=DKIM1; k=ed25519; t=y:s; h=sha256; s=email; n=x; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=")
	f.Add("p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDkHlOQoBTzWRiGs5V6NpP3idY6Wk08a5qhdR6wy5bdOKb2jLQiY/J16JYi0Qvx/byYzCNb3W91y3FutACDfzwQ/BC/e/8uBsCR+yz1Lxj+PL6lHvqMKrM3rG4hstT5QjvHO9PzoxZyVYLzBfO2EeC3Ip3G+2kryOTIKT+l/K4w3QIDAQAB")
	f.Add("v=DKIM1;\r\nk=ed25519\n; p=11qYAYKxCrfVS/7TyWQH\nOg7hcvPapi\rMlrwIaaPcHURo\r\n")
	f.Add("v=DKIM1; p=")
	f.Fuzz(func(t *testing.T, s string) {
		once, err := dkim.ParseKey(s)
		if err != nil {
			return
		}
		text := "v=DKIM1; "
		if once.Hashes != nil {
			text += "h=" + strings.Join(once.Hashes, ":") + "; "
		}
		if once.Services != nil {
			text += "s=" + strings.Join(once.Services, ":") + "; "
		}
		switch {
		case once.Testing && once.Strict:
			text += "t=y:s; "
		case once.Testing:
			text += "t=y; "
		case once.Strict:
			text += "t=s; "
		}
		twice, err := dkim.ParseKey(strings.TrimPrefix(record(once.Public, ""), "v=DKIM1; ") + "; " + strings.TrimPrefix(text, "v=DKIM1; "))
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		if !reflect.DeepEqual(once, twice) {
			t.Fatalf("%q\nonce  %+v\ntwice %+v", s, once, twice)
		}
	})
}
