package authres

import (
	"slices"
	"strings"
	"unicode/utf8"

	"authmilter/verify/ascii"
	"authmilter/verify/domain"
)

// Claimant reports which fields of an incoming message claim to have been added
// by us. RFC 8601 section 5 asks that they be removed from inbound mail:
// readers behind us would believe them.
//
// Readers differ in how they read a malformed field, and some decode or drop
// what the grammar does not allow. So a field counts as another host's only if
// every reader must see that its authserv-id is plain and not ours. Any other
// field is ours if it contains one of our ids in any reading.
type Claimant struct {
	ids []ownID
}

// ownID is one of our ids in the spellings that are searched for.
type ownID struct {
	ascii   string // A-labels in lower case; the id itself if it is no domain name
	unicode string // U-labels, folded as [folded] does; often the same as ascii
}

// NewClaimant returns a Claimant for our authserv-ids. They are domain names,
// or are at least compared as such. Empty ids are ignored.
func NewClaimant(ids ...string) *Claimant {
	c := &Claimant{}
	for _, id := range ids {
		id = strings.TrimRight(strings.TrimSpace(id), ".")
		if name, err := domain.ToASCII(id); err == nil {
			id = name
		}
		own := ownID{ascii: strings.ToLower(id), unicode: folded(domain.ToUnicode(id))}
		if own.ascii != "" && own.unicode != "" {
			c.ids = append(c.ids, own)
		}
	}
	return c
}

// Claims reports whether the value of an Authentication-Results field claims to
// be ours: whether some reader could take its authserv-id for one of our ids,
// or for a name below one. It takes time linear in the length of the field.
func (c *Claimant) Claims(field string) bool {
	id, ok := plainID(field)
	switch {
	case !ok:
		return c.mentioned(field)
	case ascii.Is(id):
		return c.named(id)
	}
	return c.mentioned(id) // also as read by readers that do not know U-labels
}

// Owns reports whether id, an authserv-id, is one of our ids.
func (c *Claimant) Owns(id string) bool {
	name, err := domain.ToASCII(id)
	if err != nil {
		name = strings.ToLower(id)
	}
	return slices.ContainsFunc(c.ids, func(own ownID) bool { return own.ascii == name })
}

// named reports whether id, which is plain, is one of our ids or a name below
// one: a reader that trusts by domain would believe that too.
func (c *Claimant) named(id string) bool {
	id = strings.ToLower(strings.TrimRight(id, "."))
	decoded := id
	if strings.Contains(id, "xn--") {
		decoded = folded(domain.ToUnicode(id))
	}
	for _, own := range c.ids {
		if domain.IsSubdomain(id, own.ascii) || domain.IsSubdomain(decoded, own.unicode) {
			return true
		}
	}
	return false
}

const (
	// maxPlain bounds the text before the first result of a field, in octets.
	// It has room for the longest authserv-id and a comment, and is too short
	// for an MTA further on to break a line in it.
	maxPlain = 512
	// longLine is the length, in octets without the field name, over which an
	// MTA further on may break a line and so put a space where there was none.
	// RFC 5322 section 2.1.1 allows 998; Sendmail breaks at 990.
	longLine = 900
)

// plainID returns the authserv-id of a field if all readers find the same one.
// It consists of letters, digits, hyphens, underscores and dots, and is
// followed by a semicolon or nothing (RFC 8601 section 2.2); quotes, a version
// and comments that are plain are allowed. The letters may come from U-labels
// (RFC 8601 section 1.5.2).
func plainID(field string) (id string, ok bool) {
	if !wellFolded(field) {
		return "", false
	}
	p := plainReader{parser{s: field[:min(len(field), maxPlain)]}}
	if !p.cfws() {
		return "", false
	}
	quoted := p.skip('"')
	start := p.pos
	for !p.end() && (isNameChar(p.s[p.pos]) || p.s[p.pos] >= utf8.RuneSelf) {
		p.pos++
	}
	if id = p.s[start:p.pos]; id == "" || len(id) > domain.MaxLength || !isName(id) {
		return "", false
	}
	// If anything follows the quotes at once, some readers would see two ids,
	// or a longer one.
	if quoted && (!p.skip('"') || !p.end() && strings.IndexByte("\t\r\n (;", p.s[p.pos]) < 0) {
		return "", false
	}
	before := p.pos
	if !p.cfws() {
		return "", false
	}
	if p.pos > before {
		for !p.end() && ascii.IsDigit(p.s[p.pos]) { // the version
			p.pos++
		}
		if !p.cfws() {
			return "", false
		}
	}
	if p.end() {
		return id, len(field) <= maxPlain
	}
	return id, p.s[p.pos] == ';'
}

// plainReader reads text that every reader reads the same way.
type plainReader struct{ parser }

// cfws skips white space, folds and comments (RFC 5322 section 3.2.2). It
// reports whether each comment ends and is plain: printable ASCII without a
// nested comment, a quoted-pair or an encoded-word, all of which readers treat
// differently.
func (p *plainReader) cfws() bool {
	for ; !p.end(); p.pos++ {
		switch p.s[p.pos] {
		case ' ', '\t', '\r', '\n':
		case '(':
			length := strings.IndexByte(p.s[p.pos:], ')')
			if length < 0 || !isPlainComment(p.s[p.pos+1:p.pos+length]) {
				return false
			}
			p.pos += length
		default:
			return true
		}
	}
	return true
}

func isPlainComment(s string) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c >= 0x7f || c == '(' || c == '\\' || c < ' ' && strings.IndexByte("\t\r\n", c) < 0 {
			return false
		}
	}
	return !strings.Contains(s, "=?")
}

// wellFolded reports whether field has no control characters other than TABs
// and folds, which are line ends followed by white space. MTAs and readers drop
// other control characters, cut the field there, or take them for its end.
func wellFolded(field string) bool {
	for i := 0; i < len(field); i++ {
		switch c := field[i]; {
		case c == '\r' && strings.HasPrefix(field[i+1:], "\n"):
		case c == '\n' && i+1 < len(field) && (field[i+1] == ' ' || field[i+1] == '\t'):
		case c < ' ' && c != '\t' || c == 0x7f:
			return false
		}
	}
	return true
}

// isName reports whether all characters of s may be part of a name.
func isName(s string) bool {
	for _, r := range s {
		if !isNameRune(r) {
			return false
		}
	}
	return true
}

// isNameChar reports whether c is a character that names are written with.
func isNameChar(c byte) bool {
	return ascii.IsLetter(c) || ascii.IsDigit(c) || c == '-' || c == '.' || c == '_'
}
