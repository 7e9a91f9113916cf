package oracle

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"

	blitiri "blitiri.com.ar/go/spf"

	"authmilter/verify/dns"
	"authmilter/verify/dns/dnstest"
	"authmilter/verify/spf"
)

// adapter shows a zone to the oracle as its resolver.
type adapter struct{ zone *dnstest.Zone }

// dnsError translates one of our errors to package net's. The standard library
// does not distinguish a name without such records from a name that does not
// exist.
func dnsError(name string, values int, err error) error {
	if err == nil && values > 0 {
		return nil
	}
	return &net.DNSError{Err: "no answer", Name: name, IsNotFound: !dns.IsTemporary(err), IsTemporary: dns.IsTemporary(err)}
}

func (a adapter) LookupTXT(ctx context.Context, name string) ([]string, error) {
	answer, err := a.zone.TXT(ctx, name)
	return answer.Values, dnsError(name, len(answer.Values), err)
}

func (a adapter) LookupMX(ctx context.Context, name string) ([]*net.MX, error) {
	answer, err := a.zone.MX(ctx, name)
	var hosts []*net.MX
	for _, mx := range answer.Values {
		hosts = append(hosts, &net.MX{Host: mx.Host, Pref: mx.Preference})
	}
	return hosts, dnsError(name, len(hosts), err)
}

func (a adapter) LookupIPAddr(ctx context.Context, name string) ([]net.IPAddr, error) {
	four, err4 := a.zone.A(ctx, name)
	six, err6 := a.zone.AAAA(ctx, name)
	var addrs []net.IPAddr
	for _, addr := range slices.Concat(four.Values, six.Values) {
		addrs = append(addrs, net.IPAddr{IP: addr.AsSlice()})
	}
	return addrs, dnsError(name, len(addrs), errors.Join(err4, err6))
}

func (a adapter) LookupAddr(ctx context.Context, text string) ([]string, error) {
	addr, err := netip.ParseAddr(text)
	if err != nil {
		return nil, err
	}
	answer, err := a.zone.PTR(ctx, addr)
	var names []string
	for _, n := range answer.Values {
		names = append(names, n+".")
	}
	return names, dnsError(text, len(names), err)
}

// hosts is the number of domains in a generated zone.
const hosts = 8

func host(i int) string { return fmt.Sprintf("d%d.example.com", i) }

// newRecord returns the text of a record of mostly valid terms.
func newRecord(r random) string {
	name := func() string { return host(r.IntN(hosts + 1)) } // the last does not exist
	terms := []string{"v=spf1"}
	for range r.IntN(6) {
		q := one(r, "", "", "+", "-", "~", "?")
		terms = append(terms, q+one(r,
			"ip4:192.0.2."+fmt.Sprint(r.IntN(4)), "ip4:192.0.2.0/"+fmt.Sprint(24+r.IntN(9)),
			"ip6:2001:db8::"+fmt.Sprint(r.IntN(4)), "ip6:2001:db8::/"+fmt.Sprint(r.IntN(129)),
			"a", "a:"+name(), "a/30", "a//126", "a:"+name()+"/24//64", "mx", "mx:"+name(), "mx:"+name()+"/28",
			"include:"+name(), "include:"+name(), "include:%{d}", "exists:"+name(), "exists:%{i}.example.com",
			"exists:%{l}.%{d2}", "a:%{h}", "ptr", "ptr:example.com", "all"))
	}
	if r.IntN(4) == 0 {
		terms = append(terms, one(r, "redirect="+name(), "redirect="+name(), "exp=explain.example.com", "unknown=x", "A:"+name(), "IP4:192.0.2.1"))
	}
	if r.IntN(3) == 0 {
		terms = append(terms, one(r, "-all", "~all", "?all", "+all"))
	}
	if r.IntN(8) == 0 {
		broken := one(r, "ip4:192.0.2", "ip4:192.0.2.1/33", "ip6:x", "a/", "a:", "foo", "include:", "exists", "all:x",
			"redirect=a redirect=b", "a:%{x}", "a:%", "mx/129", "ip4:2001:db8::1", "-", "redirect=", "a:example..com")
		terms = slices.Insert(terms, 1+r.IntN(len(terms)), broken)
	}
	return strings.Join(terms, " ")
}

func newZone(t *testing.T, r random) (*dnstest.Zone, []string) {
	t.Helper()
	z := dnstest.MustParse(t, "")
	add := func(record string) {
		if err := z.Add(record); err != nil {
			t.Fatal(err)
		}
	}
	var records []string
	for i := range hosts {
		if r.IntN(8) > 0 {
			records = append(records, newRecord(r))
			z.AddTXT(host(i), records[len(records)-1])
		}
		for range r.IntN(3) {
			add(fmt.Sprintf("%s. A 192.0.2.%d", host(i), r.IntN(4)))
			add(fmt.Sprintf("%s. AAAA 2001:db8::%d", host(i), r.IntN(4)))
		}
		for range r.IntN(3) {
			add(fmt.Sprintf("%s. MX %d %s.", host(i), r.IntN(20), host(r.IntN(hosts))))
		}
		if r.IntN(12) == 0 {
			// Not for only one type of address: the oracle looks up both, but
			// RFC 7208 section 5 asks only for the client's type.
			z.Fail(host(i), one(r, "TXT", "MX", ""), "SERVFAIL")
		}
	}
	add("1.2.0.192.in-addr.arpa. PTR " + host(r.IntN(hosts)) + ".")
	add("192.0.2.1.example.com. A 127.0.0.2")
	add("user.example.com. A 127.0.0.2")
	return z, records
}

// spfCase is one comparison.
type spfCase struct {
	ours    spf.Result
	theirs  blitiri.Result
	err     error
	records []string
}

// broken reports whether some record in the zone is malformed.
func (c *spfCase) broken() bool {
	return slices.ContainsFunc(c.records, func(s string) bool { _, err := spf.ParseRecord(s); return err != nil })
}

// spfRule explains a difference between the two.
type spfRule struct {
	name     string
	explains func(c *spfCase) bool
}

// spfRules are the known differences.
var spfRules = []spfRule{
	{"a syntax error anywhere in a record: RFC 7208 section 4.6", func(c *spfCase) bool {
		return c.ours.Status == spf.PermError && c.theirs != blitiri.PermError && c.broken()
	}},
	{"a term counts as void once, however much it looks up: RFC 7208 section 4.6.4", func(c *spfCase) bool {
		return errors.Is(c.err, blitiri.ErrVoidLookupLimitReached) && c.ours.Void <= spf.DefaultMaxVoid
	}},
	{"an mx matches by one exchanger, whatever happens to the others: RFC 7208 section 5.4", func(c *spfCase) bool {
		return c.theirs == blitiri.TempError && strings.Contains(c.ours.Mechanism, "mx")
	}},
	{"the exchangers of an mx may be void too: RFC 7208 section 4.6.4", func(c *spfCase) bool {
		return c.ours.Status == spf.PermError && c.ours.Void == spf.DefaultMaxVoid &&
			strings.Contains(c.ours.Text(), "found nothing") && strings.Contains(strings.Join(c.records, " "), "mx")
	}},
}

func TestSPF(t *testing.T) {
	r := newRandom(7208)
	used := map[string]int{}
	results := map[spf.Status]int{}
	for range *rounds {
		z, records := newZone(t, r)
		ip := one(r, "192.0.2.1", "192.0.2.2", "192.0.2.77", "2001:db8::1", "2001:db8::77")
		sender, helo := "user@"+host(r.IntN(hosts)), host(r.IntN(hosts))
		c := spfCase{records: records}
		c.ours = spf.Check(context.Background(), z, spf.Args{IP: netip.MustParseAddr(ip), Helo: helo, MailFrom: sender})
		c.theirs, c.err = blitiri.CheckHostWithSender(net.ParseIP(ip), helo, sender, blitiri.WithResolver(adapter{z}))
		results[c.ours.Status]++
		if string(c.ours.Status) == string(c.theirs) {
			continue
		}
		at := slices.IndexFunc(spfRules, func(r spfRule) bool { return r.explains(&c) })
		if at < 0 {
			t.Errorf("client %s, sender %s, helo %s: we find %s (%s), they find %s (%v)\n%s", ip, sender, helo,
				c.ours.Status, c.ours.Text(), c.theirs, c.err, strings.Join(records, "\n"))
			continue
		}
		used[spfRules[at].name]++
	}
	for _, s := range spf.Statuses() {
		if results[s] < *rounds/100 {
			t.Errorf("only %d results %s", results[s], s)
		}
	}
	for _, rule := range spfRules {
		if used[rule.name] == 0 {
			t.Errorf("no difference is explained by: %s", rule.name)
		}
	}
	t.Logf("results %v; differences %v", results, used)
}
