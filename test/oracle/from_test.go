package oracle

import (
	"bytes"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"maps"
	"mime"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"

	"authmilter/test/need"
	"authmilter/verify/domain"
	"authmilter/verify/message"
)

var (
	//go:embed readers.py
	pythonEmail string
	//go:embed mailaddress.pl
	mailAddress string
	//go:embed mutt.py
	muttIndex string
)

// shown is an address that a reader shows, and the reader's name.
type shown struct{ reader, address string }

// show returns what readers show for From fields with the given contents, one
// element for each field.
func show(t *testing.T, fields []string) [][]shown {
	t.Helper()
	all := make([][]shown, len(fields))
	var input bytes.Buffer
	for _, raw := range fields {
		input.WriteString(base64.StdEncoding.EncodeToString([]byte(raw)) + "\n")
	}
	for _, r := range []struct {
		name, program string
		args          []string
		read          func(line []byte) ([]shown, error)
	}{
		{"Python email", "/usr/bin/python3", []string{"-c", pythonEmail}, readPython},
		{"Mail::Address", "/usr/bin/perl", []string{"-e", mailAddress}, readWords("Mail::Address")},
		{"mutt", "/usr/bin/python3", []string{"-c", muttIndex}, readWords("mutt")},
	} {
		cmd := exec.Command(r.program, r.args...)
		cmd.Stdin = bytes.NewReader(input.Bytes())
		cmd.Stderr = t.Output()
		out, err := cmd.Output()
		if err != nil {
			need.Found(t, err)
		}
		lines := bytes.Split(bytes.TrimSuffix(out, []byte("\n")), []byte("\n"))
		if len(lines) != len(fields) {
			t.Fatalf("%s: %d answers for %d fields", r.name, len(lines), len(fields))
		}
		for i, line := range lines {
			addresses, err := r.read(line)
			if err != nil {
				t.Fatalf("%s: %v: %q", r.name, err, line)
			}
			all[i] = append(all[i], addresses...)
		}
	}
	return all
}

func readPython(line []byte) (all []shown, err error) {
	var parsers map[string][][]byte
	err = json.Unmarshal(line, &parsers)
	for _, name := range slices.Sorted(maps.Keys(parsers)) {
		for _, a := range parsers[name] {
			all = append(all, shown{"Python " + name, string(a)})
		}
	}
	return all, err
}

func readWords(reader string) func(line []byte) ([]shown, error) {
	return func(line []byte) (all []shown, err error) {
		for word := range bytes.FieldsSeq(line) {
			a, err := base64.StdEncoding.DecodeString(string(word))
			if err != nil {
				return nil, err
			}
			all = append(all, shown{reader, string(a)})
		}
		return all, nil
	}
}

// domains returns the domains that a person sees in an address. last is the
// text after the last "@". before are the domains after the other "@"s, at
// which a glance may end; text there that is not a domain name is left out. All
// are without quotes and invisible characters, and without white space and dots
// around them.
func (s shown) domains() (before []string, last string) {
	address := strings.Map(func(r rune) rune {
		switch {
		case r == '\uff20', r == '\ufe6b':
			return '@'
		case domain.Invisible(r), r == '"', r == '\\':
			return -1
		}
		return r
	}, strings.ToValidUTF8(s.address, ""))
	parts := strings.Split(address, "@")
	if len(parts) == 1 {
		return nil, ""
	}
	for _, part := range parts[1 : len(parts)-1] {
		part = strings.Trim(part, " .<")
		if end := strings.IndexFunc(part, notInDomain); end >= 0 {
			part = part[:end]
		}
		part = strings.Trim(part, ".")
		if _, err := nameOf(part); err == nil {
			before = append(before, part)
		}
	}
	return before, strings.TrimFunc(parts[len(parts)-1], func(r rune) bool {
		return unicode.IsSpace(r) || strings.ContainsRune("<>"+dots, r)
	})
}

// nameOf returns text, as it is shown, as a domain name. Readers decode
// A-labels even next to labels that may not occur together with U-labels.
func nameOf(text string) (string, error) {
	if name, err := domain.OfAddress(text); err == nil {
		return name, nil
	}
	encoded, err := idna.Punycode.ToASCII(strings.ToLower(text))
	if err != nil {
		return "", err
	}
	return domain.OfAddress(encoded)
}

// dots are the characters that readers show as a dot.
const dots = ".\u2024\u3002\ufe52\uff0e\uff61"

// notInDomain reports whether r ends a domain in the eyes of a person.
func notInDomain(r rune) bool {
	if r < utf8.RuneSelf {
		return r != '.' && r != '-' && r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r)
	}
	return unicode.IsSpace(r) || strings.ContainsRune("\u3001\uff08\uff09\uff0c\uff1a\uff1b\uff1c\uff1e", r)
}

// fromCase is a From field, the authors found in it, and what a reader shows.
type fromCase struct {
	raw    string
	author message.Author
	shown  shown
	// domain is a domain that the reader shows. name is that domain as a domain
	// name, or "" if it is not one.
	domain, name string
}

// fromRule explains why a domain that is shown is not judged although the
// message can pass.
type fromRule struct {
	name     string
	explains func(c *fromCase) bool
}

// packed returns s in lower case, without white space, quotes and invisible
// characters.
func packed(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r), domain.Invisible(r), r == '"', r == '\\':
			return -1
		case r == '\uff20', r == '\ufe6b':
			return '@'
		}
		return unicode.ToLower(r)
	}, strings.ToValidUTF8(s, ""))
}

// undotted returns packed s without dots.
func undotted(s string) string {
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune(dots, r) {
			return -1
		}
		return r
	}, packed(s))
}

// starts returns what a person could take for the domain at the start of text.
func starts(text string) []string {
	var all []string
	for _, s := range []string{text, packed(text)} {
		if end := strings.IndexFunc(s, notInDomain); end >= 0 {
			all = append(all, strings.TrimRight(strings.Trim(s[:end], "."), ".-"))
		}
		if strings.Contains(s, "..") {
			all = append(all, strings.TrimRightFunc(s, unicode.IsLetter))
		}
	}
	return all
}

var fromRules = []fromRule{
	{"an address in a display name, before the author in angle brackets, is a name", func(c *fromCase) bool {
		mailboxes, err := message.ParseAddressList(message.NewField("From", c.raw).Raw)
		return err == nil && slices.ContainsFunc(mailboxes, func(m message.Mailbox) bool {
			decoded, _ := new(mime.WordDecoder).DecodeHeader(strings.ToValidUTF8(m.Name, ""))
			if strings.Contains(undotted(m.Name)+" "+undotted(decoded), "@"+undotted(c.domain)) {
				return true
			}
			// Python decodes some encoded-words that package mime does not.
			return c.shown.reader == "Python policy.default" && c.author.Err == nil && strings.Contains(m.Name, "=?")
		})
	}},
	{"a judged domain ends at a character that domains cannot contain", func(c *fromCase) bool {
		return slices.ContainsFunc(starts(c.domain), func(s string) bool {
			name, err := nameOf(s)
			return err == nil && slices.Contains(c.author.Domains, name)
		})
	}},
	{"without the white space in it, the domain is judged", func(c *fromCase) bool {
		name, err := nameOf(packed(c.domain))
		return err == nil && slices.Contains(c.author.Domains, name)
	}},
	{"mutt shows a question mark for invisible characters", func(c *fromCase) bool {
		name, err := nameOf(packed(strings.NewReplacer("?", "", "\ufffd", "").Replace(c.domain)))
		return err == nil && c.shown.reader == "mutt" && slices.Contains(c.author.Domains, name)
	}},
	{"text without a dot or a letter, or that ends in a number, is not a domain", func(c *fromCase) bool {
		return c.name == "" && len(c.author.Domains) > 0 && slices.ContainsFunc(append(starts(c.domain), c.domain), func(s string) bool {
			top := s[strings.LastIndexByte(s, '.')+1:]
			return !strings.ContainsAny(s, dots) || !strings.ContainsFunc(s, unicode.IsLetter) || strings.Trim(top, "0123456789") == ""
		})
	}},
}

// TestFrom compares the authors that are judged with the addresses that readers
// show. Each domain that a reader shows must be among the author domains, or
// the message must be unjudged, which quarantines it. Otherwise a rule must
// explain the difference.
func TestFrom(t *testing.T) {
	r := newRandom(5322)
	fields := slices.Clone(fromSeeds)
	for len(fields) < readings() {
		fields = append(fields, newFrom(r))
	}
	used := map[string]int{}
	judged, unjudged, addresses, bracketed := 0, 0, 0, 0
	failures := 0
	for i, all := range show(t, fields) {
		c := fromCase{raw: fields[i]}
		c.author = message.Header{message.NewField("From", c.raw)}.Author()
		if c.author.Unjudged() {
			unjudged++
			continue
		}
		judged++
		if c.author.Bracketed != "" {
			bracketed++
			if !slices.ContainsFunc(all, func(s shown) bool {
				_, last := s.domains()
				name, _ := nameOf(last)
				return name == c.author.Bracketed
			}) {
				t.Errorf("%q: no reader shows %s: %q", c.raw, c.author.Bracketed, all)
			}
		}
		for _, c.shown = range all {
			before, last := c.shown.domains()
			for _, c.domain = range append(before, last) {
				if c.domain == "" {
					continue
				}
				addresses++
				c.name, _ = nameOf(c.domain)
				if slices.Contains(c.author.Domains, c.name) {
					continue
				}
				at := slices.IndexFunc(fromRules, func(r fromRule) bool { return r.explains(&c) })
				if at >= 0 {
					used[fromRules[at].name]++
					continue
				}
				if failures++; failures <= 50 {
					t.Errorf("%q: judged as %q (%v); %s shows %q, domain %q", c.raw, c.author.Domains, c.author.Err, c.shown.reader, c.shown.address, c.domain)
				}
			}
		}
	}
	for _, rule := range fromRules {
		if long() && used[rule.name] == 0 {
			t.Errorf("no difference is explained by: %s", rule.name)
		}
	}
	// Some fields must be judged and some not.
	if judged < len(fields)/6 || addresses < judged {
		t.Errorf("%d fields judged, with %d addresses shown", judged, addresses)
	}
	if long() && bracketed < 20 {
		t.Errorf("%d fields split readers", bracketed)
	}
	t.Logf("%d fields judged, %d unjudged, %d split readers; %d addresses shown, %d not judged; differences %v", judged, unjudged, bracketed, addresses, failures, used)
}

// fromSeeds are fields to begin with, each of a different kind.
var fromSeeds = []string{
	` Joe <joe@bank.example>`, ` joe@bank.example`, ` "Doe, Joe" <joe@bank.example>`, ` Doe, Joe <joe@bank.example>`,
	` joe@bank.example <x@attacker.example>`, ` "joe@bank.example" <x@attacker.example>`, ` joe@bank.example (Joe)`,
	` joe@bank.example, x@attacker.example`, ` joe@bank.example; x@attacker.example`, ` joe@bank.example x@attacker.example`,
	` <"joe@bank.example>"@attacker.example>`, ` "joe@bank.example \""@attacker.example`, ` "joe@bank.example"@attacker.example`,
	` <info@4711%bank.example>`, ` <info@bank,example>`, ` <info@customer bank.example>`, ` <joe@bank.example@attacker.example>`,
	" joe@exam\u200eple.com", " joe@ex\xffample.com", " Joe <joe@\u2800bank.example>", ` <joe@xn--bank-w76a.example>`,
	` <joe@[192.0.2.1]>, x@attacker.example`, ` Joe @ home, inc. <joe@bank.example>`, ` Doe, Joe@Home <joe@bank.example>`,
	` Bank: joe@bank.example;`, ` joe@bank.example: x@attacker.example;`, ` <@bank.example:x@attacker.example>`, ` bank.example!joe@attacker.example`,
	` joe%bank.example@attacker.example`, ` <<joe@bank.example>>`, ` <joe@bank.example> <x@attacker.example>`, ` <joe@bank.example`,
	` "x@attacker.example" <joe@bank.example`, ` joe@ba(x)nk.example`, ` joe@(attacker.example) bank.example`, ` (<joe@bank.example>) x@attacker.example`,
	` =?utf-8?q?joe=40bank.example?= <x@attacker.example>`, ` =?utf-8?q?joe=40bank.example?=@attacker.example`, ` joe@=?utf-8?q?bank.example?=`,
	` joe@bank.=?utf-8?q?example?=`, ` =?utf-8?b?am9lQGJhbmsuZXhhbXBsZQ==?=`, " joe\uff20bank.example <x@attacker.example>", " joe@bank\u3002example",
	" joe@bank.example\r\n <x@attacker.example>", " <joe@bank.\r\n example>", ` "joe@bank.exa\mple"@attacker.example`, ` joe@bank\.example`,
	` joe@bank.example @`, ` joe@`, ` <>`, ` joe@bank.example (via Docs) <x@attacker.example>`, ` [Docs] joe@bank.example <x@attacker.example>`, ` Docs: joe@bank.example <x@attacker.example>`, ` joe@xn--bcher-kva.-x.example`, ` Joe <joe>`, ` Joe`, ``,
}

// newFrom returns the contents of a From field: one of the seeds, or words in
// random order, with some octets changed.
func newFrom(r random) string {
	var raw string
	if r.IntN(2) == 0 {
		raw = one(r, fromSeeds...)
	} else {
		raw = newWords(r)
	}
	if r.IntN(4) == 0 {
		raw += one(r, ",", ", ", " ", ";", "") + one(r, fromSeeds...)
	}
	for range r.IntN(3) {
		raw = alter(r, raw)
	}
	// A field that ends early becomes a different field when the message is
	// read again, and a line that begins with "From " begins another message.
	raw = strings.ReplaceAll(raw, "\nF", "\n f")
	return raw[:min(len(raw), 400)]
}

// newWords returns words, addresses and text between them.
func newWords(r random) string {
	host := func() string {
		return one(r, "bank.example", "bank.example", "attacker.example", "mail.bank.example", "bank", "b\u00fccher.example", "xn--bcher-kva.example", "example.com.", "[192.0.2.1]", "192.0.2.1")
	}
	address := func() string {
		return one(r, "joe", "joe", "j.d", `"joe"`, `"j d"`, "joe+x", `"joe@bank.example"`, "bank.example!joe", "joe%bank.example", "", "=?utf-8?q?joe?=") +
			one(r, "@", "@", "@", "@", " @ ", "@ ", " @") + host()
	}
	var b strings.Builder
	for range 1 + r.IntN(5) {
		switch r.IntN(12) {
		case 0, 1, 2:
			b.WriteString("<" + address() + ">")
		case 3, 4:
			b.WriteString(address())
		case 5:
			b.WriteString(one(r, "Joe", "Doe, Joe", "Joe Doe", "J. Doe", `"Doe, Joe"`, `"Joe \"X\" Doe"`, "Joe [x]", "Joe: x", "Jo\u00e9", "Jo\xe9"))
		case 6:
			b.WriteString(`"` + address() + `"`)
		case 7:
			b.WriteString("(" + one(r, "x", address(), "a (b) c", `\)`) + ")")
		case 8:
			b.WriteString(one(r, "Group:", "Group: "+address()+";", address()+":", ";"))
		case 9:
			b.WriteString(one(r, "=?utf-8?q?Joe?=", "=?utf-8?q?joe=40bank.example?=", "=?utf-8?b?am9lQGJhbmsuZXhhbXBsZQ==?=", "=?iso-8859-1?q?=3Cjoe=40bank.example=3E?=", "=?us-ascii?q?joe_=3C?="))
		case 10:
			b.WriteString("<@" + host() + one(r, ":", ",@"+host()+":") + address() + ">")
		case 11:
			b.WriteString(one(r, "<", ">", ",", ";", ":", "@", `"`, "(", ")", "[", "]", `\`, "."))
		}
		b.WriteString(one(r, " ", " ", " ", "", ", ", ",", "\r\n ", "\t", "."))
	}
	return " " + b.String()
}

// alter changes raw in one place.
func alter(r random, raw string) string {
	at := r.IntN(len(raw) + 1)
	end := min(len(raw), at+1+r.IntN(4))
	switch r.IntN(6) {
	case 0: // something is missing
		return raw[:at] + raw[end:]
	case 1: // something is repeated
		return raw[:end] + raw[at:]
	case 2: // a part is moved
		cut := raw[:at] + raw[end:]
		to := r.IntN(len(cut) + 1)
		return cut[:to] + raw[at:end] + cut[to:]
	}
	return raw[:at] + one(r, "<", ">", ",", ";", ":", "@", `"`, "(", ")", "[", "]", `\`, ".", " ", "\r\n ", "\t", "%", "!", "=", "?", "=?", "?=", "#", "'", "&", "|", "*", "/",
		"=?utf-8?q?=40?=", "\u200b", "\u200e", "\u00ad", "\u2800", "\u3164", "\ufeff", "\u0085", "\u00a0", "\u3000", "\uff20", "\ufe6b", "\uff0e", "\u3002", "\uff1c",
		"\x00", "\x01", "\x7f", "\r", "\x0b", "\x1b", "\xff", "\xfc", "\x80", "a", "Z", "9", "-", "_") + raw[at:]
}
