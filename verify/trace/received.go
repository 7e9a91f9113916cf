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
	// Name is the client's host name if the host that added the field is known to
	// verify it forward and reverse, otherwise "".
	Name string
	// Helo is the argument of HELO or EHLO, "" if the field does not have it.
	Helo string
}

// Parts of the forms below.
const (
	hostName = `(?P<name>[A-Za-z0-9._-]+)`
	// address has the tag of RFC 5321 section 4.1.3 or not, and a port or not.
	address = `\[(?:[Ii][Pp][Vv]6:)?(?P<client>[0-9A-Fa-f:.]+(?:%[\w.-]+)?)\](?::\d{1,5})?`
	// sendmailClient is what Sendmail calls "_", and Postfix writes in part. An
	// ident with "=" would be Exim's text.
	sendmailClient = `(?:(?:[^ ()\[\]@=]*@)?(?:` + hostName + `|<unknown>) )?` + address + `(?P<forged> \(may be forged\))?`
)

// form is a form of Received fields that name a client, with one space in place of
// all white space.
type form struct {
	// from matches the field up to "by". by matches what follows; nil means that
	// any host writes this form.
	from, by *regexp.Regexp
	// verified is set if every host that writes this form verifies the name.
	verified bool
}

// forms are the forms that are known. A client chooses its HELO and, with its DNS and
// its ident server, parts of the rest. So a form leaves no doubt about where the
// address stands: text from the client that comes first has no parentheses, or the
// host that added the field is known not to write any.
var forms = []form{
	// Cisco Secure Email (IronPort), if the HELO is not the name: from NAME (HELO HELO) ([ADDRESS]) by
	{from: regexp.MustCompile(`^(?i:from) [^ ()]+ \(HELO (?P<helo>[^()]+)\) \(` + address + `\)$`)},
	// Postfix, Sendmail, OpenSMTPD: from HELO (NAME [ADDRESS]) by
	// Sendmail: from HELO (IDENT@NAME [ADDRESS] (may be forged)) by
	// Sendmail, amavis, Exchange: from HELO ([ADDRESS]) by
	// Some of them add comments, such as the cipher.
	{from: regexp.MustCompile(`^(?i:from) (?P<helo>[^()]*?) ?\(` + sendmailClient + `\)(?P<comments> .*)?$`)},
	// Sendmail, of a client that gave no HELO: (from NAME [ADDRESS]) by
	{from: regexp.MustCompile(`^\(from ` + sendmailClient + `\)$`)},
	// Exim: from NAME ([ADDRESS] helo=HELO ident=IDENT) by
	// Exim: from [ADDRESS] (port=PORT helo=HELO ident=IDENT) by
	eximNamed(`[^()]`, nil), eximUnnamed(`[^()]`, nil),
	// It can be told to take any text for a HELO, and takes any for an ident.
	eximNamed(`.`, exim), eximUnnamed(`.`, exim),
	// Exim, of a client that gave its address as HELO: from [ADDRESS] by
	{from: regexp.MustCompile(`^(?i:from) ` + address + `$`), by: exim},
	// Exim, of a program on its own host: from USER by
	{from: regexp.MustCompile(`^from [^ ()\[\]]+$`), by: eximLocal},
	// Sendmail, of a program on its own host: (from USER@HOST) by
	{from: regexp.MustCompile(`^\(from [^ ()\[\]@]+@[^ ()\[\]@]+\)$`), by: submit},
	// Exchange: from HELO (ADDRESS) by
	{from: regexp.MustCompile(`^(?i:from) (?P<helo>[^()]*?) \((?P<client>[0-9A-Fa-f:.]+(?:%[\w.-]+)?)\)$`), by: exchange},
}

// What hosts write behind "by". Paths, which clients choose, come later.
var (
	// verifies are the hosts that look back from a name in form "NAME [ADDRESS]":
	// Postfix and Sendmail. OpenSMTPD and Haraka write what the client's DNS says.
	verifies  = regexp.MustCompile(`^[^ ()]+ \((?:Postfix|8\.\d)`)
	eximLocal = regexp.MustCompile(`^[^ <>"]+ with local(?:-[a-z]+)? \(Exim `)
	submit    = regexp.MustCompile(`^[^ ()]+ \(8\.[^ ()]*/Submit\) `)
	exim      = regexp.MustCompile(`^[^<>"]*\(Exim `)
	exchange  = regexp.MustCompile(`^[^ ]+ \(\[?[0-9A-Fa-f:.]+(?:%[\w.-]+)?\]?\) with (?:Microsoft SMTP Server|HTTPS|mapi)\b`)
)

// eximNamed and eximUnnamed return forms of Exim, in which texts from the client
// consist of char. If that can be a parenthesis, by must show that it is Exim: it is
// sure to have written the address first.
func eximNamed(char string, by *regexp.Regexp) form {
	return form{regexp.MustCompile(`^(?i:from) ` + hostName + ` \(` + address + `(?: helo=(?P<helo>` + char + `+?))?(?: ident=` + char + `*)?\)$`), by, true}
}

func eximUnnamed(char string, by *regexp.Regexp) form {
	helo, ident := `helo=(?P<helo>`+char+`+?)(?: ident=`+char+`*)?`, `ident=`+char+`*`
	return form{regexp.MustCompile(`^(?i:from) ` + address + ` \((?:port=\d+|(?:port=\d+ )?(?:` + helo + `|` + ident + `))\)$`), by, false}
}

// ParseReceived reads the value of a Received field as Postfix, Sendmail, Exim and
// Exchange write it, and other hosts that use their forms. ok is false if it has
// another form, or one in which the client could have written the address.
func ParseReceived(value string) (r Received, ok bool) {
	if len(value) > maxReceived {
		return Received{}, false
	}
	if mended := mend(value); mended != value {
		if r, ok := parse(mended); ok {
			return r, true
		}
		// A fold can follow a long line too.
	}
	return parse(value)
}

func parse(value string) (r Received, ok bool) {
	if by, host, _ := strings.Cut(words(value), " "); strings.EqualFold(by, "by") {
		return Received{}, host != ""
	}
	from, by, ok := cutBy(value)
	if !ok {
		return Received{}, false
	}
	for _, f := range forms {
		if m := f.from.FindStringSubmatch(from); m != nil && (f.by == nil || f.by.MatchString(by)) {
			return f.fill(m, by)
		}
	}
	return Received{}, false
}

// longLine is the length in octets above which a line is not folded but broken. MTAs
// that pass it on break lines of more than 998 octets, or sooner.
const longLine = 900

// mend returns the value of a field without the breaks of long lines. A client chooses,
// with the length of its HELO, where its host's field breaks: in the address too.
// Postfix breaks a line with CRLF and a space, Sendmail with "!" before them.
func mend(value string) string {
	if len(value) <= longLine {
		return value
	}
	var b strings.Builder
	line := 0 // length of the current line, without its breaks
	for {
		part, rest, more := strings.Cut(value, "\n")
		line += len(part)
		if !more || line <= longLine || !strings.HasPrefix(rest, " ") {
			b.WriteString(part)
			if !more {
				return b.String()
			}
			b.WriteByte('\n')
			line, value = 0, rest
			continue
		}
		b.WriteString(strings.TrimSuffix(strings.TrimSuffix(part, "\r"), "!"))
		value = rest[len(" "):]
	}
}

// cutBy cuts a field before and after the "by" of the host that added it. Clients can
// have the word written too, in front of it with their HELO and behind it with the
// paths of the envelope. But Postfix, Sendmail and Exim begin a line with a TAB and
// "by", and no client can; a line that an MTA breaks begins with a space.
func cutBy(value string) (from, by string, ok bool) {
	if from, by, ok = strings.Cut(value, "\n\tby "); ok {
		return words(from), words(by), !strings.Contains(by, "\n\tby ")
	}
	all := words(value)
	if from, by, ok = strings.Cut(all, ") by "); ok {
		return from + ")", by, !strings.Contains(by, ") by ")
	}
	from, by, ok = strings.Cut(all, " by ")
	return from, by, ok && !strings.Contains(by, " by ")
}

// fill returns what the groups of a form matched.
func (f *form) fill(m []string, by string) (r Received, ok bool) {
	group := func(name string) string {
		if i := f.from.SubexpIndex(name); i >= 0 {
			return m[i]
		}
		return ""
	}
	if f.from.SubexpIndex("client") < 0 {
		return Received{}, true // handed over within the host
	}
	client, err := netip.ParseAddr(group("client"))
	if err != nil || !balanced(group("comments")) {
		return Received{}, false
	}
	r = Received{Client: client.Unmap().WithZone(""), Name: group("name"), Helo: group("helo")}
	switch strings.ToLower(r.Name) {
	case "helo", "ehlo", "lhlo":
		// As in "(HELO [192.0.2.1])": the client chose that address.
		return Received{}, false
	}
	if strings.EqualFold(r.Name, "unknown") || group("forged") != "" || !f.verified && !verifies.MatchString(by) {
		r.Name = ""
	}
	return r, true
}

// balanced reports whether s is comments with spaces between them, or empty. Nothing
// in them is quoted: Postfix replaces backslashes.
func balanced(s string) bool {
	depth := 0
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '(':
			depth++
		case c == ')':
			depth--
		case depth == 0 && c != ' ':
			return false
		}
		if depth < 0 {
			return false
		}
	}
	return depth == 0
}

// words returns s with one space in place of all white space, and none at its ends.
func words(s string) string { return strings.Join(strings.FieldsFunc(s, isSpace), " ") }

func isSpace(r rune) bool { return r == ' ' || r == '\t' || r == '\r' || r == '\n' }
