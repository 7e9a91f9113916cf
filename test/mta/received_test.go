package mta_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"authmilter/test/mta"
	"authmilter/verify/trace"
)

// TestReceived checks that the client is read from the Received field that each MTA
// really writes, whatever the client says.
func TestReceived(t *testing.T) {
	t.Run("Postfix", func(t *testing.T) {
		_, port := serveRecorder(t)
		p := mta.StartPostfix(t, "inet:"+mta.Loopback(port))
		testReceived(t, p, nil)
		for _, login := range []string{"j((o))e", "(j) by e", "[10.0.0.1]"} {
			c := stranger()
			c.Login = login
			testReceivedOf(t, p, c, "x")
		}
	})
	t.Run("Sendmail", func(t *testing.T) {
		_, port := serveRecorder(t)
		testReceived(t, mta.StartSendmail(t, fmt.Sprintf("inet:%d@127.0.0.1", port)), []string{"501 5.0.0 Invalid domain name"})
	})
}

// greetings are arguments of EHLO, most of which are no names.
var greetings = []string{
	"", "helo.example.com", "[10.0.0.1]", "[IPv6:2001:db8::1]", "10.0.0.1", "localhost", "unknown", "-", ".", "a_b", "*", "a/b", "a:b", ",", "{a}",
	"x ([10.0.0.1]) by y", "x ([10.0.0.1])", "x [10.0.0.1]", "x (y [10.0.0.1]) by z (Postfix) with SMTP id 1; x", "x helo=y", "IDENT:x@y", "x@y [10.0.0.1]",
	"a b", " a", "a\tb", "(", ")", "((", "))", "()", ")(", "a (", ") a", `"`, `"a`, `"a"`, `a\`, `\(`, `\)`, "<a>", ";", "@",
	"from", "by", " by y", "by y", "from x by y", "(from x [10.0.0.1])",
	"=?utf-8?q?=28?=", "a\x00b", "a\x01b", "a\x7fb", "a\rb", "a\xe9", "\u00fc.example", "\u2028", "$j", "${j}", "%s",
	strings.Repeat("a.", 199) + "ex", strings.Repeat("(", 400), strings.Repeat("a ", 200), strings.Repeat("a", 2000),
}

// recipients have local parts that look like a part of a Received field, which ends
// with them.
var recipients = []string{`x`, `"x) by y"`, `"x ([10.0.0.1]) by y"`, `"by y"`, `"(Exim "`, `"x; y"`, `"with Microsoft SMTP Server"`}

// testReceived sends messages whose Received field has odd text from the client.
// refused are the replies with which m may refuse a greeting.
func testReceived(t *testing.T, m mta.MTA, refused []string) {
	for i, helo := range greetings {
		t.Run(fmt.Sprintf("%.40q", helo), func(t *testing.T) {
			c := stranger()
			c.Helo = helo
			if i%2 == 0 {
				c.Name = ""
			}
			if i%3 == 0 {
				c.Addr = netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8, 15: byte(i)})
			}
			testReceivedOf(t, m, c, "x", append(refused, "500 5.5.2 Error: bad UTF-8 syntax")...)
		})
	}
	user := stranger()
	user.Login = "joe"
	testReceivedOf(t, m, user, "x")
	for _, local := range recipients {
		testReceivedOf(t, m, stranger(), local)
	}
}

// TestReceivedBroken checks the same for the fields of a stock Postfix, which breaks long
// lines: in the client's address if the HELO has the right length.
func TestReceivedBroken(t *testing.T) {
	_, port := serveRecorder(t)
	p := mta.StartStockPostfix(t, "inet:"+mta.Loopback(port), false)
	c := stranger()
	end := len("Received: from ") + len(" (") + len(c.Name) + len(" [") + len(c.Addr.String()) + len("])")
	for n := 998 - end + 1; n < 998-len("Received: from "); n++ {
		c.Helo = strings.Repeat("a", n)
		testReceivedOf(t, p, c, "x")
	}
}

func testReceivedOf(t *testing.T, m mta.MTA, c mta.Client, local string, refused ...string) {
	t.Helper()
	d := m.Deliver(t, c, mta.Message{From: "a@example.com", To: local + "@" + mta.Domain, Data: []byte("Subject: a\r\n\r\n")})[0]
	if d.Code != 250 {
		for _, reply := range refused {
			if d.Reply == reply {
				return
			}
		}
		t.Errorf("%+v: answered %s", c, d.Reply)
		return
	}
	_, value, _ := strings.Cut(strings.TrimSuffix(string(d.Received), "\r\n"), ":")
	r, ok := trace.ParseReceived(value)
	if !ok || r.Client != c.Addr || r.Name != c.Name || r.Helo == "" {
		t.Errorf("%+v: %+v, %t from %q", c, r, ok, value)
	}
	if c.Helo == "helo.example.com" && r.Helo != c.Helo {
		t.Errorf("HELO %q from %q", r.Helo, value)
	}
}
