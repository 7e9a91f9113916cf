package dkim_test

import (
	"encoding/base64"
	"strings"
	"testing"

	"authmilter/verify/dkim"
	"authmilter/verify/message"
)

// TestAnyChange changes each octet of signed messages in several ways. A changed
// message passes exactly if canonicalization makes it equal to the original.
func TestAnyChange(t *testing.T) {
	const tags = "v=1; a=ed25519-sha256; d=example.com; s=ed; h=from:to :\r\n subject:date:subject"
	z := zone(t)
	for _, canon := range []string{"simple/simple", "simple/relaxed", "relaxed/simple", "relaxed/relaxed"} {
		original := sign(ed25519Key(), tags+"; c="+canon, plain)
		want := covered(t, original, canon)
		kept := 0
		for i := range original {
			for _, flip := range []byte{0x20, 0x29, 0x80} {
				octets := []byte(original)
				octets[i] ^= flip
				changed := string(octets)
				same := covered(t, changed, canon) == want
				passed := false
				for _, r := range verify(t, changed, z, dkim.Options{}, 100) {
					passed = passed || r.Status == dkim.Pass
				}
				if passed != same {
					t.Errorf("%s: %q at %d became %q: pass %v, the same to %s %v", canon, original[i], i, octets[i], passed, canon, same)
				}
				if same {
					kept++
				}
			}
		}
		// Not all of the message is signed, and not every octet matters.
		if kept < 50 || kept > len(original) {
			t.Errorf("%s: %d of %d changes kept what is signed", canon, kept, 3*len(original))
		}
	}
}

// covered returns everything that the signature of msg covers, and the signature
// itself, or "" if there is none. It assumes the h= tag of TestAnyChange.
func covered(t *testing.T, msg, canon string) string {
	t.Helper()
	header, body := split(msg)
	for own, f := range header {
		if !strings.EqualFold(strings.TrimSpace(f.Name), "DKIM-Signature") {
			continue
		}
		_, b, _ := strings.Cut(strings.TrimLeft(valueOfB.FindString(f.Raw), ";"), "=")
		value, err := base64.StdEncoding.DecodeString(strings.NewReplacer(" ", "", "\t", "", "\r\n", "").Replace(b))
		if err != nil {
			continue
		}
		headerCanon, bodyCanon, _ := strings.Cut(canon, "/")
		names := []string{"from", "to", "subject", "date", "subject"}
		return modelHeader(headerCanon == "relaxed", header, names, own, f) + "\n\n" +
			modelBody(bodyCanon == "relaxed", body) + "\n\n" + string(value)
	}
	return ""
}

// TestDeletedValue checks that all of a signature field is signed, except the value
// of the b= tag and the white space around it, wherever the tag stands and whatever
// else looks like it.
func TestDeletedValue(t *testing.T) {
	z := zone(t)
	const rest = "v=1; a=ed25519-sha256; d=example.com; s=ed; h=from"
	const bh = "bh=" + sha256Empty
	for _, test := range []struct{ before, after string }{
		{rest + "; " + bh + "; b=", ""},
		{rest + "; " + bh + "; b=", ";"},
		{rest + "; " + bh + "; b=", "; "},
		{"b=", "; " + rest + "; " + bh},
		{" b=", ";" + rest + ";" + bh},
		{rest + ";b=", ";" + bh},
		{rest + ";\r\n\tb \t=", ";\r\n " + bh},
		{rest + "; b\r\n =", "; " + bh + "\r\n "},
		{rest + "; bb=b=; ab=x; B=Zm9v; b2=b; b=", "; " + bh},
		{rest + "; z=From:b=x|b=y; b=", "; " + strings.Replace(bh, "bh=", "bh\r\n  =\r\n  ", 1)},
		{rest + "; z=|b=; bh = " + sha256Empty + ";b=", ";z2=b=AAAA"},
	} {
		for _, relaxed := range []bool{false, true} {
			for _, format := range []string{"@", " @", "@ ", "\t@\r\n ", "\r\n @\r\n\t"} {
				before, after := test.before, test.after
				if relaxed {
					after += "; c=relaxed/relaxed"
				} else {
					after += "; c=simple/relaxed"
				}
				header := message.Header{{Name: "From", Raw: " joe@example.com"}}
				unsigned := message.Field{Name: "DKIM-Signature", Raw: before + after}
				value := modelSignature(modelHeader(relaxed, header, []string{"from"}, -1, unsigned))
				field := before + strings.ReplaceAll(format, "@", value[:7]+"\r\n "+value[7:]) + after
				r := verify(t, "From: joe@example.com\r\nDKIM-Signature:"+field+"\r\n\r\n", z, dkim.Options{}, 100)[0]
				if r.Status != dkim.Pass || r.Signature.Text != value {
					t.Errorf("%q: %v, b=%s, want %s", field, r.Err, r.Signature.Text, value)
				}
			}
		}
	}
}
