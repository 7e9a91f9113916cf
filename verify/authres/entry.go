package authres

import "strings"

// reader reads the entries of a field.
type reader struct {
	parser
	Results
	props int
}

// leaveOut records text that is not read.
func (r *reader) leaveOut(text string) {
	if len(r.Skipped) <= maxSkipped { // one more shows that there are too many
		r.Skipped = append(r.Skipped, strings.Trim(text, " \t\r\n"))
	}
}

// entry returns the text up to the next semicolon that ends an entry, and skips
// that semicolon.
func (r *reader) entry() string {
	start := r.pos
	for !r.end() {
		from := r.pos
		switch r.s[r.pos] {
		case ';':
			r.pos++
			return r.s[start:from]
		case '(':
			r.parens()
			r.aside(r.s[from:r.pos])
		case '"':
			r.quotes()
			r.aside(r.s[from:r.pos])
		default:
			r.pos++
		}
	}
	return r.s[start:]
}

// aside records what looks like an entry in text, a comment or a quoted string.
// Somebody whose text the field repeats may have opened it before a genuine entry,
// and closed it after that.
func (r *reader) aside(text string) {
	for i, part := range strings.Split(text, ";") {
		if i > 0 && named(part) != "" {
			r.leaveOut(part)
		}
	}
}

// result reads an entry: one result, or "none" in place of all results.
func (r *reader) result(text string) {
	p := parser{s: text}
	if p.cfws(); p.end() {
		return
	}
	var m Method
	before := len(r.Skipped)
	m.Name = p.keyword()
	p.cfws()
	if p.end() && strings.EqualFold(m.Name, "none") {
		return
	}
	ok := m.Name != "" && p.outcome(&m)
	for ok && !p.end() {
		start := p.pos
		var kept bool
		if kept, ok = p.word(&m); ok && !kept {
			r.leaveOut(text[start:p.pos])
		}
		p.cfws()
	}
	if !ok {
		r.Skipped = r.Skipped[:before]
		r.leaveOut(text)
		return
	}
	r.props += len(m.Props)
	r.Methods = append(r.Methods, m)
}

// outcome reads what follows the name of a method: a version, the result and a
// comment.
func (p *parser) outcome(m *Method) bool {
	if p.skip('/') {
		p.cfws()
		p.digits()
		p.cfws()
	}
	if !p.skip('=') {
		return false
	}
	p.cfws()
	if m.Result = p.keyword(); m.Result == "" || !p.separated() {
		return false
	}
	p.comment = ""
	p.cfws()
	m.Comment = p.comment
	return true
}

// word reads one "key=value" after a result. kept reports whether it is part of m,
// and ok whether it is well formed.
func (p *parser) word(m *Method) (kept, ok bool) {
	key, ok := p.key()
	if !ok {
		return false, false
	}
	value, ok := p.pvalue()
	if !ok {
		return false, false
	}
	switch {
	case len(key) == 2:
		m.Props = append(m.Props, Prop{Type: key[0], Name: key[1], Value: value})
	case len(key) == 1 && strings.EqualFold(key[0], "reason"):
		m.Reason = value
	default:
		return false, true
	}
	return true, true
}

// key reads keywords with dots between them, and "=".
func (p *parser) key() (parts []string, ok bool) {
	for {
		part := p.keyword()
		if part == "" {
			return nil, false
		}
		parts = append(parts, part)
		p.cfws()
		if p.skip('=') {
			return parts, true
		}
		if !p.skip('.') {
			return nil, false
		}
		p.cfws()
	}
}

// authservID reads the first entry if it is an authserv-id, with or without a
// version. Otherwise it returns false and reads nothing.
func (r *reader) authservID(text string) bool {
	p := parser{s: text}
	p.cfws()
	id, ok := p.value()
	if !ok {
		return false
	}
	p.cfws()
	p.digits() // the version
	if p.cfws(); !p.end() {
		return false
	}
	r.AuthservID = id
	return true
}

// named returns the name of the method if text begins like a result, otherwise "".
func named(text string) string {
	p := parser{s: text}
	p.cfws()
	name := p.keyword()
	if p.cfws(); p.end() || p.s[p.pos] != '=' && p.s[p.pos] != '/' {
		return ""
	}
	return name
}

// Lost reports whether text in Skipped begins like a result of method: the results
// of that method may then be incomplete.
func (r *Results) Lost(method string) bool {
	for _, text := range r.Skipped {
		if strings.EqualFold(named(text), method) {
			return true
		}
	}
	return false
}
