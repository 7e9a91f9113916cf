package dkim_test

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"authmilter/verify/dkim"
	"authmilter/verify/dns"
	"authmilter/verify/dns/dnstest"
)

// TestLookupKey looks up keys with real packets.
func TestLookupKey(t *testing.T) {
	z := zone(t)
	// Too long for a UDP packet, so it is fetched again over TCP.
	large := record(rsaKey().Public(), "n="+strings.Repeat("notes ", 300)+"; ")
	z.AddTXT("large._domainkey.example.com", large)
	z.AddTXT("text2._domainkey.example.com", "hello")
	z.AddTXT("text2._domainkey.example.com", "v=DKIM1; p=")
	client := dns.New(dns.Config{Servers: []string{dnstest.Serve(t, z)}, Timeout: 2 * time.Second})
	for _, test := range []struct {
		selector string
		cnames   []string
		status   dkim.Status
		err      string
	}{
		{selector: "s1"},
		{selector: "S1"},
		{selector: "ed"},
		{selector: "large"},
		{selector: "text"},
		{selector: "alias", cnames: []string{"alias-example-com._domainkey.example.net"}},
		{selector: "absent", status: dkim.PermError, err: "no key for signature"},
		{selector: "nodata", status: dkim.PermError, err: "no key for signature"},
		{selector: strings.Repeat("long.", 60), status: dkim.PermError, err: "no key for signature"},
		{selector: "revoked", status: dkim.PermError, err: "key revoked"},
		{selector: "text2", status: dkim.PermError, err: "malformed key record: malformed tag list|key revoked"},
		{selector: "broken", status: dkim.TempError, err: "key not available now: "},
		{selector: "dead", status: dkim.TempError, err: "key not available now: "},
	} {
		key, err := dkim.LookupKey(ctx, client, test.selector, "example.com")
		if test.err == "" {
			if err != nil || key.Bits == 0 || !reflect.DeepEqual(key.CNAMEs, test.cnames) || key.Authentic {
				t.Errorf("%s: %+v, %v", test.selector, key, err)
			}
			continue
		}
		var e *dkim.Error
		if !errors.As(err, &e) || e.Status != test.status || key != nil || !oneOf(err.Error(), test.err) {
			t.Errorf("%s: %v, %v, want %s", test.selector, key, err, test.err)
		}
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	var e *dkim.Error
	if _, err := dkim.LookupKey(ended, client, "other", "example.com"); !errors.As(err, &e) || e.Status != dkim.TempError {
		t.Errorf("cancelled look-up: %v", err)
	}
}

// oneOf reports whether s begins with one of the texts in list.
func oneOf(s, list string) bool {
	for text := range strings.SplitSeq(list, "|") {
		if strings.HasPrefix(s, text) {
			return true
		}
	}
	return false
}

// vouching is a resolver that vouches for its answers.
type vouching struct{ dns.Resolver }

func (r vouching) TXT(ctx context.Context, name string) (dns.Answer[string], error) {
	a, err := r.Resolver.TXT(ctx, name)
	a.Authentic = true
	return a, err
}

func TestAuthenticKey(t *testing.T) {
	key, err := dkim.LookupKey(ctx, vouching{zone(t)}, "alias", "example.com")
	if err != nil || !key.Authentic {
		t.Errorf("%+v, %v", key, err)
	}
}

// shuffled is a resolver that answers every query with values, in that order.
type shuffled struct {
	dns.Resolver
	values []string
}

func (r shuffled) TXT(context.Context, string) (dns.Answer[string], error) {
	return dns.Answer[string]{Values: r.values}, nil
}

// TestSeveralKeys checks that the result for several records at one name does not
// depend on their order, which DNS does not preserve.
func TestSeveralKeys(t *testing.T) {
	var (
		own     = record(rsaKey().Public(), "")
		other   = record(otherRSAKey().Public(), "")
		ed      = record(ed25519Key().Public(), "")
		strange = record(rsaKey().Public(), "s=other; ")
		small   = record(&newTestKey512().PublicKey, "")
	)
	rsaSigned := sign(rsaKey(), tags, plain)
	edSigned := sign(ed25519Key(), "v=1; a=ed25519-sha256; d=example.com; s=s1; h=From", plain)
	for _, test := range []struct {
		name    string
		msg     string
		records []string
		status  dkim.Status
		reason  dkim.Reason
	}{
		{name: "a key for each algorithm: rsa", msg: rsaSigned, records: []string{own, ed}, status: dkim.Pass},
		{name: "a key for each algorithm: ed25519", msg: edSigned, records: []string{own, ed}, status: dkim.Pass},
		{name: "old and new", msg: rsaSigned, records: []string{own, other}, status: dkim.Pass},
		{name: "revoked and new", msg: rsaSigned, records: []string{own, "v=DKIM1; p="}, status: dkim.Pass},
		{name: "small and new", msg: rsaSigned, records: []string{own, small}, status: dkim.Pass},
		{name: "the same key, not for mail", msg: rsaSigned, records: []string{own, strange}, status: dkim.Pass},
		{name: "text around", msg: rsaSigned, records: []string{"hello", own, ""}, status: dkim.Pass},
		{name: "none that made the signature", msg: rsaSigned, records: []string{ed, other}, status: dkim.Fail, reason: dkim.ReasonSignature},
		{name: "none that may be used", msg: rsaSigned, records: []string{ed, strange}, status: dkim.PermError, reason: dkim.ReasonKeyUse},
		{name: "no key", msg: rsaSigned, records: []string{"hello", "v=DKIM1; p=AAAA"}, status: dkim.PermError, reason: dkim.ReasonKeySyntax},
		{name: "too many others", msg: rsaSigned, records: []string{other, other, other}, status: dkim.Fail, reason: dkim.ReasonSignature},
	} {
		for range test.records {
			test.records = append(test.records[1:], test.records[0])
			r := verify(t, test.msg, shuffled{values: test.records}, dkim.Options{}, 1<<20)[0]
			if r.Status != test.status || r.Reason != test.reason {
				t.Errorf("%s: %s (%v)", test.name, r.Status, r.Err)
			}
		}
	}
	// The work is bounded: a fourth key is not tried.
	r := verify(t, rsaSigned, shuffled{values: []string{other, other, other, own}}, dkim.Options{}, 1<<20)[0]
	if r.Status != dkim.Fail {
		t.Errorf("fourth key: %s (%v)", r.Status, r.Err)
	}
}
