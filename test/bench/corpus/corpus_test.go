package corpus_test

import (
	"context"
	"net/netip"
	"reflect"
	"testing"

	"authmilter/test/bench/corpus"
	"authmilter/verify"
	"authmilter/verify/dkim"
	"authmilter/verify/dns/dnstest"
)

func make(t testing.TB, o corpus.Options) *corpus.Corpus {
	t.Helper()
	c, err := corpus.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestSameForASeed(t *testing.T) {
	o := corpus.Options{Seed: 1, Messages: 20, ARC: 0.2}
	first, second := make(t, o), make(t, o)
	if !reflect.DeepEqual(first, second) {
		t.Error("two corpora of one seed differ")
	}
	if other := make(t, corpus.Options{Seed: 2, Messages: 20, ARC: 0.2}); reflect.DeepEqual(first, other) {
		t.Error("the corpora of two seeds are the same")
	}
}

// TestVerdicts checks that package verify finds what the corpus expects.
func TestVerdicts(t *testing.T) {
	c := make(t, corpus.Options{Seed: 1, ARC: 0.1})
	v := verify.New(verify.Options{Resolver: dnstest.MustParse(t, c.Zone)})
	seen := map[string]int{}
	octets := 0
	for _, s := range c.Sessions {
		for _, m := range s.Messages {
			check := v.Begin(context.Background(), verify.Envelope{
				ClientIP: netip.MustParseAddr(s.ClientIP), ClientName: s.ClientName, Helo: s.Helo, MailFrom: m.MailFrom,
			})
			for _, f := range m.Header {
				check.Field(f)
			}
			check.EndHeader()
			_, _ = check.Write(m.Body)
			<-check.Ready()
			r := check.Finish()
			got := corpus.Verdict{DKIM: best(r.DKIM), SPF: string(r.SPF.Status), DMARC: string(r.DMARC.Status), ARC: string(r.ARC.Status)}
			if got != m.Want {
				t.Errorf("%s from %s, %s: %+v, want %+v", m.ID, s.ClientIP, m.MailFrom, got, m.Want)
			}
			seen["dkim="+got.DKIM]++
			seen["spf="+got.SPF]++
			seen["dmarc="+got.DMARC]++
			seen["arc="+got.ARC]++
			octets += len(m.Body)
			if n := len(m.Header); m.Want.ARC == "none" && (n < 25 || n > 35) {
				t.Errorf("%s has %d fields", m.ID, n)
			}
		}
	}
	t.Log(seen, "mean body", octets/len(c.Messages))
	for _, want := range []string{
		"dkim=pass", "dkim=fail", "dkim=none", "spf=pass", "spf=fail", "spf=softfail", "spf=neutral", "spf=none",
		"dmarc=pass", "dmarc=fail", "dmarc=none", "arc=pass", "arc=none",
	} {
		if seen[want] == 0 {
			t.Errorf("no message with %s", want)
		}
	}
	if mean := octets / len(c.Messages); mean < 31<<10 || mean > 33<<10 {
		t.Errorf("the mean body has %d octets", mean)
	}
}

func best(all []dkim.Result) string {
	status := dkim.None
	for _, r := range all {
		if status == dkim.None || r.Status == dkim.Pass {
			status = r.Status
		}
	}
	return string(status)
}
