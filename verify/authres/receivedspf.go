package authres

import "strings"

// ClaimsSPF reports whether the value of a Received-SPF field
// (RFC 7208 section 9.1) claims to be ours: whether its receiver, or the host
// that its comment begins with, is one of our ids or a name below one, in any
// spelling. If the field does not show clearly who added it, it is ours if it
// contains one of our ids anywhere. It takes time linear in the length of the
// field.
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

// spfReceivers returns the hosts that a field names as its author: the host
// that its comment begins with, as in "(mx.example.org: domain of ...)", and
// the value of the key "receiver". It reports whether every reader must find
// the same hosts.
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

// mentionsReceiver reports whether s contains the key for readers that look for
// it anywhere, as some do.
func mentionsReceiver(s string) bool {
	return strings.Contains(strings.ToLower(s), "receiver")
}

// space skips white space and folds, and reports whether there was any.
func (p *plainReader) space() bool {
	start := p.pos
	for !p.end() && strings.IndexByte(" \t\r\n", p.s[p.pos]) >= 0 {
		p.pos++
	}
	return p.pos > start
}

// word reads a result or a key.
func (p *plainReader) word() string {
	start := p.pos
	for !p.end() && isNameChar(p.s[p.pos]) {
		p.pos++
	}
	return p.s[start:p.pos]
}

// spfValue reads a dot-atom or a quoted-string (RFC 7208 section 9.1), and
// returns the content of a quoted-string as it is written. Unquoted text ends
// only at white space or a semicolon, because addresses are often written bare.
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
