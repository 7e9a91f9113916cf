package spf

import (
	"errors"
	"net/netip"
	"strings"

	"authmilter/verify/ascii"
	"authmilter/verify/clean"
	"authmilter/verify/fault"
)

// version is how every record begins (RFC 7208 section 4.5).
const version = "v=spf1"

// Limits for a record. A DNS message holds at most 65535 octets; real records are
// far below both limits.
const (
	maxRecord = 65535
	maxTerms  = 2000
)

// maxShown is the maximum number of octets of a term that an error quotes.
const maxShown = 100

var (
	errVersion      = fault.New(PermError, ReasonSyntax, `record does not begin with "v=spf1"`)
	errRecordLength = fault.New(PermError, ReasonSyntax, "record is too long")
	errTermCount    = fault.New(PermError, ReasonSyntax, "record has too many terms")
)

// Errors in a term.
var (
	errName          = errors.New("malformed name of a mechanism or modifier")
	errMechanism     = errors.New("unknown mechanism")
	errArgument      = errors.New("mechanism takes no argument")
	errNetwork       = errors.New("malformed IP network")
	errPrefix        = errors.New("malformed prefix length")
	errPrefixTooLong = errors.New("prefix length out of range")
	errTwice         = errors.New("modifier given twice")
)

// IsRecord reports whether the text of a TXT record is an SPF record: whether it
// starts with the version section of RFC 7208 section 4.5.
func IsRecord(txt string) bool {
	return len(txt) >= len(version) && strings.EqualFold(txt[:len(version)], version) &&
		(len(txt) == len(version) || txt[len(version)] == ' ')
}

// ParseRecord parses the text of an SPF record. An error anywhere makes the whole
// record unusable (RFC 7208 section 4.6). The error is an *[Error] that names the
// term at fault.
func ParseRecord(txt string) (*Record, error) {
	r, err := parseRecord(txt)
	if err != nil {
		return nil, err
	}
	return r, nil
}

func parseRecord(txt string) (*Record, *Error) {
	if !IsRecord(txt) {
		return nil, errVersion
	}
	if len(txt) > maxRecord {
		return nil, errRecordLength
	}
	rest := txt[len(version):]
	// Terms are usually separated by one space, so this is about the right size.
	n := strings.Count(rest, " ")
	r := &Record{Mechanisms: make([]Mechanism, 0, min(n, 32))}
	for terms := 0; rest != ""; {
		var term string
		if term, rest, _ = strings.Cut(rest, " "); term == "" {
			continue
		}
		if terms++; terms > maxTerms {
			return nil, errTermCount
		}
		if err := r.addTerm(term); err != nil {
			return nil, fault.New(PermError, ReasonSyntax, clean.Text(term, maxShown)).Because(err)
		}
	}
	return r, nil
}

// addTerm parses a term and adds it.
func (r *Record) addTerm(term string) error {
	// A term with "=" right after its name is a modifier; any other is a directive
	// (RFC 7208 section 4.6.1).
	if n := nameLength(term); n > 0 && n < len(term) && term[n] == '=' {
		return r.addModifier(term[:n], term[n+1:])
	}
	m, err := parseDirective(term)
	if err != nil {
		return err
	}
	r.Mechanisms = append(r.Mechanisms, m)
	return nil
}

// nameLength returns the length of the name at the start of text.
func nameLength(text string) int {
	if text == "" || !ascii.IsLetter(text[0]) {
		return 0
	}
	for i := 1; i < len(text); i++ {
		c := text[i]
		if !ascii.IsLetter(c) && !ascii.IsDigit(c) && c != '-' && c != '_' && c != '.' {
			return i
		}
	}
	return len(text)
}

func (r *Record) addModifier(name, value string) error {
	var known *MacroString
	switch {
	case strings.EqualFold(name, "redirect"):
		known = &r.Redirect
	case strings.EqualFold(name, "exp"):
		known = &r.Exp
	default:
		m, err := parseMacroString(value, inModifier)
		if err != nil {
			return err
		}
		r.Unknown = append(r.Unknown, Modifier{Name: name, Value: m})
		return nil
	}
	// RFC 7208 section 6: neither may appear more than once.
	if !known.IsZero() {
		return errTwice
	}
	var err error
	*known, err = parseDomainSpec(value)
	return err
}

// parseDirective parses a directive (RFC 7208 sections 4.6.1 and 12).
func parseDirective(term string) (Mechanism, error) {
	m := Mechanism{Qualifier: '+'}
	switch term[0] {
	case '+', '-', '~', '?':
		m.Qualifier = Qualifier(term[0])
		term = term[1:]
	}
	n := nameLength(term)
	if n == 0 {
		return m, errName
	}
	kind, argument := term[:n], term[n:]
	if argument != "" && argument[0] != ':' && argument[0] != '/' {
		return m, errName
	}
	if m.Kind = kindOf(kind); m.Kind == "" {
		return m, errMechanism
	}
	var err error
	switch m.Kind {
	case All:
		if argument != "" {
			return m, errArgument
		}
	case Include, Exists:
		spec, ok := strings.CutPrefix(argument, ":")
		if !ok {
			return m, errNoDomain
		}
		m.Domain, err = parseDomainSpec(spec)
	case PTR:
		m.Domain, err = parseOptionalDomain(argument)
	case IP4, IP6:
		m.Network, err = parseNetwork(m.Kind, argument)
	case A, MX:
		if argument, err = m.parsePrefixes(argument); err == nil {
			m.Domain, err = parseOptionalDomain(argument)
		}
	}
	return m, err
}

// kindOf returns the mechanism called name, or "" if there is none.
func kindOf(name string) Kind {
	for _, k := range [...]Kind{IP4, IP6, Include, All, A, MX, Exists, PTR} {
		if strings.EqualFold(name, string(k)) {
			return k
		}
	}
	return ""
}

// parseOptionalDomain parses [ ":" domain-spec ].
func parseOptionalDomain(argument string) (MacroString, error) {
	if argument == "" {
		return MacroString{}, nil
	}
	spec, ok := strings.CutPrefix(argument, ":")
	if !ok {
		return MacroString{}, errPrefix
	}
	return parseDomainSpec(spec)
}

// parsePrefixes parses the dual-cidr-length at the end of argument and returns
// what comes before it. No domain-spec ends in a slash and digits, so the two
// cannot be confused.
func (m *Mechanism) parsePrefixes(argument string) (string, error) {
	m.Prefix4, m.Prefix6 = 32, 128
	rest, digits := cutPrefixLength(argument)
	var err error
	if digits != "" && strings.HasSuffix(rest, "/") {
		if m.Prefix6, err = parsePrefixLength(digits, 128); err != nil {
			return "", err
		}
		rest, digits = cutPrefixLength(rest[:len(rest)-1])
	}
	if digits != "" {
		m.Prefix4, err = parsePrefixLength(digits, 32)
	}
	return rest, err
}

// cutPrefixLength cuts "/" and digits from the end of text. If text does not end
// that way, it returns text unchanged and no digits.
func cutPrefixLength(text string) (rest, digits string) {
	i := len(text)
	for i > 0 && ascii.IsDigit(text[i-1]) {
		i--
	}
	if i == len(text) || i == 0 || text[i-1] != '/' {
		return text, ""
	}
	return text[:i-1], text[i:]
}

// parsePrefixLength parses the digits of an ip4-cidr-length or ip6-cidr-length.
// Leading zeros are not allowed (RFC 7208 section 5.6).
func parsePrefixLength(digits string, limit int) (int, error) {
	if digits == "" || (digits[0] == '0' && len(digits) > 1) {
		return 0, errPrefix
	}
	n := 0
	for i := 0; i < len(digits); i++ {
		if !ascii.IsDigit(digits[i]) {
			return 0, errPrefix
		}
		if n = n*10 + int(digits[i]-'0'); n > limit {
			return 0, errPrefixTooLong
		}
	}
	return n, nil
}

// parseNetwork parses the argument of "ip4" and "ip6" (RFC 7208 section 5.6).
func parseNetwork(kind Kind, argument string) (netip.Prefix, error) {
	text, ok := strings.CutPrefix(argument, ":")
	if !ok {
		return netip.Prefix{}, errNetwork
	}
	address, digits, long := strings.Cut(text, "/")
	ip, err := netip.ParseAddr(address)
	if err != nil || ip.Is4() != (kind == IP4) || ip.Zone() != "" {
		return netip.Prefix{}, errNetwork
	}
	bits := ip.BitLen()
	if long {
		if bits, err = parsePrefixLength(digits, bits); err != nil {
			return netip.Prefix{}, err
		}
	}
	return netip.PrefixFrom(ip, bits), nil
}

func isIP4(text string) bool {
	ip, err := netip.ParseAddr(text)
	return err == nil && ip.Is4()
}
