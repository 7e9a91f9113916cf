package spf

import (
	"context"
	"net/netip"
	"strconv"
	"strings"

	"authmilter/verify/ascii"
	"authmilter/verify/domain"
)

const (
	// maxIdentity bounds the local-part and the HELO argument that macros expand
	// to, and so the work of expanding them. RFC 5321 section 4.5.3.1 allows 64
	// and 255 octets.
	maxIdentity = 256
	// nameTail is how many octets at the end of an expansion can be part of a
	// name: the longest name, the dot before it and the dot after it.
	nameTail = domain.MaxLength + 2
	// maxExplanation is the length in octets to which explanations are cut.
	maxExplanation = 400
	// unknownName is what %{p} and %{r} expand to if there is no name
	// (RFC 7208 section 7.3).
	unknownName = "unknown"
)

// expandable reports whether every macro of m has a value. Macros for a
// local-part that is not ASCII have none: a term that uses one does not match
// (RFC 8616 section 4). Local-parts and HELO arguments of absurd length are
// treated the same way.
func (e *evaluation) expandable(m MacroString) bool {
	if m.letters.has('s') || m.letters.has('l') {
		if len(e.local) > maxIdentity || !ascii.Is(e.local) {
			return false
		}
	}
	return !m.letters.has('h') || len(e.args.Helo) <= maxIdentity
}

// target returns the target-name of a term: spec expanded, without a trailing
// dot, and cut on the left to the length of a name (RFC 7208 sections 4.8 and
// 7.3). If spec is zero, the target is current. ok is false if the result cannot
// be a name in the DNS. spec must be expandable.
func (e *evaluation) target(ctx context.Context, spec MacroString, current string) (name string, ok bool, x *Error) {
	switch {
	case spec.IsZero():
		return current, true, nil
	case spec.segments == nil:
		name = spec.literal
	default:
		var space [512]byte
		b := space[:0]
		for _, s := range spec.segments {
			if b, x = e.appendSegment(ctx, b, s, current); x != nil {
				return "", false, x
			}
			if len(b) > 2*nameTail {
				b = b[:copy(b, b[len(b)-nameTail:])]
			}
		}
		name = string(b)
	}
	name = truncate(strings.TrimSuffix(name, "."))
	return name, isName(name), nil
}

// truncate removes labels from the left of name until it is short enough for a
// domain name (RFC 7208 section 7.3).
func truncate(name string) string {
	if len(name) <= domain.MaxLength {
		return name
	}
	_, name, _ = strings.Cut(name[len(name)-domain.MaxLength-1:], ".")
	return name
}

// isName reports whether name consists of labels of 1 to 63 octets, with any
// values, and is not too long. RFC 7208 section 4.8 does not say what to do with
// other names; here they count as names that do not exist and are not looked up.
func isName(name string) bool {
	if name == "" || len(name) > domain.MaxLength {
		return false
	}
	for rest, more := name, true; more; {
		var label string
		label, rest, more = strings.Cut(rest, ".")
		if label == "" || len(label) > 63 {
			return false
		}
	}
	return true
}

// explanation expands m, an explain-string, for a record of the domain current.
func (e *evaluation) explanation(ctx context.Context, m MacroString, current string) (string, bool) {
	if m.segments == nil {
		return m.literal[:min(len(m.literal), maxExplanation)], true
	}
	if !e.expandable(m) {
		return "", false
	}
	var b []byte
	for _, s := range m.segments {
		var x *Error
		if b, x = e.appendSegment(ctx, b, s, current); x != nil {
			return "", false
		}
		if len(b) > maxExplanation {
			b = b[:maxExplanation]
			break
		}
	}
	for _, c := range b {
		// RFC 7208 section 6.2 requires US-ASCII. The text is meant for an SMTP
		// reply, and a HELO argument or local-part can contain anything.
		if c < ' ' || c > '~' {
			return "", false
		}
	}
	return string(b), true
}

// appendSegment appends the expansion of s to b.
func (e *evaluation) appendSegment(ctx context.Context, b []byte, s segment, current string) ([]byte, *Error) {
	switch s.letter {
	case 0:
		return append(b, s.literal...), nil
	case '%':
		return append(b, '%'), nil
	case '_':
		return append(b, ' '), nil
	case '-':
		return append(b, "%20"...), nil
	}
	value, x := e.macroValue(ctx, s.letter, current)
	if x != nil {
		return b, x
	}
	begin := len(b)
	if s.parts == 0 && !s.reverse && s.delimiters == "" {
		b = append(b, value...)
	} else {
		b = s.appendParts(b, value)
	}
	if s.escape {
		b = append(b[:begin], escapeURL(string(b[begin:]))...)
	}
	return b, nil
}

// macroValue returns what a macro-letter stands for (RFC 7208 sections 7.2 and
// 7.3).
func (e *evaluation) macroValue(ctx context.Context, letter byte, current string) (string, *Error) {
	switch letter {
	case 's':
		return e.local + "@" + e.senderDomain, nil
	case 'l':
		return e.local, nil
	case 'o':
		return e.senderDomain, nil
	case 'd':
		return current, nil
	case 'i':
		return dotted(e.ip), nil
	case 'p':
		return e.validatedName(ctx, current)
	case 'v':
		if e.ip.Is4() {
			return "in-addr", nil
		}
		return "ip6", nil
	case 'h':
		return e.helo(), nil
	case 'c':
		return e.ip.String(), nil
	case 'r':
		if e.args.Receiver == "" {
			return unknownName, nil
		}
		return e.args.Receiver, nil
	default: // 't', the only other letter that the parser accepts
		return strconv.FormatInt(e.args.Now.Unix(), 10), nil
	}
}

// helo returns the HELO argument, in A-labels if it is a domain name:
// RFC 8616 section 4 requires U-labels to be converted before macros use them.
func (e *evaluation) helo() string {
	if ascii.Is(e.args.Helo) {
		return e.args.Helo
	}
	if name, err := domain.ToASCII(e.args.Helo); err == nil {
		return name
	}
	return e.args.Helo
}

// dotted returns ip as %{i} shows it: a dotted quad, or the nibbles of an IPv6
// address with dots between them.
func dotted(ip netip.Addr) string {
	if ip.Is4() {
		return ip.String()
	}
	const hex = "0123456789abcdef"
	var b [63]byte
	for i, c := range ip.As16() {
		b[4*i], b[4*i+1], b[4*i+2] = hex[c>>4], '.', hex[c&15]
		if i < 15 {
			b[4*i+3] = '.'
		}
	}
	return string(b[:])
}

// appendParts appends value as transformed by s: split into parts, reversed,
// reduced to its right-hand parts, and joined by dots (RFC 7208 section 7.3).
func (s segment) appendParts(b []byte, value string) []byte {
	delimiters := s.delimiters
	if delimiters == "" {
		delimiters = "."
	}
	var space [64]string
	parts := space[:0]
	for {
		i := strings.IndexAny(value, delimiters)
		if i < 0 {
			break
		}
		parts = append(parts, value[:i])
		value = value[i+1:]
	}
	parts = append(parts, value)
	first := 0
	if s.parts > 0 && s.parts < len(parts) {
		first = len(parts) - s.parts
	}
	for i := first; i < len(parts); i++ {
		if i > first {
			b = append(b, '.')
		}
		if s.reverse {
			b = append(b, parts[len(parts)-1-i]...)
		} else {
			b = append(b, parts[i]...)
		}
	}
	return b
}

// escapeURL escapes all octets that are not in the "unreserved" set of
// RFC 3986 section 2.3.
func escapeURL(s string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		c := s[i]
		if ascii.IsLetter(c) || ascii.IsDigit(c) || strings.IndexByte("-._~", c) >= 0 {
			b.WriteByte(c)
			continue
		}
		b.WriteByte('%')
		b.WriteByte(hex[c>>4])
		b.WriteByte(hex[c&15])
	}
	return b.String()
}
