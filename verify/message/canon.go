package message

import (
	"errors"
	"strings"

	"authmilter/verify/ascii"
)

// Canon is a canonicalization algorithm (RFC 6376 section 3.4).
type Canon uint8

const (
	Simple Canon = iota
	Relaxed

	canons = iota
)

// ErrCanon is returned for the name of an unknown canonicalization algorithm.
var ErrCanon = errors.New("unknown canonicalization")

// String returns the name used in a c= tag.
func (c Canon) String() string {
	if c == Relaxed {
		return "relaxed"
	}
	return "simple"
}

// ParseCanon returns the header and the body algorithm in text, the value of a c=
// tag without white space around it, such as "relaxed/simple". A single name is for
// the header, and the body algorithm is then simple (RFC 6376 section 3.5). Case is
// ignored, as in all ABNF strings (RFC 5234 section 2.3).
func ParseCanon(text string) (header, body Canon, err error) {
	first, second, two := strings.Cut(text, "/")
	if header, err = parseCanonName(first); err != nil || !two {
		return header, Simple, err
	}
	body, err = parseCanonName(second)
	return header, body, err
}

func parseCanonName(name string) (Canon, error) {
	switch strings.ToLower(name) {
	case "simple":
		return Simple, nil
	case "relaxed":
		return Relaxed, nil
	}
	return Simple, ErrCanon
}

// AppendField appends the canonical form of f to dst, including the final CRLF
// (RFC 6376 sections 3.4.1 and 3.4.2), and returns the extended slice.
//
// A signature's own field is hashed without that CRLF (RFC 6376 section 3.7): the
// caller must cut off the last two octets.
func (c Canon) AppendField(dst []byte, f Field) []byte {
	if c == Relaxed {
		dst = appendRelaxedName(dst, f.Name)
		dst = append(dst, ':')
		dst = appendRelaxedValue(dst, f.Raw)
	} else {
		dst = append(dst, f.Name...)
		dst = append(dst, ':')
		dst = append(dst, f.Raw...)
	}
	return append(dst, '\r', '\n')
}

// appendRelaxedName appends name in lower case, without the white space before the
// colon.
func appendRelaxedName(dst []byte, name string) []byte {
	end := len(name)
	for end > 0 && isWSP(name[end-1]) {
		end--
	}
	for i := 0; i < end; i++ {
		dst = append(dst, ascii.Lower(name[i]))
	}
	return dst
}

// appendRelaxedValue appends raw with each run of white space and folds as one
// space, and none at either end. Only SP and HTAB are white space, and only a CRLF
// before one of them is a fold (RFC 5322 section 2.2.3): any other CR or LF is kept
// as it is.
func appendRelaxedValue(dst []byte, raw string) []byte {
	start := len(dst)
	for i := 0; i < len(raw); {
		if n := blank(raw[i:]); n > 0 {
			i += n
			continue
		}
		word := i
		for i < len(raw) && raw[i] != ' ' && raw[i] != '\t' && (raw[i] != '\r' || blank(raw[i:]) == 0) {
			i++
		}
		if len(dst) > start {
			dst = append(dst, ' ')
		}
		dst = append(dst, raw[word:i]...)
	}
	return dst
}

// blank returns the length of the white space character, or of the fold with its
// white space character, at the start of s, or 0 if there is none.
func blank(s string) int {
	switch {
	case s[0] == ' ' || s[0] == '\t':
		return 1
	case len(s) > 2 && s[0] == '\r' && s[1] == '\n' && isWSP(s[2]):
		return 3
	}
	return 0
}

func isWSP(b byte) bool { return b == ' ' || b == '\t' }
