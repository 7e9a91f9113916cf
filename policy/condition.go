package policy

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Condition is one of the things that an [Override] can ask for: a row of the
// table that matching, the warnings, the explanations, the configuration and the
// tests of the documentation read.
type Condition interface {
	// Name is the key of the condition in the configuration.
	Name() string
	// Several reports whether a sender can give a message several values of it.
	// An override then loosens only if all of them match, and tightens if any
	// does.
	Several() bool
	// Set makes o ask for one of items, as the configuration writes them. The
	// error names the first that cannot be asked for.
	Set(o *Override, items []string) error
	// Items returns what o asks for, normalized; nothing if o does not ask for
	// this condition.
	Items(o *Override) []string

	trust() trust
	extent(o *Override, m *Message) extent
	unmet(o *Override, m *Message) string
	covers(o, other *Override) bool
}

// extent is how far a message matches.
type extent uint8

// The extents, in this order: a message matches an override as far as it matches
// the weakest of its conditions.
const (
	notAtAll extent = iota
	inPart          // one value matches, and another does not or is not known
	inFull
)

// trust is what a condition is worth against a sender who forges.
type trust uint8

const (
	// proven is what a sender cannot write: it was verified, or comes from the
	// MTA.
	proven trust = iota
	// deliberate is what a sender writes, but that says whose mail the override
	// is about: it gives up their protection knowingly.
	deliberate
	// claimed is what a sender writes and what proves nothing.
	claimed
)

// conditions is the table.
var conditions = []Condition{
	&names{
		name: "author_domain", list: func(o *Override) *[]string { return &o.AuthorDomains },
		parse: parseName, matches: isWithin, contains: isWithin,
		values: authorDomains, several: true, worth: deliberate,
	},
	&networks{
		name: "client", list: func(o *Override) *[]netip.Prefix { return &o.Clients },
		parse: ParseNetwork, matches: isInNetwork, contains: isSubnet,
		values: clientAddress, worth: proven,
	},
	&names{
		name: "client_name", list: func(o *Override) *[]string { return &o.ClientNames },
		parse: parseName, matches: isWithin, contains: isWithin,
		values: func(m *Message) known[string] { return knownNames(m.Envelope.ClientName) }, worth: proven,
	},
	&names{
		name: "mail_from", list: func(o *Override) *[]string { return &o.MailFrom },
		parse: parseName, matches: isWithin, contains: isWithin,
		values: func(m *Message) known[string] { return knownNames(domainOf(m.Envelope.MailFrom)) }, worth: claimed,
	},
	&names{
		name: "dkim", list: func(o *Override) *[]string { return &o.DKIM },
		parse: parseName, matches: isWithin, contains: isWithin,
		values: signers, worth: proven,
	},
	&names{
		name: "sealer", list: func(o *Override) *[]string { return &o.Sealers },
		parse: parseName, matches: isSame, contains: isSame,
		values: newestSealer, worth: proven,
	},
	&names{
		name: "list_id", list: func(o *Override) *[]string { return &o.ListIDs },
		parse: parseListID, matches: isWithin, contains: isWithin,
		values: listIDs, several: true, worth: claimed,
	},
	&names{
		name: "recipient", list: func(o *Override) *[]string { return &o.Recipients },
		parse: parseName, matches: isWithin, contains: isWithin,
		values: recipientDomains, several: true, worth: deliberate,
	},
	&names{
		name: "listener", list: func(o *Override) *[]string { return &o.Listeners },
		parse: func(s string) (string, error) { return s, nil }, matches: isSame, contains: isSame,
		values: func(m *Message) known[string] { return knownTexts(m.Listener) }, worth: proven,
	},
}

// Conditions returns every Condition.
func Conditions() []Condition { return slices.Clone(conditions) }

// names and networks are conditions by the types of their items and of the values
// that messages have.
type (
	names    = condition[string, string]
	networks = condition[netip.Prefix, netip.Addr]
)

// condition implements [Condition] for items of type I, which values of type V
// match or do not.
type condition[I, V any] struct {
	name string
	// list is where an override has the items.
	list func(*Override) *[]I
	// parse returns an item from its text in the configuration.
	parse func(string) (I, error)
	// values are what a message has.
	values  func(*Message) known[V]
	matches func(item I, value V) bool
	// contains reports whether item matches every value that other matches.
	contains func(item, other I) bool
	// several reports that a sender can give a message several values. What was
	// verified is not meant: there each value is enough.
	several bool
	worth   trust
}

// known are the values of a condition that are known.
type known[V any] struct {
	values []V
	// incomplete reports that there are values that are not known.
	incomplete bool
}

func (c *condition[I, V]) Name() string  { return c.name }
func (c *condition[I, V]) Several() bool { return c.several }
func (c *condition[I, V]) trust() trust  { return c.worth }

func (c *condition[I, V]) Set(o *Override, items []string) error {
	list := make([]I, 0, len(items))
	for _, text := range items {
		item, err := c.parse(text)
		if err != nil {
			return err
		}
		list = append(list, item)
	}
	*c.list(o) = list
	return nil
}

func (c *condition[I, V]) Items(o *Override) []string { return texts(*c.list(o)) }

// extent reports how far m matches what o asks for; in full if it does not ask.
func (c *condition[I, V]) extent(o *Override, m *Message) extent {
	items := *c.list(o)
	if len(items) == 0 {
		return inFull
	}
	has := c.values(m)
	matched, missed := false, c.several && has.incomplete
	for _, v := range has.values {
		if c.matchesOne(items, v) {
			matched = true
		} else {
			missed = missed || c.several
		}
		if matched && (missed || !c.several) {
			break // the rest changes nothing
		}
	}
	switch {
	case !matched:
		return notAtAll
	case missed:
		return inPart
	}
	return inFull
}

func (c *condition[I, V]) matchesOne(items []I, value V) bool {
	return slices.ContainsFunc(items, func(item I) bool { return c.matches(item, value) })
}

// unmet says why m does not match what o asks for in full.
func (c *condition[I, V]) unmet(o *Override, m *Message) string {
	items := *c.list(o)
	wanted := strings.Join(texts(items), " or ")
	has := c.values(m)
	if c.extent(o, m) == notAtAll {
		return fmt.Sprintf("%s is %s, not %s", c.name, has, wanted)
	}
	for _, v := range has.values {
		if !c.matchesOne(items, v) {
			return fmt.Sprintf("%s is also %v, not only %s", c.name, v, wanted)
		}
	}
	return fmt.Sprintf("%s is not known to be only %s", c.name, wanted)
}

func (c *condition[I, V]) covers(o, other *Override) bool {
	own, others := *c.list(o), *c.list(other)
	if len(own) == 0 {
		return true
	}
	if len(others) == 0 {
		return false
	}
	for _, other := range others {
		if !slices.ContainsFunc(own, func(item I) bool { return c.contains(item, other) }) {
			return false
		}
	}
	return true
}

// maxShown bounds the values of a message in an explanation.
const maxShown = 10

// String returns the values as an explanation has them.
func (k known[V]) String() string {
	shown := texts(k.values[:min(len(k.values), maxShown)])
	switch more := len(k.values) - len(shown); {
	case more > 0:
		shown = append(shown, fmt.Sprintf("%d more", more))
	case k.incomplete && len(shown) > 0:
		shown = append(shown, "more")
	case k.incomplete:
		return "not known"
	case len(shown) == 0:
		return "missing"
	}
	return strings.Join(shown, ", ")
}

func texts[T any](list []T) []string {
	var all []string
	for _, v := range list {
		all = append(all, fmt.Sprint(v))
	}
	return all
}
