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
	maxMethods  = 1000
	maxProps    = 1000 // in all methods together
	maxComments = 10   // nested
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
func Parse(field string) (*Results, error) {
	if len(field) > maxField {
		return nil, ErrTooLarge
	}
	p := parser{s: field}
	r := &Results{}
	id, ok := p.authservID()
	if !ok {
		return nil, ErrSyntax
	}
	r.AuthservID = id
	props := 0
	for first := true; ; first = false {
		p.cfws()
		// The first result follows at once if there is no authserv-id.
		if !(first && id == "") {
			if p.end() {
				break
			}
			if !p.skip(';') {
				return nil, ErrSyntax
			}
			p.cfws()
		}
		if p.end() {
			break
		}
		if len(r.Methods) == maxMethods {
			return nil, ErrTooLarge
		}
		m, none, ok := p.method(maxProps - props)
		if !ok {
			return nil, ErrSyntax
		}
		if none {
			continue
		}
		props += len(m.Props)
		r.Methods = append(r.Methods, m)
	}
	if p.bad {
		return nil, ErrSyntax
	}
	return r, nil
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

// authservID reads the authserv-id and its version. It returns "" if the field
// begins with a result.
func (p *parser) authservID() (string, bool) {
	p.cfws()
	start := p.pos
	id, ok := p.value()
	if !ok {
		return "", false
	}
	p.cfws()
	if !p.end() && (p.s[p.pos] == '=' || p.s[p.pos] == '/') {
		p.pos = start
		return "", true
	}
	p.digits() // the version
	return id, true
}

// method reads one result, or "none" in place of all results.
func (p *parser) method(maxProps int) (m Method, none, ok bool) {
	if m.Name = p.keyword(); m.Name == "" {
		return m, false, false
	}
	p.cfws()
	if p.skip('/') {
		p.cfws()
		p.digits()
		p.cfws()
	}
	if !p.skip('=') {
		return m, strings.EqualFold(m.Name, "none"), strings.EqualFold(m.Name, "none")
	}
	p.cfws()
	if m.Result = p.keyword(); m.Result == "" {
		return m, false, false
	}
	p.comment = ""
	p.cfws()
	m.Comment = p.comment
	for !p.end() && p.s[p.pos] != ';' {
		name := p.keyword()
		p.cfws()
		switch {
		case strings.EqualFold(name, "reason") && p.skip('='):
			p.cfws()
			if m.Reason, ok = p.value(); !ok {
				return m, false, false
			}
		case name != "" && p.skip('.') && len(m.Props) < maxProps:
			prop := Prop{Type: name}
			p.cfws()
			prop.Name = p.keyword()
			p.cfws()
			if prop.Name == "" || !p.skip('=') {
				return m, false, false
			}
			p.cfws()
			if prop.Value, ok = p.pvalue(); !ok {
				return m, false, false
			}
			m.Props = append(m.Props, prop)
		default:
			return m, false, false
		}
		p.cfws()
	}
	return m, false, !p.bad
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
// ends only at white space, a comment or a semicolon, because signatures and
// paths are often written bare. It may be empty.
func (p *parser) pvalue() (string, bool) {
	var local string
	if !p.end() && p.s[p.pos] == '"' {
		start := p.pos
		text, ok := p.quotedString()
		if !ok || p.end() || p.s[p.pos] != '@' {
			return text, ok
		}
		local = p.s[start:p.pos]
		if unquoted := text; isDotAtom(unquoted) {
			local = unquoted
		}
	}
	start := p.pos
	for !p.end() && p.s[p.pos] > ' ' && p.s[p.pos] != 0x7f && strings.IndexByte(`();"`, p.s[p.pos]) < 0 {
		p.pos++
	}
	return local + p.s[start:p.pos], true
}

func (p *parser) quotedString() (string, bool) {
	var b strings.Builder
	for p.pos++; !p.end(); p.pos++ {
		switch c := p.s[p.pos]; c {
		case '"':
			p.pos++
			return unfold(b.String()), true
		case '\\':
			if p.pos++; p.end() {
				return "", false
			}
			b.WriteByte(p.s[p.pos])
		default:
			b.WriteByte(c)
		}
	}
	return "", false
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
