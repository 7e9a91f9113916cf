package dkim_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"authmilter/verify/dkim"
	"authmilter/verify/dns"
	"authmilter/verify/dns/dnstest"
	"authmilter/verify/message"
)

// hashAndValue ends a signature field, with a b= of the length that a 2048-bit key
// makes.
var hashAndValue = "; bh=" + sha256Empty + "; b=" + strings.Repeat("A", 342) + "=="

// junk returns a well-formed signature that no key made.
func junk(domain string) string {
	return "DKIM-Signature: v=1; a=rsa-sha256; d=" + domain + "; s=x; h=from" + hashAndValue + "\r\n"
}

func TestManySignatures(t *testing.T) {
	z := zone(t)
	// The author domain's signature is the last of all.
	msg := strings.Repeat(junk("example.org"), 500) + sign(rsaKey(), tags, plain)
	results := verify(t, msg, z, dkim.Options{}, 1<<20)
	count := map[dkim.Reason]int{}
	passed := 0
	for _, r := range results {
		count[r.Reason]++
		if r.Status == dkim.Pass {
			passed++
		}
	}
	if passed != 1 || count[dkim.ReasonNoKey] != 9 || count[dkim.ReasonTooMany] != 10 || len(results) != 20 {
		t.Errorf("%d passed of %d, by reason %v", passed, len(results), count)
	}
	if n := len(z.Queries()); n != 10 {
		t.Errorf("%d look-ups", n)
	}
}

// TestWhichSignatures checks which signatures are verified (v), reported as too
// many (t) or left out if at most two are verified, and that results come in the
// order of the header.
func TestWhichSignatures(t *testing.T) {
	for _, test := range []struct {
		authors, signers string
		want             string
	}{
		{"a.example", "a.example b.example", "a.example:v b.example:v"},
		{"a.example", "x.example y.example a.example", "x.example:v y.example:t a.example:v"},
		{"a.example", "x.example a.example y.example a.example", "x.example:t a.example:v y.example:t a.example:v"},
		{"a.example", "v.test w.test x.test y.test z.test a.example", "v.test:v w.test:t x.test:t a.example:v"},
		{"a.example", "a.test b.test c.test d.test e.test", "a.test:v b.test:v c.test:t d.test:t"},
		// Below, above and beside an author domain.
		{"a.example", "x.test x.test x.test m.a.example", "x.test:v x.test:t x.test:t m.a.example:v"},
		{"m.a.example", "x.test x.test x.test a.example", "x.test:v x.test:t x.test:t a.example:v"},
		{"m.a.example", "x.test x.test x.test n.a.example", "x.test:v x.test:t x.test:t n.a.example:v"},
		{"m.a.co.example", "x.co.example y.co.example z.a.co.example a.co.example", "x.co.example:t y.co.example:t z.a.co.example:v a.co.example:v"},
		{"a.example b.example", "x.test x.test b.example a.example", "x.test:t x.test:t b.example:v a.example:v"},
		{"a.example", "x.test y.test A.Example", "x.test:v y.test:t a.example:v"},
		{"a.example", "xa.example ya.example z.a.example", "xa.example:v ya.example:t z.a.example:v"},
		{"", "x.test y.test z.test", "x.test:v y.test:v z.test:t"},
		// Among the signatures that are parsed, one that cannot be verified does
		// not take the place of one that can.
		{"a.example", "bad x.test a.example", "bad:- x.test:v a.example:v"},
		{"a.example", "bad bad bad bad x.test a.example", "bad:- bad:- bad:- a.example:v"},
	} {
		var header message.Header
		for d := range strings.FieldsSeq(test.signers) {
			raw := " v=1; a=rsa-sha256; d=" + d + "; s=x; h=from" + hashAndValue
			header = append(header, message.Field{Name: "DKIM-Signature", Raw: raw}, message.Field{Name: "Received", Raw: " x"})
		}
		var got []string
		for _, v := range dkim.Begin(dkim.Options{MaxSignatures: 2}, &dkim.Input{
			Header: header, Index: message.NewIndex(header), Authors: strings.Fields(test.authors), Body: &message.Body{}, Now: now,
		}) {
			r := v.Result(&message.Body{})
			switch {
			case v.NeedsKey():
				got = append(got, r.Signature.Domain+":v")
			case r.Reason == dkim.ReasonTooMany:
				got = append(got, r.Signature.Domain+":t")
			default:
				got = append(got, "bad:-")
			}
		}
		if text := strings.Join(got, " "); text != test.want {
			t.Errorf("author %s, signers %s:\ngot  %s\nwant %s", test.authors, test.signers, text, test.want)
		}
	}
}

// TestHostileHeaders checks that the work before the first look-up is bounded, even
// for the largest header.
func TestHostileHeaders(t *testing.T) {
	many := func(raw string) message.Header {
		h := make(message.Header, min(2000, 1<<20/len(raw)))
		for i := range h {
			h[i] = message.Field{Name: "DKIM-Signature", Raw: raw}
		}
		return h
	}
	var tags strings.Builder
	for i := range 64 {
		fmt.Fprintf(&tags, "t%d=;", i)
	}
	for name, raw := range map[string]string{
		"small":     " v=1; a=rsa-sha256; d=x.example; s=x; h=from" + hashAndValue,
		"names":     " v=1; a=rsa-sha256; d=x.example; s=x; h=from" + strings.Repeat(":a", 1000) + hashAndValue,
		"too many":  " v=1; a=rsa-sha256; d=x.example; s=x; h=from" + strings.Repeat(":a", 1100) + hashAndValue,
		"tags":      tags.String(),
		"semicolon": strings.Repeat(";", 500),
		"labels":    " d=" + strings.Repeat("a.", 120) + "example; s=" + strings.Repeat("a.", 120) + "b",
		"U-labels":  " d=" + strings.Repeat("ü.", 120) + "example; s=" + strings.Repeat("ü.", 120) + "b",
	} {
		header := many(raw)
		index := message.NewIndex(header)
		allocs := testing.AllocsPerRun(3, func() {
			all := dkim.Begin(dkim.Options{}, &dkim.Input{
				Header: header, Index: index, Authors: []string{"author.example"}, Body: &message.Body{}, Now: now,
			})
			if len(all) != 20 {
				t.Fatalf("%s: %d verifications", name, len(all))
			}
		})
		if allocs > 5000 {
			t.Errorf("%s: %.0f allocations", name, allocs)
		}
	}
}

// TestOverlap verifies ten signatures at once, with keys from real packets, while
// the body arrives. The results must be the same as when verifying one at a time.
func TestOverlap(t *testing.T) {
	z := zone(t)
	msg := plain
	for _, s := range []string{"s1", "alias", "revoked", "absent", "test", "sha1", "text", "strict", "pkcs1", "broken"} {
		msg = sign(rsaKey(), with("s", s), msg)
	}
	want := verify(t, msg, z, dkim.Options{}, 1<<20)
	client := dns.New(dns.Config{Servers: []string{dnstest.Serve(t, z)}, Timeout: time.Minute})
	for range 5 {
		header, text := split(msg)
		body := &message.Body{}
		all := dkim.Begin(dkim.Options{}, &dkim.Input{Header: header, Index: message.NewIndex(header), Body: body, Now: now})
		var wg sync.WaitGroup
		for _, v := range all {
			if v.NeedsKey() {
				wg.Go(func() { v.FetchKey(ctx, client) })
			}
		}
		for chunk := range slices.Chunk([]byte(text), 7) {
			_, _ = body.Write(chunk)
		}
		wg.Wait()
		for i, v := range all {
			if r := v.Result(body); r.Status != want[i].Status || r.Reason != want[i].Reason || r.Signature.Text != want[i].Signature.Text {
				t.Errorf("%d: %s (%v), one at a time %s (%v)", i, r.Status, r.Err, want[i].Status, want[i].Err)
			}
		}
	}
}

// TestEvidence checks what a result holds besides its status.
func TestEvidence(t *testing.T) {
	z := zone(t)
	r := verify(t, sign(rsaKey(), with("s", "strict"), plain), z, dkim.Options{}, 1<<20)[0]
	if r.Status != dkim.Pass || !r.Key.Testing || !r.Key.Strict || r.Key.Bits != 2048 || r.Key.Type != dkim.RSA {
		t.Errorf("pass: %+v, key %+v", r, r.Key)
	}
	r = verify(t, sign(rsaKey(), with("s", "alias"), plain)+"more\r\n", z, dkim.Options{}, 1<<20)[0]
	if r.Status != dkim.Fail || r.Key == nil || !slices.Equal(r.Key.CNAMEs, []string{"alias-example-com._domainkey.example.net"}) {
		t.Errorf("fail: %+v, key %+v", r, r.Key)
	}
	if s := r.Signature; s.Domain != "example.com" || s.Selector != "alias" || s.Algorithm != "rsa-sha256" || s.Identity != "@example.com" || len(s.Text) != 344 {
		t.Errorf("signature: %+v", s)
	}
	if r = verify(t, sign(rsaKey(), with("s", "absent"), plain), z, dkim.Options{}, 1<<20)[0]; r.Key != nil || r.Signature.Selector != "absent" {
		t.Errorf("no key: %+v", r)
	}
}
