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

// TestSendmail checks what the rig promises, and what authmilter takes for
// granted about Sendmail.
func TestSendmail(t *testing.T) {
	rec, port := serveRecorder(t)
	s := mta.StartSendmail(t, fmt.Sprintf("inet:%d@127.0.0.1", port))
	client := mta.Client{Addr: netip.MustParseAddr("192.0.2.1"), Name: "out.example.com", Helo: "helo.example.com"}

	t.Run("fields", func(t *testing.T) { testFields(t, rec, s, sendmailFields()) })
	t.Run("body", func(t *testing.T) { testBody(t, rec, s, sendmailBodies()) })
	t.Run("paths", func(t *testing.T) {
		testPaths(t, rec, s, func(path paths.Path) paths.Word { return path.Sendmail })
	})
	t.Run("dialogue", func(t *testing.T) { testSendmailDialogue(t, rec, s, client) })
	t.Run("refused", func(t *testing.T) {
		d := s.Deliver(t, client, mta.Message{From: "a@example.com", To: "b@elsewhere.example", Data: []byte("\r\n")})[0]
		if d.Code != 550 || d.Header != nil {
			t.Errorf("a message for elsewhere: %d %s, header %q", d.Code, d.Reply, d.Header)
		}
	})
}

const (
	bareCR = "421 4.5.0 Bare carriage return (CR) not allowed"
	bareLF = "421 4.5.0 Bare linefeed (LF) not allowed"
)

func sendmailFields() []fieldTest {
	long := "Subject: " + strings.Repeat("x", 5000)
	folded := strings.Repeat("\r\n\t<more@example.com>", 1000)
	return append(plainFields(), []fieldTest{
		{sent: "References:" + folded, shown: fmt.Sprintf(`"References" %q`, strings.ReplaceAll(folded, "\r", ""))},
		{sent: "Subject : space", shown: `"Subject" " space"`, passed: "Subject: space"},
		{sent: "Subject: a\x00b", shown: `"Subject" " ab"`, passed: "Subject: ab"},
		{sent: "Subject: a\rb", refused: bareCR},
		{sent: "Subject: a\nSubject: b", refused: bareLF},
		// What Sendmail changes from here on, it changes after the milter saw
		// it. No verdict covers it, and a signature made by the milter cannot
		// foresee it.
		{sent: long, shown: fmt.Sprintf(`"Subject" %q`, strings.TrimPrefix(long, "Subject:")), passed: long[:2303]},
		{sent: "To: a@example.com,b@example.com", shown: `"To" " a@example.com,b@example.com"`, passed: "To: a@example.com, b@example.com"},
		{sent: "To: A <a@example.com>,\r\n\tB <b@example.com>", shown: `"To" " A <a@example.com>,\n\tB <b@example.com>"`, passed: "To: A <a@example.com>, B <b@example.com>"},
		{sent: "Cc: a", shown: `"Cc" " a"`, passed: "Cc: a@" + mta.Hostname},
		{sent: "Reply-To:<a@example.com>", shown: `"Reply-To" "<a@example.com>"`},
		{sent: "Bcc: a@example.com", shown: `"Bcc" " a@example.com"`, passed: "Bcc:"},
		{sent: "Return-Path: <a@example.com>", shown: `"Return-Path" " <a@example.com>"`, passed: "-"},
	}...)
}

func sendmailBodies() []bodyTest {
	return append(plainBodies(),
		bodyTest{name: "bare CR", sent: "a\rb\r\n", refused: bareCR},
		bodyTest{name: "bare LF", sent: "a\nb\r\n", refused: bareLF},
	)
}

// testSendmailDialogue checks what a milter is told, and when.
func testSendmailDialogue(t *testing.T, rec recording, s *mta.Sendmail, client mta.Client) {
	s.Deliver(t, client,
		mta.Message{From: "A@Example.Com", To: "x@" + mta.Domain, Data: []byte("Subject: a\r\n\r\nbody\r\n")},
		mta.Message{To: "x@" + mta.Domain, Args: "BODY=8BITMIME", Data: []byte("Subject: \xfc\r\n\r\n")},
	)
	user := mta.Client{Addr: netip.MustParseAddr("2001:db8::1"), Helo: `a(b;c"`, Login: "joe"}
	s.Deliver(t, user,
		mta.Message{From: "a@example.com", To: "x@" + mta.Domain, Data: []byte("no header\r\n")})
	got := append(rec.next(t, client).events, rec.next(t, user).events...)
	want := []string{
		"CONNECT out.example.com tcp4 192.0.2.1",
		"HELO helo.example.com",
		`MAIL <A@Example.Com> "" login=""`,
		"RCPT <x@rcpt.example.org> queue id: true",
		"DATA queue id: true",
		"EOH",
		"BODY 6",
		"EOM",
		"ABORT",
		`MAIL <> "BODY=8BITMIME" login=""`,
		"RCPT <x@rcpt.example.org> queue id: true",
		"DATA queue id: true",
		"EOH",
		"EOM",
		"CONNECT [IPv6:2001:db8:0:0:0:0:0:1] tcp6 2001:db8::1",
		`HELO a(b;c"`,
		`MAIL <a@example.com> "" login="joe"`,
		"RCPT <x@rcpt.example.org> queue id: true",
		"DATA queue id: true",
		"EOH",
		"BODY 11",
		"EOM",
	}
	if !slices.Equal(got, want) {
		t.Errorf("dialogue:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
