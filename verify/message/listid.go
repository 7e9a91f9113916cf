package message

import (
	"errors"
	"slices"
	"strings"

	"authmilter/verify/domain"
)

const (
	// maxListID bounds a list identifier, in octets (RFC 2919 section 2).
	maxListID = 255
	// maxListIDs bounds the identifiers that are read in one message.
	maxListIDs = 100
)

var (
	// ErrListID means that text is not a list identifier, or that a List-Id field
	// has none.
	ErrListID = errors.New("malformed List-Id")
	// ErrListIDBounds means that a message has more list identifiers than are
	// read.
	ErrListIDBounds = errors.New("too many list identifiers")
)

// ListID is what the List-Id fields of a message say. A message should have one
// field with one identifier (RFC 2919 section 3), but a sender can write more.
type ListID struct {
	// IDs holds the distinct identifiers in order of appearance, as [ParseListID]
	// returns them, at most 100.
	IDs []string
	// Err is ErrListID or ErrListIDBounds if the fields have anything that IDs
	// leaves out; otherwise nil.
	Err error
}

// ListID returns what the List-Id fields say. It takes time linear in their length.
func (h Header) ListID() ListID {
	var l ListID
	read := 0
	for i := range h {
		if !h[i].Is("list-id") {
			continue
		}
		rest, found := h[i].Raw, false
		quotes := quotesArePaired(rest)
		for {
			text, after, ok := nextBracketed(rest, quotes)
			if !ok {
				break
			}
			rest, found = after, true
			if read++; read > maxListIDs {
				l.Err = ErrListIDBounds
				return l
			}
			id, err := ParseListID(text)
			switch {
			case err != nil:
				l.Err = ErrListID
			case !slices.Contains(l.IDs, id):
				l.IDs = append(l.IDs, id)
			}
		}
		if !found || opens(rest, quotes) {
			l.Err = ErrListID
		}
	}
	return l
}

// nextBracketed returns the first text between angle brackets in s, and the text
// after it. If quotes is set, it ignores brackets within a quoted string.
func nextBracketed(s string, quotes bool) (text, after string, ok bool) {
	open := -1
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"' && quotes && open < 0:
			i = endOfQuoted(s, i)
		case c == '<':
			open = i
		case c == '>' && open >= 0:
			return s[open+1 : i], s[i+1:], true
		}
	}
	return "", s, false
}

// opens reports whether s, which has no text between brackets, has an opening one.
func opens(s string, quotes bool) bool {
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '"' && quotes:
			i = endOfQuoted(s, i)
		case s[i] == '<':
			return true
		}
	}
	return false
}

// endOfQuoted returns the position of the quote that ends the quoted string at i,
// or the end of s.
func endOfQuoted(s string, i int) int {
	for i++; i < len(s) && s[i] != '"'; i++ {
		if s[i] == '\\' {
			i++
		}
	}
	return min(i, len(s))
}

// quotesArePaired reports whether each quote in s begins or ends a quoted string.
// The text before the identifier is a free-form description of the list: unpaired
// quotes in it are just characters.
func quotesArePaired(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] == '"' {
			if i = endOfQuoted(s, i); i == len(s) {
				return false
			}
		}
	}
	return true
}

// ParseListID returns the list identifier in text, in lower case, because comparing
// identifiers ignores case. An identifier is a dot-atom-text of at most 255 octets
// (RFC 2919 section 2), not a host name: it may contain characters such as "+" and
// "!" (RFC 5322 section 3.2.3). Non-ASCII labels become A-labels, because the domain
// in an identifier can be written either way. ParseListID ignores white space around
// the identifier and one trailing dot. The error is [ErrListID].
func ParseListID(text string) (string, error) {
	text = strings.TrimSuffix(strings.Trim(text, " \t\r\n"), ".")
	if len(text) > maxListID {
		return "", ErrListID
	}
	var id strings.Builder
	for i, label := range strings.Split(text, ".") {
		label, err := listLabel(label)
		if err != nil {
			return "", err
		}
		if i > 0 {
			id.WriteByte('.')
		}
		id.WriteString(label)
	}
	if id.Len() > maxListID {
		return "", ErrListID
	}
	return id.String(), nil
}

// listLabel normalizes one label of a list identifier.
func listLabel(label string) (string, error) {
	if label == "" {
		return "", ErrListID
	}
	ascii := true
	for i := 0; i < len(label); i++ {
		switch c := label[i]; {
		case c >= 0x80:
			ascii = false
		case !isAtext(c):
			return "", ErrListID
		}
	}
	if ascii {
		return strings.ToLower(label), nil
	}
	label, err := domain.ToASCII(label)
	if err != nil || strings.Contains(label, ".") {
		return "", ErrListID
	}
	return label, nil
}
