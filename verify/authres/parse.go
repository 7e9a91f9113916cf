package authres

import (
	"errors"
	"strconv"
	"strings"

	"authmilter/verify/ascii"
)

// Bounds of what is parsed.
const (
	maxField    = 64 << 10 // octets
	maxEntries  = 1000     // between semicolons
	maxProps    = 1000     // in all results together
	maxSkipped  = 1000     // texts in [Results.Skipped]
	maxComments = 10       // nested
)

// Errors of [Parse].
var (
	ErrTooLarge = errors.New("authentication results too large")
	ErrSyntax   = errors.New("malformed authentication results")
)

// Parse reads the value of an Authentication-Results field as
// RFC 8601 section 2.2 defines it and as it occurs in practice: it may end in a
// semicolon, and the authserv-id may be missing, as some large providers write
// it. Unregistered methods and properties are kept.
//
// What is not well formed is left out and listed in [Results.Skipped]:
//
//   - An entry, the text between two semicolons, is left out as a whole unless it
//     is "method=result" followed by words of the form "key=value". Any other word
//     may be part of a value that should have been quoted, and then the next words
//     may be so too.
//   - A word "key=value" is left out alone if its key is neither "reason" nor a
//     property, as in "action=none". A value may be empty.
//
// Only a semicolon outside of quoted strings and comments ends an entry. If one
// of these does not end, nobody can say which text it hides, and the field is an
// error.
func Parse(field string) (*Results, error) {
	if len(field) > maxField {
		return nil, ErrTooLarge
	}
	r := reader{parser: parser{s: field}}
	for n := 0; !r.end(); n++ {
		text := r.entry()
		if n > 0 || !r.authservID(text) {
			r.result(text)
		}
		if n > maxEntries || r.props > maxProps || len(r.Skipped) > maxSkipped {
			return nil, ErrTooLarge
		}
	}
	if r.bad || r.AuthservID == "" && len(r.Methods) == 0 {
		return nil, ErrSyntax
	}
	return &r.Results, nil
}

// CutInstance reads the instance at the start of an ARC-Authentication-Results
// field's value, and returns it with the rest, which [Parse] reads
// (RFC 8617 section 4.1.1). A number with more than two digits is an error.
func CutInstance(field string) (instance int, payload string, err error) {
	p := parser{s: field}
	p.cfws()
	// RFC 8617 section 3.9 requires a lower-case "i".
	if !p.skip('i') {
		return 0, "", ErrSyntax
	}
	p.cfws()
	if !p.skip('=') {
		return 0, "", ErrSyntax
	}
	p.cfws()
	start := p.pos
	p.digits()
	digits := field[start:p.pos]
	p.cfws()
	if len(digits) == 0 || len(digits) > 2 || p.bad || !p.skip(';') {
		return 0, "", ErrSyntax
	}
	instance, err = strconv.Atoi(digits)
	return instance, field[p.pos:], err
}

// parser walks over s. Each of its methods leaves pos where it stopped.
type parser struct {
	s   string
	pos int
	// bad reports that a comment or a quoted-string does not end.
	bad bool
	// comment is the text of the last comment that cfws skipped.
	comment string
}

func (p *parser) end() bool { return p.pos >= len(p.s) }

func (p *parser) skip(c byte) bool {
	if p.end() || p.s[p.pos] != c {
		return false
	}
	p.pos++
	return true
}

// cfws skips white space, folds and comments (RFC 5322 section 3.2.2).
func (p *parser) cfws() {
	for !p.end() {
		switch p.s[p.pos] {
		case ' ', '\t', '\r', '\n':
			p.pos++
		case '(':
			p.parens()
		default:
			return
		}
	}
}

// parens skips one comment, which may contain others.
func (p *parser) parens() {
	depth := 0
	start := p.pos + 1
	for ; !p.end(); p.pos++ {
		switch p.s[p.pos] {
		case '\\':
			p.pos++
		case '(':
			if depth++; depth > maxComments {
				p.bad, p.pos = true, len(p.s)
				return
			}
		case ')':
			if depth--; depth == 0 {
				p.comment = unfold(p.s[start:p.pos])
				p.pos++
				return
			}
		}
	}
	p.bad, p.pos = true, len(p.s)
}

// keyword reads a Keyword (RFC 5321 section 4.1.2), and also allows
// underscores, which some write.
func (p *parser) keyword() string {
	start := p.pos
	for !p.end() {
		c := p.s[p.pos]
		if !(ascii.IsLetter(c) || ascii.IsDigit(c) || c == '-' || c == '_') {
			break
		}
		p.pos++
	}
	return p.s[start:p.pos]
}

func (p *parser) digits() {
	for !p.end() && ascii.IsDigit(p.s[p.pos]) {
		p.pos++
	}
}

// value reads a token or a quoted-string.
func (p *parser) value() (string, bool) {
	if !p.end() && p.s[p.pos] == '"' {
		return p.quotedString()
	}
	start := p.pos
	for !p.end() && (isTokenChar(p.s[p.pos]) || p.s[p.pos] >= 0x80) {
		p.pos++
	}
	return p.s[start:p.pos], p.pos > start
}

// pvalue reads the value of a property: a value or an address. Unquoted text
// ends only at white space, a comment or a quote, because signatures and paths are
// often written bare. It may be empty. ok is false if other text follows at once.
func (p *parser) pvalue() (text string, ok bool) {
	start := p.pos
	if p.cfws(); p.pos > start && p.atKey() {
		return "", true
	}
	var local string
	if start = p.pos; !p.end() && p.s[p.pos] == '"' {
		if text, ok = p.quotedString(); !ok || p.separated() {
			return text, ok
		}
		if p.s[p.pos] != '@' {
			return "", false
		}
		if local = p.s[start:p.pos]; isDotAtom(text) {
			local = text
		}
	}
	start = p.pos
	for !p.end() && p.s[p.pos] > ' ' && p.s[p.pos] != 0x7f && strings.IndexByte(`()"`, p.s[p.pos]) < 0 {
		p.pos++
	}
	return local + p.s[start:p.pos], p.separated()
}

// atKey reports whether a key and "=" follow: the value before them is empty.
func (p *parser) atKey() bool {
	ahead := *p
	_, ok := ahead.key()
	return ok
}

// separated reports whether p is at the end of a word.
func (p *parser) separated() bool {
	return p.end() || strings.IndexByte(" \t\r\n(", p.s[p.pos]) >= 0
}

func (p *parser) quotedString() (string, bool) {
	start := p.pos + 1
	if !p.quotes() {
		return "", false
	}
	text := p.s[start : p.pos-1]
	if strings.IndexByte(text, '\\') < 0 {
		return unfold(text), true
	}
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] == '\\' {
			i++
		}
		b.WriteByte(text[i])
	}
	return unfold(b.String()), true
}

// quotes skips one quoted-string, and reports whether it ends.
func (p *parser) quotes() bool {
	for p.pos++; !p.end(); p.pos++ {
		switch p.s[p.pos] {
		case '"':
			p.pos++
			return true
		case '\\':
			p.pos++
		}
	}
	p.bad, p.pos = true, len(p.s)
	return false
}

// unfold replaces each fold in s, a line end with the white space after it, by
// one space.
func unfold(s string) string {
	if !strings.ContainsAny(s, "\r\n") {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\r' && s[i] != '\n' {
			b.WriteByte(s[i])
			continue
		}
		for i+1 < len(s) && strings.IndexByte(" \t\r\n", s[i+1]) >= 0 {
			i++
		}
		b.WriteByte(' ')
	}
	return b.String()
}
