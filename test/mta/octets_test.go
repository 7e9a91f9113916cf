package mta_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"authmilter/test/mta"
)

// fieldTest is a header field, as it is sent and as an MTA treats it.
type fieldTest struct {
	sent  string
	shown string // name and value, quoted; "" if the field is hidden
	// passed is what reaches the next hop; "" means what was sent, "-" means
	// that the field does not.
	passed string
	// refused is the reply of an MTA that refuses messages with the field.
	refused string
}

// plainFields are fields that every MTA passes on unchanged.
func plainFields() []fieldTest {
	return []fieldTest{
		{sent: "Subject: one", shown: `"Subject" " one"`},
		{sent: "Subject:  two  spaces ", shown: `"Subject" "  two  spaces "`},
		{sent: "sUBJECT:none", shown: `"sUBJECT" "none"`},
		{sent: "Subject:\ttab", shown: `"Subject" "\ttab"`},
		{sent: "Subject:", shown: `"Subject" ""`},
		{sent: "Subject:\r\n at once", shown: `"Subject" "\n at once"`},
		{sent: "Subject: one\r\n\ttwo\r\n   three\r\n\t\r\n four", shown: `"Subject" " one\n\ttwo\n   three\n\t\n four"`},
		{sent: "Subject: \xff\xfe raw", shown: `"Subject" " \xff\xfe raw"`},
		{sent: "Received: from a by b; c", shown: `"Received" " from a by b; c"`},
	}
}

// testFields checks how the octets of header fields reach a milter, and the next
// hop.
func testFields(t *testing.T, rec recording, m mta.MTA, tests []fieldTest) {
	for _, tt := range tests {
		t.Run(fmt.Sprintf("%.30q", tt.sent), func(t *testing.T) { testField(t, rec, m, tt) })
	}
}

func testField(t *testing.T, rec recording, m mta.MTA, tt fieldTest) {
	client := stranger()
	d := m.Deliver(t, client, mta.Message{
		From: "a@example.com",
		To:   "x@" + mta.Domain,
		Data: []byte("First: 1\r\n" + tt.sent + "\r\nLast: 1\r\n\r\n"),
	})[0]
	fields := rec.next(t, client).fields
	if tt.refused != "" {
		if d.Reply != tt.refused {
			t.Errorf("answered %q, want %q", d.Reply, tt.refused)
		}
		return
	}
	if d.Code != 250 {
		t.Fatalf("answered %s", d.Reply)
	}
	if want := "X-Inserted: first;\r\n\tsecond\r\n"; string(d.Top) != want {
		t.Errorf("%q is above the MTA's own field, want %q", d.Top, want)
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
		t.Errorf("passed on %.200q, want %.200q", d.Header, want)
	}
	want := `"First" " 1" "Last" " 1"`
	if tt.shown != "" {
		want = `"First" " 1" ` + tt.shown + ` "Last" " 1"`
	}
	if got := strings.Join(fields, " "); got != want {
		t.Errorf("shown as %.200s, want %.200s", got, want)
	}
}

// bodyTest is the body of a message, as it is sent and as an MTA treats it.
type bodyTest struct {
	name, sent string
	passed     string // "" means what was sent
	refused    string // the reply of an MTA that refuses messages with the body
}

// plainBodies are bodies that every MTA passes on unchanged.
func plainBodies() []bodyTest {
	return []bodyTest{
		{name: "empty"},
		{name: "only empty lines", sent: "\r\n\r\n"},
		{name: "dots", sent: ".\r\n..\r\n.x\r\n\r\n.\r\n"},
		{name: "8-bit and NUL", sent: "\xff \x00\r\n"},
		{name: "10 MB", sent: strings.Repeat(strings.Repeat("x", 78)+"\r\n", 10<<20/80)},
	}
}

// testBody checks that the body that reaches a milter is the one that reaches the
// next hop.
func testBody(t *testing.T, rec recording, m mta.MTA, tests []bodyTest) {
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			client := stranger()
			d := m.Deliver(t, client, mta.Message{
				From: "a@example.com",
				To:   "x@" + mta.Domain,
				Args: "BODY=8BITMIME",
				Data: []byte("Subject: body\r\n\r\n" + tt.sent),
			})[0]
			shown := rec.next(t, client).body
			if tt.refused != "" {
				if d.Reply != tt.refused {
					t.Errorf("answered %q, want %q", d.Reply, tt.refused)
				}
				return
			}
			want := tt.passed
			if want == "" {
				want = tt.sent
			}
			if string(d.Body) != want || !bytes.Equal(shown, d.Body) {
				t.Errorf("answered %s: shown %.60q, passed on %.60q, want %.60q", d.Reply, shown, d.Body, want)
			}
		})
	}
}
