// Package authres writes and reads the Authentication-Results header field
// (RFC 8601), and tells which fields claim to be ours.
package authres

import "authmilter/verify/clean"

// Method is one result: a method, what it found, and the properties that were
// looked at (RFC 8601 section 2.2, resinfo).
type Method struct {
	Name   string // "dkim", "spf", ...
	Result string // "pass", "fail", ...
	// Comment and Reason explain the result; either may be empty. Comment is
	// for people, Reason for programs that read the field too.
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
	Methods    []Method // empty: "none"
}

// Bounds of one piece of text within a field, in octets. A value holds the
// longest address (RFC 5321 section 4.5.3.1.3) and leaves room for its
// property on a line of 998.
const (
	maxValue   = 320
	maxComment = 200
)

// Cleaned returns m as it is written: every text through [clean.Text] and within
// its bound.
func (m Method) Cleaned() Method {
	m.Comment = cleanComment(m.Comment)
	m.Reason = clean.Text(m.Reason, maxComment)
	props := make([]Prop, len(m.Props))
	for i, p := range m.Props {
		p.Value = clean.Text(p.Value, maxValue)
		props[i] = p
	}
	m.Props = props
	return m
}
