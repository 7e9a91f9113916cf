package mta_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"authmilter/test/mta"
	"authmilter/verify/trace"
)

func TestReceived(t *testing.T) {
	_, port := serveRecorder(t)
	p := mta.StartPostfix(t, "inet:"+mta.Loopback(port))
	_, port2 := serveRecorder(t)
	s := mta.StartSendmail(t, fmt.Sprintf("inet:%d@127.0.0.1", port2))
	helos := []string{"", "mail.example.net", "[10.0.0.1]", "10.0.0.1", "x ([10.0.0.1]) by y", "x ([10.0.0.1])", "x [10.0.0.1]", "a b", "((", "))", "x (", ") x", `"`, `"a`, `a\`, `\(`, "=?utf-8?q?x?=", "a\x00b", "a\x7fb", "a\tb", "\xe9\xff", "\u00fc.example", strings.Repeat("a.", 199)+"ex", strings.Repeat("x", 2000), "from", "by", " by y", ";", ",", "<x>", "x@y", "a:b", "[IPv6:::1]", "{x}", "unknown", "x\rb", "$j", "%s", "x helo=y", "a_b", "-", ".", "*", "x/y", "IDENT:x"}
	for _, m := range []mta.MTA{p, s} {
		for _, name := range []string{"", "out.example.com"} {
			for _, addr := range []string{"198.51.100.7", "2001:db8::7"} {
				for _, login := range []string{"", "joe"} {
					if login != "" && addr[0] == '2' {
						continue
					}
					for _, helo := range helos {
						c := mta.Client{Addr: netip.MustParseAddr(addr), Name: name, Helo: helo, Login: login}
						if helo == "" && login != "" {
							continue
						}
						d := m.Deliver(t, c, mta.Message{From: "a@example.com", To: "x@" + mta.Domain, Data: []byte("Subject: x\r\n\r\nx\r\n")})[0]
						if d.Code != 250 {
							fmt.Printf("REFUSED %.60q %s\n", helo, d.Reply)
							continue
						}
						_, v, _ := strings.Cut(string(d.Received), ":")
						r, ok := trace.ParseReceived(strings.TrimSuffix(v, "\r\n"))
						line := v
						if len(line) > 200 { line = line[:80]+"..."+line[len(line)-120:] }
						fmt.Printf("%v %.60q -> %q | %s %s %.60q\n", ok && r.Client == c.Addr && r.Name == c.Name, helo, line, r.Client, r.Name, r.Helo)
					}
				}
			}
		}
	}
}
