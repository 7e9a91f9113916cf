package dkim

import (
	"errors"
	"strings"

	"authmilter/verify/ascii"
)

// Bounds of a tag list.
const (
	maxTagList = 64 << 10 // octets
	maxTags    = 64
)

// Tag is one tag of a list. Its Value is without the white space around it, and
// with any folds within it.
type Tag struct {
	Name, Value string
	// from and to bound everything between the equals sign and the semicolon,
	// as octets of the list.
	from, to int
}

// Tags is a tag list (RFC 6376 section 3.2) in the order written.
type Tags []Tag

// Errors of [ParseTags].
var (
	ErrTagSyntax    = errors.New("malformed tag list")
	ErrDuplicateTag = errors.New("duplicate tag")
)

// ParseTags parses a tag list. Names are case-sensitive, and a name that occurs
// twice makes the whole list invalid (RFC 6376 section 3.2). Empty elements
// between two semicolons are passed over: they are met, and mean nothing.
// Values may hold UTF-8 (RFC 8616 section 5).
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

// String returns the list in its plainest form.
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

// without returns list, which t was parsed from, with the value of the tag
// called name deleted, and the white space around it too
// (RFC 6376 section 3.7). Every other octet is kept.
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

// isTagValue tells whether s is made of tval characters, white space and folds.
// The semicolon, which is neither, ends a value before this is asked.
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

// trimFWS returns s without folding white space at its ends.
func trimFWS(s string) string { return strings.Trim(s, " \t\r\n") }

// removeFWS returns s without any white space, as base64 text is read
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
