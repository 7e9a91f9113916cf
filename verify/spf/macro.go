package spf

import (
	"errors"
	"strconv"
	"strings"

	"authmilter/verify/ascii"
)

const (
	// maxMacros bounds the segments of one macro-string: its macros and the text
	// between them. The RFC sets no limit, but a domain name has no room for more.
	maxMacros = 128
	// maxParts is larger than the number of parts in any value.
	maxParts = 1 << 16
)

// MacroString is text with macros in it (RFC 7208 section 7.1). The zero value
// means that the record has no such macro-string.
type MacroString struct {
	// literal is the whole text if it holds no macro, the common case.
	literal  string
	segments []segment
	letters  letterSet
}

// segment is a run of literal text, or one macro-expand.
type segment struct {
	// literal is set if letter is 0.
	literal string
	// letter is the macro-letter in lower case, or '%', '_' or '-' for the
	// three macros without braces.
	letter byte
	// escape is set if the letter was in upper case, which asks for URL escaping.
	escape bool
	// reverse is the transformer "r".
	reverse bool
	// parts is the number of right-hand parts to keep; 0 means all.
	parts int
	// delimiters are the characters to split at; "" means the default, ".".
	delimiters string
}

// letterSet is a set of lower-case letters.
type letterSet uint32

func (s letterSet) has(letter byte) bool { return s&(1<<(letter-'a')) != 0 }

func (s *letterSet) add(letter byte) { *s |= 1 << (letter - 'a') }

// macroUse is the place of a macro-string, which decides what it may contain.
type macroUse int

const (
	inDomainSpec macroUse = iota
	inModifier
	inExplanation
)

// Macro-letters (RFC 7208 section 7.2): letters are allowed in any macro-string,
// explanationLetters only in explanations. Unknown modifiers may use both, since
// nothing here evaluates them.
const (
	letters            = "slodiphv"
	explanationLetters = "crt"
)

var (
	errCharacter    = errors.New("character that is not allowed")
	errPercent      = errors.New(`"%" not followed by "{", "%", "_" or "-"`)
	errUnclosed     = errors.New(`macro without "}"`)
	errLetter       = errors.New("unknown macro letter")
	errExplainOnly  = errors.New("macro letter that only explanations may use")
	errZeroParts    = errors.New("macro that keeps zero parts")
	errTransformer  = errors.New("malformed macro transformer or delimiter")
	errTooManyMacro = errors.New("too many macros")
	errNoDomain     = errors.New("domain name missing")
	errTopLabel     = errors.New("domain name does not end in a valid top-level label")
	errAddress      = errors.New("IP address where a domain name must be")
)

// IsZero reports whether m is the zero value: the record has no such macro-string.
func (m MacroString) IsZero() bool { return m.literal == "" && m.segments == nil }

// String returns the macro-string as it appears in a record.
func (m MacroString) String() string {
	if m.segments == nil {
		return m.literal
	}
	var b strings.Builder
	for _, s := range m.segments {
		s.print(&b)
	}
	return b.String()
}

func (s segment) print(b *strings.Builder) {
	switch s.letter {
	case 0:
		b.WriteString(s.literal)
		return
	case '%', '_', '-':
		b.WriteByte('%')
		b.WriteByte(s.letter)
		return
	}
	b.WriteString("%{")
	if s.escape {
		b.WriteByte(s.letter - 'a' + 'A')
	} else {
		b.WriteByte(s.letter)
	}
	if s.parts > 0 {
		b.WriteString(strconv.Itoa(s.parts))
	}
	if s.reverse {
		b.WriteByte('r')
	}
	b.WriteString(s.delimiters)
	b.WriteByte('}')
}

// parseMacroString parses a macro-string, or the explain-string of an
// explanation (RFC 7208 section 7.1).
func parseMacroString(text string, use macroUse) (MacroString, error) {
	if strings.IndexByte(text, '%') < 0 {
		if !isLiteral(text, use) {
			return MacroString{}, errCharacter
		}
		return MacroString{literal: text}, nil
	}
	var m MacroString
	for rest := text; rest != ""; {
		if len(m.segments) == maxMacros {
			return MacroString{}, errTooManyMacro
		}
		n := strings.IndexByte(rest, '%')
		if n < 0 {
			n = len(rest)
		}
		if n > 0 {
			if !isLiteral(rest[:n], use) {
				return MacroString{}, errCharacter
			}
			m.segments = append(m.segments, segment{literal: rest[:n]})
			rest = rest[n:]
			continue
		}
		s, n, err := parseMacro(rest, use)
		if err != nil {
			return MacroString{}, err
		}
		if ascii.IsLetter(s.letter) {
			m.letters.add(s.letter)
		}
		m.segments = append(m.segments, s)
		rest = rest[n:]
	}
	return m, nil
}

// parseMacro parses the macro-expand at the start of text, which begins with "%",
// and returns it and its length.
func parseMacro(text string, use macroUse) (segment, int, error) {
	if len(text) < 2 {
		return segment{}, 0, errPercent
	}
	switch text[1] {
	case '%', '_', '-':
		return segment{letter: text[1]}, 2, nil
	case '{':
	default:
		return segment{}, 0, errPercent
	}
	end := strings.IndexByte(text, '}')
	if end < 0 {
		return segment{}, 0, errUnclosed
	}
	body := text[2:end]
	if body == "" || !ascii.IsLetter(body[0]) {
		return segment{}, 0, errLetter
	}
	s := segment{letter: body[0] | 0x20, escape: body[0] < 'a'}
	switch {
	case strings.IndexByte(letters, s.letter) >= 0:
	case strings.IndexByte(explanationLetters, s.letter) < 0:
		return segment{}, 0, errLetter
	case use == inDomainSpec:
		return segment{}, 0, errExplainOnly
	}
	i := 1
	for ; i < len(body) && ascii.IsDigit(body[i]); i++ {
		// A number above what any value has keeps all parts (section 7.3).
		s.parts = min(s.parts*10+int(body[i]-'0'), maxParts)
	}
	if i > 1 && s.parts == 0 {
		return segment{}, 0, errZeroParts
	}
	if i < len(body) && body[i]|0x20 == 'r' {
		s.reverse = true
		i++
	}
	s.delimiters = body[i:]
	for j := 0; j < len(s.delimiters); j++ {
		if !isDelimiter(s.delimiters[j]) {
			return segment{}, 0, errTransformer
		}
	}
	return s, end + 1, nil
}

// parseDomainSpec parses a domain-spec: a macro-string that ends in a macro or
// in "." and a top-level label (RFC 7208 section 7.1).
func parseDomainSpec(text string) (MacroString, error) {
	if text == "" {
		return MacroString{}, errNoDomain
	}
	m, err := parseMacroString(text, inDomainSpec)
	if err != nil {
		return MacroString{}, err
	}
	end := m.literal
	if m.segments != nil {
		last := m.segments[len(m.segments)-1]
		if last.letter != 0 {
			return m, nil
		}
		end = last.literal
	}
	end = strings.TrimSuffix(end, ".")
	dot := strings.LastIndexByte(end, '.')
	if dot >= 0 && isTopLabel(end[dot+1:]) {
		return m, nil
	}
	if isIP4(end) {
		return MacroString{}, errAddress
	}
	return MacroString{}, errTopLabel
}

// isLiteral reports whether text consists of macro-literals only. Explanations
// may contain spaces too.
func isLiteral(text string, use macroUse) bool {
	for i := 0; i < len(text); i++ {
		c := text[i]
		if (c <= ' ' || c > '~') && (c != ' ' || use != inExplanation) {
			return false
		}
	}
	return true
}

// isTopLabel reports whether label is a toplabel: letters, digits and inner
// hyphens, but not only digits.
func isTopLabel(label string) bool {
	if label == "" || label[0] == '-' || label[len(label)-1] == '-' {
		return false
	}
	digits := true
	for i := 0; i < len(label); i++ {
		c := label[i]
		if !ascii.IsLetter(c) && !ascii.IsDigit(c) && c != '-' {
			return false
		}
		digits = digits && ascii.IsDigit(c)
	}
	return !digits
}

func isDelimiter(c byte) bool { return strings.IndexByte(".-+,/_=", c) >= 0 }
