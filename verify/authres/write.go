package authres

import (
	"strconv"
	"strings"

	"authmilter/verify/ascii"
)

const (
	// foldAt is the line length that folding aims at, without the CRLF
	// (RFC 5322 section 2.1.1).
	foldAt = 78
	// tabWidth is how many columns a TAB counts for.
	tabWidth = 8
	// The first line begins with fieldName or arcFieldName.
	fieldName    = "Authentication-Results: "
	arcFieldName = "ARC-Authentication-Results: "
	fold         = "\r\n\t"
)

// Format returns the value of the Authentication-Results field that authservID
// adds for methods, without white space at its start. Each method has its own
// line, folded at 78 characters if possible. All text is cleaned
// ([Method.Cleaned]) and quoted, so that nothing in the arguments can change
// the structure of the field and every reader can read it: the field is
// printable ASCII without a backslash.
func Format(authservID string, methods []Method) string {
	w := writer{column: len(fieldName)}
	w.b.Grow(64 + 192*len(methods))
	w.results(authservID, methods)
	return w.b.String()
}

// FormatARC returns the value of an ARC-Authentication-Results field
// (RFC 8617 section 4.1.1), without white space at its start. It has neither
// comments nor reasons: common readers split the field at every semicolon, and
// then refuse the chain.
func FormatARC(instance int, authservID string, methods []Method) string {
	w := writer{column: len(arcFieldName)}
	w.b.Grow(64 + 128*len(methods))
	w.word("i=" + strconv.Itoa(instance) + ";")
	plain := make([]Method, len(methods))
	for i, m := range methods {
		plain[i] = Method{Name: m.Name, Result: m.Result, Props: m.Props}
	}
	w.results(authservID, plain)
	return w.b.String()
}

func (w *writer) results(authservID string, methods []Method) {
	w.word(quoted(cleanValue(authservID)))
	if len(methods) == 0 {
		w.b.WriteString("; none")
		return
	}
	for _, m := range methods {
		w.b.WriteByte(';')
		w.newline()
		w.word(m.Name + "=" + m.Result)
		if m = m.Cleaned(); m.Comment != "" {
			w.text("(" + m.Comment + ")")
		}
		if m.Reason != "" {
			w.text(`reason="` + m.Reason + `"`)
		}
		for _, p := range m.Props {
			w.word(p.Type + "." + p.Name + "=" + value(p.Value))
		}
	}
}

// writer puts words on lines.
type writer struct {
	b strings.Builder
	// column is the width of the line so far; empty reports that it has no
	// word.
	column int
	begun  bool
}

func (w *writer) newline() {
	w.b.WriteString(fold)
	w.column, w.begun = tabWidth, false
}

// word adds s, which is never broken, after a space or a fold. It keeps one
// column free for a semicolon.
func (w *writer) word(s string) {
	if w.begun {
		if w.column+1+len(s)+1 > foldAt {
			w.newline()
		} else {
			w.b.WriteByte(' ')
			w.column++
		}
	}
	w.b.WriteString(s)
	w.column += len(s)
	w.begun = true
}

// text adds s, a comment or a quoted string, which may be folded at its spaces:
// in both, folding white space stands for a space (RFC 5322 sections 3.2.2 and
// 3.2.4).
func (w *writer) text(s string) {
	// A fold after a space would lengthen a run of spaces, so only single
	// spaces are places to fold.
	if w.column+1+len(s)+1 <= foldAt || tabWidth+len(s)+1 <= foldAt || strings.Contains(s, "  ") {
		w.word(s)
		return
	}
	for part := range strings.SplitSeq(s, " ") {
		w.word(part)
	}
}

// value returns a cleaned value as a pvalue: bare if it is a token, an address
// or a domain (RFC 8601 section 2.2), quoted otherwise.
func value(s string) string {
	if at := strings.LastIndexByte(s, '@'); at >= 0 && isDomain(s[at+1:]) {
		return s
	}
	return quoted(s)
}

// quoted returns a cleaned value bare if it is a token, and as a quoted-string
// otherwise. Nothing in it needs escaping.
func quoted(s string) string {
	if isToken(s) {
		return s
	}
	return `"` + s + `"`
}

// isToken reports whether s is a token (RFC 2045 section 5.1).
func isToken(s string) bool {
	for i := 0; i < len(s); i++ {
		if !isTokenChar(s[i]) {
			return false
		}
	}
	return s != ""
}

func isTokenChar(c byte) bool {
	return c > ' ' && c < 0x7f && strings.IndexByte(`()<>@,;:\"/[]?=`, c) < 0
}

// isDomain reports whether s has the form of a domain name
// (RFC 6376 section 3.5), with underscores allowed. A value that was cut has
// not: it ends in dots.
func isDomain(s string) bool {
	label := 0
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case ascii.IsLetter(c), ascii.IsDigit(c), c == '-', c == '_':
			label++
		case c == '.' && label > 0:
			label = 0
		default:
			return false
		}
	}
	return label > 0
}

// isQuoted reports whether s is one quoted-string already.
func isQuoted(s string) bool {
	if len(s) < 2 || s[0] != '"' || s[len(s)-1] != '"' {
		return false
	}
	for i := 1; i < len(s)-1; i++ {
		switch s[i] {
		case '"':
			return false
		case '\\':
			if i++; i == len(s)-1 {
				return false
			}
		}
	}
	return true
}

// isAtomChar reports whether c may occur in an atom (RFC 5322 section 3.2.3).
func isAtomChar(c byte) bool {
	return c > ' ' && c < 0x7f && strings.IndexByte(`()<>[]:;@\,."`, c) < 0
}

// isDotAtom reports whether s is a dot-atom (RFC 5322 section 3.2.3), with
// UTF-8 allowed (RFC 6532 section 3.2).
func isDotAtom(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < 0x80 && !isAtomChar(s[i]) && (s[i] != '.' || i == 0 || s[i-1] == '.') {
			return false
		}
	}
	return s != "" && s[len(s)-1] != '.'
}
