package authres

import (
	"strings"

	"authmilter/verify/domain"
)

// Claimant tells which Authentication-Results fields claim to have been added
// by us. RFC 8601 section 5 asks to remove those from inbound mail: readers
// behind us would believe them.
type Claimant struct {
	ids []string
}

// NewClaimant returns a Claimant for our authserv-ids, which are domain names
// or at least compare as such.
func NewClaimant(ids ...string) *Claimant {
	c := &Claimant{}
	for _, id := range ids {
		c.ids = append(c.ids, normal(id))
	}
	return c
}

// Claims tells whether the field value claims to be ours: whether its
// authserv-id, in whatever spelling, is one of our ids or a name below one. It
// errs on the side of removal: where the authserv-id cannot be read, because the
// field is malformed, oversized or has none, it is ours if one of our ids stands
// anywhere in it. Its time is linear in the field, whatever the size.
func (c *Claimant) Claims(field string) bool {
	p := parser{s: field}
	id, ok := p.authservID()
	p.cfws()
	if ok && id != "" && !p.bad && (p.end() || p.s[p.pos] == ';') {
		return c.named(normal(id))
	}
	return c.mentioned(field)
}

// named tells whether id is one of ours, or below one of ours: a reader that
// trusts by domain would believe that too.
func (c *Claimant) named(id string) bool {
	for _, own := range c.ids {
		if domain.IsSubdomain(id, own) {
			return true
		}
	}
	return false
}

// mentioned tells whether one of our ids stands anywhere in text as a whole
// name, quoting and folds aside.
func (c *Claimant) mentioned(text string) bool {
	start := -1
	var word strings.Builder
	for i := 0; i <= len(text); i++ {
		if i < len(text) {
			switch b := text[i]; {
			case b == '\\' || b == '"' || b == '\r' || b == '\n' || b == 0:
				continue // may have been put within a name to hide it
			case b >= 0x80, 'a' <= b && b <= 'z', 'A' <= b && b <= 'Z', '0' <= b && b <= '9', b == '-', b == '.', b == '_':
				start = i
				if word.Len() <= 4*domain.MaxLength {
					word.WriteByte(b)
				}
				continue
			}
		}
		if start >= 0 && c.named(normal(word.String())) {
			return true
		}
		start = -1
		word.Reset()
	}
	return false
}

// normal returns id in the one spelling that is compared: A-labels in lower
// case without dots at the end, or, of what is no domain name, lower case.
func normal(id string) string {
	id = strings.TrimRight(strings.TrimSpace(id), ".")
	if name, err := domain.ToASCII(id); err == nil {
		return name
	}
	return strings.ToLower(id)
}
