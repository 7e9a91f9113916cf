package authres

import (
	"strings"
	"unicode/utf8"

	"authmilter/verify/ascii"
	"authmilter/verify/domain"
)

// Claimant reports which fields of an incoming message claim to have been added
// by us. RFC 8601 section 5 asks to remove those from inbound mail: readers
// behind us would believe them.
//
// Readers differ in how they read a field that is not well-formed, and some
// decode or drop what the grammar does not allow. So a field is believed to be
// another host's only where every reader must see that: its authserv-id is
// plain, and not ours. Any other field is ours if one of our ids stands in it,
// by any reading.
type Claimant struct {
	ids []ownID
}

// ownID is one of our ids in the spellings that are searched for.
type ownID struct {
	ascii   string // A-labels in lower case; the id itself if it is no domain name
	unicode string // U-labels, folded as [folded] does; often the same as ascii
}

// NewClaimant returns a Claimant for our authserv-ids, which are domain names
// or at least compare as such. An empty one is ignored.
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
// be ours: whether some reader could take its authserv-id for one of our ids, or
// for a name below one. Its time is linear in the field, whatever the size.
func (c *Claimant) Claims(field string) bool {
	id, ok := plainID(field)
	switch {
	case !ok:
		return c.mentioned(field)
	case ascii.Is(id):
		return c.named(id)
	}
	return c.mentioned(id) // as readers have it that do not know U-labels, too
}

// named reports whether id, which is plain, is one of ours, or below one of
// ours: a reader that trusts by domain would believe that too.
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
	// The longest authserv-id and a comment fit; no line in it is long enough for
	// an MTA to break it on the way on.
	maxPlain = 512
	// longLine is the length, in octets without the field name, beyond which
	// an MTA on the way on may break a line and so make a space of nothing.
	// RFC 5322 section 2.1.1 allows 998; Sendmail breaks at 990.
	longLine = 900
)

// plainID returns the authserv-id of a field in which all readers find the same:
// one of letters, digits, hyphens, underscores and dots, perhaps in quotes,
// perhaps with a version, with comments that need no care, and followed by a
// semicolon or nothing (RFC 8601 section 2.2). The letters may be those of
// U-labels (RFC 8601 section 1.5.2).
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
	// Some readers would see two ids, or a longer one, where something follows
	// the quotes at once.
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

// plainReader reads what every reader reads alike.
type plainReader struct{ parser }

// cfws passes white space, folds and comments (RFC 5322 section 3.2.2). It
// reports whether each comment ends and is plain: printable ASCII without
// another comment, a quoted-pair or an encoded-word in it, all of which readers
// treat differently.
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

// wellFolded reports whether field has no control characters but the TAB and
// those of folds: a line end with white space behind it. MTAs and readers drop
// others, cut the field there, or take them for the end of it.
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

// isNameChar reports whether c is one of those that names are written with.
func isNameChar(c byte) bool {
	return ascii.IsLetter(c) || ascii.IsDigit(c) || c == '-' || c == '.' || c == '_'
}
