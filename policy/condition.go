package policy

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Condition is something that an [Override] can match on. It is a row of a table
// that drives matching, warnings, explanations, the configuration and the tests of
// the documentation. CONTRIBUTING.md says how to add a condition.
type Condition interface {
	// Name is the key of the condition in the configuration.
	Name() string
	// Example is an example of an item in the configuration.
	Example() string
	// Several reports whether a sender can give a message several values. An
	// override then loosens only if all of them match, and tightens if any does.
	Several() bool

	trust() trust
	// ask returns a demand for one of items, which are written as in the
	// configuration. The error names the first invalid item.
	ask(items []string) (demand, error)
}

// demand is a condition together with the items that an override lists for it.
type demand interface {
	condition() Condition
	// items returns the items, normalized.
	items() []string
	extent(m *Message) extent
	// unmet returns why m does not match in full.
	unmet(m *Message) string
	// covers reports whether every value that matches other, a demand of the same
	// condition, also matches this demand.
	covers(other demand) bool
}

// extent is how far a message matches.
type extent uint8

// The extents, in ascending order: a message matches an override as far as it
// matches the weakest of the conditions.
const (
	notAtAll extent = iota
	inPart          // one value matches, but another does not or is not known
	inFull
)

// trust is how far a condition withstands forgery.
type trust uint8

const (
	// claimed is chosen by the sender and proves nothing. It is what a condition is
	// worth unless its row says otherwise.
	claimed trust = iota
	// deliberate is chosen by the sender, but names the authors or recipients that
	// the override is for: it gives up protecting them on purpose.
	deliberate
	// proven cannot be forged: it was verified, or comes from the MTA.
	proven
)

// conditions is the table of conditions.
var conditions = []Condition{
	&names{
		name: "author_domain", example: "news.example.org",
		parse: parseName, matches: isWithin, contains: isWithin,
		values: authorDomains, several: true, worth: deliberate,
	},
	&networks{
		name: "client", example: "192.0.2.0/24",
		parse: ParseNetwork, matches: isInNetwork, contains: isSubnet,
		values: clientAddress, worth: proven,
	},
	&names{
		name: "client_name", example: "out.example.net",
		parse: parseName, matches: isWithin, contains: isWithin,
		values: func(m *Message) known[string] { return knownNames(m.Envelope.ClientName) }, worth: proven,
	},
	&names{
		name: "mail_from", example: "example.net",
		parse: parseName, matches: isWithin, contains: isWithin,
		values: func(m *Message) known[string] { return knownNames(domainOf(m.Envelope.MailFrom)) }, worth: claimed,
	},
	&names{
		name: "dkim", example: "lists.example.net",
		parse: parseName, matches: isWithin, contains: isWithin,
		values: signers, worth: proven,
	},
	&names{
		name: "sealer", example: "forwarder.example",
		parse: parseName, matches: isSame, contains: isSame,
		values: newestSealer, worth: proven,
	},
	&names{
		name: "list_id", example: "libstdc++.gcc.gnu.org",
		parse: parseListID, matches: isWithin, contains: isWithin,
		values: listIDs, several: true, worth: claimed,
	},
	&names{
		name: "recipient", example: "customer.example",
		parse: parseName, matches: isWithin, contains: isWithin,
		values: recipientDomains, several: true, worth: deliberate,
	},
	&names{
		name: "listener", example: "inet:8894@127.0.0.1",
		parse: func(s string) (string, error) { return s, nil }, matches: isSame, contains: isSame,
		values: func(m *Message) known[string] { return knownTexts(m.Listener) }, worth: proven,
	},
}

// Conditions returns every Condition.
func Conditions() []Condition { return slices.Clone(conditions) }

// names and networks are conditions with different types of items and values.
type (
	names    = condition[string, string]
	networks = condition[netip.Prefix, netip.Addr]
)

// condition implements [Condition] for items of type I that match values of type
// V.
type condition[I, V any] struct {
	name, example string
	// parse returns an item from its text in the configuration.
	parse func(string) (I, error)
	// values returns the values of a message.
	values  func(*Message) known[V]
	matches func(item I, value V) bool
	// contains reports whether item matches every value that other matches.
	contains func(item, other I) bool
	// several is set if a sender can give a message several values. It is not set
	// for verified values: of these, one match is enough.
	several bool
	worth   trust
}

// known holds those values of a message that are known.
type known[V any] struct {
	values []V
	// incomplete is set if the message has other values, which are not known.
	incomplete bool
}

func (c *condition[I, V]) Name() string    { return c.name }
func (c *condition[I, V]) Example() string { return c.example }
func (c *condition[I, V]) Several() bool   { return c.several }
func (c *condition[I, V]) trust() trust    { return c.worth }

func (c *condition[I, V]) ask(items []string) (demand, error) {
	d := &demanded[I, V]{of: c, list: make([]I, 0, len(items))}
	for _, text := range items {
		item, err := c.parse(text)
		if err != nil {
			return nil, err
		}
		d.list = append(d.list, item)
	}
	return d, nil
}

// demanded implements [demand] for a non-empty list of items.
type demanded[I, V any] struct {
	of   *condition[I, V]
	list []I
}

func (d *demanded[I, V]) condition() Condition { return d.of }
func (d *demanded[I, V]) items() []string      { return texts(d.list) }

func (d *demanded[I, V]) extent(m *Message) extent {
	c, has := d.of, d.of.values(m)
	matched, missed := false, c.several && has.incomplete
	for _, v := range has.values {
		if d.matches(v) {
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

// matches reports whether one of the items matches value.
func (d *demanded[I, V]) matches(value V) bool {
	return slices.ContainsFunc(d.list, func(item I) bool { return d.of.matches(item, value) })
}

func (d *demanded[I, V]) unmet(m *Message) string {
	wanted := strings.Join(d.items(), " or ")
	has := d.of.values(m)
	if d.extent(m) == notAtAll {
		return fmt.Sprintf("%s is %s, not %s", d.of.name, has, wanted)
	}
	for _, v := range has.values {
		if !d.matches(v) {
			return fmt.Sprintf("%s is also %v, not only %s", d.of.name, v, wanted)
		}
	}
	return fmt.Sprintf("%s is not known to be only %s", d.of.name, wanted)
}

func (d *demanded[I, V]) covers(other demand) bool {
	for _, item := range other.(*demanded[I, V]).list {
		if !slices.ContainsFunc(d.list, func(own I) bool { return d.of.contains(own, item) }) {
			return false
		}
	}
	return true
}

// maxShown is the maximum number of values of a message in an explanation.
const maxShown = 10

// String returns the values as shown in an explanation.
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
