package authres

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// brief returns what was read of a field on one line: the authserv-id, the results
// without comments, and in brackets what was skipped.
func brief(r *Results) string {
	var b strings.Builder
	b.WriteString(r.AuthservID)
	for _, m := range r.Methods {
		fmt.Fprintf(&b, "; %s=%s", m.Name, m.Result)
		if m.Reason != "" {
			fmt.Fprintf(&b, " reason=%s", m.Reason)
		}
		for _, p := range m.Props {
			fmt.Fprintf(&b, " %s.%s=%s", p.Type, p.Name, p.Value)
		}
	}
	for _, text := range r.Skipped {
		fmt.Fprintf(&b, " [%s]", text)
	}
	return b.String()
}

// TestParseInUse reads fields as they are written by programs and providers in use.
func TestParseInUse(t *testing.T) {
	for _, test := range []struct{ name, field, want string }{
		{"Google", " mx.google.com;\r\n       dkim=pass header.i=@example.com header.s=s1 header.b=Ab/c+d0;\r\n" +
			"       arc=pass (i=1 spf=pass spfdomain=example.com dkim=pass dkdomain=example.com dmarc=pass fromdomain=example.com);\r\n" +
			"       spf=pass (google.com: domain of joe@example.com designates 192.0.2.1 as permitted sender) smtp.mailfrom=joe@example.com;\r\n" +
			"       dmarc=pass (p=NONE sp=NONE dis=NONE) header.from=example.com;\r\n       dara=pass header.i=@example.net",
			"mx.google.com; dkim=pass header.i=@example.com header.s=s1 header.b=Ab/c+d0; arc=pass; spf=pass smtp.mailfrom=joe@example.com; dmarc=pass header.from=example.com; dara=pass header.i=@example.net"},
		{"Google, quoted local part", ` mx.google.com; spf=pass (google.com: domain of "a b"@example.com designates 192.0.2.1 as permitted sender) smtp.mailfrom="\"a b\"@example.com"`,
			`mx.google.com; spf=pass smtp.mailfrom="a b"@example.com`},
		{"Microsoft 365, ARC", " mx.microsoft.com 1; spf=pass\r\n smtp.mailfrom=example.com; dmarc=pass action=none header.from=example.com;\r\n dkim=pass header.d=example.com; arc=none",
			"mx.microsoft.com; spf=pass smtp.mailfrom=example.com; dmarc=pass header.from=example.com; dkim=pass header.d=example.com; arc=none [action=none]"},
		{"Microsoft 365, ARC of a relay", " mx.microsoft.com 1; spf=pass (sender ip is\r\n 192.0.2.1) smtp.rcpttodomain=rcpt.example smtp.mailfrom=example.com; dmarc=pass\r\n (p=none sp=none pct=100) action=none header.from=example.com; dkim=pass\r\n (signature was verified) header.d=example.com; arc=pass (0 oda=1 ltdi=1\r\n spf=[1,1,smtp.mailfrom=example.com] dkim=[1,1,header.d=example.com]\r\n dmarc=[1,1,header.from=example.com])",
			"mx.microsoft.com; spf=pass smtp.rcpttodomain=rcpt.example smtp.mailfrom=example.com; dmarc=pass header.from=example.com; dkim=pass header.d=example.com; arc=pass [action=none]"},
		{"Microsoft 365, no authserv-id", " spf=fail (sender IP is 192.0.2.1)\r\n smtp.mailfrom=example.com; dkim=none (message not signed)\r\n header.d=none;dmarc=fail action=oreject header.from=example.com;compauth=fail reason=000",
			"; spf=fail smtp.mailfrom=example.com; dkim=none header.d=none; dmarc=fail header.from=example.com; compauth=fail reason=000 [action=oreject]"},
		{"Microsoft 365, no authserv-id and a version in front of nothing", " dkim=fail (body hash did not verify)\r\n header.d=example.com;dmarc=bestguesspass action=none header.from=example.com;",
			"; dkim=fail header.d=example.com; dmarc=bestguesspass header.from=example.com [action=none]"},
		{"Fastmail", " mx1.messagingengine.com;\r\n    bimi=skipped (DMARC Policy is not at enforcement);\r\n    arc=none (no signatures found);\r\n" +
			"    dkim=pass (2048-bit rsa key sha256) header.d=example.com\r\n      header.i=@example.com header.b=AbC/dE+f header.a=rsa-sha256\r\n      header.s=s1 x-bits=2048;\r\n" +
			"    dmarc=pass policy.published-domain-policy=none\r\n      policy.published-subdomain-policy=quarantine\r\n      policy.applied-disposition=none policy.evaluated-disposition=none\r\n      (p=none,sp=quarantine,d=none,d.eval=none) policy.policy-from=p\r\n      header.from=example.com;\r\n" +
			"    iprev=pass smtp.remote-ip=192.0.2.1 (out.example.com);\r\n    spf=pass smtp.mailfrom=joe@example.com smtp.helo=out.example.com",
			"mx1.messagingengine.com; bimi=skipped; arc=none; dkim=pass header.d=example.com header.i=@example.com header.b=AbC/dE+f header.a=rsa-sha256 header.s=s1; " +
				"dmarc=pass policy.published-domain-policy=none policy.published-subdomain-policy=quarantine policy.applied-disposition=none policy.evaluated-disposition=none policy.policy-from=p header.from=example.com; " +
				"iprev=pass smtp.remote-ip=192.0.2.1; spf=pass smtp.mailfrom=joe@example.com smtp.helo=out.example.com [x-bits=2048]"},
		{"Fastmail, empty values", " mx1.messagingengine.com; x-ptr=fail smtp.helo= policy.ptr=; spf=none smtp.mailfrom= smtp.helo=out.example.com; dmarc=none header.from=;",
			"mx1.messagingengine.com; x-ptr=fail smtp.helo= policy.ptr=; spf=none smtp.mailfrom= smtp.helo=out.example.com; dmarc=none header.from="},
		{"Fastmail, scores", " mx1.messagingengine.com; x-cm=none score=0; x-vs=clean score=-100 state=0; x-vs=spam:low score=1; x-me-sender=none",
			"mx1.messagingengine.com; x-cm=none; x-vs=clean; x-me-sender=none [score=0] [score=-100] [state=0] [x-vs=spam:low score=1]"},
		{"authentication_milter", ` mx.example.net; x-tls=pass smtp.version=TLSv1.3 smtp.cipher=TLS_AES_256_GCM_SHA384 smtp.bits=256/256 x-tls.subject="/CN=out.example.com;x" x-tls.issuer=/C=US/O=a;` +
			"\r\n  x-aligned-from=pass (Address match);\r\n  x-return-mx=pass header.domain=example.com policy.is_org=yes (MX Records found: mx.example.com);\r\n" +
			"  x-arc-spf=pass (google.com: domain of joe@example.com designates 192.0.2.1 as permitted sender) smtp.mailfrom=joe@example.com x-arc-instance=1 x-arc-domain=google.com (Trusted from aar.1.google.com);\r\n" +
			"  x-google-dkim=pass (2048-bit rsa key) header.d=1e100.net x-bits=2048;\r\n  dkim-adsp=pass; sender-id=pass header.From=example.com;\r\n  bimi=pass header.d=example.com header.selector=default policy.authority-uri=https://vmc.example/a=b.pem?c;",
			`mx.example.net; x-tls=pass smtp.version=TLSv1.3 smtp.cipher=TLS_AES_256_GCM_SHA384 smtp.bits=256/256 x-tls.subject=/CN=out.example.com;x x-tls.issuer=/C=US/O=a; x-aligned-from=pass; ` +
				"x-return-mx=pass header.domain=example.com policy.is_org=yes; x-arc-spf=pass smtp.mailfrom=joe@example.com; x-google-dkim=pass header.d=1e100.net; dkim-adsp=pass; sender-id=pass header.From=example.com; " +
				"bimi=pass header.d=example.com header.selector=default policy.authority-uri=https://vmc.example/a=b.pem?c [x-arc-instance=1] [x-arc-domain=google.com] [x-bits=2048]"},
		{"Zoho", " mx.zohomail.com;\r\n\tdkim=pass  header.i=example.com;\r\n\tspf=pass  smtp.mailfrom=joe@example.com;\r\n\tarc=pass (i=1 dmarc=pass fromdomain=example.com);\r\n\tdmarc=pass header.from=<joe@example.com>",
			"mx.zohomail.com; dkim=pass header.i=example.com; spf=pass smtp.mailfrom=joe@example.com; arc=pass; dmarc=pass header.from=<joe@example.com>"},
		{"mail.ru", " mxs.mail.ru; spf=pass (mx127.m.smailru.net: domain of example.com designates 192.0.2.1 as permitted sender) smtp.mailfrom=joe@example.com smtp.helo=out.example.com;\r\n\t dkim=pass header.d=example.com; dmarc=pass header.from=joe@example.com",
			"mxs.mail.ru; spf=pass smtp.mailfrom=joe@example.com smtp.helo=out.example.com; dkim=pass header.d=example.com; dmarc=pass header.from=joe@example.com"},
		{"Yahoo", " atlas-production.v2-mail-prod1-gq1.omega.yahoo.com;\r\n dkim=pass header.i=@example.com header.s=s1;\r\n spf=pass smtp.mailfrom=example.com;\r\n dmarc=pass(p=NONE) header.from=example.com;",
			"atlas-production.v2-mail-prod1-gq1.omega.yahoo.com; dkim=pass header.i=@example.com header.s=s1; spf=pass smtp.mailfrom=example.com; dmarc=pass header.from=example.com"},
		{"Yahoo, no semicolon after the authserv-id", " mta1.mail.example  from=example.com; domainkeys=neutral (no sig);  from=example.com; dkim=pass (ok)",
			"; domainkeys=neutral; dkim=pass [mta1.mail.example  from=example.com] [from=example.com]"},
		{"Proton", " mail.protonmail.ch; dmarc=pass (p=reject dis=none) header.from=example.com; spf=pass smtp.mailfrom=example.com; arc=none smtp.remote-ip=192.0.2.1; dkim=pass (2048-bit key) header.d=example.com header.i=@example.com header.b=\"Ab/c+d0\"; dkim=pass header.d=example.net header.i=@example.net header.a=rsa-sha256",
			"mail.protonmail.ch; dmarc=pass header.from=example.com; spf=pass smtp.mailfrom=example.com; arc=none smtp.remote-ip=192.0.2.1; dkim=pass header.d=example.com header.i=@example.com header.b=Ab/c+d0; dkim=pass header.d=example.net header.i=@example.net header.a=rsa-sha256"},
		{"iCloud", " spf.icloud.com; spf=pass (spf.icloud.com: domain of joe@example.com designates 2001:db8::1 as permitted sender) smtp.mailfrom=joe@example.com; bimi=skipped reason=\"insufficient dmarc\"",
			"spf.icloud.com; spf=pass smtp.mailfrom=joe@example.com; bimi=skipped reason=insufficient dmarc"},
		{"GMX", " gmx.net; dkim=pass header.i=@example.com", "gmx.net; dkim=pass header.i=@example.com"},
		{"Amazon SES", " amazonses.com;\r\n spf=pass (spfCheck: domain of example.com designates 192.0.2.1 as permitted sender) client-ip=192.0.2.1; envelope-from=joe@example.com; helo=out.example.com;\r\n dkim=pass header.i=@example.com;\r\n dmarc=pass header.from=example.com;",
			"amazonses.com; spf=pass; dkim=pass header.i=@example.com; dmarc=pass header.from=example.com [client-ip=192.0.2.1] [envelope-from=joe@example.com] [helo=out.example.com]"},
		{"Mailgun", " mxa.mailgun.org; dkim=pass header.d=example.com header.s=s1; spf=pass smtp.mailfrom=joe@example.com; auth=pass (plain) smtp.auth=joe@example.com smtp.mailfrom=joe@example.com",
			"mxa.mailgun.org; dkim=pass header.d=example.com header.s=s1; spf=pass smtp.mailfrom=joe@example.com; auth=pass smtp.auth=joe@example.com smtp.mailfrom=joe@example.com"},
		{"Mimecast, rspamd", " relay.mimecast.com;\r\n\tdkim=pass header.d=example.com header.s=s1 header.b=\"Ab/c+d0\";\r\n\tarc=pass (\"example.net:s=arc:i=1\");\r\n\tdmarc=pass (policy=none) header.from=example.com;\r\n\tspf=pass (relay.mimecast.com: domain of joe@example.com designates 192.0.2.1 as permitted sender) smtp.mailfrom=joe@example.com",
			"relay.mimecast.com; dkim=pass header.d=example.com header.s=s1 header.b=Ab/c+d0; arc=pass; dmarc=pass header.from=example.com; spf=pass smtp.mailfrom=joe@example.com"},
		{"rspamd, failures", ` mx.example.net; dkim=none ("invalid DKIM record") header.d=example.com; dmarc=fail reason="SPF not aligned (relaxed), No valid DKIM" header.from=example.com (policy=reject); arc=reject ("signature check failed: fail, {[1] = sig:example.net:reject}")`,
			"mx.example.net; dkim=none header.d=example.com; dmarc=fail reason=SPF not aligned (relaxed), No valid DKIM header.from=example.com; arc=reject"},
		{"Proofpoint", " ppops.net; spf=pass smtp.mailfrom=joe@example.com; dkim=pass header.s=s1 header.d=example.com; dmarc=pass header.from=example.com",
			"ppops.net; spf=pass smtp.mailfrom=joe@example.com; dkim=pass header.s=s1 header.d=example.com; dmarc=pass header.from=example.com"},
		{"Cisco", " esa1.example.net; spf=Pass smtp.mailfrom=joe@example.com; spf=None smtp.helo=postmaster@out.example.com; dkim=pass (signature verified) header.i=@example.com; dmarc=pass (p=quarantine dis=none) d=example.com",
			"esa1.example.net; spf=Pass smtp.mailfrom=joe@example.com; spf=None smtp.helo=postmaster@out.example.com; dkim=pass header.i=@example.com; dmarc=pass [d=example.com]"},
		{"OpenDKIM", " mx.example.net;\r\n\tdkim=pass (1024-bit key; unprotected) header.d=example.com header.i=@example.com header.b=\"Ab/c+d0\"; dkim-adsp=pass; dkim-atps=neutral",
			"mx.example.net; dkim=pass header.d=example.com header.i=@example.com header.b=Ab/c+d0; dkim-adsp=pass; dkim-atps=neutral"},
		{"OpenDMARC", " mx.example.net; dmarc=pass (p=none dis=none) header.from=example.com", "mx.example.net; dmarc=pass header.from=example.com"},
		{"OpenARC", " mx.example.net; arc=pass smtp.remote-ip=192.0.2.1 arc.chain=\"example.net:example.com\" header.oldest-pass=0; (null)=pass; dkim=(null) header.d=(null)",
			"mx.example.net; arc=pass smtp.remote-ip=192.0.2.1 arc.chain=example.net:example.com header.oldest-pass=0 [(null)=pass] [dkim=(null) header.d=(null)]"},
		{"pyspf-milter", " mx.example.net; spf=Pass (mailfrom) identity=mailfrom; client-ip=192.0.2.1; helo=localhost; envelope-from=<joe@example.com>; receiver=<UNKNOWN>",
			"mx.example.net; spf=Pass; helo=localhost [identity=mailfrom] [client-ip=192.0.2.1] [envelope-from=<joe@example.com>] [receiver=<UNKNOWN>]"},
		{"Exim", " mx.example.net; iprev=pass (out.example.com) smtp.remote-ip=192.0.2.1; auth=pass (PLAIN) smtp.auth=joe; dkim=pass header.d=example.com header.s=s1 header.a=rsa-sha256; arc=none",
			"mx.example.net; iprev=pass smtp.remote-ip=192.0.2.1; auth=pass smtp.auth=joe; dkim=pass header.d=example.com header.s=s1 header.a=rsa-sha256; arc=none"},
		{"an unusable authserv-id", "[192.0.2.1]:25; spf=pass smtp.mailfrom=example.com", "; spf=pass smtp.mailfrom=example.com [[192.0.2.1]:25]"},
		{"no authserv-id, but its semicolon", "; spf=pass smtp.mailfrom=example.com", "; spf=pass smtp.mailfrom=example.com"},
	} {
		got, err := Parse(test.field)
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
		} else if brief(got) != test.want {
			t.Errorf("%s:\n got %s\nwant %s", test.name, brief(got), test.want)
		}
	}
}

// TestParseSkips checks what is left out, and what that takes with it.
func TestParseSkips(t *testing.T) {
	for _, test := range []struct{ field, want string }{
		// Words.
		{"x; a=b c=d e.f=g", "x; a=b e.f=g [c=d]"},
		{`x; a=b c="d; dmarc=pass e.f=g" h.i=j`, "x; a=b h.i=j [dmarc=pass e.f=g\"] [c=\"d; dmarc=pass e.f=g\"]"},
		{"x; a=b c.d.e=f g.h=i", "x; a=b g.h=i [c.d.e=f]"},
		{"x; a=b c= d.e=f", "x; a=b d.e=f [c=]"},
		{"x; a=b c.d= e.f=g", "x; a=b c.d= e.f=g"},
		{"x; a=b c.d = e@f g . h = i", "x; a=b c.d=e@f g.h=i"},
		{"x; a=b reason= c.d=e", "x; a=b c.d=e"},
		{"x; a=b c.d=(e) f.g=(h)", "x; a=b c.d= f.g="},
		// Anything else in an entry makes all of it worthless.
		{"x; a=b c d.e=f; g=h", "x; g=h [a=b c d.e=f]"},
		{"x; a=b c=d e f.g=h; i=j", "x; i=j [a=b c=d e f.g=h]"},
		{"x; a=b c.d=e@f g@h; i=j", "x; i=j [a=b c.d=e@f g@h]"},
		{`x; a=b "c" d.e=f; g=h`, `x; g=h [a=b "c" d.e=f]`},
		{`x; a=b c.d="e"f.g=h; i=j`, `x; i=j [a=b c.d="e"f.g=h]`},
		{`x; a=b c.d=e"f"; i=j`, `x; i=j [a=b c.d=e"f"]`},
		{`x; a=b c.d="e"@f"g"; i=j`, `x; i=j [a=b c.d="e"@f"g"]`},
		{"x; a=b c.d=e); i=j", "x; i=j [a=b c.d=e)]"},
		{"x; a=b c.=d; i=j", "x; i=j [a=b c.=d]"},
		{"x; a=b .c=d; i=j", "x; i=j [a=b .c=d]"},
		{"x; a=b c.d=e\x00f.g=h; i=j", "x; i=j [a=b c.d=e\x00f.g=h]"},
		{"x; a=b/c d.e=f; i=j", "x; i=j [a=b/c d.e=f]"},
		{"x; a=b.c=d; i=j", "x; i=j [a=b.c=d]"},
		{`x; a=b"c"; i=j`, `x; i=j [a=b"c"]`},
		{`x; a="b"; i=j`, `x; i=j [a="b"]`},
		{"x; a==b; i=j", "x; i=j [a==b]"},
		{"x; a.b=c; i=j", "x; i=j [a.b=c]"},
		{"x; a b=c; i=j", "x; i=j [a b=c]"},
		{"x; a=; i=j", "x; i=j [a=]"},
		{"x; a/b=c; i=j", "x; i=j [a/b=c]"},
		{"x; none a=b; i=j", "x; i=j [none a=b]"},
		{"x; none; i=j;; (c) ;", "x; i=j"},
		{"x y; a=b", "; a=b [x y]"},
		{"x a=b c.d=e; f=g", "; f=g [x a=b c.d=e]"},
		// What may hide an entry.
		{"x; a=b (c; dmarc=fail) d.e=f", "x; a=b d.e=f [dmarc=fail)]"},
		{"x; a=b (c; (d); dmarc / 1 = fail; e; (f) dkim=none) d.e=f", "x; a=b d.e=f [dmarc / 1 = fail] [(f) dkim=none)]"},
		{`x; a=b c.d="e; dmarc=fail" f.g="; dkim"`, `x; a=b c.d=e; dmarc=fail f.g=; dkim [dmarc=fail"]`},
		{`x; a=b c.d="e\; \"; dmarc=fail\\" f.g=h`, `x; a=b c.d=e; "; dmarc=fail\ f.g=h [dmarc=fail\\"]`},
		{"x; a=b (c; dmarc) d.e=f", "x; a=b d.e=f"},
	} {
		got, err := Parse(test.field)
		if err != nil {
			t.Errorf("%q: %v", test.field, err)
		} else if brief(got) != test.want {
			t.Errorf("%q:\n got %s\nwant %s", test.field, brief(got), test.want)
		}
	}
}

// TestParseUnclosed checks that a field is worth nothing if a comment or a quoted
// string in it does not end, wherever it begins.
func TestParseUnclosed(t *testing.T) {
	for _, end := range []string{"(", `"`, `(\)`, `"\"`, "(()", `a="(`, "(" + `\`, `"` + `\`, strings.Repeat("(", 11) + strings.Repeat(")", 11)} {
		for _, field := range []string{end, end + "x; dmarc=pass", "x" + end, "x; " + end, "x; dmarc=pass " + end, "x; dmarc=pass; " + end + "; dmarc=pass", "x; dmarc=pass; a=b c.d=" + end} {
			if got, err := Parse(field); err == nil {
				t.Errorf("%q: read as %s", field, brief(got))
			}
		}
	}
}

func TestLost(t *testing.T) {
	for field, want := range map[string]bool{
		"x; dmarc=pass":                           false,
		"x; dmarc=pass action=none":               false,
		"x; dmarc=pass a; spf=pass":               true,
		"x; spf=pass smtp.helo=a DMARC=pass":      true,
		"x; spf=pass (a; dmarc = fail)":           true,
		"x; spf=pass (a; dmarc-x=fail; dmarc)":    false,
		`x; spf=pass reason="; dmarc/1=fail"`:     true,
		`x; spf=pass reason="; xdmarc=fail"`:      false,
		`x; spf=pass reason="dmarc=fail; x=fail"`: false,
		"x dmarc=fail; spf=pass":                  false, // as in no reading
	} {
		r, err := Parse(field)
		if err != nil {
			t.Fatal(err)
		}
		if got := r.Lost("dmarc"); got != want {
			t.Errorf("%q: %v, skipped %q", field, got, r.Skipped)
		}
	}
}

func TestDomain(t *testing.T) {
	for value, want := range map[string]string{
		"example.com":             "example.com",
		"@example.com":            "example.com",
		"joe@example.com":         "example.com",
		"<joe@example.com>":       "example.com",
		"<example.com>":           "example.com",
		`"a b@c"@example.com`:     "example.com",
		"prvs=1a=joe@example.com": "example.com",
		"jörg@bücher.example":     "bücher.example",
		"":                        "",
		"<>":                      "",
		"joe@":                    "",
		"a@b@example.com":         "?",
		"<a@b,c@example.com>":     "?",
		"<joe@example.com":        "?",
		"Joe <joe@example.com>":   "?",
		"a <b@c> d@example.com":   "?",
		`"a"b"@example.com`:       "?",
		"a b@example.com":         "?",
		"@a:b@example.com":        "?",
	} {
		got, ok := Domain(value)
		if !ok {
			got = "?"
		}
		if got != want {
			t.Errorf("%q: %q", value, got)
		}
	}
}

// TestParseBounds checks that no field is read past the bounds, however it goes
// past them.
func TestParseBounds(t *testing.T) {
	for _, test := range []struct {
		name, before, unit, after string
		most                      int
	}{
		{"entries", "x", "; a=b", "", maxEntries},
		{"entries that are skipped", "x", "; a", "", maxEntries},
		{"empty entries", "x", "; ", "", maxEntries},
		{"properties", "x; a=b", " c.d=e", "", maxProps},
		{"skipped words", "x; a=b", " c=d", "", maxSkipped},
		{"hidden entries", "x; a=b (c", "; d=e", ")", maxSkipped},
		{"nested comments", "x; a=b ", "(", strings.Repeat(")", maxComments), maxComments},
	} {
		field := func(n int) string { return test.before + strings.Repeat(test.unit, n) + test.after }
		if _, err := Parse(field(test.most)); err != nil {
			t.Errorf("%s: %d: %v", test.name, test.most, err)
		}
		if r, err := Parse(field(test.most + 1)); err == nil {
			t.Errorf("%s: %d: %.200s", test.name, test.most+1, brief(r))
		}
	}
}

// hostileUnits are texts that cost much to read if they are repeated.
var hostileUnits = []string{"(", "((a)", `"`, `"\`, "; (", `; "a`, "a= b ", "; a=b c= (d) e", " . a", "a.", "a . (b) ", "; a=b c.d=e", "(;a=", "(;(a;b=c)", `";a=b"`, "a=(", "a", " ", "=", "\x00"}

// TestParseLinear checks that hostile fields of the largest size take no longer
// than their size explains.
func TestParseLinear(t *testing.T) {
	for _, unit := range hostileUnits {
		for _, before := range []string{"", "x; a=b ", "x; a=b c= ", "x; a=b (", `x; a=b c.d="`} {
			field := before + strings.Repeat(unit, (maxField-len(before))/len(unit))
			// Quadratic time would be seconds in each try.
			took := time.Hour
			for try := 0; try < 5 && took > 500*time.Millisecond; try++ {
				start := time.Now()
				_, _ = Parse(field)
				took = time.Since(start)
			}
			if took > 500*time.Millisecond {
				t.Errorf("%q and many %q: %v", before, unit, took)
			}
		}
	}
}

// BenchmarkParseHostile reads the largest fields from hostile senders.
func BenchmarkParseHostile(b *testing.B) {
	for _, unit := range hostileUnits {
		b.Run(fmt.Sprintf("%q", unit), func(b *testing.B) {
			field := "x; a=b c= " + strings.Repeat(unit, (maxField-10)/len(unit))
			b.SetBytes(int64(len(field)))
			b.ReportAllocs()
			for b.Loop() {
				_, _ = Parse(field)
			}
		})
	}
}
