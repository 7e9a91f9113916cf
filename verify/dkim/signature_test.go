package dkim_test

import (
	"errors"
	"strings"
	"testing"

	"authmilter/verify/dkim"
	"authmilter/verify/message"
)

const (
	sha256Empty = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
	hashAndSig  = "; bh=" + sha256Empty + "; b=AAAA"
	// minimal is a signature with only the required tags.
	minimal = "v=1; a=rsa-sha256; d=example.com; s=s1; h=from" + hashAndSig
)

func TestIdentity(t *testing.T) {
	for _, test := range []struct {
		d, i             string
		identity, domain string
		err              string
	}{
		{d: "example.com", identity: "@example.com", domain: "example.com"},
		{d: "EXAMPLE.com", identity: "@example.com", domain: "example.com"},
		{d: "example.com", i: "@example.com", identity: "@example.com", domain: "example.com"},
		{d: "example.com", i: "Joe@Sub.Example.COM", identity: "Joe@Sub.Example.COM", domain: "sub.example.com"},
		{d: "example.com", i: "\"a@b\"@example.com", identity: "\"a@b\"@example.com", domain: "example.com"},
		// RFC 6376 section 2.11: white space is not part of the value, and any
		// octet can be encoded.
		{d: "example.com", i: "joe@\r\n\t example\r\n .com", identity: "joe@example.com", domain: "example.com"},
		{d: "example.com", i: "joe=40a=2Eexample.com", identity: "joe=40a=2Eexample.com", domain: "a.example.com"},
		{d: "example.com", i: "you=3Dexample.net@example.com", identity: "you=3Dexample.net@example.com", domain: "example.com"},
		// An equals sign that the signer did not encode.
		{d: "example.com", i: "you=example.net@example.com", identity: "you=example.net@example.com", domain: "example.com"},
		{d: "example.com", i: "joe=@example.com", identity: "joe=@example.com", domain: "example.com"},
		{d: "example.com", i: "joe@example.com=", err: "tag i="},
		{d: "example.com", i: "joe@example.com=2", err: "tag i="},
		{d: "example.com", i: "joe=40evil.example@example.com", identity: "joe=40evil.example@example.com", domain: "example.com"},
		{d: "example.com", i: "joe@example.com=40evil.example", err: "tag i= is not within d="},
		{d: "example.com", i: "joe@example.com=2eevil.example", err: "tag i="}, // lower case encodes nothing
		{d: "example.com", i: "joe@example.com=2Eevil.example", err: "tag i= is not within d="},
		{d: "example.com", i: "joe@example.com=00", err: "tag i="},
		// RFC 8616 section 5.
		{d: "bücher.example", identity: "@xn--bcher-kva.example", domain: "xn--bcher-kva.example"},
		{d: "xn--bcher-kva.example", i: "jürgen@läden.bücher.example", identity: "jürgen@läden.bücher.example", domain: "xn--lden-loa.xn--bcher-kva.example"},
		{d: "bücher.example", i: "@xn--bcher-kva.example", identity: "@xn--bcher-kva.example", domain: "xn--bcher-kva.example"},
		{d: "bücher.example", i: "@b=C3=BCcher.example", identity: "@b=C3=BCcher.example", domain: "xn--bcher-kva.example"},
		{d: "bücher.example", i: "@bucher.example", err: "tag i= is not within d="},
		{d: "bücher.example", i: "@b\xfccher.example", err: "tag i="},

		{d: "example.com", i: "joe", err: "tag i="},
		{d: "example.com", i: "joe@", err: "tag i="},
		{d: "example.com", i: "joe@com", err: "tag i= is not within d="},
		{d: "example.com", i: "joe@badexample.com", err: "tag i= is not within d="},
		{d: "example.com", i: "joe@example.com(.example.net", err: "tag i="},
		{d: "example.com", i: strings.Repeat("j", 1013) + "@example.com", err: "tag i="},
		{d: "example.com", i: strings.Repeat("j", 1012) + "@example.com", identity: strings.Repeat("j", 1012) + "@example.com", domain: "example.com"},
	} {
		raw := strings.Replace(minimal, "d=example.com", "d="+test.d, 1)
		if test.i != "" {
			raw += "; i=" + test.i
		}
		s, err := dkim.ParseSignature(message.Field{Name: "DKIM-Signature", Raw: raw})
		if test.err != "" {
			if want := "malformed signature field: " + test.err; err == nil || err.Error() != want {
				t.Errorf("d=%s i=%q: %v, want %s", test.d, test.i, err, want)
			}
			if s.Identity != "@"+s.Domain || s.IdentityDomain != s.Domain {
				t.Errorf("d=%s i=%q: %q in %q", test.d, test.i, s.Identity, s.IdentityDomain)
			}
			continue
		}
		if err != nil || s.Identity != test.identity || s.IdentityDomain != test.domain {
			t.Errorf("d=%s i=%q: %q in %q, %v", test.d, test.i, s.Identity, s.IdentityDomain, err)
		}
	}
}

// TestWhatCouldBeRead checks that a malformed signature still has its domain,
// selector and value, as far as they could be parsed.
func TestWhatCouldBeRead(t *testing.T) {
	for _, test := range []struct {
		raw              string
		domain, selector string
		text             string
		err              string
	}{
		{"v=2; a=rsa-sha256; d=example.com; s=s1; b=AA AA", "example.com", "s1", "AAAA", "unknown signature version"},
		{"v=1; a=rsa-md5; d=example.com; s=s1; b=AAAA", "example.com", "s1", "AAAA", "unknown signature algorithm"},
		{"v=1; a=rsa-sha256; d=example.com; s=s1", "example.com", "s1", "", "malformed signature field: tag b= is missing"},
		{"v=1; a=rsa-sha256; d=example.com; b=AAAA", "example.com", "", "AAAA", "malformed signature field: tag s= is missing"},
		{"v=1; a=rsa-sha256; d=exa mple.com; s=s1; b=AAAA", "", "", "AAAA", "malformed signature field: tag d="},
		{"v=1; a=rsa-sha256; s=s1; b=AAAA", "", "", "AAAA", "malformed signature field: tag d= is missing"},
		{"v=1; v=1; d=example.com", "", "", "", "malformed signature field: duplicate tag"},
		{"v=1; =x; d=example.com", "", "", "", "malformed signature field: malformed tag list"},
		{"v=1; d=example.com\r; s=\x00", "", "", "", "malformed signature field: malformed tag list"},
		{"z=" + strings.Repeat("x", 64<<10), "", "", "", "malformed signature field: malformed tag list"},
		{minimal + "; x", "", "", "", "malformed signature field: malformed tag list"},
		{minimal + "; c=", "example.com", "s1", "AAAA", "unknown canonicalization"},
		{minimal + "; c=relaxed/relaxed/relaxed", "example.com", "s1", "AAAA", "unknown canonicalization"},
		{minimal + "; q=", "example.com", "s1", "AAAA", "unknown key query method"},
		{minimal + "; q=dn\u017f/txt", "example.com", "s1", "AAAA", "unknown key query method"},
		{minimal + "; l=", "example.com", "s1", "AAAA", "malformed signature field: tag l="},
		{minimal + "; l=+1", "example.com", "s1", "AAAA", "malformed signature field: tag l="},
		{minimal + "; l=1 2", "example.com", "s1", "AAAA", "malformed signature field: tag l="},
		{minimal + "; l=" + strings.Repeat("0", 77), "example.com", "s1", "AAAA", "malformed signature field: tag l="},
		{minimal + "; t=2; x=2", "example.com", "s1", "AAAA", "malformed signature field: tag x= is not after t="},
		{strings.Replace(minimal, "h=from", "h=", 1), "example.com", "s1", "AAAA", "malformed signature field: tag h="},
		{strings.Replace(minimal, "h=from", "h=from to", 1), "example.com", "s1", "AAAA", "malformed signature field: tag h="},
		{strings.Replace(minimal, "h=from", "h=fröm:from", 1), "example.com", "s1", "AAAA", "malformed signature field: tag h="},
		{strings.Replace(minimal, "h=from", "h=xfrom:from-x", 1), "example.com", "s1", "AAAA", "From field not signed"},
		{strings.Replace(minimal, "b=AAAA", "b=", 1), "example.com", "s1", "", "malformed signature field: tag b="},
		{strings.Replace(minimal, "b=AAAA", "b=AAA*", 1), "example.com", "s1", "AAA*", "malformed signature field: tag b="},
		{strings.Replace(minimal, "rsa-sha256", "rsa-sha1", 1), "example.com", "s1", "AAAA", "malformed signature field: tag bh="},
	} {
		s, err := dkim.ParseSignature(message.Field{Name: "DKIM-Signature", Raw: test.raw})
		if err == nil || err.Error() != test.err {
			t.Errorf("%.80q: %v, want %s", test.raw, err, test.err)
		}
		var e *dkim.Error
		if !errors.As(err, &e) || e.Reason == "" {
			t.Errorf("%.80q: error %#v", test.raw, err)
		}
		if s.Domain != test.domain || s.Selector != test.selector || s.Text != test.text {
			t.Errorf("%.80q: d=%q s=%q b=%q", test.raw, s.Domain, s.Selector, s.Text)
		}
	}
}
