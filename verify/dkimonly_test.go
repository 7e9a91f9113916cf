package verify_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"authmilter/verify"
	"authmilter/verify/arc"
	"authmilter/verify/dkim"
	"authmilter/verify/dns/dnstest"
	"authmilter/verify/message"
)

// TestBeginDKIM checks that nothing but the signatures is verified, and nothing but
// their keys is looked up.
func TestBeginDKIM(t *testing.T) {
	signed, body := example(t)
	unsigned := header("From: joe@football.example.com", "ARC-Seal: i=1; cv=none; d=example.com; s=x; b=AAAA")
	large := slices.Concat(signed, slices.Repeat(message.Header{message.NewField("X", " y")}, verify.DefaultMaxHeaderFields))
	for _, test := range []struct {
		name    string
		header  message.Header
		want    []dkim.Status
		lookups []string
	}{
		{"signed", signed, []dkim.Status{dkim.Pass, dkim.Pass}, []string{"TXT " + edName, "TXT " + rsaName}},
		{"unsigned", unsigned, nil, nil},
		{"too large", large, []dkim.Status{dkim.PermError}, nil},
	} {
		z := dnstest.MustParse(t, zone)
		c := verify.New(verify.Options{Resolver: z, HeloResult: true, IPRev: true, Sealer: &arc.Sealer{}}).BeginDKIM(context.Background())
		for _, f := range test.header {
			c.Field(f)
		}
		c.EndHeader()
		if wants := test.name == "signed"; c.WantsBody() != wants {
			t.Errorf("%s: wants the body: %v", test.name, !wants)
		}
		_, _ = c.Write(body)
		<-c.Ready()
		r := c.Finish()
		var got []dkim.Status
		for _, d := range r.DKIM {
			got = append(got, d.Status)
		}
		if !slices.Equal(got, test.want) || r.Queries != len(test.lookups) {
			t.Errorf("%s: %v after %d look-ups, want %v", test.name, got, r.Queries, test.want)
		}
		lookups := z.Queries()
		if slices.Sort(lookups); !slices.Equal(lookups, test.lookups) {
			t.Errorf("%s: look-ups %q", test.name, lookups)
		}
		if r.SPF.Status != "" || r.DMARC.Status != "" || r.ARC.Status != "" || r.Authors != nil || r.Helo != nil || r.IPRev != nil {
			t.Errorf("%s: %+v", test.name, r)
		}
	}
}

// TestBeginDKIMUnfinished checks that keys which are not known in time are temporary
// errors, that a panic stays within the message, and that Cancel ends everything.
func TestBeginDKIMUnfinished(t *testing.T) {
	signed, body := example(t)
	begin := func(r *resolver) *verify.Check {
		c := verify.New(verify.Options{Resolver: r}).BeginDKIM(context.Background())
		for _, f := range signed {
			c.Field(f)
		}
		c.EndHeader()
		_, _ = c.Write(body)
		return c
	}
	r := newResolver(t, edName)
	c := begin(r)
	r.await(t, edName, rsaName)
	select {
	case <-c.Ready():
		t.Error("ready before the answer")
	default:
	}
	if res := c.Finish(); res.DKIM[0].Status != dkim.TempError || !strings.Contains(res.DKIM[0].Err.Error(), "not available now") {
		t.Errorf("%+v", res.DKIM[0])
	}
	done := noLeak(t)
	begin(newResolver(t, edName)).Cancel()
	done()

	defer func() {
		if p, ok := recover().(*verify.Panic); !ok || !strings.Contains(p.Error(), "look-up of "+edName) {
			t.Errorf("%v", p)
		}
	}()
	r = newResolver(t)
	r.panics = edName
	begin(r).Finish()
}
