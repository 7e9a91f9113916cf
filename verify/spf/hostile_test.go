package spf_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"authmilter/verify/dns"
	"authmilter/verify/spf"
)

// hostile is a DNS in which every name exists and has random harmful records.
type hostile struct {
	rand    *rand.Rand
	queries int
}

var errHostile = &dns.Error{Type: "any", Name: "name", Err: errors.New("SERVFAIL")}

// hostileWords are the terms of the records.
var hostileWords = []string{
	"mx", "mx", "mx:%{d2}", "a", "a:%{ir}.%{v}.%{d}", "a:%{p}.example", "ptr", "ptr:example.com",
	"include:%{d}", "include:a.%{d}", "include:%{p}", "exists:%{h}.example", "exists:%{l}%{s}%{s}.example",
	"ip4:192.0.2.2", "ip6:::/0", "exp=%{p}.example", "redirect=b.%{d}", "redirect=%{p}", "moo=%{t}",
	"?all", "-all", "junk", "%", "a/99",
}

// ask counts a query. Some queries fail or find nothing.
func (h *hostile) ask() (err error, empty bool) {
	h.queries++
	switch h.rand.IntN(40) {
	case 0:
		return errHostile, false
	case 1:
		return &dns.Error{Type: "any", Name: "name", NotFound: true, Err: dns.ErrNoSuchName}, false
	case 2:
		return nil, true
	}
	return nil, false
}

func (h *hostile) TXT(_ context.Context, name string) (a dns.Answer[string], err error) {
	err, empty := h.ask()
	if err != nil || empty {
		return a, err
	}
	if h.rand.IntN(8) == 0 {
		a.Values = append(a.Values, "%{p} %{c} %{L}")
	}
	if h.rand.IntN(12) != 0 {
		words := []string{"v=spf1"}
		for range h.rand.IntN(30) {
			// The last words are rarer: they end an evaluation.
			n := min(h.rand.IntN(len(hostileWords)), h.rand.IntN(len(hostileWords)))
			words = append(words, hostileWords[n])
		}
		a.Values = append(a.Values, strings.Join(words, " "))
	}
	return a, nil
}

func (h *hostile) MX(context.Context, string) (a dns.Answer[dns.MX], err error) {
	err, empty := h.ask()
	if err == nil && !empty {
		for i := range h.rand.IntN(12) {
			a.Values = append(a.Values, dns.MX{Host: fmt.Sprintf("m%d.example", i)})
		}
	}
	return a, err
}

func (h *hostile) A(context.Context, string) (a dns.Answer[netip.Addr], err error) {
	err, empty := h.ask()
	if err == nil && !empty {
		a.Values = []netip.Addr{netip.AddrFrom4([4]byte{192, 0, 2, byte(h.rand.IntN(99))})}
	}
	return a, err
}

func (h *hostile) AAAA(context.Context, string) (a dns.Answer[netip.Addr], err error) {
	err, empty := h.ask()
	if err == nil && !empty {
		a.Values = []netip.Addr{netip.MustParseAddr("2001:db8::2")}
	}
	return a, err
}

func (h *hostile) PTR(context.Context, netip.Addr) (a dns.Answer[string], err error) {
	err, empty := h.ask()
	if err == nil && !empty {
		for i := range 100 {
			a.Values = append(a.Values, fmt.Sprintf("P%d.A.Example.com", i))
		}
	}
	return a, err
}

// TestHostile checks that evaluations stay within their limits whatever the DNS
// says.
func TestHostile(t *testing.T) {
	most := 0
	for seed := range uint64(20000) {
		h := &hostile{rand: rand.New(rand.NewPCG(seed, 1))}
		a := spf.Args{
			IP: netip.MustParseAddr("192.0.2.1"), MailFrom: "a.b-c@example.com", Helo: "h.example.com",
			Explain: seed%2 == 0, MaxVoid: int(seed % 5),
		}
		limit := spf.MaxQueries
		if a.Explain {
			limit += spf.MaxExplainQueries
		}
		if seed%3 == 0 {
			a.IP = netip.MustParseAddr("2001:db8::1")
		}
		depth := 0
		a.Trace = func(s spf.Step) { depth = max(depth, s.Depth) }
		r := spf.Check(context.Background(), h, a)
		maxVoid := a.MaxVoid
		if maxVoid == 0 {
			maxVoid = spf.DefaultMaxVoid
		}
		most = max(most, h.queries)
		switch {
		case h.queries > limit, r.Lookups > spf.MaxLookups, r.Void > maxVoid, depth > spf.MaxLookups:
			t.Errorf("seed %d: %d queries, depth %d: %+v", seed, h.queries, depth, r)
		case !slices.Contains(spf.Statuses(), r.Status), r.Text() == "":
			t.Errorf("seed %d: %+v", seed, r)
		case (r.Err != nil) != (r.Status == spf.None || r.Status == spf.TempError || r.Status == spf.PermError):
			t.Errorf("seed %d: %s with error %v", seed, r.Status, r.Err)
		}
	}
	if most < spf.MaxQueries/3 {
		t.Errorf("only %d queries at most: the limits were not tested", most)
	}
}

// worst is a DNS that causes as many look-ups as the limits allow.
type worst struct{ hostile }

func (w *worst) TXT(_ context.Context, name string) (dns.Answer[string], error) {
	w.queries++
	text := "v=spf1 " + strings.Repeat("mx ", spf.MaxLookups) + "-all exp=%{p}"
	if name != "example.com" {
		text = "%{p}"
	}
	return dns.Answer[string]{Values: []string{text}}, nil
}

func (w *worst) MX(context.Context, string) (a dns.Answer[dns.MX], err error) {
	w.queries++
	for i := range spf.MaxNames {
		a.Values = append(a.Values, dns.MX{Host: fmt.Sprintf("m%d.example", i)})
	}
	return a, nil
}

func (w *worst) A(context.Context, string) (dns.Answer[netip.Addr], error) {
	w.queries++
	return dns.Answer[netip.Addr]{Values: []netip.Addr{netip.MustParseAddr("192.0.2.200")}}, nil
}

func (w *worst) PTR(context.Context, netip.Addr) (a dns.Answer[string], err error) {
	w.queries++
	for i := range 100 {
		a.Values = append(a.Values, fmt.Sprintf("p%d.example.com", i))
	}
	return a, nil
}

// TestMaxQueries checks that the limits documented for Check can be reached.
func TestMaxQueries(t *testing.T) {
	for explain, want := range map[bool]int{
		false: spf.MaxQueries,
		true:  spf.MaxQueries + spf.MaxExplainQueries,
	} {
		w := &worst{}
		r := spf.Check(context.Background(), w, spf.Args{
			IP: netip.MustParseAddr("192.0.2.1"), MailFrom: "a@example.com", Explain: explain,
		})
		if r.Status != spf.Fail || w.queries != want {
			t.Errorf("%d queries, want %d: %+v", w.queries, want, r)
		}
	}
}
