package dkim_test

import (
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	"authmilter/verify/dkim"
	"authmilter/verify/message"
)

// spellings are ways to write a base64string, given without padding: which of them
// RFC 6376 section 2.10 allows.
var spellings = []struct {
	name    string
	write   func(digits string) string
	allowed bool
}{
	{"no padding", func(d string) string { return d }, true},
	{"one equals sign", func(d string) string { return d + "=" }, true},
	{"two equals signs", func(d string) string { return d + "==" }, true},
	{"white space everywhere", func(d string) string { return "\t" + strings.Join(strings.Split(d, ""), "\r\n ") + "\r\n\t= \t= " }, true},
	{"white space and no padding", func(d string) string { return " " + d[:3] + " \t" + d[3:] + "\r\n " }, true},
	{"three equals signs", func(d string) string { return d + "===" }, false},
	{"an equals sign within", func(d string) string { return d[:4] + "=" + d[4:] }, false},
	{"an equals sign in front", func(d string) string { return "=" + d }, false},
	{"another alphabet", func(d string) string { return d[:4] + "-_" + d[6:] }, false},
	{"a character that encodes no octet", func(d string) string { return d[:len(d)/4*4] + "A" }, false},
}

// TestPadding verifies signatures whose b=, bh= and key are written in each way.
func TestPadding(t *testing.T) {
	const rest = "v=1; a=ed25519-sha256; c=relaxed/relaxed; d=example.com; s=padding; h=from; "
	header := message.Header{{Name: "From", Raw: " joe@example.com"}}
	trim := func(s string) string { return strings.TrimRight(s, "=") }
	for _, test := range spellings {
		for _, tag := range []string{"b", "bh", "p"} {
			bh, key := trim(sha256Empty), trim(base64.StdEncoding.EncodeToString(ed25519Key()[32:]))
			write := func(name, digits string) string {
				if name == tag {
					return test.write(digits)
				}
				return digits + strings.Repeat("=", -len(digits)&3)
			}
			z := zone(t)
			z.AddTXT("padding._domainkey.example.com", "v=DKIM1; k=ed25519; p="+write("p", key)+"; n=x")
			field := rest + "bh=" + write("bh", bh) + "; b="
			unsigned := message.Field{Name: "DKIM-Signature", Raw: field}
			field += write("b", trim(modelSignature(modelHeader(true, header, []string{"from"}, -1, unsigned))))
			r := verify(t, "From: joe@example.com\r\nDKIM-Signature:"+field+"\r\n\r\n", z, dkim.Options{}, 100)[0]
			want := dkim.Pass
			switch {
			case test.allowed:
			case tag == "p":
				want = dkim.PermError
			default:
				want = dkim.Neutral
			}
			if r.Status != want {
				t.Errorf("%s= with %s: %s (%v), want %s", tag, test.name, r.Status, r.Err, want)
			}
		}
	}
}

// TestPaddingInChain checks that fields of a chain may lack padding too, while the
// unused bits of the last character must be zero.
func TestPaddingInChain(t *testing.T) {
	const rest = "i=1; a=rsa-sha256; d=example.com; s=s; h=from; bh="
	digits := strings.Repeat("A", 86)
	for _, test := range spellings {
		bh := rest + test.write(sha256Empty[:43]) + "; b=" + digits + "=="
		b := rest + sha256Empty + "; b=" + test.write(digits)
		for _, raw := range []string{bh, b} {
			if err := parseInChain(t, raw, dkim.ParseMessageSignature); (err == nil) != test.allowed {
				t.Errorf("%s: %v", test.name, err)
			}
		}
		if err := parseInChain(t, "i=1; cv=none; a=rsa-sha256; d=example.com; s=s; b="+test.write(digits), dkim.ParseSeal); (err == nil) != test.allowed {
			t.Errorf("seal, %s: %v", test.name, err)
		}
	}
	for _, end := range []string{"B", "B=", "B=="} {
		raw := rest + sha256Empty + "; b=" + digits[1:] + end
		if err := parseInChain(t, raw, dkim.ParseMessageSignature); err == nil {
			t.Errorf("b= that ends in %s is accepted", end)
		}
	}
}

func parseInChain(t *testing.T, raw string, parse func(message.Field, dkim.Tags) (*dkim.Signature, error)) error {
	t.Helper()
	tags, err := dkim.ParseTags(raw)
	if err != nil {
		t.Fatalf("%q: %v", raw, err)
	}
	_, err = parse(message.Field{Name: "ARC-Message-Signature", Raw: raw}, tags)
	if e := (*dkim.Error)(nil); err != nil && !errors.As(err, &e) {
		t.Errorf("error %#v", err)
	}
	return err
}
