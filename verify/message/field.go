// Package message implements the parts of an Internet message (RFC 5322, RFC 6532)
// that authentication needs: header fields as raw octets, the canonicalization and
// body digests of DKIM and ARC, and the author domain.
package message

import (
	"strings"

	"authmilter/verify/ascii"
)

// Field is one header field as it was received.
type Field struct {
	// Name is the field name as written, without the colon. It keeps white space
	// before the colon, which is obsolete but occurs (RFC 5322 section 4.5).
	Name string
	// Raw is every octet after the colon, including leading white space, with
	// folds as CRLF, but without the CRLF that ends the field.
	Raw string
}

// NewField returns the field with the given name and value. The value is as a
// milter client sends it: the octets after the colon, with folds as LF or CRLF.
func NewField(name, value string) Field {
	return Field{Name: name, Raw: crlf(value)}
}

// Is reports whether the field is called name, which must be in lower case. Case
// is ignored for ASCII letters only: no other character matches one of them.
func (f Field) Is(name string) bool {
	own := strings.TrimRight(f.Name, " \t")
	if len(own) != len(name) {
		return false
	}
	for i := 0; i < len(own); i++ {
		if ascii.Lower(own[i]) != name[i] {
			return false
		}
	}
	return true
}

// Named reports whether some reader treats name, a field name as written, as want:
// it ignores case, white space after the name (RFC 5322 section 4.5), and octets
// that are not printable ASCII, which readers drop.
func Named(name, want string) bool {
	at := 0
	for i := 0; i < len(name); i++ {
		switch c := name[i]; {
		case c <= ' ' || c >= 0x7f:
		case at < len(want) && ascii.Lower(c) == ascii.Lower(want[at]):
			at++
		default:
			return false
		}
	}
	return at == len(want)
}

// Header holds the fields of a message in the order received, top first.
type Header []Field

// crlf returns s with each LF that does not follow a CR turned into CRLF.
func crlf(s string) string {
	bare := 0
	for i := 0; i < len(s); i++ {
		if s[i] == '\n' && (i == 0 || s[i-1] != '\r') {
			bare++
		}
	}
	if bare == 0 {
		return s
	}
	var b strings.Builder
	b.Grow(len(s) + bare)
	for i := 0; i < len(s); i++ {
		if s[i] == '\n' && (i == 0 || s[i-1] != '\r') {
			b.WriteByte('\r')
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
