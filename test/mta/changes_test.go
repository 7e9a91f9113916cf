package mta_test

import (
	"bytes"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"authmilter/test/mta"
)

// changeTest is something in a message that an MTA may change on the way. The table
// in docs/mta.md shows what becomes of it.
type changeTest struct {
	name string
	// fields are header lines, without the last CRLF; body is the body instead.
	fields, body string
	// bare reports that there are no other fields.
	bare bool
}

// changeTests are the rows of the table in docs/mta.md.
func changeTests() []changeTest {
	x := strings.Repeat
	return []changeTest{
		{name: "a line of 989 octets", fields: "X: " + x("x", 986)},
		{name: "a line of 998 octets, the most that RFC 5322 allows", fields: "X: " + x("x", 995)},
		{name: "a line of 999 octets", fields: "X: " + x("x", 996)},
		{name: "a line of 2,303 octets", fields: "X: " + x("x", 2300)},
		{name: "a line of 3,003 octets", fields: "X: " + x("x", 3000)},
		{name: "one of several lines of a field", fields: "X: a\r\n " + x("x", 1200) + "\r\n b"},
		{name: "a name of 200 octets", fields: x("n", 200) + ": a"},
		{name: "a name of 300 octets", fields: x("n", 300) + ": a"},
		{name: "a name of 1,100 octets", fields: x("n", 1100) + ": a"},
		{name: "a line of 1,200 octets in the body", body: x("x", 1200) + "\r\n"},

		{name: "an author domain at the break", fields: `From: "B` + x(" ", 970) + `" <joe@bank.example-x.attacker.example>`},
		{name: "an authserv-id at Postfix's break", fields: "Authentication-Results: (" + x("a", 957) + ")mx.example.org1; dmarc=pass"},
		{name: "an authserv-id at Sendmail's break", fields: "Authentication-Results: (" + x("a", 949) + ")mx.example.org1; dmarc=pass"},

		{name: "a name in quotes of 200 octets", fields: `From: "joe@bank.example ` + x("c", 200) + `" <x@attacker.example>`},
		{name: "a name in quotes of 300 octets", fields: `From: "joe@bank.example ` + x("c", 300) + `" <x@attacker.example>`},
		{name: "a name in quotes over several lines", fields: `From: "joe@bank.example` + x("\r\n "+x("c", 900), 3) + "\"\r\n <x@attacker.example>"},
		{name: "a word of 300 octets in a name", fields: "From: joe@bank.example " + x("c", 300) + " <x@attacker.example>"},
		{name: "many words in a name", fields: "From: joe@bank.example" + x("\r\n"+x(" c", 400), 3) + " <x@attacker.example>"},
		{name: "a label of 300 octets", fields: "From: x@" + x("a", 300) + ".attacker.example"},
		{name: "a comment of 300 octets", fields: "From: joe@bank.example (" + x("c", 300) + ") <x@attacker.example>"},
		{name: "a comment of 900 octets", fields: "From: joe@bank.example (" + x("c", 900) + ") <x@attacker.example>"},
		{name: "two addresses without a comma", fields: "From: joe@bank.example bob@attacker.example"},
		{name: "two addresses in brackets", fields: "From: <joe@bank.example> <bob@attacker.example>"},
		{name: "two authors", fields: "From: joe@bank.example,bob@attacker.example"},
		{name: "two From fields", fields: "From: joe@bank.example\r\nFrom: bob@attacker.example"},
		{name: "no domain", fields: "From: joe"},
		{name: "two words", fields: "From: Joe Doe"},
		{name: "a percent sign instead of an @", fields: "From: joe%bank.example"},
		{name: "an exclamation mark instead of an @", fields: "From: bank.example!joe"},
		{name: "a source route", fields: "From: <@route.example:joe@bank.example>"},
		{name: "a blank in a domain", fields: "From: joe@bank .example"},
		{name: "a dot behind a domain", fields: "From: joe@bank.example."},
		{name: "a bracket that is not closed", fields: "From: <joe@bank.example"},
		{name: "a bracket that was not opened", fields: "From: joe@bank.example>"},
		{name: "quotes that are not closed", fields: `From: "joe <x@attacker.example>`},
		{name: "an address before the brackets", fields: `From: "joe"@bank.example <x@attacker.example>`},
		{name: "a fold in a name", fields: "From: Joe\r\n Doe\r\n <joe@example.com>"},
		{name: "an empty From", fields: "From:"},
		{name: "neither From nor Date nor Message-ID", bare: true},

		{name: "white space before the colon", fields: "Subject \t : a"},
		{name: "a fold before the colon", fields: "Subject\r\n : a"},
		{name: "a blank in a name", fields: "Sub ject: a"},
		{name: "8-bit octets in a name", fields: "Fr\u00f6m: a"},
		{name: "a control character in a name", fields: "Sub\x7fject: a"},
		{name: "no name", fields: ": a"},
		{name: "no colon", fields: "Subject"},
		{name: "other characters in a name", fields: "\"Fr(om\";: a"},

		{name: "NUL in a value", fields: "From: joe@bank.example\x00.attacker.example"},
		{name: "NUL in a name", fields: "Fr\x00om: joe@bank.example"},
		{name: "a lone CR", fields: "X: a\rb"},
		{name: "a lone LF", fields: "X: a\nFrom: joe@bank.example"},
		{name: "8-bit octets in a value", fields: "From: \"j\u00f6e\" <joe@b\u00fccher.example>\r\nX: \xe9\xff"},
		{name: "NUL in the body", body: "a\x00b\r\n"},
		{name: "8-bit octets in the body", body: "\xe9\xff\r\n"},

		{name: "a line of a blank in a field", fields: "X: a\r\n \r\n b"},
		{name: "a line of a TAB at the end of a field", fields: "X: a\r\n\t\r\nY: b"},
		{name: "a field of a blank line", fields: "X:\r\n \r\nY: b"},
		{name: "blanks at the ends of lines", fields: "X: a \r\n b\t"},

		{name: "a header of more than 32 KiB", fields: x("X: 0123456789\r\n", 2500) + "Y: a"},
		{name: "a header of more than 100 KiB", fields: x("X: 0123456789\r\n", 8000) + "Y: a"},
		{name: "a field of more than 100 KiB", fields: "X:" + x("\r\n\t<more@example.com>", 6000)},

		{name: "Bcc", fields: "Bcc: a@example.com"},
		{name: "Return-Path", fields: "Return-Path: <a@example.com>"},
		{name: "Content-Length", fields: "Content-Length: 5"},
		{name: "Full-Name", fields: "Full-Name: Joe"},
		{name: "a parameter of 3,000 octets in Content-Type", fields: "Content-Type: text/plain; charset=" + x("u", 3000)},
		{name: "a parameter of 3,000 octets in Content-Disposition", fields: "Content-Disposition: inline; filename=" + x("u", 3000)},
	}
}

// TestChanges compares the table in docs/mta.md with both MTAs: what they show a
// milter, and what they pass on. AUTHMILTER_UPDATE=1 rewrites it. If it changes,
// authmilter may judge something other than what readers get.
func TestChanges(t *testing.T) {
	rec, port := serveRecorder(t)
	postfix := mta.StartStockPostfix(t, "inet:"+mta.Loopback(port), false)
	sendmailRec, port := serveRecorder(t)
	sendmail := mta.StartStockSendmail(t, fmt.Sprintf("inet:%d@127.0.0.1", port))
	table := "| what is sent | Postfix shows a milter | and passes on | Sendmail shows a milter | and passes on over SMTP | over LMTP |\n| --- | --- | --- | --- | --- | --- |\n"
	for _, test := range changeTests() {
		t.Run(test.name, func(t *testing.T) {
			bySMTP := passThrough(t, rec, postfix, mta.Domain, test)
			byLMTP := passThrough(t, rec, postfix, mta.LMTPDomain, test)
			if bySMTP != byLMTP {
				t.Errorf("Postfix shows and passes on\n%+v over SMTP,\n%+v over LMTP", bySMTP, byLMTP)
			}
			cells := []string{test.name, bySMTP.shown, bySMTP.passed}
			bySMTP = passThrough(t, sendmailRec, sendmail, mta.Domain, test)
			byLMTP = passThrough(t, sendmailRec, sendmail, mta.LMTPDomain, test)
			if bySMTP.shown != byLMTP.shown {
				t.Errorf("Sendmail shows\n%s for SMTP,\n%s for LMTP", bySMTP.shown, byLMTP.shown)
			}
			table += row(append(cells, bySMTP.shown, bySMTP.passed, byLMTP.passed)...)
		})
	}
	compareTable(t, "changes", table)
}

// TestChangesForOwnClients checks another table in docs/mta.md: what Postfix
// rewrites for its own clients before milters see it.
func TestChangesForOwnClients(t *testing.T) {
	rec, port := serveRecorder(t)
	postfix := mta.StartStockPostfix(t, "inet:"+mta.Loopback(port), true)
	table := "| what is sent | Postfix shows a milter | and passes on |\n| --- | --- | --- |\n"
	for _, test := range []changeTest{
		{name: "no domain", fields: "From: joe"},
		{name: "two words", fields: "From: Joe Doe"},
		{name: "a percent sign instead of an @", fields: "From: joe%bank.example"},
		{name: "a source route", fields: "From: <@route.example:joe@bank.example>"},
		{name: "a bracket that is not closed", fields: "From: <joe@bank.example"},
		{name: "neither From nor Date nor Message-ID", bare: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := passThrough(t, rec, postfix, mta.Domain, test)
			table += row(test.name, p.shown, p.passed)
		})
	}
	compareTable(t, "own", table)
}

// row returns a row of a table.
func row(cells ...string) string { return "| " + strings.Join(cells, " | ") + " |\n" }

// passage is what became of something in a message: cells of the table.
type passage struct{ shown, passed string }

// changeFields are in every message except a bare one.
const changeFields = "From: a@example.com\r\nDate: Wed, 25 Nov 2026 10:00:00 +0000\r\nMessage-ID: <1@example.com>\r\n"

func passThrough(t *testing.T, rec recording, m mta.MTA, domain string, test changeTest) passage {
	t.Helper()
	first, last := "First: 1\r\n", "Last: 1\r\n"+changeFields
	if strings.HasPrefix(test.fields, "From") || strings.Contains(test.fields, "\nFrom") {
		last = strings.Replace(last, "From: a@example.com\r\n", "", 1)
	}
	if test.bare {
		last = "Last: 1\r\n"
	}
	sent, body := test.fields+"\r\n", "body\r\n"
	if test.fields == "" {
		sent = ""
	}
	if test.body != "" {
		sent, body = test.body, test.body
	}
	header := first + last
	if test.fields != "" {
		header = first + sent + last
	}
	client := stranger()
	d := m.Deliver(t, client, mta.Message{
		From: "a@example.com", To: "x@" + domain, Args: "BODY=8BITMIME", Data: []byte(header + "\r\n" + body),
	})[0]
	session := rec.next(t, client)
	if d.Code >= 300 {
		return passage{"nothing", "refused: " + code(d.Reply)}
	}
	shownHeader := ""
	for _, f := range session.raw {
		shownHeader += f + "\r\n"
	}
	if test.body != "" {
		return passage{cell(string(session.body), sent), cell(string(d.Body), sent)}
	}
	shown := strip(shownHeader, string(session.body), first, last)
	passed := strip(string(d.Header), string(d.Body), first, last)
	if test.bare {
		sent = ""
	}
	return passage{cell(shown, sent), cell(passed, sent)}
}

// strip returns a header without the fields before and after those under test. If
// the header ended early, the result says so.
func strip(header, body, first, last string) string {
	if before, behind, ok := strings.Cut(header, first); ok {
		header = before + behind
	}
	rest, added := header, ""
	if i := strings.Index(header, last); i >= 0 {
		rest, added = header[:i], header[i+len(last):]
	} else if strings.Contains(body, last) {
		added = endsHeader
	}
	return volatile.ReplaceAllStringFunc(rest+added, func(s string) string {
		if strings.HasPrefix(s, "<") {
			return "<ID>"
		}
		return "DATE"
	})
}

// endsHeader marks that the rest of the header is shown or passed on as body.
const endsHeader = "\x00"

// volatile matches text that depends on the time.
var volatile = regexp.MustCompile(`<[0-9.]+[0-9A-Za-z.]*@mx\.example\.org>|\w{3}, [ \d]?\d \w{3} \d{4} [\d:]{8} (?:GMT|[-+]\d{4} \(\w+\))`)

// cell describes what an MTA made of the text that was sent.
func cell(got, sent string) string {
	got, ends := strings.CutSuffix(got, endsHeader)
	text := ""
	switch {
	case got == sent && sent == "":
		text = "nothing"
	case got == sent:
		text = "the same"
	case got != "":
		text = code(got)
	case !ends:
		text = "nothing"
	}
	if ends {
		if text != "" {
			text += "; "
		}
		text += "the header ends here"
	}
	return text
}

// code returns text in Markdown, quoted and with repeated octets counted: "x{3}".
func code(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); {
		unit, count := 1, 1
		for u := 1; u <= 24 && i+u <= len(s); u++ {
			n := 1
			for i+(n+1)*u <= len(s) && s[i+n*u:i+(n+1)*u] == s[i:i+u] {
				n++
			}
			if n > 3 && n*u > 12 {
				unit, count = u, n
				break
			}
		}
		quoted := fmt.Sprintf("%+q", s[i:i+unit])
		quoted = strings.ReplaceAll(quoted[1:len(quoted)-1], `\"`, `"`)
		switch {
		case count == 1:
			b.WriteString(quoted)
		case unit == 1:
			fmt.Fprintf(&b, "%s{%d}", quoted, count)
		default:
			fmt.Fprintf(&b, "(%s){%d}", quoted, count)
		}
		i += unit * count
	}
	return "`" + strings.ReplaceAll(strings.TrimSuffix(b.String(), `\r\n`), "|", `\|`) + "`"
}

// compareTable compares a table with the one between two marks in docs/mta.md, or
// writes it there if AUTHMILTER_UPDATE is set.
func compareTable(t *testing.T, name, table string) {
	t.Helper()
	const page = "../../docs/mta.md"
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	begin, end := []byte("<!-- begin "+name+" -->\n"), []byte("<!-- end "+name+" -->\n")
	before, rest, ok := bytes.Cut(text, begin)
	documented, after, ended := bytes.Cut(rest, end)
	if !ok || !ended {
		t.Fatalf("%s has no table %q", page, name)
	}
	if string(documented) == table {
		return
	}
	if os.Getenv("AUTHMILTER_UPDATE") != "" {
		if t.Failed() {
			t.Fatalf("%s is not rewritten: a row of %q failed", page, name)
		}
		text = bytes.Join([][]byte{before, begin, []byte(table), end, after}, nil)
		if err := os.WriteFile(page, text, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	// Rows are compared by their subject. A row that is missing because its test
	// failed has been reported.
	says, does := rows(string(documented)), rows(table)
	for about, row := range does {
		if row != says[about] {
			t.Errorf("an MTA does not do what %s says. It does:\n%s\nThe page says:\n%s", page, row, says[about])
		}
	}
	for about, row := range says {
		if does[about] == "" && !t.Failed() {
			t.Errorf("%s has a row that is about nothing we know:\n%s", page, row)
		}
	}
	if !t.Failed() {
		t.Errorf("the rows of table %q in %s are in another order", name, page)
	}
}

// rows returns the rows of a table by their first cell.
func rows(table string) map[string]string {
	all := map[string]string{}
	for line := range strings.Lines(table) {
		about, _, _ := strings.Cut(strings.TrimPrefix(line, "| "), " | ")
		all[about] = line
	}
	return all
}
