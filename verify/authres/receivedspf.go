package authres

import "strings"

// ClaimsSPF reports whether the value of a Received-SPF field
// (RFC 7208 section 9.1) claims to be ours: whether its receiver, or the host that
// its comment begins with, is one of our ids or a name below one, in whatever
// spelling. Where it cannot be read who has added it, it is ours if one of our ids
// stands anywhere in it. Its time is linear in the field, whatever the size.
func (c *Claimant) ClaimsSPF(field string) bool {
	receivers, ok := spfReceivers(field)
	if !ok || len(receivers) == 0 {
		return c.mentioned(field)
	}
	for _, name := range receivers {
		if c.named(name) {
			return true
		}
	}
	return false
}

// spfReceivers returns the hosts that a field says it has been added by: the one
// that its comment begins with, as in "(mx.example.org: domain of ...)", and the
// value of the key "receiver". It reports whether every reader must find the
// same.
func spfReceivers(field string) (names []string, ok bool) {
	if !wellFolded(field) || hasLongLine(field) {
		return nil, false
	}
	p := plainReader{parser{s: field}}
	p.space()
	if p.word() == "" || !p.space() {
		return nil, false
	}
	if !p.end() && p.s[p.pos] == '(' {
		start := p.pos + 1
		length := strings.IndexByte(p.s[start:], ')')
		if length < 0 {
			return nil, false
		}
		comment := p.s[start : start+length]
		if !isPlainComment(comment) || mentionsReceiver(comment) {
			return nil, false
		}
		p.pos = start + length + 1
		if host, _, found := strings.Cut(comment, ":"); found && isPlainName(host) {
			names = append(names, host)
		}
		p.space()
	}
	for !p.end() {
		key := p.word()
		p.space()
		if key == "" || !p.skip('=') {
			return nil, false
		}
		p.space()
		value, ok := p.spfValue()
		if !ok {
			return nil, false
		}
		if strings.EqualFold(key, "receiver") {
			if !isPlainName(value) {
				return nil, false
			}
			names = append(names, value)
		} else if mentionsReceiver(value) {
			return nil, false
		}
		p.space()
		if !p.end() && !p.skip(';') {
			return nil, false
		}
		p.space()
	}
	return names, true
}

// mentionsReceiver reports whether a reader that looks for the key anywhere, as
// some do, may find it in s.
func mentionsReceiver(s string) bool {
	return strings.Contains(strings.ToLower(s), "receiver")
}

// space passes white space and folds, and reports whether there was any.
func (p *plainReader) space() bool {
	start := p.pos
	for !p.end() && strings.IndexByte(" \t\r\n", p.s[p.pos]) >= 0 {
		p.pos++
	}
	return p.pos > start
}

// word passes a result or a key.
func (p *plainReader) word() string {
	start := p.pos
	for !p.end() && isNameChar(p.s[p.pos]) {
		p.pos++
	}
	return p.s[start:p.pos]
}

// spfValue passes a dot-atom or a quoted-string (RFC 7208 section 9.1), and
// returns the content of the latter as it is written. Unquoted text is taken up
// to white space or a semicolon, because addresses are often written bare.
func (p *plainReader) spfValue() (value string, ok bool) {
	start := p.pos
	if !p.skip('"') {
		for !p.end() && strings.IndexByte(" \t\r\n;\"\\()", p.s[p.pos]) < 0 {
			p.pos++
		}
		return p.s[start:p.pos], true
	}
	for ; !p.end(); p.pos++ {
		switch p.s[p.pos] {
		case '"':
			p.pos++
			return p.s[start+1 : p.pos-1], true
		case '\\':
			p.pos++
		}
	}
	return "", false
}

func isPlainName(s string) bool {
	for i := 0; i < len(s); i++ {
		if !isNameChar(s[i]) {
			return false
		}
	}
	return s != ""
}
