// Package message knows the form of an Internet message (RFC 5322, RFC 6532):
// its header fields as raw octets, their canonicalization and the body digests
// of DKIM and ARC, and the author domain.
package message

import "strings"

// Field is one header field as it was received.
type Field struct {
	// Name is the field name as written, without the colon. White space before
	// the colon, obsolete but met (RFC 5322 section 4.5), is kept.
	Name string
	// Raw is every octet after the colon, leading white space included, with
	// folds as CRLF, without the CRLF that ends the field.
	Raw string
}

// NewField returns the field of name and value, where value is what a milter
// client sends: the octets after the colon, folded lines ended by LF or CRLF.
func NewField(name, value string) Field {
	return Field{Name: name, Raw: crlf(value)}
}

// Is tells whether the field is called name, which is in lower case. Only ASCII
// letters match in either case: a name beyond ASCII is another name.
func (f Field) Is(name string) bool {
	own := strings.TrimRight(f.Name, " \t")
	if len(own) != len(name) {
		return false
	}
	for i := 0; i < len(own); i++ {
		if lower(own[i]) != name[i] {
			return false
		}
	}
	return true
}

// Named reports whether some reader takes name, that of a header field as it is
// written, for want: in upper or lower case, with white space behind it
// (RFC 5322 section 4.5), or with octets in it that are not printable ASCII,
// which readers drop.
func Named(name, want string) bool {
	at := 0
	for i := 0; i < len(name); i++ {
		switch c := name[i]; {
		case c <= ' ' || c >= 0x7f:
		case at < len(want) && lower(c) == lower(want[at]):
			at++
		default:
			return false
		}
	}
	return at == len(want)
}

func lower(b byte) byte {
	if 'A' <= b && b <= 'Z' {
		b += 'a' - 'A'
	}
	return b
}

// Header is the fields of a message in the order received, top first.
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
