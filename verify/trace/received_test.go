package trace

import (
	"net/netip"
	"strings"
	"testing"
)

// mtaFold folds a field as MTAs do, before their "by".
func mtaFold(value string) string {
	if before, after, ok := strings.Cut(value, ") by "); ok {
		return before + ")\r\n\tby " + after
	}
	return strings.Replace(value, " by ", "\r\n\tby ", 1)
}

// TestParseReceived reads fields as hosts write them. Each value is on one line here;
// the hosts fold it.
func TestParseReceived(t *testing.T) {
	for _, test := range []struct{ value, client, name, helo string }{
		// Postfix.
		{"from mail.example.net (mail.example.net [203.0.113.5]) by mx.example.org (Postfix) with ESMTP id 4XyZ for <ann@example.org>; Thu, 26 Nov 2026 10:00:00 +0000 (UTC)",
			"203.0.113.5", "mail.example.net", "mail.example.net"},
		{"from mail.example.net (unknown [IPv6:2001:db8::5]) (using TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits) key-exchange X25519 server-signature RSA-PSS (2048 bits) server-digest SHA256) (No client certificate requested) by mx.example.org (Postfix) with ESMTPS id 1; x",
			"2001:db8::5", "", "mail.example.net"},
		{"from [192.0.2.7] (out.example.net [203.0.113.5]) (Authenticated sender: joe) by mx.example.org (Postfix) with ESMTPSA id 1; x",
			"203.0.113.5", "out.example.net", "[192.0.2.7]"},
		{`from a (unknown [203.0.113.5]) (using TLSv1.3 with cipher X (256/256 bits)) (Client CN "a ((b)) c", Issuer "d" (not verified)) by mx (Postfix) with ESMTPS id 1; x`,
			"203.0.113.5", "", "a"},
		{"from a b [10.0.0.1] by c (unknown [203.0.113.5]) by mx.example.org (Postfix) with SMTP id 1; x", "203.0.113.5", "", "a b [10.0.0.1] by c"},
		{"from unknown (unknown [203.0.113.5]) by mx.example.org (Postfix) with SMTP id 1; x", "203.0.113.5", "", "unknown"},
		// Sendmail.
		{"from mail.example.net (mail.example.net [203.0.113.5]) by mx.example.org (8.17.1.9/8.17.1.9/Debian-2) with ESMTP id 1 for <a@b>; x",
			"203.0.113.5", "mail.example.net", "mail.example.net"},
		{"from helo.example (host.example.net [203.0.113.5] (may be forged)) by mx.example.org (8.17.1/8.17.1) with ESMTP id 1; x", "203.0.113.5", "", "helo.example"},
		{"from helo.example ([203.0.113.5]) by mx.example.org (8.17.1/8.17.1) with SMTP id 1; x", "203.0.113.5", "", "helo.example"},
		{"from helo.example (IDENT:joe@host.example.net [IPv6:2001:db8:0:0:0:0:0:5]) by mx (8.17.1/8.17.1) with SMTP id 1; x", "2001:db8::5", "host.example.net", "helo.example"},
		{"(from host.example.net [203.0.113.5]) by mx.example.org (8.17.1/8.17.1) id 1; x", "203.0.113.5", "host.example.net", ""},
		{"(from [203.0.113.5]) by mx.example.org (8.17.1/8.17.1) id 1; x", "203.0.113.5", "", ""},
		// Exim.
		{"from mail.example.net ([203.0.113.5] helo=helo.example) by mx.example.org with esmtps (TLS1.3) tls TLS_AES_256_GCM_SHA384 (Exim 4.96) (envelope-from <a@b>) id 1 for c@d; x",
			"203.0.113.5", "mail.example.net", "helo.example"},
		{"from mail.example.net ([203.0.113.5]:40000 helo=[192.0.2.7] ident=joe) by mx with esmtp (Exim 4.96) id 1; x", "203.0.113.5", "mail.example.net", "[192.0.2.7]"},
		{"from mail.example.net ([203.0.113.5] ident=joe) by mx with esmtp (Exim 4.96) id 1; x", "203.0.113.5", "mail.example.net", ""},
		{"from mail.example.net ([203.0.113.5]) by mx with esmtp (Exim 4.96) id 1; x", "203.0.113.5", "", "mail.example.net"},
		{"from [203.0.113.5] (helo=helo.example) by mx with esmtp (Exim 4.96) id 1; x", "203.0.113.5", "", "helo.example"},
		{"from [203.0.113.5] (port=40000 helo=helo.example ident=joe) by mx with esmtp (Exim 4.96) id 1; x", "203.0.113.5", "", "helo.example"},
		{"from [203.0.113.5] (port=40000) by mx with esmtp (Exim 4.96) id 1; x", "203.0.113.5", "", ""},
		{"from [2001:db8::5]:40000 (helo=[10.0.0.1]) by mx with esmtp (Exim 4.96) id 1; x", "2001:db8::5", "", "[10.0.0.1]"},
		{"from [203.0.113.5] by mx.example.org with esmtp (Exim 4.96) (envelope-from <a@b>) id 1; x", "203.0.113.5", "", ""},
		{"from [203.0.113.5] by mx.example.org with esmtps (TLS1.3) tls TLS_AES_256_GCM_SHA384 (Exim 4.96) id 1; x", "203.0.113.5", "", ""},
		// With helo_accept_junk_hosts, and what an ident server says.
		{"from [203.0.113.5] (helo=x@y [10.0.0.1]) by mx with esmtp (Exim 4.96) id 1; x", "203.0.113.5", "", "x@y [10.0.0.1]"},
		{"from [203.0.113.5] (ident=x@y [10.0.0.1]) by mx with esmtp (Exim 4.96) id 1; x", "203.0.113.5", "", ""},
		{"from mail.example.net ([203.0.113.5] helo=a b ident=x@y [10.0.0.1]) by mx with esmtp (Exim 4.96) id 1; x", "203.0.113.5", "mail.example.net", "a b"},
		// Exchange.
		{"from mail.example.net (203.0.113.5) by EX01.example.org (10.0.0.5) with Microsoft SMTP Server (version=TLS1_2, cipher=TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384) id 15.2.1118.7; x",
			"203.0.113.5", "", "mail.example.net"},
		{"from mail.example.net (2001:db8::5) by DB5EUR03FT044.mail.protection.outlook.com (2603:10a6:10:1::2) with Microsoft SMTP Server (version=TLS1_2, cipher=X) id 15.20.1.1 via Frontend Transport; x",
			"2001:db8::5", "", "mail.example.net"},
		{"from EX01.example.org ([fe80::1%12]) by EX01.example.org ([fe80::1%12]) with mapi id 15.02.1118.007; x", "fe80::1", "", "EX01.example.org"},
		{"from AM0PR.example.com (2603:10a6::1) by AM1PR.example.com (2603:10a6::2) with HTTPS; x", "2603:10a6::1", "", "AM0PR.example.com"},
		{"from mail.example.net ([203.0.113.5]) by ex.example.org with Microsoft SMTPSVC(6.0.3790.4675); x", "203.0.113.5", "", "mail.example.net"},
		// Cisco Secure Email.
		{"from mail.example.net ([203.0.113.5]) by esa1.example.org with ESMTP/TLS/ECDHE-RSA-AES256-GCM-SHA384; 26 Nov 2026 10:00:00 +0000", "203.0.113.5", "", "mail.example.net"},
		{"from unknown (HELO helo.example) ([203.0.113.5]) by esa1.example.org with ESMTP; 26 Nov 2026 10:00:00 +0000", "203.0.113.5", "", "helo.example"},
		{"from host.example.net (HELO [10.0.0.1]) ([203.0.113.5]) by esa1.example.org with SMTP; x", "203.0.113.5", "", "[10.0.0.1]"},
		// Others that use these forms.
		{"from mx.example.org ([127.0.0.1]) by localhost (mx.example.org [127.0.0.1]) (amavisd-new, port 10024) with ESMTP id 1 for <a@b>; x", "127.0.0.1", "", "mx.example.org"},
		{"from helo.example (<unknown> [203.0.113.5]) by mx (OpenSMTPD) with ESMTP id 1 for <a@b>; x", "203.0.113.5", "", "helo.example"},
		{"from pps.filterd (m1.ppops.example [127.0.0.1]) by m1.ppops.example (8.17.1.5/8.17.1.5) with ESMTP id 1; x", "127.0.0.1", "m1.ppops.example", "pps.filterd"},
		{"FROM helo.example (unknown [::ffff:203.0.113.5]) by mx (Postfix); x", "203.0.113.5", "", "helo.example"},
		// The name is the one that the client's DNS has, without a look back.
		{"from helo.example (trusted.example [203.0.113.5]) by mx (OpenSMTPD) with ESMTP id 1 for <a@b>; x", "203.0.113.5", "", "helo.example"},
		{"from helo.example (trusted.example [203.0.113.5]) by mx (Haraka/3.0.2) with ESMTP id 1; x", "203.0.113.5", "", "helo.example"},
		{"from helo.example (unverified [203.0.113.5]) by mx (MDaemon PRO) with ESMTP id 1; x", "203.0.113.5", "", "helo.example"},
		{"from helo.example (trusted.example [203.0.113.5]) by (Postfix) with ESMTP id 1; x", "203.0.113.5", "", "helo.example"},
		{"from helo.example (trusted.example [203.0.113.5]) by mx with ESMTP id 1 for <\" (Postfix)\"@b>; x", "203.0.113.5", "", "helo.example"},
		// Handed over within a host.
		{"by mx.example.org (Postfix, from userid 1001) id 1; x", "", "", ""},
		{"By mx.example.org (Postfix) id 1; x", "", "", ""},
		{"from root by mx.example.org with local (Exim 4.96) (envelope-from <root@mx.example.org>) id 1; x", "", "", ""},
		{"from www-data by mx.example.org with local-esmtp (Exim 4.96) (envelope-from <a@b>) id 1; x", "", "", ""},
		{"(from root@localhost) by mx.example.org (8.17.1/8.17.1/Submit) id 1; x", "", "", ""},
	} {
		var want netip.Addr
		if test.client != "" {
			want = netip.MustParseAddr(test.client)
		}
		for _, value := range []string{test.value, mtaFold(test.value), strings.ReplaceAll(test.value, " id ", "\n        id ")} {
			got, ok := ParseReceived(" " + value)
			if !ok || got.Client != want || got.Name != test.name || got.Helo != test.helo {
				t.Errorf("%q: got %+v, %v", value, got, ok)
			}
		}
	}
}

// TestParseReceivedFolded has fields in which a client had " by " written: only the
// fold shows which one is the host's.
func TestParseReceivedFolded(t *testing.T) {
	client := netip.MustParseAddr("203.0.113.5")
	for _, value := range []string{
		"from helo.example (unknown [203.0.113.5])\r\n\tby mx (Postfix) with ESMTP id 1\r\n\tfor <\"x) by y\"@example.org>; x",
		"from helo.example (unknown [203.0.113.5])\r\n\tby mx (Postfix) with ESMTP id 1\r\n\tfor <\"x\r\n by y\"@example.org>; x",
		"from helo.example (unknown [203.0.113.5])\r\n\tby mx (8.17.1/8.17.1) with ESMTP id 1\r\n\tfor <\"x ([10.0.0.1]) by y\"@example.org>; x",
		"from helo.example (unknown [203.0.113.5])\r\n\t(Client CN \"x ((y)) by z\", Issuer \"a\" (not verified))\r\n\tby mx (Postfix) with ESMTPS id 1; x",
		"from [203.0.113.5] (helo=x ([10.0.0.1]) by y)\r\n\tby mx.example.org with esmtp (Exim 4.96)\r\n\tid 1; x",
		"from [203.0.113.5] (port=40000 helo=a(b)\r\n\tby mx.example.org with esmtps  (TLS1.3) tls TLS_AES_256_GCM_SHA384\r\n\t(Exim 4.96)\r\n\tid 1; x",
		"from [203.0.113.5] (helo=h.example ident=x) by y (z)\r\n\tby mx.example.org with esmtp (Exim 4.96)\r\n\tid 1; x",
		"from out.example.com ([203.0.113.5] helo=x ([10.0.0.1]) ident=a) by b (c)\r\n\tby mx.example.org with esmtp (Exim 4.96)\r\n\tid 1; x",
		"from [203.0.113.5] (helo=helo.example)\r\n\tby mx with esmtp (Exim 4.96)\r\n\t(envelope-from <\"x) by y\"@example.net>)\r\n\tid 1; x",
		"from [203.0.113.5]\r\n\tby mx with esmtp (Exim 4.96)\r\n\t(envelope-from <\"x) by y (Exim \"@example.net>)\r\n\tid 1; x",
	} {
		got, ok := ParseReceived(" " + value)
		if !ok || got.Client != client {
			t.Errorf("%q: got %+v, %v", value, got, ok)
		}
		// On one line it cannot always be told, but is never mistaken.
		value = strings.Join(strings.Fields(value), " ")
		if got, ok := ParseReceived(" " + value); ok && got.Client != client {
			t.Errorf("%q: got %+v", value, got)
		}
	}
	// A host that puts a HELO into its field as it is.
	for _, value := range []string{
		"from x ([10.0.0.1]) by y (unknown [203.0.113.5])\r\n\tby mx with SMTP; x",
		"from x ([10.0.0.1]) (y (unknown [203.0.113.5])\r\n\tby mx with SMTP for <\"a) by b\"@example.org>; x",
		"from x ([10.0.0.1] helo=y (unknown [203.0.113.5])\r\n\tby mx with SMTP; x",
		"from [10.0.0.1] (helo=y (unknown [203.0.113.5])\r\n\tby mx with SMTP; x",
		"from [10.0.0.1]\r\n\tby mx with SMTP for <\"(Exim \"@example.org>; x",
		"from x ([10.0.0.1])\r\n by y (unknown [203.0.113.5])\r\n\tby mx with SMTP; x",
		"from x ([10.0.0.1])\r\n\tby y (unknown [203.0.113.5])\r\n\tby mx with SMTP; x",
	} {
		if got, ok := ParseReceived(" " + value); ok {
			t.Errorf("%q: got %+v", value, got)
		}
	}
}

// TestParseReceivedBroken has fields whose first line an MTA broke when it passed them
// on, at each place: a client chooses it with the length of its HELO.
func TestParseReceivedBroken(t *testing.T) {
	client := netip.MustParseAddr("203.0.113.5")
	for from := 940; from < 1000; from++ {
		helo := strings.Repeat("a", from)
		line := "Received: from " + helo + " (out.example.net [203.0.113.5])"
		for _, broken := range []string{breakLine(line, 998, ""), breakLine(line, 989, "!"), breakLine(breakLine(line, 998, ""), 989, "!")} {
			_, value, _ := strings.Cut(broken+"\r\n\tby mx.example.org (Postfix) with ESMTP id 1; x", ":")
			for _, value := range []string{value, strings.ReplaceAll(value, "\r\n", "\n")} {
				if got, ok := ParseReceived(value); !ok || got.Client != client || got.Name != "out.example.net" || got.Helo != helo {
					t.Fatalf("%d: %q: got %+v, %v", from, value[900:], got, ok)
				}
			}
		}
	}
}

// breakLine breaks the first line of s after n octets, as Postfix does, or as Sendmail
// does with the mark "!".
func breakLine(s string, n int, mark string) string {
	if line, _, _ := strings.Cut(s, "\r\n"); len(line) <= n+len(mark) {
		return s
	}
	return s[:n] + mark + "\r\n " + s[n:]
}

// TestParseReceivedRefuses has fields of other forms, and such that a client could
// have chosen the address in.
func TestParseReceivedRefuses(t *testing.T) {
	for _, value := range []string{
		"", "from", "by", "with SMTP",
		"(qmail 1234 invoked from network); 26 Nov 2026 10:00:00 -0000",
		"from unknown (HELO helo.example) (203.0.113.5) by mx with SMTP; x",
		// The only address is the host's own, or the HELO.
		"from helo.example by mx.example.org (mx.example.org [10.0.0.1]) with ESMTP id 1; x",
		"from helo.example by mx.example.org ([10.0.0.1]) with ESMTP id 1; x",
		"from [10.0.0.1] by mx.example.org with SMTP id 1; x",
		"from [10.0.0.1] by mx.example.org (Postfix) with SMTP id 1; x",
		"from [10.0.0.1] (Exim ) by mx.example.org with SMTP id 1; x",
		"from 10.0.0.1 by mx.example.org with SMTP id 1; x",
		"from a b by mx.example.org with local (Exim 4.96) id 1; x",
		"from a by mx.example.org with esmtp (Exim 4.96) id 1; x",
		"from a by mx.example.org with SMTP for <\"x with local (Exim 4.96)\"@b>; x",
		"from a by with local (Exim 4.96)",
		"(from root@localhost) by mx.example.org (8.17.1/8.17.1) id 1; x",
		"(from a b@localhost) by mx.example.org (8.17.1/8.17.1/Submit) id 1; x",
		"from helo.example (10.0.0.1) by mx.example.org with SMTP id 1; x",
		"from helo.example (10.0.0.1) with Microsoft SMTP Server by mx.example.org id 1; x",
		// A HELO that tries to be the rest of the field.
		"from x ([10.0.0.1]) by y (unknown [203.0.113.5]) by mx (Postfix) with SMTP id 1; x",
		"from unknown (HELO [10.0.0.1]) (203.0.113.5) by mx with SMTP; x",
		"from [203.0.113.5] (HELO [10.0.0.1]) by mx with SMTP; x",
		"from [203.0.113.5] (ehlo [10.0.0.1]) by mx with SMTP; x",
		"from [203.0.113.5] (account joe HELO [10.0.0.1]) by mx with SMTP; x",
		"from unknown (HELO y) ([10.0.0.1]) ([203.0.113.5]) by mx with SMTP; x",
		"from unknown (HELO y) ([10.0.0.1]) (unknown [203.0.113.5]) by mx with SMTP; x",
		"from unknown (HELO y) (z [10.0.0.1]) by mx with SMTP; x",
		"from x (y [10.0.0.1] [203.0.113.5]) by mx with SMTP; x",
		"from x (y [10.0.0.1]) [203.0.113.5]) by mx with SMTP; x",
		"from x (a b [10.0.0.1]) by mx with SMTP; x",
		"from x (a@b@c [10.0.0.1]) by mx with SMTP; x",
		"from x (y [10.0.0.1) by mx with SMTP; x",
		"from x (y [10.0.0]) by mx with SMTP; x",
		"from x (y [IPv6:10.0.0.1:]) by mx with SMTP; x",
		"from x (y [10.0.0.1]) with SMTP; x",
		"from x (y [10.0.0.1]) (a (b (c)) by mx with SMTP; x",
		"from x (y [10.0.0.1]) (a) b) by mx with SMTP; x",
		"from x (y [10.0.0.1]) a by mx with SMTP; x",
		"from [10.0.0.1] () by mx with SMTP; x",
		"from x (10.0.0.1) by mx (mx) with SMTP for <\"with Microsoft SMTP Server\"@example.org>; x",
		"from x (y [10.0.0.1])",
		"from x\x00 (y [10.0.0.1]\x00) by mx; x",
		"from x (y [203.0.113.5]) by " + strings.Repeat("x", maxReceived),
	} {
		if got, ok := ParseReceived(" " + value); ok {
			t.Errorf("%q: got %+v", value, got)
		}
	}
}

// FuzzParseReceived checks that text that a client chooses, in a field as Postfix,
// Sendmail, Exim and Exchange write it, neither changes which address is read nor
// keeps it from being read.
func FuzzParseReceived(f *testing.F) {
	for _, s := range []string{"mail.example.net", "[10.0.0.1]", "x ([10.0.0.1]) by y", "x helo=y", "10.0.0.1", "a b c", "by", " by mx (Exim 4.96)", "[10.0.0.1] (helo=x"} {
		f.Add(s, `"`+s+`"@example.net`)
	}
	client := netip.MustParseAddr("203.0.113.5")
	f.Fuzz(func(t *testing.T, helo, path string) {
		if len(helo) == 0 || len(helo)+len(path) > 1000 {
			return
		}
		junk := strings.Join(strings.FieldsFunc(helo, isSpace), " ")
		if junk == "" {
			return
		}
		// What Postfix replaces in a HELO. No client can send a line end in a path.
		helo = strings.Map(func(r rune) rune {
			if r <= ' ' || strings.ContainsRune(`<>()\";:@`, r) || r == 0x7f {
				return '?'
			}
			return r
		}, helo)
		path = strings.NewReplacer("\r", "", "\n", "\r\n ").Replace(path)
		for _, value := range []string{
			" from " + helo + " (unknown [203.0.113.5])\r\n\tby mx.example.org (Postfix) with SMTP id 1\r\n\tfor <" + path + ">; x",
			" from " + helo + " ([203.0.113.5])\r\n\tby mx.example.org (8.17.1/8.17.1) with SMTP id 1\r\n\tfor <" + path + ">; x",
			" from [203.0.113.5] (helo=" + helo + ")\r\n\tby mx.example.org with smtp (Exim 4.96)\r\n\t(envelope-from <" + path + ">)\r\n\tid 1; x",
			" from host.example ([203.0.113.5] helo=" + helo + ")\r\n\tby mx.example.org with smtp (Exim 4.96)\r\n\t(envelope-from <" + path + ">)\r\n\tid 1; x",
			" from [203.0.113.5] (helo=" + junk + " ident=" + junk + ")\r\n\tby mx.example.org with smtp (Exim 4.96)\r\n\t(envelope-from <" + path + ">)\r\n\tid 1; x",
			" from host.example ([203.0.113.5] helo=" + junk + ")\r\n\tby mx.example.org with smtp (Exim 4.96)\r\n\t(envelope-from <" + path + ">)\r\n\tid 1; x",
			" from [203.0.113.5]\r\n\tby mx.example.org with smtp (Exim 4.96)\r\n\t(envelope-from <" + path + ">)\r\n\tid 1; x",
			" from " + helo + " (203.0.113.5) by EX01 (10.0.0.5) with Microsoft SMTP Server id 1; x",
		} {
			if got, ok := ParseReceived(value); !ok || got.Client != client {
				t.Errorf("%q: %+v, %v", value, got, ok)
			}
		}
	})
}
