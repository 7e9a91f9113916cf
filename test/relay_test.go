package test

import (
	"bytes"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"authmilter/test/daemon"
	"authmilter/test/mta"
	"authmilter/verify/dns/dnstest"
)

const relayZone = arcZone + `
5.113.0.203.in-addr.arpa. PTR out.example.com.
out.example.com. A 203.0.113.5
`

// relayAddr is the address from which the border passes mail on.
const relayAddr = "127.0.0.2"

// followed makes authmilter follow the Received fields of the border.
func followed(t *testing.T) string {
	return mta.RelayConfig(t, `["10.0.0.1", "10.0.0.2"]`, `["`+relayAddr+`"]`)
}

// tier is a Postfix with an authmilter.
type tier struct {
	*mta.Postfix
	daemon *daemon.Daemon
	// milter is the milter's address in Postfix's notation.
	milter string
}

// serveTier starts an authmilter, and a Postfix that start starts.
func serveTier(t *testing.T, dns, config string, start func(milter string) *mta.Postfix) tier {
	t.Helper()
	port := mta.FreePort(t)
	milter := fmt.Sprintf("inet:127.0.0.1:%d", port)
	d := daemon.Start(t, daemon.Config{
		Listen: fmt.Sprintf("inet:%d@127.0.0.1", port), AuthservID: mta.Hostname, DNS: dns, Metrics: mta.Loopback(mta.FreePort(t)), More: config,
	})
	return tier{start(milter), d, milter}
}

// inner starts a Postfix in front of the sink.
func inner(t *testing.T) func(string) *mta.Postfix {
	return func(milter string) *mta.Postfix { return mta.StartPostfix(t, milter) }
}

// pass sends arcMessage, with fields on top, and returns what became of it.
func pass(t *testing.T, m mta.MTA, c mta.Client, fields string) mta.Delivery {
	t.Helper()
	message := arcMessage()
	message.Data = append([]byte(strings.ReplaceAll(fields, "\n", "\r\n")), message.Data...)
	d := m.Deliver(t, c, message)[0]
	if d.Code != 250 {
		t.Fatalf("refused: %s", d.Reply)
	}
	return d
}

// results returns the Authentication-Results fields under our name in a header, top
// first, each on one line.
func results(header []byte) (all []string) {
	for _, f := range strings.Split(strings.ReplaceAll(string(header), "\r\n\t", " "), "\r\n") {
		if value, ok := strings.CutPrefix(f, "Authentication-Results: "+mta.Hostname+"; "); ok {
			all = append(all, value)
		}
	}
	return all
}

// forgery is what a sender puts on top of a message, to be judged by an address that
// may send for the author.
const forgery = `Authentication-Results: mx.example.org; dmarc=pass header.from=example.com
Received: from out.example.com (out.example.com [203.0.113.5])
	by mx1.example.org (Postfix) with ESMTP id 4XyZ0
	for <reader@rcpt.example.org>; Thu, 26 Nov 2026 10:00:00 +0000 (UTC)
Authentication-Results: mx.example.org; spf=pass smtp.mailfrom=joe@example.com
X-Disposition-Quarantine: forged
`

var stranger = mta.Client{Addr: netip.MustParseAddr("198.51.100.9"), Name: "out.attacker.example", Helo: "x ([203.0.113.5]) by mx1.example.org"}

// TestRelay passes mail through a border without a milter. The verdict is the same as
// if the client had come to the inner host.
func TestRelay(t *testing.T) {
	dns := dnstest.Serve(t, dnstest.MustParse(t, relayZone))
	direct := serveTier(t, dns, "iprev.check = true\n", inner(t))
	behind := serveTier(t, dns, "iprev.check = true\n"+followed(t), inner(t))
	borders := map[string]mta.MTA{
		"one border":  mta.StartBorder(t, behind.Postfix, "mx1.example.org", relayAddr, ""),
		"two borders": mta.StartBorder(t, mta.StartBorder(t, behind.Postfix, "mx2.example.org", relayAddr, ""), "mx1.example.org", relayAddr, ""),
	}
	for _, test := range []struct {
		name   string
		client mta.Client
		fields string
		want   string // of the results
	}{
		{"the sender's host", arcClient, "", "spf=pass smtp.mailfrom=joe@example.com smtp.helo=out.example.com; iprev=pass (out.example.com) policy.iprev=203.0.113.5; dmarc=pass"},
		{"another host", stranger, "", "spf=fail"},
		{"another host that forges fields", stranger, forgery, "spf=fail"},
	} {
		want := results(pass(t, direct, test.client, "").Top)
		if len(want) != 1 || !strings.Contains(want[0], test.want) {
			t.Errorf("%s, without a border: %q", test.name, want)
		}
		for name, border := range borders {
			t.Run(test.name+", "+name, func(t *testing.T) {
				d := pass(t, border, test.client, test.fields)
				if got := results(d.Top); len(got) != 1 || withoutHelo(got[0]) != withoutHelo(want[0]) {
					t.Errorf("%q, want %q", got, want)
				}
				if got := results(d.Header); got != nil || bytes.Contains(d.Header, []byte("X-Disposition-Quarantine")) {
					t.Errorf("the forged fields stayed: %s", d.Header)
				}
			})
		}
	}
	if log := behind.daemon.Log(); !strings.Contains(log, "client=203.0.113.5 client_name=out.example.com helo=out.example.com") || !strings.Contains(log, " relay="+relayAddr) {
		t.Error("the log does not have the client and the relay")
	}
	// Without [relay], the relay is judged.
	d := pass(t, mta.StartBorder(t, direct.Postfix, "mx1.example.org", relayAddr, ""), arcClient, "")
	if got := results(d.Top); got != nil { // it is in skip.networks
		t.Errorf("without [relay]: %q", got)
	}
}

// withoutHelo returns results without the HELO, of which Postfix writes other
// characters into a Received field than it shows a milter.
func withoutHelo(results string) string {
	before, after, found := strings.Cut(results, "smtp.helo=")
	if !found {
		return results
	}
	_, after, _ = strings.Cut(after, ";")
	return before + after
}

// TestRelayResults passes mail through two hosts with authmilter under the same name.
func TestRelayResults(t *testing.T) {
	const quarantines = "policy.mode = \"enforce\"\npolicy.spf_fail = \"quarantine\"\n"
	zone := dnstest.MustParse(t, strings.Replace(relayZone, "p=reject", "p=quarantine", 1))
	publish(t, zone, "arc", "example.org", "rsa1024")
	dns := dnstest.Serve(t, zone)
	seal := fmt.Sprintf("arc.seal = true\narc.domain = \"example.org\"\narc.selector = \"arc\"\narc.key_file = %q\n", keyPath(t, "rsa1024"))
	const keep = "relay.keep_results = true\n"
	for _, test := range []struct {
		name          string
		border, inner string // configuration
		kept          bool
		sealed        int // how many results our ARC Set has; 0 means that there is none
	}{
		{name: "not kept", inner: ""},
		{name: "kept", inner: keep, kept: true},
		{name: "kept and sealed", inner: keep + seal, kept: true, sealed: 8},
		{name: "not kept, sealed", inner: seal, sealed: 4},
		{name: "kept, both seal", border: seal, inner: keep + seal, kept: true, sealed: 4},
	} {
		t.Run(test.name, func(t *testing.T) {
			in := serveTier(t, dns, followed(t)+test.inner, inner(t))
			border := serveTier(t, dns, quarantines+test.border, func(milter string) *mta.Postfix {
				return mta.StartBorder(t, in.Postfix, "mx1.example.org", relayAddr, milter)
			})
			for _, fields := range []string{"", forgery} {
				for _, c := range []mta.Client{arcClient, stranger} {
					d := pass(t, border, c, fields)
					checkKept(t, d, c == stranger, test.kept)
					checkSealed(t, dns, d, test.sealed)
				}
			}
		})
	}
}

// checkKept checks the fields of a message that the border has marked or not.
func checkKept(t *testing.T, d mta.Delivery, marked, kept bool) {
	t.Helper()
	all := results(d.Top)
	want := 1
	if kept {
		want = 2
	}
	if len(all) != want || results(d.Header) != nil {
		t.Errorf("results:\n%s\n%s", d.Top, d.Header)
	}
	if got := bytes.Contains(d.Top, []byte("X-Disposition-Quarantine:")); got != (marked && kept) {
		t.Errorf("a quarantine mark: %t", got)
	}
	if bytes.Contains(d.Header, []byte("X-Disposition-Quarantine:")) {
		t.Errorf("the forged mark stayed:\n%s", d.Header)
	}
	spf := "spf=pass"
	if marked {
		spf = "spf=fail"
	}
	for _, r := range all {
		if !strings.Contains(r, spf) {
			t.Errorf("%q, want %s", r, spf)
		}
	}
}

// checkSealed checks the ARC set of a message, of n results.
func checkSealed(t *testing.T, dns string, d mta.Delivery, n int) {
	t.Helper()
	c := check(t, dns, whole(d))
	if n == 0 {
		if len(c.ARC.Sets) != 0 {
			t.Errorf("sealed: %+v", c.ARC)
		}
		return
	}
	if c.ARC.Result != "pass" || len(c.ARC.Sets) != 1 || strings.Count(c.ARC.Sets[0].Results, ";") != n {
		t.Errorf("%+v, want %d results\n%s", c.ARC, n, d.Top)
	}
}

// TestRelayOnOneHost has a content filter between two instances of Postfix.
func TestRelayOnOneHost(t *testing.T) {
	dns := dnstest.Serve(t, dnstest.MustParse(t, relayZone))
	const addrs = `["127.0.0.1", "::1"]`
	behind := serveTier(t, dns, mta.RelayConfig(t, addrs, addrs), inner(t))
	filter := mta.StartPostfixBefore(t, behind.Postfix, "filter.example.org", "")
	for name, m := range map[string]mta.MTA{
		"filter":                            mta.StartBeforeFilter(t, filter, "mx1.example.org"),
		"filter without a field of its own": mta.StartBeforeFilter(t, behind.Postfix, "mx1.example.org"),
	} {
		for c, want := range map[mta.Client]string{arcClient: "spf=pass", stranger: "spf=fail"} {
			if got := results(pass(t, m, c, forgery).Top); len(got) != 1 || !strings.Contains(got[0], want) {
				t.Errorf("%s: %q, want %s", name, got, want)
			}
		}
	}
}

// TestRelayOfOwnMail has users submit mail to the border, from where it comes under
// another address.
func TestRelayOfOwnMail(t *testing.T) {
	const own = "127.0.0.3"
	dns := dnstest.Serve(t, dnstest.MustParse(t, relayZone))
	in := serveTier(t, dns, followed(t)+"skip.networks = [\""+own+"\"]\n", inner(t))
	if got := results(pass(t, mta.StartSubmission(t, in.Postfix, "mx1.example.org", own), stranger, "").Top); got != nil {
		t.Errorf("judged: %q", got)
	}
	if log := in.daemon.Log(); !strings.Contains(log, "message skipped") {
		t.Error("the message was not skipped")
	}
}
