package mta_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"authmilter/test/mta"
)

// TestAnnounced checks which client a milter sees if another host announces it, as
// docs/relays.md says: after XCLIENT and the PROXY protocol the announced one, after
// XFORWARD the host that announces it.
func TestAnnounced(t *testing.T) {
	c := mta.Client{Addr: netip.MustParseAddr("203.0.113.5"), Name: "out.example.com", Helo: "helo.example.com"}
	for _, test := range []struct {
		name  string
		start func(t testing.TB, milter string) *mta.Postfix
		want  []string
	}{
		{"XCLIENT", mta.StartPostfix, []string{"CONNECT out.example.com tcp4 203.0.113.5", "HELO helo.example.com"}},
		{"PROXY", mta.StartPostfixBehindProxy, []string{"CONNECT [203.0.113.5] tcp4 203.0.113.5", "HELO helo.example.com"}},
		{"XFORWARD", mta.StartPostfixForwarded, []string{"CONNECT [127.0.0.1] tcp4 127.0.0.1", "HELO helo.example.com"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			rec, port := serveRecorder(t)
			m := test.start(t, "inet:"+mta.Loopback(port))
			d := m.Deliver(t, c, mta.Message{From: "a@example.com", To: "x@" + mta.Domain, Data: []byte("Subject: a\r\n\r\n")})[0]
			if d.Code != 250 {
				t.Fatal(d.Reply)
			}
			if got := rec.nextWithMail(t).events[:2]; !slices.Equal(got, test.want) {
				t.Errorf("the milter saw %q, want %q", got, test.want)
			}
		})
	}
}

// nextWithMail returns the next session with a message.
func (r recording) nextWithMail(t *testing.T) *session {
	t.Helper()
	for end := time.After(3 * time.Minute); ; {
		select {
		case s := <-r:
			if slices.ContainsFunc(s.events, func(e string) bool { return strings.HasPrefix(e, "MAIL ") }) {
				return s
			}
		case <-end:
			t.Fatal("no session with a message")
		}
	}
}
