package message

import (
	"strings"

	"authmilter/verify/domain"
)

// bracketed returns the domain of the address in angle brackets in raw, a From
// field in which some readers see other addresses too, if most readers show the
// address in brackets and take the rest for its display name, as in
// "joe@bank.example (via Docs) <docs@service.example>" and
// "Docs: joe@bank.example <docs@service.example>". Otherwise it returns "".
//
// So there must be one pair of brackets, around nothing but an address that every
// reader reads alike, and nothing that separates the addresses of a list.
func bracketed(raw string) string {
	if strings.Count(raw, "<") != 1 || strings.Count(raw, ">") != 1 || hasControls(raw) {
		return ""
	}
	name, rest, _ := strings.Cut(raw, "<")
	address, tail, closed := strings.Cut(rest, ">")
	if !closed || !isName(name) || !isName(strings.TrimRight(tail, ",; \t")) {
		return ""
	}
	p := addressParser{text: address}
	if p.parse() != nil || len(p.mailboxes) != 1 || p.odd {
		return ""
	}
	m := p.mailboxes[0]
	ascii, err := domain.OfAddress(m.Domain)
	if err != nil || m.Local+"@"+m.Domain != address {
		return ""
	}
	return ascii
}

// isName reports whether text, beside an address in angle brackets, can be part of
// its display name only: its quotes and comments end, and no comma, semicolon or
// backslash is outside them.
func isName(text string) bool {
	p := addressParser{text: text}
	for p.skip() == nil {
		if p.ended() {
			return true
		}
		switch p.peek() {
		case ',', ';', ')', '\\':
			return false
		case '"':
			if _, err := p.quotedString(); err != nil {
				return false
			}
		default:
			p.at++
		}
	}
	return false
}

// hasControls reports whether raw has a control character other than HTAB and the
// ones of its folds.
func hasControls(raw string) bool {
	for i := 0; i < len(raw); {
		if n := blank(raw[i:]); n > 0 {
			i += n
			continue
		}
		if isControl(raw[i]) {
			return true
		}
		i++
	}
	return false
}
