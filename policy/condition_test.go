package policy

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"authmilter/verify"
	"authmilter/verify/arc"
	"authmilter/verify/dkim"
	"authmilter/verify/message"
)

// samples are items for overrides, by condition. [anyMessage] matches the first of
// each, and the second does not match it.
var samples = map[string]sample{
	"author_domain": {items: []string{"example.com", "other.example"}},
	"client":        {items: []string{"192.0.2.0/24", "198.51.100.1"}},
	"client_name":   {items: []string{"example.net", "other.example"}},
	"mail_from":     {items: []string{"example.net", "other.example"}, forgeable: true},
	"dkim":          {items: []string{"signer.example", "other.example"}},
	"sealer":        {items: []string{"sealer.example", "other.example"}},
	"list_id":       {items: []string{"lists.example.net", "other.example"}, forgeable: true},
	"recipient":     {items: []string{"one.example", "other.example"}},
	"listener":      {items: []string{"inet:8894@127.0.0.1", "inet:8895@127.0.0.1"}},
}

type sample struct {
	items []string
	// forgeable is what an override that asks for this condition alone is.
	forgeable bool
}

// anyMessage returns a message that has a value for every condition.
func anyMessage() *Message {
	return &Message{
		Envelope: verify.Envelope{
			ClientIP: netip.MustParseAddr("192.0.2.1"), ClientName: "mx.example.net", MailFrom: "bounce@lists.example.net",
		},
		Recipients: NewRecipients("a@one.example"),
		Listener:   "inet:8894@127.0.0.1",
		Result: &verify.Result{
			Author: message.Author{Domains: []string{"example.com"}},
			DKIM:   signatures(dkim.Pass, "signer.example"),
			ARC:    chainOf("old.example mx; none\nsealer.example mx; none"),
			ListID: message.ListID{IDs: []string{"golf.lists.example.net"}},
		},
	}
}

// TestConditionsAreWhole checks every use of each condition of the table, with the
// items of samples and with its example.
func TestConditionsAreWhole(t *testing.T) {
	m, empty := anyMessage(), &Message{Result: &verify.Result{}}
	for _, c := range Conditions() {
		items := samples[c.Name()].items
		if len(items) < 2 {
			t.Errorf("%s: no samples", c.Name())
			continue
		}
		var first, second, both, none Override
		for _, set := range []struct {
			o     *Override
			items []string
		}{{&first, items[:1]}, {&second, items[1:]}, {&both, items}} {
			if err := set.o.Ask(c.Name(), set.items...); err != nil {
				t.Fatalf("%s: %v", c.Name(), err)
			}
		}
		for _, test := range []struct {
			o    *Override
			want extent
		}{{&first, inFull}, {&second, notAtAll}, {&both, inFull}, {&none, inFull}} {
			if got, _ := test.o.match(m); got != test.want {
				t.Errorf("%s: anyMessage matches %q to the extent %d, want %d", c.Name(), test.o.Items(c.Name()), got, test.want)
			}
		}
		if got, unmet := first.match(empty); got != notAtAll || unmet.condition() != c {
			t.Errorf("%s matches an empty message", c.Name())
		}
		if got := first.Forgeable(); got != samples[c.Name()].forgeable {
			t.Errorf("%s alone: forgeable is %t", c.Name(), got)
		}
		if !both.Covers(&first) || first.Covers(&both) || first.Covers(&second) || first.Covers(&none) || !none.Covers(&first) {
			t.Errorf("%s: Covers is wrong", c.Name())
		}
		if why := second.demand(c.Name()).unmet(m); !strings.HasPrefix(why, c.Name()+" is ") || !strings.Contains(why, second.Items(c.Name())[0]) {
			t.Errorf("%s: %s", c.Name(), why)
		}
		if err := none.Ask(c.Name(), c.Example()); err != nil {
			t.Errorf("the example of %s: %v", c.Name(), err)
		}
		if err := none.Ask(c.Name(), items[0], "a..b"); err == nil && c.Name() != "listener" {
			t.Errorf("%s accepts nonsense", c.Name())
		}
	}
}

// TestConditions matches messages against conditions: in full, in part and not at
// all.
func TestConditions(t *testing.T) {
	for _, test := range []struct {
		name, items string // items are separated by spaces
		change      func(*Message)
		want        extent
	}{
		{"author_domain", "example.com", func(*Message) {}, inFull},
		{"author_domain", "com", func(*Message) {}, inFull},
		{"author_domain", "ample.com", func(*Message) {}, notAtAll},
		{"author_domain", "news.example.com", func(*Message) {}, notAtAll},
		{"author_domain", "example.com", authors("news.example.com", "example.com"), inFull},
		{"author_domain", "news.example.com", authors("news.example.com", "example.com"), inPart},
		{"author_domain", "example.com", authors("other.example", "example.com"), inPart},
		{"author_domain", "news.example.com example.com", authors("news.example.com", "example.com"), inFull},
		{"author_domain", "example.com other.example", authors("a.example", "b.example"), notAtAll},
		{"author_domain", "example.com", authors(), notAtAll},
		{"author_domain", "example.com", authorError(message.ErrAuthorBounds), inPart},
		{"author_domain", "example.com", authorError(message.ErrNoDomain), inPart},
		{"author_domain", "example.com", authorError(message.ErrSeveralFrom), inFull}, // all are known
		{"author_domain", "other.example", authorError(message.ErrAuthorBounds), notAtAll},

		{"client", "192.0.2.1", func(*Message) {}, inFull},
		{"client", "192.0.2.2", func(*Message) {}, notAtAll},
		{"client", "::ffff:192.0.2.1", func(*Message) {}, inFull},
		{"client", "2001:db8::/32", func(*Message) {}, notAtAll},
		{"client", "::/0", func(*Message) {}, notAtAll},
		{"client", "192.0.2.0/24", client("::ffff:192.0.2.7"), inFull},
		{"client", "2001:db8::/32 192.0.2.0/24", client("2001:db8::1"), inFull},
		{"client", "fe80::/64", client("fe80::1%eth0"), inFull},

		{"client_name", "example.net", clientName("MX.Example.NET."), inFull},
		{"client_name", "bücher.example", clientName("mx.bücher.example"), inFull},
		{"client_name", "bücher.example", clientName("MX.XN--bcher-kva.example"), inFull},
		{"client_name", "mx.example.net", clientName("mx2.example.net"), notAtAll},
		{"client_name", "example.net", clientName("mx example.net"), notAtAll},

		{"mail_from", "example.net", mailFrom("joe@EXAMPLE.net."), inFull},
		{"mail_from", "bücher.example", mailFrom("joe@BÜCHER.example"), inFull},
		{"mail_from", "example.net", mailFrom(`"a@b"@example.net`), inFull},
		{"mail_from", "example.net", mailFrom("joe@badexample.net"), notAtAll},
		{"mail_from", "example.net", mailFrom("example.net"), notAtAll}, // a local name
		{"mail_from", "example.net", mailFrom(""), notAtAll},
		{"mail_from", "example.net", mailFrom("joe@[192.0.2.1]"), notAtAll},

		{"dkim", "signer.example", signed(dkim.Fail, "signer.example"), notAtAll},
		{"dkim", "signer.example", signed(dkim.Pass, "other.example", dkim.Pass, "a.signer.example"), inFull},

		{"sealer", "old.example", func(*Message) {}, notAtAll}, // not the newest
		{"sealer", "example", func(*Message) {}, notAtAll},     // not exact
		{"sealer", "sealer.example", func(m *Message) { m.Result.ARC.Status = arc.Fail }, notAtAll},

		{"list_id", "golf.lists.example.net", func(*Message) {}, inFull},
		{"list_id", "GOLF.lists.Example.NET", func(*Message) {}, inFull},
		{"list_id", ".lists.example.net", func(*Message) {}, inFull},
		{"list_id", "tennis.lists.example.net", func(*Message) {}, notAtAll},
		{"list_id", "gcc.gnu.org", lists("libstdc++.gcc.gnu.org"), inFull},
		{"list_id", "libstdc++.gcc.gnu.org", lists("libstdc++.gcc.gnu.org"), inFull},
		{"list_id", "c++.gcc.gnu.org", lists("libstdc++.gcc.gnu.org"), notAtAll},
		{"list_id", "a.example", lists("x.a.example", "y.b.example"), inPart},
		{"list_id", "a.example b.example", lists("x.a.example", "y.b.example"), inFull},
		{"list_id", "lists.example.net", listError(message.ErrListID), inPart},
		{"list_id", "lists.example.net", listError(message.ErrListIDBounds), inPart},
		{"list_id", "other.example", listError(message.ErrListID), notAtAll},

		{"recipient", "one.example", recipients("<a@ONE.example>", "b@sub.one.example"), inFull},
		{"recipient", "sub.one.example", recipients("a@one.example", "b@sub.one.example"), inPart},
		{"recipient", "one.example", recipients("a@one.example", "postmaster"), inPart},
		{"recipient", "one.example", recipients("postmaster", "a@two.example"), notAtAll},
		{"recipient", "one.example", func(m *Message) { m.Recipients.Incomplete = true }, inPart},
	} {
		var o Override
		if err := o.Ask(test.name, strings.Fields(test.items)...); err != nil {
			t.Fatal(err)
		}
		m := anyMessage()
		test.change(m)
		if got, _ := o.match(m); got != test.want {
			t.Errorf("%s %s: %d, want %d", test.name, test.items, got, test.want)
		}
		if got := o.demand(test.name).unmet(m); test.want != inFull && got == "" {
			t.Errorf("%s %s: no reason", test.name, test.items)
		}
	}
}

// asking returns an override with one item for each condition, named by its key.
func asking(action Action, keysAndItems ...string) Override {
	o := Override{Action: action}
	for pair := range slices.Chunk(keysAndItems, 2) {
		if err := o.Ask(pair[0], pair[1]); err != nil {
			panic(err)
		}
	}
	return o
}

func authors(domains ...string) func(*Message) {
	return func(m *Message) { m.Result.Author.Domains = domains }
}
func authorError(err error) func(*Message) { return func(m *Message) { m.Result.Author.Err = err } }
func client(ip string) func(*Message) {
	return func(m *Message) { m.Envelope.ClientIP = netip.MustParseAddr(ip) }
}
func clientName(name string) func(*Message) {
	return func(m *Message) { m.Envelope.ClientName = name }
}
func mailFrom(address string) func(*Message) {
	return func(m *Message) { m.Envelope.MailFrom = address }
}
func signed(list ...any) func(*Message) {
	return func(m *Message) { m.Result.DKIM = signatures(list...) }
}
func lists(ids ...string) func(*Message) { return func(m *Message) { m.Result.ListID.IDs = ids } }
func listError(err error) func(*Message) { return func(m *Message) { m.Result.ListID.Err = err } }
func recipients(addresses ...string) func(*Message) {
	return func(m *Message) { m.Recipients = NewRecipients(addresses...) }
}

// TestUnmet checks the texts of explanations.
func TestUnmet(t *testing.T) {
	var many []string
	for i := range 20 {
		many = append(many, string(rune('a'+i))+".example")
	}
	for _, test := range []struct {
		name, item string
		change     func(*Message)
		want       string
	}{
		{"author_domain", "bank.example", func(*Message) {}, "author_domain is example.com, not bank.example"},
		{"author_domain", "bank.example", authors(), "author_domain is missing, not bank.example"},
		{"author_domain", "bank.example", authorError(message.ErrAuthorBounds), "author_domain is example.com, more, not bank.example"},
		{"author_domain", "example.com", authors("example.com", "x.example"), "author_domain is also x.example, not only example.com"},
		{"author_domain", "example.com", authorError(message.ErrAuthorBounds), "author_domain is not known to be only example.com"},
		{"author_domain", "bank.example", authors(many...),
			"author_domain is a.example, b.example, c.example, d.example, e.example, f.example, g.example, h.example, i.example, j.example, 10 more, not bank.example"},
		{"client", "198.51.100.1", func(m *Message) { m.Envelope.ClientIP = netip.Addr{} }, "client is missing, not 198.51.100.1/32"},
		{"mail_from", "bank.example", mailFrom("joe@[192.0.2.1]"), "mail_from is not known, not bank.example"},
	} {
		var o Override
		if err := o.Ask(test.name, test.item); err != nil {
			t.Fatal(err)
		}
		m := anyMessage()
		test.change(m)
		if got := o.demand(test.name).unmet(m); got != test.want {
			t.Errorf("%s, want %s", got, test.want)
		}
	}
}

func TestParseNetwork(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{"192.0.2.1", "192.0.2.1/32"},
		{"192.0.2.0/24", "192.0.2.0/24"},
		{"2001:db8::1", "2001:db8::1/128"},
		{"::ffff:192.0.2.1", "192.0.2.1/32"},
		{text: "::ffff:192.0.2.0/120"},
		{text: "192.0.2.1/24"},
		{text: "192.0.2.0/33"},
		{text: "mx.example"},
		{text: ""},
	} {
		got, err := ParseNetwork(test.text)
		if (err == nil) != (test.want != "") || err == nil && got.String() != test.want {
			t.Errorf("%s: %v, %v", test.text, got, err)
		}
	}
}
