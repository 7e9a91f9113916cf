package mta_test

import (
	"fmt"
	"strings"
	"testing"

	"authmilter/test/mta"
)

// TestFieldNames checks that no MTA shows a milter a field under a name that
// only some readers take for the usual one, and that cannot be changed by that
// name. Each MTA repairs the name first, refuses the message, or ends the
// header there, so that the field becomes text.
func TestFieldNames(t *testing.T) {
	const name = "Authentication-Results"
	const (
		mended  = "mended"  // shown and passed on under the usual name
		body    = "body"    // the header ends before the field
		refused = "refused" // no milter sees the message
	)
	tests := []struct{ sent, postfix, sendmail string }{
		{name + " ", mended, mended},
		{name + "\t", mended, mended},
		{name + " \t ", mended, mended},
		{name + "\x0b", body, mended},
		{"Authentication -Results", body, body},
		{"Authentication-\x01Results", body, body},
		{"Authentication-\x1fResults", body, body},
		{"Authentication-\x00Results", body, mended},
		{"Authentication-\rResults", body, refused},
		{name + "\x7f", body, refused},
		{"Authentication-\x85Results", body, body},
		{"Authentication-\xadResults", body, body},
		{name + "\xa0", body, body},
		{"Authentication-\u200bResults", body, body},
		{"\ufeff" + name, body, body},
	}
	run := func(t *testing.T, rec recording, m mta.MTA, want func(i int) string) {
		for i, test := range tests {
			t.Run(fmt.Sprintf("%q", test.sent), func(t *testing.T) {
				client := stranger()
				d := m.Deliver(t, client, mta.Message{
					From: "a@example.com",
					To:   "x@" + mta.Domain,
					Data: []byte("First: 1\r\n" + test.sent + ": x\r\nLast: 1\r\n\r\nbody\r\n"),
				})[0]
				s := rec.next(t, client)
				shown := strings.Join(s.fields, " ")
				var got string
				switch {
				case d.Code >= 400:
					got = refused
				case shown == `"First" " 1" "`+name+`" " x" "Last" " 1"` && string(d.Header) == "First: 1\r\n"+name+": x\r\nLast: 1\r\n":
					got = mended
				case shown == `"First" " 1"` && string(d.Header) == "First: 1\r\n" && strings.HasSuffix(string(d.Body), ": x\r\nLast: 1\r\n\r\nbody\r\n"):
					got = body
				}
				if got != want(i) {
					t.Errorf("%q: %q, want %q: answered %s, shown %s, passed on %q | %q", test.sent, got, want(i), d.Reply, shown, d.Header, d.Body)
				}
			})
		}
	}
	t.Run("Postfix", func(t *testing.T) {
		rec, port := serveRecorder(t)
		run(t, rec, mta.StartPostfix(t, "inet:"+mta.Loopback(port)), func(i int) string { return tests[i].postfix })
	})
	t.Run("Sendmail", func(t *testing.T) {
		rec, port := serveRecorder(t)
		run(t, rec, mta.StartSendmail(t, fmt.Sprintf("inet:%d@127.0.0.1", port)), func(i int) string { return tests[i].sendmail })
	})
}
