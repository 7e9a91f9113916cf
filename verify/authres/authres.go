// Package authres writes and reads the Authentication-Results header field
// (RFC 8601), and finds the fields that claim to be ours.
package authres

import (
	"slices"
	"strings"

	"authmilter/verify/clean"
	"authmilter/verify/domain"
)

// Method is one result: a method, its outcome, and the properties that were
// evaluated (RFC 8601 section 2.2, resinfo).
type Method struct {
	Name   string // "dkim", "spf", ...
	Result string // "pass", "fail", ...
	// Comment and Reason explain the result; either may be empty. Comment is
	// for people, Reason also for programs that read the field.
	Comment string
	Reason  string
	Props   []Prop
}

// Prop is one property: "smtp.mailfrom=..." has Type "smtp" and Name "mailfrom".
type Prop struct {
	Type, Name, Value string
}

// Results is a whole field.
type Results struct {
	AuthservID string
	Methods    []Method // empty means "none"
	// Skipped are the texts that [Parse] did not read although they may be, or
	// hide, a part of a result: entries that are not well formed, words such as
	// "action=none" in other entries, and what looks like an entry but is in a
	// comment or a quoted string. Nothing in it is a result.
	Skipped []string
}

// Domain returns the domain in the value of a property that holds a domain or an
// address, which may be in angle brackets: "example.com", "@example.com",
// "joe@example.com" or "<joe@example.com>". ok is false if it is unclear where the
// local part ends. The domain is as written: it need not be a valid name.
func Domain(value string) (name string, ok bool) {
	if bare, found := strings.CutPrefix(value, "<"); found {
		if value, ok = strings.CutSuffix(bare, ">"); !ok {
			return "", false
		}
	}
	at := strings.LastIndexByte(value, '@')
	if at < 0 {
		return value, true
	}
	local := value[:at]
	return value[at+1:], !strings.ContainsAny(local, `@<>,:;" `) || isQuoted(local)
}

// Bounds of one piece of text within a field, in octets. A value can hold the
// longest address (RFC 5321 section 4.5.3.1.3) and still fits, with its
// property, on a line of 998.
const (
	maxValue   = 320
	maxComment = 200
)

// Cleaned returns m as it is written, and so as readers find it: all text is
// printable ASCII, within its bound, and free of characters that common readers
// trip over. Those are replaced, not escaped, because some readers do not
// understand escapes.
func (m Method) Cleaned() Method {
	m.Comment = cleanComment(m.Comment)
	m.Reason = cleanReason(m.Reason)
	copied := false
	for i, p := range m.Props {
		value := cleanValue(p.Value)
		if value == p.Value {
			continue // as are nearly all
		}
		if !copied {
			m.Props, copied = slices.Clone(m.Props), true
		}
		m.Props[i].Value = value
	}
	return m
}

// cleanComment returns s as the content of a comment. Parentheses and
// backslashes, which could end it, become brackets and slashes. Semicolons
// become commas, because common readers do not know that a comment may contain
// them.
func cleanComment(s string) string {
	return commentReplacer.Replace(clean.ASCII(s, maxComment))
}

var commentReplacer = strings.NewReplacer("(", "[", ")", "]", `\`, "/", ";", ",", `"`, "'")

// cleanReason returns s as the content of a quoted-string that needs no escape.
func cleanReason(s string) string {
	return reasonReplacer.Replace(clean.ASCII(s, maxComment))
}

var reasonReplacer = strings.NewReplacer(`"`, "'", `\`, "/", ";", ",")

// cleanValue returns s as a value that can be written as it is, or as a
// quoted-string without escapes. A domain is written in A-labels
// (RFC 8601 section 1.5.2 allows both), and the local part of an address
// without its quotes. Characters that occur neither in an address, nor in a
// signature, nor in an address literal are replaced.
func cleanValue(s string) string {
	s = clean.ASCII(domain.AddressToASCII(s), maxValue)
	if at := strings.LastIndexByte(s, '@'); at >= 0 && isDomain(s[at+1:]) {
		if local := cleanLocal(s[:at]); local != s[:at] {
			return local + s[at:]
		}
		return s
	}
	if !strings.ContainsAny(s, oddInValue) {
		return s
	}
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune(oddInValue, r) {
			return clean.Replacement
		}
		return r
	}, s)
}

// oddInValue are the characters that no value other than an address contains.
const oddInValue = ` "\(),;<>`

// cleanLocal returns the local part of an address as a dot-atom
// (RFC 5322 section 3.2.3). An empty local part stays empty.
func cleanLocal(s string) string {
	if s == "" || isDotAtom(s) && !isOddFirst(s[0]) {
		return s
	}
	if isQuoted(s) {
		// Read what is in the quotes, which may not be needed.
		p := parser{s: s}
		s, _ = p.quotedString()
	}
	out := []byte(s)
	for i, c := range out {
		if c == '.' && i > 0 && i < len(out)-1 && out[i-1] != '.' {
			continue
		}
		if i == 0 && isOddFirst(c) || !isAtomChar(c) {
			out[i] = clean.Replacement
		}
	}
	if len(out) == 0 {
		return string(clean.Replacement)
	}
	return string(out)
}

// isOddFirst reports whether Mail::AuthenticationResults takes c for syntax if
// an address begins with it.
func isOddFirst(c byte) bool { return c == '/' || c == '=' }
