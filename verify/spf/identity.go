package spf

import (
	"strings"

	"authmilter/verify/ascii"
	"authmilter/verify/domain"
	"authmilter/verify/fault"
)

// oneLabel says why a name is not looked up: a single label is a name in the
// local network, or a top-level domain.
const oneLabel = "domain name of a single label"

var (
	errBadSender = fault.New(None, ReasonNoDomain, "sender has no valid domain name")
	errBadHelo   = fault.New(None, ReasonNoDomain, "HELO is not a domain name")
	errOneLabel  = fault.New(None, ReasonNoDomain, oneLabel)
)

// Identify returns the identity that [Check] evaluates for a sender, and its
// domain; "" if it has no valid domain.
func Identify(mailFrom, helo string) (id Identity, name string) {
	id, text := Helo, helo
	if mailFrom != "" {
		id = MailFrom
		_, text = splitSender(mailFrom)
	}
	name, err := initialDomain(text, errBadSender)
	if err != nil {
		return id, ""
	}
	return id, name
}

// splitSender splits a reverse-path at the last "@". The domain is "" if there is
// no "@".
func splitSender(path string) (local, name string) {
	at := strings.LastIndexByte(path, '@')
	if at < 0 {
		return path, ""
	}
	local, name = path[:at], path[at+1:]
	if strings.HasPrefix(local, "@") {
		// A source route, to be ignored (RFC 5321 appendix F.2).
		if colon := strings.IndexByte(local, ':'); colon >= 0 {
			local = local[colon+1:]
		}
	}
	return local, name
}

// initialDomain returns the domain to begin with, as A-labels. Malformed and
// single-label names are errors (RFC 7208 section 4.3), and so are names whose
// last label is a number: they are addresses (RFC 3696 section 2).
func initialDomain(text string, malformed *Error) (string, *Error) {
	name, err := domain.ToASCII(text)
	if err != nil {
		return "", malformed
	}
	dot := strings.LastIndexByte(name, '.')
	if dot < 0 {
		return "", errOneLabel
	}
	for i := dot + 1; i < len(name); i++ {
		if !ascii.IsDigit(name[i]) {
			return name, nil
		}
	}
	return "", malformed
}
