package trace

import (
	"net/netip"
	"regexp"
	"strings"
)

// maxReceived bounds a Received field that is parsed, in octets. Real ones have
// some hundred.
const maxReceived = 8 << 10

// Received is what a Received field says about the client.
type Received struct {
	// Client is the client's address, IPv4 if it was IPv4-mapped. It is the zero
	// Addr if the field names no client, because the message was handed over
	// within one host.
	Client netip.Addr
	// Name is the client's host name if the host that added the field verified
	// it, otherwise "".
	Name string
	// Helo is the argument of HELO or EHLO, "" if the field does not have it.
	Helo string
}

// Parts of the forms below.
const (
	hostName = `(?P<name>[A-Za-z0-9._-]+)`
	// address has the tag of RFC 5321 section 4.1.3 or not, and a port or not.
	address = `\[(?:[Ii][Pp][Vv]6:)?(?P<client>[0-9A-Fa-f:.]+(?:%[\w.-]+)?)\](?::\d{1,5})?`
	// sendmailClient is what Sendmail calls "_", and Postfix writes in part.
	sendmailClient = `(?:(?:[^ ()\[\]@]*@)?(?:` + hostName + `|<unknown>) )?` + address + `(?P<forged> \(may be forged\))?`
	// comments are what some hosts write before "by", such as the cipher.
	comments = `(?:\((?:[^()]|\([^()]*\))*\) )*`
)

// forms are the forms of Received fields that name a client, with one space in
// place of all white space between words.
//
// A client chooses its HELO and, with its DNS and its ident server, parts of the
// rest. So a form leaves no doubt about where the address stands: text from the
// client that comes first has no parentheses, and the word "by" follows, without
// which the address could be the receiving host's own. In the forms of Exim and
// Exchange nothing from the client precedes the address, or a host that writes
// another form cannot be made to write them.
var forms = []*regexp.Regexp{
	// Postfix, Sendmail, OpenSMTPD: from HELO (NAME [ADDRESS]) by
	// Sendmail: from HELO (IDENT@NAME [ADDRESS] (may be forged)) by
	// Sendmail, amavis, Exchange: from HELO ([ADDRESS]) by
	regexp.MustCompile(`^(?i:from) (?P<helo>[^()]*?) ?\(` + sendmailClient + `\) ` + comments + `by `),
	// Sendmail, of a client that gave no HELO: (from NAME [ADDRESS]) by
	regexp.MustCompile(`^\(from ` + sendmailClient + `\) by `),
	// Exim: from NAME ([ADDRESS] helo=HELO ident=IDENT) by
	regexp.MustCompile(`^(?i:from) ` + hostName + ` \(` + address + ` (?:helo=(?P<helo>[^ ()]+)(?: ident=[^ ()]*)?|ident=[^ ()]*)\) by `),
	// Exim: from [ADDRESS] (port=PORT helo=HELO ident=IDENT) by
	regexp.MustCompile(`^(?i:from) ` + address + ` \((?:port=\d+ ?)?(?:helo=(?P<helo>[^ ()]+) ?)?(?:ident=[^ ()]*)?\) by `),
	// Exim, of a client that gave its address as HELO: from [ADDRESS] by
	regexp.MustCompile(`^(?i:from) ` + address + ` by [^()]*\(Exim `),
	// Exchange: from HELO (ADDRESS) by
	regexp.MustCompile(`^(?i:from) (?P<helo>[^()]*?) \((?P<client>[0-9A-Fa-f:.]+(?:%[\w.-]+)?)\) by .* with (?:Microsoft SMTP Server|HTTPS|mapi)\b`),
}

// ParseReceived reads the value of a Received field as Postfix, Sendmail, Exim and
// Exchange write it, and other hosts that use their forms. ok is false if it has
// another form, or one in which the client could have written the address.
func ParseReceived(value string) (r Received, ok bool) {
	if len(value) > maxReceived {
		return Received{}, false
	}
	words := strings.Join(strings.FieldsFunc(value, isSpace), " ")
	if by, host, _ := strings.Cut(words, " "); strings.EqualFold(by, "by") {
		return Received{}, host != ""
	}
	if strings.Count(words, ") by ") > 1 {
		return Received{}, false // a client's HELO may be the first one
	}
	for _, form := range forms {
		if m := form.FindStringSubmatch(words); m != nil {
			return fill(form, m)
		}
	}
	return Received{}, false
}

// fill returns what the groups of a form matched.
func fill(form *regexp.Regexp, m []string) (r Received, ok bool) {
	group := func(name string) string {
		if i := form.SubexpIndex(name); i >= 0 {
			return m[i]
		}
		return ""
	}
	client, err := netip.ParseAddr(group("client"))
	if err != nil {
		return Received{}, false
	}
	r = Received{Client: client.Unmap().WithZone(""), Name: group("name"), Helo: group("helo")}
	if strings.EqualFold(r.Name, "unknown") || group("forged") != "" {
		r.Name = ""
	}
	return r, true
}

func isSpace(r rune) bool { return r == ' ' || r == '\t' || r == '\r' || r == '\n' }
