package dkim

import (
	"encoding/base64"
	"errors"
	"strings"

	"authmilter/verify/ascii"
)

// Bounds of a tag list.
const (
	maxTagList = 64 << 10 // octets
	maxTags    = 64
)

// Tag is one tag of a list. Value excludes the white space around it but keeps any
// folds within it.
type Tag struct {
	Name, Value string
	// from and to are offsets in the list: the start and end of the text between
	// the equals sign and the semicolon.
	from, to int
}

// Tags is a tag list (RFC 6376 section 3.2), in its original order.
type Tags []Tag

// Errors of [ParseTags].
var (
	ErrTagSyntax    = errors.New("malformed tag list")
	ErrDuplicateTag = errors.New("duplicate tag")
)

// ParseTags parses a tag list. Names are case-sensitive, and a name that occurs
// twice makes the whole list invalid (RFC 6376 section 3.2). Empty elements
// between two semicolons are skipped: they occur in real mail and are harmless.
// Values can contain UTF-8 (RFC 8616 section 5).
func ParseTags(s string) (Tags, error) {
	if len(s) > maxTagList {
		return nil, ErrTagSyntax
	}
	tags := make(Tags, 0, 12)
	for start := 0; start < len(s); {
		end := start + len(s[start:])
		if semicolon := strings.IndexByte(s[start:], ';'); semicolon >= 0 {
			end = start + semicolon
		}
		spec := s[start:end]
		if trimFWS(spec) != "" {
			name, _, found := strings.Cut(spec, "=")
			from := start + len(name) + 1
			name = trimFWS(name)
			if !found || !isTagName(name) || len(tags) == maxTags {
				return nil, ErrTagSyntax
			}
			value := trimFWS(s[from:end])
			if !isTagValue(value) {
				return nil, ErrTagSyntax
			}
			if _, twice := tags.Get(name); twice {
				return nil, ErrDuplicateTag
			}
			tags = append(tags, Tag{Name: name, Value: value, from: from, to: end})
		}
		start = end + 1
	}
	if len(tags) == 0 {
		return nil, ErrTagSyntax
	}
	return tags, nil
}

// Get returns the value of the tag called name.
func (t Tags) Get(name string) (value string, ok bool) {
	for i := range t {
		if t[i].Name == name {
			return t[i].Value, true
		}
	}
	return "", false
}

// String returns the list in its simplest form.
func (t Tags) String() string {
	var b strings.Builder
	for i, tag := range t {
		if i > 0 {
			b.WriteString("; ")
		}
		b.WriteString(tag.Name)
		b.WriteByte('=')
		b.WriteString(tag.Value)
	}
	return b.String()
}

// without returns list, from which t was parsed, without the value of the tag
// called name and the white space around the value (RFC 6376 section 3.7). Every
// other octet is kept.
func (t Tags) without(name, list string) string {
	for _, tag := range t {
		if tag.Name == name {
			return list[:tag.from] + list[tag.to:]
		}
	}
	return list
}

// peek returns the value of the first tag called name in list, unchecked, or "".
func peek(list, name string) string {
	for spec := range strings.SplitSeq(list, ";") {
		if own, value, _ := strings.Cut(spec, "="); trimFWS(own) == name {
			return trimFWS(value)
		}
	}
	return ""
}

func isTagName(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if !ascii.IsLetter(c) && (i == 0 || !ascii.IsDigit(c) && c != '_') {
			return false
		}
	}
	return s != ""
}

// isTagValue reports whether s consists of tval characters, white space and folds.
// s cannot contain a semicolon, because one ends the value.
func isTagValue(s string) bool {
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c > ' ' && c != 0x7f, c == ' ', c == '\t':
		case c == '\r' && i+2 < len(s) && s[i+1] == '\n' && (s[i+2] == ' ' || s[i+2] == '\t'):
			i++
		default:
			return false
		}
	}
	return true
}

// trimFWS returns s without leading and trailing folding white space.
func trimFWS(s string) string { return strings.Trim(s, " \t\r\n") }

// removeFWS returns s without any white space, which is ignored in base64 text
// (RFC 6376 section 3.5, tag b=).
func removeFWS(s string) string {
	if !strings.ContainsAny(s, " \t\r\n") {
		return s
	}
	var b strings.Builder
	b.Grow(len(s))
	for i := 0; i < len(s); i++ {
		if strings.IndexByte(" \t\r\n", s[i]) < 0 {
			b.WriteByte(s[i])
		}
	}
	return b.String()
}

// decodeBase64 decodes the value of a tag that is a base64string. It may end in up
// to two equals signs, however many its length needs (RFC 6376 section 2.10).
func decodeBase64(value string) ([]byte, error) {
	return base64.RawStdEncoding.DecodeString(withoutPadding(removeFWS(value)))
}

// withoutPadding returns a base64string, without white space, without the equals
// signs at its end.
func withoutPadding(s string) string {
	return strings.TrimSuffix(strings.TrimSuffix(s, "="), "=")
}
