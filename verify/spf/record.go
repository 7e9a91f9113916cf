package spf

import (
	"net/netip"
	"strconv"
	"strings"
)

// Record is an SPF record (RFC 7208 section 4.6.1).
type Record struct {
	// Mechanisms are the directives, in the order of the record.
	Mechanisms []Mechanism
	// Redirect and Exp are the domain-specs of the modifiers "redirect" and "exp"
	// (sections 6.1 and 6.2); zero if the record has none.
	Redirect MacroString
	Exp      MacroString
	// Unknown are all other modifiers. Evaluation ignores them.
	Unknown []Modifier
}

// Qualifier is the result that a mechanism gives if it matches
// (RFC 7208 section 4.6.2).
type Qualifier byte

// Status returns the result that the qualifier stands for.
func (q Qualifier) Status() Status {
	switch q {
	case '-':
		return Fail
	case '~':
		return SoftFail
	case '?':
		return Neutral
	default:
		return Pass
	}
}

// Kind is the name of a mechanism, in lower case.
type Kind string

// The mechanisms of RFC 7208 section 5.
const (
	All     Kind = "all"
	Include Kind = "include"
	A       Kind = "a"
	MX      Kind = "mx"
	PTR     Kind = "ptr"
	IP4     Kind = "ip4"
	IP6     Kind = "ip6"
	Exists  Kind = "exists"
)

// Mechanism is a directive: a mechanism and its qualifier.
type Mechanism struct {
	// Qualifier is '+', '-', '~' or '?'. The default is '+'.
	Qualifier Qualifier
	Kind      Kind
	// Domain is the domain-spec. It is zero if the record gives none, and for
	// kinds that have none.
	Domain MacroString
	// Network is the network of [IP4] and [IP6], as written: its host bits may
	// be set.
	Network netip.Prefix
	// Prefix4 and Prefix6 are how many bits of an address [A] and [MX] compare.
	// The defaults are 32 and 128. They are 0 for other kinds.
	Prefix4, Prefix6 int
}

// Modifier is a modifier that RFC 7208 does not define.
type Modifier struct {
	Name  string
	Value MacroString
}

// String returns the text of a record that [ParseRecord] parses to the same
// Record: the mechanisms, then the modifiers, with defaults left out.
func (r *Record) String() string {
	var b strings.Builder
	b.WriteString(version)
	for i := range r.Mechanisms {
		b.WriteByte(' ')
		b.WriteString(r.Mechanisms[i].String())
	}
	if !r.Redirect.IsZero() {
		b.WriteString(" redirect=")
		b.WriteString(r.Redirect.String())
	}
	if !r.Exp.IsZero() {
		b.WriteString(" exp=")
		b.WriteString(r.Exp.String())
	}
	for _, m := range r.Unknown {
		b.WriteByte(' ')
		b.WriteString(m.Name)
		b.WriteByte('=')
		b.WriteString(m.Value.String())
	}
	return b.String()
}

// String returns the directive as it appears in a record, without "+" and without
// default prefix lengths.
func (m *Mechanism) String() string {
	if m.Kind == All && m.Qualifier == '-' {
		return "-all"
	}
	var b strings.Builder
	if m.Qualifier != '+' {
		b.WriteByte(byte(m.Qualifier))
	}
	b.WriteString(string(m.Kind))
	switch {
	case m.Kind == IP4 || m.Kind == IP6:
		b.WriteByte(':')
		b.WriteString(m.Network.Addr().String())
		if !m.Network.IsSingleIP() {
			b.WriteByte('/')
			b.WriteString(strconv.Itoa(m.Network.Bits()))
		}
	case !m.Domain.IsZero():
		b.WriteByte(':')
		b.WriteString(m.Domain.String())
	}
	if m.Kind == A || m.Kind == MX {
		if m.Prefix4 != 32 {
			b.WriteByte('/')
			b.WriteString(strconv.Itoa(m.Prefix4))
		}
		if m.Prefix6 != 128 {
			b.WriteString("//")
			b.WriteString(strconv.Itoa(m.Prefix6))
		}
	}
	return b.String()
}
