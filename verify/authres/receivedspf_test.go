package authres

import (
	"strings"
	"testing"
)

func TestClaimsSPF(t *testing.T) {
	c := NewClaimant("mx.example.org", "bücher.example")
	ours := []string{
		// RFC 7208 section 9.1.
		"pass (mx.example.org: domain of a@example.com designates 192.0.2.1 as permitted sender)\r\n receiver=mx.example.org; client-ip=192.0.2.1; envelope-from=\"a@example.com\"",
		"Pass (mx.example.org: domain of a@example.com designates 192.0.2.1 as permitted sender)",
		"pass (other.example: domain of a) receiver=mx.example.org; client-ip=192.0.2.1",
		"pass (mx.example.org: domain of a) receiver=other.example",
		"pass receiver=mx.example.org",
		" pass\r\n\treceiver=mx.example.org;\r\n\tclient-ip=192.0.2.1",
		"pass client-ip=192.0.2.1; RECEIVER = MX.Example.ORG. ; helo=a",
		`pass receiver="mx.example.org"; helo=a`,
		`pass receiver="mx\.example.org"; helo=a`,
		`pass receiver="mx".example.org; helo=a`,
		"pass receiver=inner.mx.example.org",
		"pass receiver=xn--bcher-kva.example",
		"pass receiver=bücher.example",
		"pass receiver=other.example; receiver=mx.example.org",
		"pass receiver=mx.example.org, other.example",
		"pass receiver=mx.\u200bexample.org",
		"pass receiver=mx.example.org\x00x",
		"pass receiver==?utf-8?q?mx.example.org?=",
		"=?utf-8?q?pass_receiver=3Dmx.example.org?=",
		"pass (=?utf-8?q?mx.example.org=3A_domain_of_a?=)",
		"pass (mx.example.org): receiver=other.example",
		"pass ((x) mx.example.org: domain of a) receiver=other.example",
		"pass (x) (mx.example.org: domain of a)",
		"pass mx.example.org: domain of a",
		"pass(mx.example.org: domain of a)",
		"(mx.example.org: domain of a) pass",
		`pass helo="x; receiver=mx.example.org"; receiver=other.example`,
		"pass (other.example: receiver=mx.example.org) helo=a; receiver=other.example",
		"pass receiver=<mx.example.org>",
		"pass receiver=[mx.example.org]",
		// The field does not say whose it is.
		"pass (domain of a@example.com) client-ip=192.0.2.1; helo=mx.example.org",
		"pass receiver=<UNKNOWN>; helo=mx.example.org",
		"pass receiver=; helo=mx.example.org",
		// Broken further on.
		"pass (" + strings.Repeat("a", 950) + ") receiver=mx.example.org1",
	}
	for _, field := range ours {
		if !c.ClaimsSPF(field) {
			t.Errorf("not claimed: %.80q", field)
		}
	}
	others := []string{
		"",
		"pass",
		"pass (other.example: domain of joe@mx.example.org designates 192.0.2.1 as permitted sender) receiver=other.example; client-ip=192.0.2.1; envelope-from=\"joe@mx.example.org\"; helo=mx.example.org;",
		"Pass (other.example: domain of mx.example.org designates 192.0.2.1 as permitted sender)",
		"fail receiver=other.example; identity=helo; helo=mx.example.org",
		`softfail receiver=other.example; envelope-from="\"mx.example.org\"@example.com"`,
		"pass receiver=notmx.example.org",
		"pass (mailfrom) identity=mailfrom; client-ip=192.0.2.1; helo=out.example.com; receiver=<UNKNOWN>",
		"garbage of notmx.example.org",
	}
	for _, field := range others {
		if c.ClaimsSPF(field) {
			t.Errorf("claimed: %.80q", field)
		}
	}
}
