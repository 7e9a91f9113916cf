package message

import (
	"errors"
	"strings"
)

// unaddressed reports whether there are From fields, and none of them could show an
// address with a domain to any reader, whatever MTAs make of it.
func (f *authorFinder) unaddressed() bool {
	for _, err := range []error{ErrFromName, ErrFromLine, ErrFromNUL, ErrFromWord, ErrAuthorBounds} {
		if errors.Is(f.Err, err) {
			return false
		}
	}
	return f.Fields > 0 && len(f.Domains) == 0 && !f.addressed
}

// addressed reports whether raw, a From field, has a sign of an address with a
// domain: an "@" or a character that looks like one, a "%" or "!" of an old form,
// which MTAs rewrite with an "@", or an encoded word that has one of them or cannot
// be decoded for certain.
func addressed(raw string) bool {
	if signed(raw) {
		return true
	}
	if !strings.Contains(raw, "=?") {
		return false
	}
	for _, spaced := range []bool{true, false} {
		words := decodeWords(raw, spaced)
		if words.hidden || words.wide || signed(words.text) || strings.Contains(words.text, "=?") {
			return true
		}
	}
	return false
}

func signed(text string) bool { return strings.ContainsAny(text, atSigns+"%!") }
