package dns_test

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"authmilter/verify/dns"
	"authmilter/verify/dns/dnstest"
)

func TestMeter(t *testing.T) {
	m := dns.NewMeter(dnstest.MustParse(t, zoneText), 3)
	m.Record()
	for range 5 {
		_, _ = m.TXT(context.Background(), "alias.example.com")
	}
	if _, err := m.MX(context.Background(), "example.com"); !dns.IsBudget(err) || !dns.IsTemporary(err) {
		t.Errorf("beyond the budget: %v", err)
	}
	if m.Count() != 3 || len(m.Events()) != 3 {
		t.Errorf("count %d, %d events", m.Count(), len(m.Events()))
	}
	if e := m.Events()[0]; e.Type != "TXT" || !slices.Equal(e.Values, []string{"the end"}) || len(e.CNAMEs) != 2 {
		t.Errorf("event %+v", e)
	}
}

// late is a resolver whose answers take a second, even if ctx ends.
type late struct {
	dns.Resolver
	fail bool
}

func (r late) TXT(ctx context.Context, _ string) (dns.Answer[string], error) {
	time.Sleep(time.Second)
	if r.fail {
		return dns.Answer[string]{}, context.DeadlineExceeded
	}
	return dns.Answer[string]{Values: []string{"x"}}, nil
}

func TestMeterTellsWhatWasExceeded(t *testing.T) {
	const short, long = time.Second / 2, time.Hour
	for _, test := range []struct {
		name    string
		fail    bool
		limit   int
		within  time.Duration
		cancels bool
		want    dns.Budget
	}{
		{name: "enough of everything", limit: 2, within: long, want: dns.BudgetNone},
		{name: "too many", limit: 1, within: long, want: dns.BudgetQueries},
		{name: "too late", fail: true, limit: 2, within: short, want: dns.BudgetTime},
		{name: "both", fail: true, limit: 1, within: short, want: dns.BudgetQueries},
		{name: "late but answered", limit: 2, within: short, want: dns.BudgetNone},
		{name: "failed in time", fail: true, limit: 2, within: long, want: dns.BudgetNone},
		{name: "cancelled", fail: true, limit: 2, within: long, cancels: true, want: dns.BudgetNone},
	} {
		synctest.Test(t, func(t *testing.T) {
			whole := dns.NewMeter(late{fail: test.fail}, 0)
			m := whole.Split(test.limit)
			for range 2 {
				ctx, cancel := context.WithTimeout(t.Context(), test.within)
				if test.cancels {
					cancel()
				}
				_, _ = m.TXT(ctx, "a.example")
				cancel()
			}
			if got := m.Exceeded(); got != test.want {
				t.Errorf("%s: %q, want %q", test.name, got, test.want)
			}
			if got := whole.Exceeded(); got != dns.BudgetNone {
				t.Errorf("%s: the parent reports %q", test.name, got)
			}
		})
	}
}
