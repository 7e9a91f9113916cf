package dmarc

import (
	"strings"

	"authmilter/verify/ascii"
	"authmilter/verify/domain"
)

const (
	// maxURI is the maximum length of a URI in octets.
	maxURI = 1024
	// maxAddress is the maximum length of a mail address in octets
	// (RFC 5321 section 4.5.3.1.3, without the angle brackets).
	maxAddress = 254
)

// URI is a DMARC Reporting URI (RFC 9989 section 4.6).
type URI struct {
	// Text is the URI as published, without the size limit that RFC 7489 allowed.
	Text string
	// Scheme is the URI's scheme in lower case. Only "mailto" is sure to work.
	Scheme string
	// Address is the mail address of a "mailto" URI, with its domain as
	// [domain.ToASCII] returns it; otherwise "".
	Address string
}

// Domain returns the domain of the Address, or "" if there is none.
func (u URI) Domain() string {
	_, name, _ := strings.Cut(u.Address, "@")
	return name
}

func joinURIs(list []URI) string {
	var b strings.Builder
	for i, u := range list {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(u.Text)
	}
	return b.String()
}

// parseURI parses one dmarc-uri or obs-dmarc-uri (RFC 9989 section 4.8). sized
// reports whether it had a size limit, which is dropped.
func parseURI(text string) (u URI, sized, ok bool) {
	if len(text) > maxURI {
		return URI{}, false, false
	}
	text, size, sized := strings.Cut(text, "!")
	if sized && !isSize(size) {
		return URI{}, false, false
	}
	scheme, rest, _ := strings.Cut(text, ":")
	if !isScheme(scheme) || rest == "" || !isURIText(rest) {
		return URI{}, false, false
	}
	u = URI{Text: text, Scheme: strings.ToLower(scheme)}
	if u.Scheme == "mailto" {
		// A mailto URI can have no address or several (RFC 6068 section 2);
		// neither is accepted for reports.
		if u.Address, ok = mailAddress(rest); !ok {
			return URI{}, false, false
		}
	}
	return u, sized, true
}

// isSize reports whether s is what follows the "!" in obs-dmarc-report-size.
func isSize(s string) bool {
	digits := strings.TrimLeft(s, "0123456789")
	return len(digits) < len(s) && (digits == "" || len(digits) == 1 && strings.Contains("kmgtKMGT", digits))
}

// isScheme reports whether s is a scheme by RFC 3986 section 3.1.
func isScheme(s string) bool {
	for i := 0; i < len(s); i++ {
		if !ascii.IsLetter(s[i]) && (i == 0 || !ascii.IsDigit(s[i]) && strings.IndexByte("+-.", s[i]) < 0) {
			return false
		}
	}
	return s != ""
}

// isURIText reports whether s consists of characters that can follow the scheme
// of a URI (RFC 3986 section 2). Comma, semicolon and "!" have a special meaning
// in a record and must be percent-encoded.
func isURIText(s string) bool {
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case ascii.IsLetter(c), ascii.IsDigit(c), strings.IndexByte("-._~:/?#[]@$&'()*+=", c) >= 0:
		case c == '%' && i+2 < len(s) && ascii.Hex(s[i+1]) >= 0 && ascii.Hex(s[i+2]) >= 0:
			i += 2
		default:
			return false
		}
	}
	return true
}

// mailAddress returns the address of a mailto URI, given what follows the scheme.
// The local part must be a dot-string (RFC 5321 section 4.1.2): quoted and
// internationalized local parts are refused, since nobody receives reports there.
func mailAddress(rest string) (string, bool) {
	to, _, _ := strings.Cut(rest, "?")
	to, _, _ = strings.Cut(to, "#")
	address := percentDecode(to)
	local, host, found := strings.Cut(address, "@")
	if !found || len(address) > maxAddress || !isDotString(local) {
		return "", false
	}
	host, err := domain.ToASCII(host)
	if err != nil {
		return "", false
	}
	return local + "@" + host, true
}

// percentDecode decodes s. Every percent sign must begin a valid encoding.
func percentDecode(s string) string {
	if strings.IndexByte(s, '%') < 0 {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '%' {
			c = byte(ascii.Hex(s[i+1])<<4 | ascii.Hex(s[i+2]))
			i += 2
		}
		b = append(b, c)
	}
	return string(b)
}

// isDotString reports whether s is a dot-string by RFC 5321 section 4.1.2, but
// allows dots anywhere: addresses that break that rule exist, and work.
func isDotString(s string) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; !ascii.IsLetter(c) && !ascii.IsDigit(c) && strings.IndexByte(".!#$%&'*+-/=?^_`{|}~", c) < 0 {
			return false
		}
	}
	return s != ""
}
