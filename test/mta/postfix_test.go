package mta_test

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"authmilter/test/mta"
)

// TestPostfix holds the rig to what it promises, and Postfix to what authmilter
// takes for granted about it.
func TestPostfix(t *testing.T) {
	rec, addr := serveRecorder(t)
	p := mta.StartPostfix(t, addr)
	client := mta.Client{Addr: netip.MustParseAddr("192.0.2.1"), Name: "out.example.com", Helo: "helo.example.com"}

	t.Run("fields", func(t *testing.T) { testFields(t, rec, p, client) })
	t.Run("body", func(t *testing.T) { testBody(t, rec, p, client) })
	t.Run("dialogue", func(t *testing.T) { testDialogue(t, rec, p, client) })
	t.Run("refused", func(t *testing.T) {
		d := p.Deliver(t, client, mta.Message{From: "a@example.com", To: "b@elsewhere.example", Data: []byte("\r\n")})[0]
		if d.Code != 554 || d.Header != nil {
			t.Errorf("a message for elsewhere: %d %s, header %q", d.Code, d.Reply, d.Header)
		}
	})
}

// testFields shows how the octets of header fields reach a milter, and the next
// hop.
func testFields(t *testing.T, rec recording, p *mta.Postfix, client mta.Client) {
	long := strings.Repeat("x", 5000)
	folded := strings.Repeat("\r\n\tmore of it", 1000)
	tests := []struct {
		sent  string
		shown string // name and value, quoted; "" where the field is hidden
		// passed is what reaches the next hop; "" where that is what was sent,
		// "-" where the field does not.
		passed string
	}{
		{sent: "Subject: one", shown: `"Subject" " one"`},
		{sent: "Subject:  two  spaces ", shown: `"Subject" "  two  spaces "`},
		{sent: "sUBJECT:none", shown: `"sUBJECT" "none"`},
		{sent: "Subject:\ttab", shown: `"Subject" "\ttab"`},
		{sent: "Subject:", shown: `"Subject" ""`},
		{sent: "Subject:\r\n at once", shown: `"Subject" "\n at once"`},
		{sent: "Subject: one\r\n\ttwo\r\n   three\r\n\t\r\n four", shown: `"Subject" " one\n\ttwo\n   three\n\t\n four"`},
		{sent: "Subject: \xff\xfe raw", shown: `"Subject" " \xff\xfe raw"`},
		{sent: "Received: from a by b; c", shown: `"Received" " from a by b; c"`},
		{sent: "Subject: " + long, shown: `"Subject" " ` + long + `"`},
		{sent: "To: a" + folded, shown: fmt.Sprintf(`"To" %q`, " a"+strings.ReplaceAll(folded, "\r", ""))},
		// What Postfix changes it changes before the milter sees it, so that no
		// verdict is about octets that are not passed on.
		{sent: "Subject : space", shown: `"Subject" " space"`, passed: "Subject: space"},
		{sent: "Subject: a\x00b", shown: `"Subject" " a"`, passed: "Subject: a"},
		{sent: "Subject: a\rb", shown: `"Subject" " a b"`, passed: "Subject: a b"},
		{sent: "Subject: a\nSubject: b", shown: `"Subject" " a" "Subject" " b"`, passed: "Subject: a\r\nSubject: b"},
		{sent: "Bcc: a@example.com", passed: "-"},
		{sent: "Return-Path: <a@example.com>", passed: "-"},
	}
	messages := make([]mta.Message, len(tests))
	for i, tt := range tests {
		messages[i] = mta.Message{
			From: "a@example.com",
			To:   "x@" + mta.Domain,
			Data: []byte("First: 1\r\n" + tt.sent + "\r\nLast: 1\r\n\r\n"),
		}
	}
	deliveries := p.Deliver(t, client, messages...)
	fields := rec.next(t).fields
	for i, tt := range tests {
		d := deliveries[i]
		if d.Code != 250 {
			t.Errorf("%.60q: answered %s", tt.sent, d.Reply)
		}
		if want := "X-Inserted: first;\r\n\tsecond\r\n"; string(d.Top) != want {
			t.Errorf("%.60q: %q is above the MTA's own field, want %q", tt.sent, d.Top, want)
		}
		passed := tt.passed
		switch passed {
		case "":
			passed = tt.sent + "\r\n"
		case "-":
			passed = ""
		default:
			passed += "\r\n"
		}
		if want := "First: 1\r\n" + passed + "Last: 1\r\n"; string(d.Header) != want {
			t.Errorf("%.60q: passed on %.200q, want %.200q", tt.sent, d.Header, want)
		}
		// The fields of this message end at its Last.
		n := 1 + slices.Index(fields, `"Last" " 1"`)
		if got := strings.TrimPrefix(strings.Join(fields[1:max(1, n-1)], " "), " "); got != tt.shown {
			t.Errorf("%.60q: shown as %.200s, want %.200s", tt.sent, got, tt.shown)
		}
		fields = fields[n:]
	}
}

func testBody(t *testing.T, rec recording, p *mta.Postfix, client mta.Client) {
	for _, tt := range []struct{ name, sent, passed string }{
		{name: "empty"},
		{name: "no lines but empty ones", sent: "\r\n\r\n"},
		{name: "dots", sent: ".\r\n..\r\n.x\r\n\r\n.\r\n"},
		{name: "8-bit and NUL", sent: "\xff \x00\r\n"},
		{name: "bare CR and LF", sent: "a\rb\nc\r\n", passed: "a b\r\nc\r\n"},
		{name: "10 MB", sent: strings.Repeat(strings.Repeat("x", 78)+"\r\n", 10<<20/80)},
	} {
		d := p.Deliver(t, client, mta.Message{
			From: "a@example.com",
			To:   "x@" + mta.Domain,
			Args: "BODY=8BITMIME",
			Data: []byte("Subject: body\r\n\r\n" + tt.sent),
		})[0]
		shown := rec.next(t).body
		want := tt.passed
		if want == "" {
			want = tt.sent
		}
		if string(d.Body) != want || !bytes.Equal(shown, d.Body) {
			t.Errorf("%s: shown %.60q, passed on %.60q, want %.60q", tt.name, shown, d.Body, want)
		}
	}
}

// testDialogue shows what a milter is told, and when.
func testDialogue(t *testing.T, rec recording, p *mta.Postfix, client mta.Client) {
	d := p.Deliver(t, client,
		mta.Message{From: "A@Example.Com", To: "x@" + mta.Domain, Data: []byte("Subject: a\r\n\r\nbody\r\n")},
		mta.Message{To: "x@" + mta.Domain, Args: "BODY=8BITMIME SMTPUTF8", Data: []byte("Subject: ü\r\n\r\n")},
	)
	if !strings.Contains(d[1].Args, "BODY=8BITMIME SMTPUTF8") {
		t.Errorf("passed on with %q", d[1].Args)
	}
	p.Deliver(t, mta.Client{Addr: netip.MustParseAddr("2001:db8::1"), Helo: `a(b;c"`, Login: "joe"},
		mta.Message{From: "ü@bücher.example", To: "x@" + mta.Domain, Args: "SMTPUTF8", Data: []byte("no header\r\n")})
	got := append(rec.next(t).events, rec.next(t).events...)
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
