package message

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"authmilter/verify/domain"
)

func TestParseAddressList(t *testing.T) {
	for _, c := range []struct {
		raw  string
		want []Mailbox
	}{
		{"a@b.example", []Mailbox{{"", "a", "b.example"}}},
		{" <a@B.Example> ", []Mailbox{{"", "a", "B.Example"}}},
		{"John Doe <a@b.example>", []Mailbox{{"John Doe", "a", "b.example"}}},
		{" John\r\n\t Doe  (him)\tX <a@b.example>", []Mailbox{{"John Doe X", "a", "b.example"}}},
		{"John Q. Public <a@b.example>", []Mailbox{{"John Q. Public", "a", "b.example"}}},
		{`"John \"\\\" \D." <a@b.example>`, []Mailbox{{`John "\" D.`, "a", "b.example"}}},
		{"\"John\r\n Doe\r\n\t\t\" <a@b.example>", []Mailbox{{"John Doe\t\t", "a", "b.example"}}},
		{"\"\r\n x\" <a@b.example>", []Mailbox{{" x", "a", "b.example"}}},
		{`"a" "b""c" d <a@b.example>`, []Mailbox{{"a bc d", "a", "b.example"}}},
		{`=?utf-8?q?J=C3=B6rg?= <a@b.example>`, []Mailbox{{"=?utf-8?q?J=C3=B6rg?=", "a", "b.example"}}},
		{"J\xf6rg <j\xf6rg@b\xf6.example>", []Mailbox{{"J\xf6rg", "j\xf6rg", "b\xf6.example"}}},
		{`"a b"@c.example`, []Mailbox{{"", "a b", "c.example"}}},
		{`"a\@b"@c.example`, []Mailbox{{"", "a@b", "c.example"}}},
		{`""@c.example`, []Mailbox{{"", "", "c.example"}}},
		{"a.b.c@d.example", []Mailbox{{"", "a.b.c", "d.example"}}},
		{`a . "b c"(x).d @ e (y) . (z) f.g`, []Mailbox{{"", "a.b c.d", "e.f.g"}}},
		{"a@b.c .d. e.f", []Mailbox{{"", "a", "b.c.d.e.f"}}},
		{"a@[192.0.2.1]", []Mailbox{{"", "a", "[192.0.2.1]"}}},
		{"a@[ IPv6:2001:db8::1\r\n ]", []Mailbox{{"", "a", "[IPv6:2001:db8::1]"}}},
		{"a@[]", []Mailbox{{"", "a", "[]"}}},
		{"<@x.example,@y.example:a@b.example>", []Mailbox{{"", "a", "b.example"}}},
		{"<,(c),@x.example,,: a@b.example>", []Mailbox{{"", "a", "b.example"}}},
		{"a@b.example,c@d.example", []Mailbox{{"", "a", "b.example"}, {"", "c", "d.example"}}},
		{",(x),a@b.example,,\r\n ,", []Mailbox{{"", "a", "b.example"}}},
		{"G:;", nil},
		{"G: ,(x), ;", nil},
		{`"G" H.: a@b.example, ,X <c@d.example>;, e@f.example`, []Mailbox{{"", "a", "b.example"}, {"X", "c", "d.example"}, {"", "e", "f.example"}}},
	} {
		got, err := ParseAddressList(c.raw)
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%q: got %q, %v; want %q", c.raw, got, err, c.want)
		}
		checkRoundTrip(t, c.raw)
	}
}

// Each kind of malformed text has its own reason.
func TestParseAddressListErrors(t *testing.T) {
	for _, c := range []struct{ raw, reason string }{
		{"", "no address"},
		{" , (x)", "no address"},
		{"John", "name without an address"},
		{"John, a@b.example", "name without an address"},
		{"a@b.example]", "text after an address"},
		{"a b@c.example", "local part that is not words and dots in turn"},
		{`a"b"@c.example`, "local part that is not words and dots in turn"},
		{"a.@c.example", "local part that is not words and dots in turn"},
		{"@c.example", "local part that is not words and dots in turn"},
		{"...@c.example", "local part that is not words and dots in turn"},
		{"a@", "domain with a label missing"},
		{"a@b..c", "domain with a label missing"},
		{"a@b.c.", "domain with a label missing"},
		{"a@[b", "domain literal not closed"},
		{"a@[b[", "domain literal within another"},
		{`a@[b\]]`, "character out of place in a domain literal"},
		{"a@[\x01]", "character out of place in a domain literal"},
		{"<a@b.example", "angle bracket not closed"},
		{"<a@b.example c>", "angle bracket not closed"},
		{"<a>", "no address in angle brackets"},
		{"<>", "no address in angle brackets"},
		{"(", "comment not closed"},
		{"a@b.example(", "comment not closed"},
		{"a (@b.example", "comment not closed"},
		{"a@(b.example", "comment not closed"},
		{"a@b(.example", "comment not closed"},
		{"a@b.(example", "comment not closed"},
		{"<(a@b.example>", "comment not closed"},
		{"<a@b.example(>", "comment not closed"},
		{"<a@b.example>(", "comment not closed"},
		{"<a@[b](>", "comment not closed"},
		{"<(@a:b@c.example>", "comment not closed"},
		{"<@a(:b@c.example>", "comment not closed"},
		{"<@a,(:b@c.example>", "comment not closed"},
		{"<@a:(b@c.example>", "comment not closed"},
		{"<@[a:b@c.example>", "domain literal not closed"},
		{`<"a@b.example>`, "quoted string not closed"},
		{"g:(;", "comment not closed"},
		{"<@a", "route without its end"},
		{"<@a b:c@d>", "route without its end"},
		{". <a@b.example>", "name that begins with a dot"},
		{".:;", "name that begins with a dot"},
		{":;", "character out of place"},
		{"\x01", "character out of place"},
		{`\a@b.example`, "character out of place"},
		{"a@b.example;", "text after an address"},
		{"g:h:;;", "group within a group"},
		{"g:", "group without its end"},
		{"g:a@b.example", "group without its end"},
		{`"a`, "quoted string not closed"},
		{`"a\`, "quoted string not closed"},
		{"\"a\r\nb\" <a@b.example>", "NUL, CR or LF in a text"},
		{"(\n)a@b.example", "NUL, CR or LF in a text"},
		{"(\\\r)a@b.example", "NUL, CR or LF in a text"},
		{`(\`, "comment not closed"},
		{"(()", "comment not closed"},
		{"a@b.example" + strings.Repeat("(", maxCommentDepth+1) + strings.Repeat(")", maxCommentDepth+1), "comments nested too deep"},
	} {
		_, err := ParseAddressList(c.raw)
		if !errors.Is(err, ErrAddress) || err.Error() != "malformed address: "+c.reason {
			t.Errorf("%q: got %v, want %s", c.raw, err, c.reason)
		}
	}
}

func TestParseAddressListBounds(t *testing.T) {
	nested := "a@b.example" + strings.Repeat("(", maxCommentDepth) + strings.Repeat(")", maxCommentDepth)
	full := "a@b.example" + strings.Repeat(" ", MaxAddressList-len("a@b.example"))
	for raw, want := range map[string]error{
		nested:                              nil,
		full:                                nil,
		full + " ":                          ErrAddressBounds,
		list(MaxMailboxes, "a@d%d"):         nil,
		list(MaxMailboxes+1, "a@d%d"):       ErrAddressBounds,
		"g:" + list(101, "a@d%d") + ";":     ErrAddressBounds,
		strings.Repeat("g:;,", 1000):        nil,
		strings.Repeat(",", MaxAddressList): ErrAddress,
	} {
		mailboxes, err := ParseAddressList(raw)
		if !errors.Is(err, want) {
			t.Errorf("%.40q: got %v, want %v", raw, err, want)
		}
		if err != nil && mailboxes != nil {
			t.Errorf("%.40q: mailboxes with an error", raw)
		}
	}
}

// checkRoundTrip checks that printing and parsing the mailboxes of raw again yields
// the same ones.
func checkRoundTrip(t *testing.T, raw string) {
	t.Helper()
	mailboxes, err := ParseAddressList(raw)
	if err != nil || len(mailboxes) == 0 {
		return
	}
	var printed []string
	for _, m := range mailboxes {
		if strings.ContainsAny(m.Name+m.Local+m.Domain, "\r\n\x00") {
			t.Errorf("%q: CR, LF or NUL in %q", raw, m)
		}
		printed = append(printed, m.String())
	}
	text := strings.Join(printed, ", ")
	if len(text) > MaxAddressList {
		return // quoting made the list too long
	}
	again, err := ParseAddressList(text)
	if err != nil || !slices.Equal(again, mailboxes) {
		t.Errorf("%q: %q, printed %q, became %q, %v", raw, mailboxes, text, again, err)
	}
}

func FuzzFrom(f *testing.F) {
	for _, c := range authorCases {
		f.Add(c.raw)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		checkRoundTrip(t, raw)

		a := Header{{"From", raw}}.Author()
		for _, d := range a.Domains {
			if again, err := domain.OfAddress(d); err != nil || again != d {
				t.Errorf("%q: %q is not a domain", raw, d)
			}
		}
		for _, m := range a.Mailboxes {
			d, err := domain.OfAddress(m.Domain)
			if err == nil && !slices.Contains(a.Domains, d) {
				t.Errorf("%q: %s is missing", raw, d)
			}
		}
		if len(a.Domains) == 0 && !a.Unjudged() {
			t.Errorf("%q: neither a domain nor an error", raw)
		}
		if again := (Header{{"From", raw}}).Author(); !slices.Equal(again.Domains, a.Domains) {
			t.Errorf("%q: %q, then %q", raw, a.Domains, again.Domains)
		}

		// No addition removes a domain or makes an unjudged author judged: a second
		// field above or below, or a fold in front.
		extra := Field{"From", "Extra <extra@extra.example>"}
		for _, more := range []Header{{{"From", raw}, extra}, {extra, {"From", raw}}, {{"From", "\r\n " + raw}}, {{"From", raw}, {"From", raw}}, {{"From", raw}, {"From", ""}}} {
			b := more.Author()
			if a.Unjudged() && !b.Unjudged() {
				t.Errorf("%q is judged: %v", more, b.Err)
			}
			if !a.Unaddressed && b.Unaddressed || b.Bracketed != "" && len(more) > 1 {
				t.Errorf("%q: unaddressed %v, bracketed %q", more, b.Unaddressed, b.Bracketed)
			}
			for _, d := range a.Domains {
				if !slices.Contains(b.Domains, d) && !errors.Is(b.Err, ErrAuthorBounds) {
					t.Errorf("%q: %s is missing", more, d)
				}
			}
		}

		if a.Unaddressed && (len(a.Domains) > 0 || strings.Contains(raw, "@")) {
			t.Errorf("%q: unaddressed", raw)
		}
		if a.Bracketed != "" {
			if a.Unjudged() || len(a.Domains) < 2 || !slices.Contains(a.Domains, a.Bracketed) {
				t.Errorf("%q: %q of %q (%v)", raw, a.Bracketed, a.Domains, a.Err)
			}
			for _, more := range []string{raw + ", x@extra.example", "x@extra.example, " + raw, "<x@extra.example> " + raw} {
				if b := (Header{{"From", more}}).Author(); b.Bracketed != "" {
					t.Errorf("%q: %q", more, b.Bracketed)
				}
			}
		}

		// An address in a broken field is found whatever precedes it.
		broken := Header{{"From", raw + ", <probe@probe.example"}}.Author()
		if !errors.Is(broken.Err, ErrFromSyntax) {
			t.Errorf("%q: %v though an angle bracket is not closed", raw, broken.Err)
		}
		if !slices.Contains(broken.Domains, "probe.example") && !errors.Is(broken.Err, ErrAuthorBounds) {
			t.Errorf("%q: an address after it escaped: %q", raw, broken.Domains)
		}
	})
}
