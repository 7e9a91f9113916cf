package authres_test

import (
	"strings"
	"testing"

	"authmilter/verify/authres"
)

// usual are the results of a message with two signatures.
var usual = []authres.Method{
	{Name: "dkim", Result: "pass", Comment: "2048-bit rsa key", Props: []authres.Prop{
		{Type: "header", Name: "d", Value: "example.com"},
		{Type: "header", Name: "i", Value: "@example.com"},
		{Type: "header", Name: "s", Value: "s1"},
		{Type: "header", Name: "a", Value: "rsa-sha256"},
		{Type: "header", Name: "b", Value: "dzdVyOfA"},
	}},
	{Name: "dkim", Result: "fail", Reason: "body hash did not verify", Comment: "2048-bit rsa key", Props: []authres.Prop{
		{Type: "header", Name: "d", Value: "relay.example"},
		{Type: "header", Name: "i", Value: "@relay.example"},
		{Type: "header", Name: "s", Value: "s2"},
		{Type: "header", Name: "a", Value: "rsa-sha256"},
		{Type: "header", Name: "b", Value: "Ab+dVyO/"},
	}},
	{Name: "spf", Result: "pass", Props: []authres.Prop{
		{Type: "smtp", Name: "mailfrom", Value: "bounce@example.com"},
		{Type: "smtp", Name: "helo", Value: "out.example.com"},
	}},
	{Name: "dmarc", Result: "pass", Comment: "p=reject", Props: []authres.Prop{
		{Type: "header", Name: "from", Value: "example.com"},
		{Type: "policy", Name: "dmarc", Value: "reject"},
	}},
	{Name: "arc", Result: "none"},
}

func BenchmarkFormat(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if authres.Format("mx.example.org", usual) == "" {
			b.Fatal("nothing written")
		}
	}
}

func BenchmarkParse(b *testing.B) {
	text := authres.Format("mx.example.org", usual)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := authres.Parse(text); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkClaims reads fields from strangers, each of the kind that costs most
// for its length. The time should be linear in the length.
func BenchmarkClaims(b *testing.B) {
	c := authres.NewClaimant("mx.example.org", "bücher.example", "mail.example.net")
	for _, bench := range []struct {
		name, unit string
		length     int
	}{
		{"usual", "other.example; dkim=pass header.d=example.com;\r\n\t", 1 << 10},
		{"plain", "other.example; none ", 1 << 20},
		{"words", "a. b-", 1 << 20},
		{"nearly", "mx.example.or", 1 << 20},
		{"beyond-ASCII", "ü.", 1 << 20},
		{"marks", "\u0301", 1 << 20},
		{"invalid", "\xff\xc3", 1 << 20},
		{"parentheses", "(", 1 << 20},
		{"comments", "((a)b)", 1 << 20},
		{"decompositions", "\ufdfa", 1 << 20},
	} {
		b.Run(bench.name, func(b *testing.B) {
			field := strings.Repeat(bench.unit, bench.length/len(bench.unit))
			b.SetBytes(int64(len(field)))
			b.ReportAllocs()
			for b.Loop() {
				if c.Claims(field) {
					b.Fatal("claimed")
				}
			}
		})
	}
}
