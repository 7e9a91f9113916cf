package test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"authmilter/test/mta"
	"authmilter/verify/dns/dnstest"
)

// TestSecondPassPostfix and TestSecondPassSendmail pass messages through the milter
// twice, as content filters do.
func TestSecondPassPostfix(t *testing.T) {
	port := mta.FreePort(t)
	runSecondPass(t, rig{
		mta:    mta.StartPostfix(t, fmt.Sprintf("inet:127.0.0.1:%d", port)),
		listen: fmt.Sprintf("inet:%d@127.0.0.1", port),
	})
}

func TestSecondPassSendmail(t *testing.T) {
	listen := fmt.Sprintf("inet:%d@127.0.0.1", mta.FreePort(t))
	runSecondPass(t, rig{mta: mta.StartSendmail(t, listen), listen: listen})
}

// runSecondPass checks what is signed, sealed and reported if the signatures of mail
// of our own are verified and results are hidden.
func runSecondPass(t *testing.T, r rig) {
	zone := dnstest.MustParse(t, arcZone)
	publish(t, zone, "rsa", "example.com", "rsa2048")
	publish(t, zone, "arc", "example.org", "rsa1024")
	sign := fmt.Sprintf("[[sign]]\ndomain = \"example.com\"\nselector = \"rsa\"\nkey_file = %q\n", keyPath(t, "rsa2048"))
	seal := fmt.Sprintf("arc.seal = true\narc.domain = \"example.org\"\narc.selector = \"arc\"\narc.key_file = %q\n", keyPath(t, "rsa1024"))
	const options = "skip.check_dkim = true\nresults.hide_none = [\"arc\", \"dkim\"]\nresults.each_author = true\n"

	user, local, stranger := arcClient, arcClient, arcClient
	user.Login = "joe"
	local.Addr, local.Name = netip.MustParseAddr("127.0.0.1"), "localhost"
	stranger.Addr, stranger.Name = netip.MustParseAddr("198.51.100.7"), ""

	for _, test := range []struct {
		name, config string
		first        mta.Client
		want, again  []string // the fields on top after each pass, or how they begin
		claim        string   // as which kind the first one is removed, if it is
	}{
		{
			"own mail", options + sign, user,
			[]string{"DKIM-Signature:", "Authentication-Results: mx.example.org;\r\n\tdkim=none (own mail)\r\n"},
			[]string{"DKIM-Signature:", "Authentication-Results: mx.example.org;\r\n\tdkim=pass (2048-bit rsa key, own mail) header.d=example.com\r\n"},
			"harmless",
		}, {
			"forged", options + sign, stranger,
			[]string{"Authentication-Results: mx.example.org;\r\n\tspf=fail (matched -all)"},
			[]string{"Authentication-Results: mx.example.org;\r\n\tdkim=none\r\n"},
			"forged", // it has quotes
		}, {
			"forged and sealed", options + seal + sign, stranger,
			[]string{"ARC-Seal:", "ARC-Message-Signature:", "ARC-Authentication-Results:", "Authentication-Results: mx.example.org;\r\n\tspf=fail (matched -all)"},
			nil, "",
		}, {
			"sealed", options + seal, arcClient,
			[]string{"ARC-Seal:", "ARC-Message-Signature:", "ARC-Authentication-Results:", "Authentication-Results: mx.example.org;\r\n\tspf=pass"},
			nil, "",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := r.serve(t, zone, test.config)
			m := arcMessage()
			m.From = "bounce@example.com"
			first := r.mta.Deliver(t, test.first, m)[0]
			checkTop(t, first, test.want)
			m.Data = whole(first)
			second := r.mta.Deliver(t, local, m)[0]
			checkTop(t, second, test.again)
			// What was on top is replaced or stays: there is one field of ours.
			if n := strings.Count("\r\n"+string(whole(second)), "\r\nAuthentication-Results:"); n != 1 {
				t.Errorf("%d fields of ours:\n%s%s", n, second.Top, second.Header)
			}
			if test.again != nil {
				d.WaitMetric(t, fmt.Sprintf(`authmilter_ar_headers_removed_total{claim=%q,header="Authentication-Results"}`, test.claim), 1)
			}
		})
	}
}

// checkTop checks the fields on top of a message by how they begin.
func checkTop(t *testing.T, d mta.Delivery, want []string) {
	t.Helper()
	if d.Code != 250 {
		t.Fatalf("refused: %s", d.Reply)
	}
	var got []string
	for line := range strings.Lines(string(d.Top)) {
		if last := len(got) - 1; last >= 0 && (line[0] == ' ' || line[0] == '\t') {
			got[last] += line
		} else {
			got = append(got, line)
		}
	}
	for i := range max(len(got), len(want)) {
		if i >= len(got) || i >= len(want) || !strings.HasPrefix(got[i], want[i]) {
			t.Errorf("on top:\n%s\nwant:\n%s", d.Top, strings.Join(want, "\n"))
			return
		}
	}
}
