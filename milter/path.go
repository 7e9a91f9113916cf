package milter

import "strings"

// maxPath bounds a path that is parsed, in octets. MTAs accept shorter command
// lines only (RFC 5321 section 4.5.3.1.4 asks for 512; Postfix and Sendmail both
// stop at 2,048). A longer path is used as it stands.
const maxPath = 4096

// ParsePath returns the address that an MTA means by a path in MAIL FROM or RCPT
// TO: "local@domain", with the local part quoted only if necessary, "local" if
// there is no domain, "" for the null path. It accepts what Postfix and Sendmail
// accept in addition to RFC 5321 section 4.1.2: white space, comments, names
// before and garbage after the angle brackets, doubled or missing brackets.
// It drops source routes (RFC 5321 appendix C) and runs in linear time.
func ParsePath(path string) string {
	return parsePath(path).String()
}

// meantPath returns the address that the MTA means by the path of a command. The
// macro is how the MTA reads the path, {mail_addr} or {rcpt_addr}; given reports
// whether the MTA sent it.
//
// A path in the RFC's form speaks for itself: it is the reverse-path that SPF
// checks (RFC 7208 section 2.4), and the macro adds nothing to it. The macro can
// even mislead: Sendmail sends joe for joe@host if host is its own name, and
// joe@other.example for joe%other.example@host, which it queues as written. Any
// other path means what the macro says, provided that the path contains the
// macro's domain. If it does not, the domain comes from the MTA (its own name
// after a bare local part, the target of a virtual address), not the client.
func meantPath(path, macro string, given bool) string {
	own := parsePath(path)
	if own.proper || !given {
		return own.String()
	}
	if strings.Trim(macro, "<>") == "" {
		macro = ""
	}
	mta := parsePath(macro)
	switch {
	case macro == "":
		// The null path, if the brackets can be read as empty. Otherwise an empty
		// macro is ignored: no sender ever turns into the null sender.
		if own.emptyBrackets {
			return ""
		}
	case own.String() == "":
		// We read no sender, but the MTA does: use its address.
		return macro
	case mta.domain == "" || letters(mta.domain) == letters(own.domain):
	case strings.Contains(letters(own.local), letters(mta.domain)):
	case strings.Contains(letters(path), letters(mta.domain)):
		return mta.String()
	}
	return own.String()
}

// letters returns s without punctuation, in lower case: what two spellings of a
// domain have in common.
func letters(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case 'A' <= r && r <= 'Z':
			return r + 'a' - 'A'
		case 'a' <= r && r <= 'z', '0' <= r && r <= '9', r >= 0x80:
			return r
		}
		return -1
	}, s)
}

// smtpPath is a parsed path.
type smtpPath struct {
	local, domain string
	// whole is the address if it is the path as it stands: a plain path, or one
	// too long to parse.
	whole string
	// proper is set if the path is empty or a Mailbox (RFC 5321 section 4.1.2),
	// with or without a source route, so that there is only one way to read it.
	proper bool
	// emptyBrackets is set if there are angle brackets with nothing between them.
	emptyBrackets bool
}

// String returns the address.
func (p smtpPath) String() string {
	if p.whole != "" {
		return p.whole
	}
	local := p.local
	if strings.IndexFunc(local, needsQuotes) >= 0 {
		local = `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(local) + `"`
	}
	if p.domain == "" {
		return local
	}
	return local + "@" + p.domain
}

// needsQuotes reports whether r must be quoted in a local part. A dot never is:
// some providers give out addresses with dots anywhere.
func needsQuotes(r rune) bool {
	return r <= ' ' || r == 0x7f || strings.ContainsRune(`"(),:;<>@[\]`, r)
}

// parsePath parses a path.
func parsePath(path string) smtpPath {
	if path == "" {
		return smtpPath{proper: true, emptyBrackets: true}
	}
	if len(path) > maxPath {
		return smtpPath{whole: path}
	}
	if local, domain, ok := plainPath(path); ok {
		return smtpPath{local: local, domain: domain, whole: path, proper: true}
	}
	tokens, plain := lexPath(path)
	inner, empty := withinBrackets(tokens)
	p := readMailbox(withoutRoute(inner))
	p.emptyBrackets = empty
	// go-milter has already removed one pair of brackets, so there may be none.
	last := len(tokens) - 1
	bare := len(inner) == len(tokens)
	bracketed := len(inner) == last-1 && tokens[0].kind == '<' && tokens[last].kind == '>'
	p.proper = plain && (bare || bracketed) && (p.proper || len(inner) == 0 && last > 0)
	return p
}

// plainPath splits a path that is just a dot-string and a host name, as nearly all
// are.
func plainPath(path string) (local, domain string, ok bool) {
	local, domain, ok = strings.Cut(path, "@")
	if !ok || local == "" || domain == "" || domain[len(domain)-1] == '.' ||
		strings.IndexFunc(local, needsQuotes) >= 0 || strings.IndexFunc(domain, needsQuotes) >= 0 {
		return "", "", false
	}
	return local, domain, true
}

// pathToken is a special character, an atom ('a'), a quoted string ('q') or a
// domain literal ('[').
type pathToken struct {
	kind byte
	// text is the token without quotes and escapes, but with the brackets of a
	// literal.
	text string
	// apart is set if white space or a comment precedes the token.
	apart bool
}

// lexPath splits a path into tokens (RFC 5322 section 3.2), without white space
// and comments. An unclosed token ends with the path, as in Postfix. plain is true
// if the path has only what RFC 5321 allows: no white space, no comments, no
// escapes outside quotes, and nothing left open.
func lexPath(path string) (tokens []pathToken, plain bool) {
	plain = true
	apart := false
	add := func(kind byte, text string) {
		tokens = append(tokens, pathToken{kind, text, apart})
		apart = false
	}
	for i := 0; i < len(path); {
		switch c := path[i]; c {
		case ' ', '\t', '\r', '\n', '\v', '\f', 0:
			plain, apart = false, true
			i++
		case '(':
			plain, apart = false, true
			i = skipComment(path, i)
		case '<', '>', '@', ',', ':', ';', '.':
			add(c, string(c))
			i++
		case '"':
			text, end, closed := unquote(path, i)
			plain = plain && closed
			add('q', text)
			i = end
		case '[':
			end := strings.IndexByte(path[i:], ']') + i + 1
			if end == i {
				plain, end = false, len(path)
			}
			add('[', path[i:end])
			i = end
		default:
			text, end, escaped := atom(path, i)
			plain = plain && !escaped
			add('a', text)
			i = end
		}
	}
	return tokens, plain
}

// skipComment returns the end of a comment, which may contain other comments.
func skipComment(s string, i int) int {
	depth := 0
	for ; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
	return len(s)
}

// unquote returns the text of a quoted string and its end.
func unquote(s string, i int) (text string, end int, closed bool) {
	var b strings.Builder
	for i++; i < len(s); i++ {
		switch {
		case s[i] == '"':
			return b.String(), i + 1, true
		case s[i] == '\\' && i+1 < len(s):
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String(), len(s), false
}

// atom returns the text of an atom, without escapes, and its end. It also accepts
// characters that are not atext, such as an unmatched closing parenthesis.
func atom(s string, i int) (text string, end int, escaped bool) {
	var b strings.Builder
	for ; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\' && i+1 < len(s):
			escaped = true
			i++
		case strings.IndexByte("\x00 \t\r\n\v\f(<>@,:;.\"[", c) >= 0:
			return b.String(), i, escaped
		case c < ' ' || c == 0x7f || c == ')' || c == ']' || c == '\\':
			escaped = true
		}
		b.WriteByte(s[i])
	}
	return b.String(), i, escaped
}

// withinBrackets returns the tokens in the last angle brackets, which both MTAs
// use, or all tokens if there are no brackets. In "<>joe@example.com" Postfix uses
// what follows the brackets and Sendmail nothing; we use the address. empty is true
// if the brackets have nothing between them.
func withinBrackets(tokens []pathToken) (inner []pathToken, empty bool) {
	start := 0
	for i, t := range tokens {
		if t.kind == '<' {
			start = i + 1
		}
	}
	inner, rest := tokens[start:], []pathToken(nil)
	for i, t := range inner {
		if t.kind == '>' {
			inner, rest = inner[:i], inner[i+1:]
			break
		}
	}
	if len(inner) > 0 {
		return inner, false
	}
	for _, t := range rest {
		if t.kind == '@' {
			return rest, true
		}
	}
	return nil, true
}

// withoutRoute returns the tokens of a path without its source route: "@one,@two:"
// (RFC 5321 section 4.1.2).
func withoutRoute(tokens []pathToken) []pathToken {
	if len(tokens) == 0 || tokens[0].kind != '@' {
		return tokens
	}
	for _, end := range []byte{':', ','} {
		for i := len(tokens) - 1; i > 0; i-- {
			if tokens[i].kind == end {
				return tokens[i+1:]
			}
		}
	}
	return tokens
}

// readMailbox reads the tokens of a mailbox. The last "@" ends the local part; one
// within quotes does so only if there is no other, as in Postfix.
func readMailbox(tokens []pathToken) smtpPath {
	// Separators before and after are not part of it.
	all := len(tokens)
	for len(tokens) > 0 && (tokens[0].kind == ',' || tokens[0].kind == ';') {
		tokens = tokens[1:]
	}
	for len(tokens) > 0 && strings.IndexByte(",;>", tokens[len(tokens)-1].kind) >= 0 {
		tokens = tokens[:len(tokens)-1]
	}
	proper := len(tokens) == all
	at, quotedAt, ats := -1, -1, 0
	var text strings.Builder
	for i, t := range tokens {
		if i > 0 && t.apart && word(t) && word(tokens[i-1]) {
			text.WriteByte('.') // Sendmail joins words this way
		}
		switch last := strings.LastIndexByte(t.text, '@'); {
		case t.kind == '@':
			at = text.Len()
			ats++
		case t.kind == 'q':
			if last >= 0 {
				quotedAt = text.Len() + last
			}
			// Alone before the "@", it is a local part in the RFC's form.
			proper = proper && i == 0 && len(tokens) > 1 && tokens[1].kind == '@'
		case t.kind == 'a':
			if last >= 0 { // escaped, which Postfix treats like any other
				at = text.Len() + last
			}
		case t.kind == '[':
			proper = proper && ats == 1 && i == len(tokens)-1
		case t.kind != '.':
			proper = false
		}
		text.WriteString(t.text)
	}
	if at < 0 {
		at = quotedAt
	}
	p := smtpPath{local: text.String()}
	switch {
	case at >= 0:
		p.local, p.domain = p.local[:at], p.local[at+1:]
	case strings.Contains(p.local, "!"):
		// Without an "@", both MTAs read these old forms this way.
		p.domain, p.local, _ = strings.Cut(p.local, "!")
	case strings.Contains(p.local, "%"):
		percent := strings.LastIndexByte(p.local, '%')
		p.local, p.domain = p.local[:percent], p.local[percent+1:]
	}
	trimmed := strings.TrimRight(p.domain, ".")
	p.proper = proper && ats == 1 && p.local != "" && trimmed != "" && trimmed == p.domain
	p.domain = trimmed
	return p
}

// word reports whether t is a word of a local part or domain.
func word(t pathToken) bool { return t.kind == 'a' || t.kind == 'q' || t.kind == '[' }
