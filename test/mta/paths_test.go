package mta_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/d--j/go-milter"

	"authmilter/test/mta"
	"authmilter/test/paths"
)

// testPaths checks what an MTA says about paths that clients write: the macro
// {mail_addr} for each MAIL, and {rcpt_addr} for some RCPTs.
func testPaths(t *testing.T, rec recording, m mta.MTA, word func(paths.Path) paths.Word) {
	// Few enough that no MTA takes the session for an attack.
	for some := range slices.Chunk(paths.Load(t), 8) {
		t.Run("MAIL", func(t *testing.T) { testSenders(t, rec, m, some, word) })
	}
	t.Run("RCPT", func(t *testing.T) { testRecipients(t, rec, m) })
}

func testSenders(t *testing.T, rec recording, m mta.MTA, some []paths.Path, word func(paths.Path) paths.Word) {
	var messages []mta.Message
	var want []string
	for _, p := range some {
		msg := mta.Message{MailArg: p.Text, To: "x@" + mta.Domain, Data: []byte("Subject: path\r\n\r\n")}
		if p.Text == "" {
			msg.MailArg = "<>" // go-milter turns an empty path into this
		}
		if strings.ContainsFunc(p.Text, func(r rune) bool { return r >= 0x80 }) {
			msg.Args = "SMTPUTF8"
		}
		messages = append(messages, msg)
		if w := word(p); !w.Refused {
			want = append(want, "{mail_addr}="+w.Macro)
		}
	}
	client := stranger()
	for i, d := range m.Deliver(t, client, messages...) {
		if refused := word(some[i]).Refused; (d.Code >= 300) != refused {
			t.Errorf("%q: answered %q, refused %t", some[i].Text, d.Reply, refused)
		}
	}
	got := slices.DeleteFunc(rec.next(t, client).macros, func(macro string) bool { return strings.HasPrefix(macro, "{rcpt") })
	if !slices.Equal(got, want) {
		t.Errorf("macros\n%q, want\n%q", got, want)
	}
}

func testRecipients(t *testing.T, rec recording, m mta.MTA) {
	client := stranger()
	var messages []mta.Message
	for _, argument := range []string{"<#x@rcpt.example.org>", "< #x@rcpt.example.org >", "(c)<#x@rcpt.example.org>", "<#x@(c)rcpt.example.org>", "<<#x@rcpt.example.org>>"} {
		messages = append(messages, mta.Message{From: "a@example.com", To: "x@" + mta.Domain, RcptArg: argument, Data: []byte("Subject: path\r\n\r\n")})
	}
	for i, d := range m.Deliver(t, client, messages...) {
		if d.Code != 250 {
			t.Errorf("%q: answered %q", messages[i].RcptArg, d.Reply)
		}
	}
	recipients := 0
	for _, macro := range rec.next(t, client).macros {
		if address, ok := strings.CutPrefix(macro, "{rcpt_addr}="); ok {
			recipients++
			if _, mailbox, _ := strings.Cut(address, "."); mailbox != "x@"+mta.Domain {
				t.Errorf("%s", macro)
			}
		}
	}
	if recipients != len(messages) {
		t.Errorf("%d recipients known, %d sent", recipients, len(messages))
	}
}

// note records the macro with the path that the MTA means.
func (c *recorder) note(name milter.MacroName, m milter.Modifier) {
	if value, ok := m.GetEx(name); ok {
		c.macros = append(c.macros, name+"="+value)
	}
}
