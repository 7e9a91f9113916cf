package test

import (
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"

	"authmilter/test/mta"
	"authmilter/test/paths"
	"authmilter/verify/dns/dnstest"
)

// pathZone has no address that may send for the domain.
const pathZone = `
example.com. TXT "v=spf1 ip4:198.51.100.1 -all"
helo.example.net. TXT "v=spf1 ip4:192.0.2.9 -all"
`

// pathConfig rejects all messages in the test except messages for one domain.
const pathConfig = `
policy.mode = "enforce"
policy.spf_fail = "reject"
[[override]]
recipient = ["` + mta.Domain + `"]
action = "accept"
`

// runPaths checks that a client cannot hide its sender behind an unusual way of
// writing the path in MAIL FROM: the SPF result is for the address with which
// the MTA queues the message.
func runPaths(t *testing.T, r rig, word func(paths.Path) paths.Word) {
	r.serve(t, dnstest.MustParse(t, pathZone), "")
	client := mta.Client{Addr: netip.MustParseAddr("192.0.2.9"), Helo: "helo.example.net"}
	var chosen []paths.Path
	for _, p := range paths.Load(t) {
		if w := word(p); !w.Refused && p.Text != "" && (w.Want == "joe@example.com" || w.Want == "") {
			chosen = append(chosen, p)
		}
	}
	if len(chosen) < 20 {
		t.Fatalf("only %d paths in the table", len(chosen))
	}
	for some := range slices.Chunk(chosen, 8) {
		var messages []mta.Message
		for _, p := range some {
			messages = append(messages, mta.Message{
				MailArg: p.Text, To: "x@" + mta.Domain,
				Data: []byte("From: joe@example.com\r\nSubject: path\r\n\r\n"),
			})
		}
		for i, d := range r.mta.Deliver(t, client, messages...) {
			want := regexp.MustCompile(` spf=fail [^;]*smtp\.mailfrom=joe@example\.com smtp\.helo=helo\.example\.net;`)
			if word(some[i]).Want == "" {
				want = regexp.MustCompile(` spf=pass smtp\.helo=helo\.example\.net;`)
			}
			if got := strings.Join(strings.Fields(string(d.Top)), " "); d.Code != 250 || !want.MatchString(got) {
				t.Errorf("%q: answered %q, results %q, want %v", some[i].Text, d.Reply, got, want)
			}
		}
	}
}

// runRecipientPaths checks the same for RCPT TO, with overrides by recipient.
func runRecipientPaths(t *testing.T, r rig) {
	client := mta.Client{Addr: netip.MustParseAddr("192.0.2.9"), Helo: "helo.example.net"}
	r.serve(t, dnstest.MustParse(t, pathZone), pathConfig)
	var messages []mta.Message
	for _, argument := range []string{"", "< #x@rcpt.example.org >", "(c)<#x@rcpt.example.org>", "<#x@(c)rcpt.example.org>", "<<#x@rcpt.example.org>>"} {
		messages = append(messages, mta.Message{
			From: "joe@example.com", To: "x@" + mta.Domain, RcptArg: argument,
			Data: []byte("From: joe@example.com\r\nSubject: path\r\n\r\n"),
		})
	}
	elsewhere := messages[0]
	elsewhere.To = "x@" + mta.LMTPDomain
	for i, d := range r.mta.Deliver(t, client, append(messages, elsewhere)...) {
		want := 250
		if i == len(messages) {
			want = 550
		}
		if d.Code != want {
			t.Errorf("message %d: answered %q, want %d", i, d.Reply, want)
		}
	}
}
