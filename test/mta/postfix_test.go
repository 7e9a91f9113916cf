package mta_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"authmilter/test/mta"
	"authmilter/test/paths"
)

// TestPostfix checks what the rig promises, and what authmilter takes for
// granted about Postfix.
func TestPostfix(t *testing.T) {
	rec, port := serveRecorder(t)
	p := mta.StartPostfix(t, "inet:"+mta.Loopback(port))
	client := mta.Client{Addr: netip.MustParseAddr("192.0.2.1"), Name: "out.example.com", Helo: "helo.example.com"}

	t.Run("fields", func(t *testing.T) { testFields(t, rec, p, postfixFields()) })
	t.Run("body", func(t *testing.T) { testBody(t, rec, p, postfixBodies()) })
	t.Run("paths", func(t *testing.T) {
		testPaths(t, rec, p, func(path paths.Path) paths.Word { return path.Postfix })
	})
	t.Run("dialogue", func(t *testing.T) { testPostfixDialogue(t, rec, p, client) })
	t.Run("refused", func(t *testing.T) {
		d := p.Deliver(t, client, mta.Message{From: "a@example.com", To: "b@elsewhere.example", Data: []byte("\r\n")})[0]
		if d.Code != 554 || d.Header != nil {
			t.Errorf("a message for elsewhere: %d %s, header %q", d.Code, d.Reply, d.Header)
		}
	})
}

func postfixFields() []fieldTest {
	long := strings.Repeat("x", 5000)
	folded := strings.Repeat("\r\n\tmore of it", 1000)
	return append(plainFields(), []fieldTest{
		{sent: "Subject: " + long, shown: `"Subject" " ` + long + `"`},
		{sent: "To: a" + folded, shown: fmt.Sprintf(`"To" %q`, " a"+strings.ReplaceAll(folded, "\r", ""))},
		// What Postfix changes, it changes before the milter sees it, so no
		// verdict is about octets that are not passed on.
		{sent: "Subject : space", shown: `"Subject" " space"`, passed: "Subject: space"},
		{sent: "Subject: a\x00b", shown: `"Subject" " a"`, passed: "Subject: a"},
		{sent: "Subject: a\rb", shown: `"Subject" " a b"`, passed: "Subject: a b"},
		{sent: "Subject: a\nSubject: b", shown: `"Subject" " a" "Subject" " b"`, passed: "Subject: a\r\nSubject: b"},
		{sent: "Bcc: a@example.com", passed: "-"},
		{sent: "Return-Path: <a@example.com>", passed: "-"},
	}...)
}

func postfixBodies() []bodyTest {
	return append(plainBodies(), bodyTest{name: "bare CR and LF", sent: "a\rb\nc\r\n", passed: "a b\r\nc\r\n"})
}

// testPostfixDialogue checks what a milter is told, and when.
func testPostfixDialogue(t *testing.T, rec recording, p *mta.Postfix, client mta.Client) {
	d := p.Deliver(t, client,
		mta.Message{From: "A@Example.Com", To: "x@" + mta.Domain, Data: []byte("Subject: a\r\n\r\nbody\r\n")},
		mta.Message{To: "x@" + mta.Domain, Args: "BODY=8BITMIME SMTPUTF8", Data: []byte("Subject: ü\r\n\r\n")},
	)
	if !strings.Contains(d[1].Args, "BODY=8BITMIME SMTPUTF8") {
		t.Errorf("passed on with %q", d[1].Args)
	}
	user := mta.Client{Addr: netip.MustParseAddr("2001:db8::1"), Helo: `a(b;c"`, Login: "joe"}
	p.Deliver(t, user,
		mta.Message{From: "ü@bücher.example", To: "x@" + mta.Domain, Args: "SMTPUTF8", Data: []byte("no header\r\n")})
	got := append(rec.next(t, client).events, rec.next(t, user).events...)
	want := []string{
		"CONNECT out.example.com tcp4 192.0.2.1",
		"HELO helo.example.com",
		`MAIL <A@Example.Com> "" login=""`,
		"RCPT <x@rcpt.example.org> queue id: false",
		"DATA queue id: true",
		"EOH",
		"BODY 6",
		"EOM",
		"ABORT",
		`MAIL <> "BODY=8BITMIME SMTPUTF8" login=""`,
		"RCPT <x@rcpt.example.org> queue id: false",
		"DATA queue id: true",
		"EOH",
		"EOM",
		"ABORT",
		"CONNECT [2001:db8::1] tcp6 2001:db8::1",
		`HELO a(b;c"`,
		`MAIL <ü@bücher.example> "SMTPUTF8" login="joe"`,
		"RCPT <x@rcpt.example.org> queue id: false",
		"DATA queue id: true",
		"EOH",
		"BODY 11",
		"EOM",
		"ABORT",
	}
	if !slices.Equal(got, want) {
		t.Errorf("dialogue:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
