package dkim_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"authmilter/verify/dkim"
	"authmilter/verify/dns"
	"authmilter/verify/dns/dnstest"
)

// TestCheckPublished checks each state, in memory and over real packets. A record
// "TAGS@NAME" is the record of the RSA key (rsa), the Ed25519 key (ed) or another RSA
// key (other), with TAGS inserted after v=DKIM1. A record without @ is used as it is.
func TestCheckPublished(t *testing.T) {
	keys := newKeys(t)
	rsa, ed, other := keys[0], keys[1], newKeys(t)[0]
	text := func(record string) string {
		tags, name, ok := strings.Cut(record, "@")
		if !ok {
			return record
		}
		k := map[string]*dkim.PrivateKey{"rsa": rsa, "ed": ed, "other": other}[name]
		return strings.Replace(k.Record(), "v=DKIM1; ", "v=DKIM1; "+tags, 1)
	}
	const (
		mismatch  = "the key record holds another key"
		ambiguous = "several key records at one name; verifiers may use any of them"
		missing   = "no key record"
	)
	cases := []struct {
		name    string
		key     *dkim.PrivateKey
		records []string
		want    dkim.Published
		err     string // "": no error
	}{
		{"rsa", rsa, []string{"@rsa"}, dkim.PublishedOK, ""},
		{"ed25519", ed, []string{"@ed"}, dkim.PublishedOK, ""},
		{"testing", rsa, []string{"t=y; @rsa"}, dkim.PublishedOK, ""},
		{"strict", rsa, []string{"t=s; @rsa"}, dkim.PublishedOK, ""},
		{"restricted to what we do", rsa, []string{"h=sha256; s=email; n=x; @rsa"}, dkim.PublishedOK, ""},
		{"without padding", ed, []string{strings.TrimRight(ed.Record(), "=")}, dkim.PublishedOK, ""},
		{"with line ends", rsa, []string{rsa.Record()[:60] + "\n" + rsa.Record()[60:120] + "\r\n" + rsa.Record()[120:] + "\n"}, dkim.PublishedOK, ""},
		{"beside other text", rsa, []string{"hello", "@rsa"}, dkim.PublishedOK, ""},
		{"beside a broken key", rsa, []string{"v=DKIM1; p=AAAA", "@rsa"}, dkim.PublishedOK, ""},

		{"beside another type", ed, []string{"@rsa", "@ed"}, dkim.PublishedAmbiguous, ambiguous},
		{"beside another key", rsa, []string{"@other", "@rsa"}, dkim.PublishedAmbiguous, ambiguous},
		{"twice, once unusable", rsa, []string{"h=sha1; @rsa", "@rsa"}, dkim.PublishedAmbiguous, ambiguous},

		{"another key", rsa, []string{"@other"}, dkim.PublishedMismatch, mismatch},
		{"another type", rsa, []string{"@ed"}, dkim.PublishedMismatch, mismatch},
		{"another type still", ed, []string{"@rsa"}, dkim.PublishedMismatch, mismatch},
		{"another unusable key", rsa, []string{"h=sha1; @other"}, dkim.PublishedMismatch, mismatch},
		{"another key and a broken one", rsa, []string{"v=DKIM1; p=AAAA", "@other"}, dkim.PublishedMismatch, mismatch},

		{"revoked", rsa, []string{"v=DKIM1; p="}, dkim.PublishedUnusable, "key revoked"},
		{"hash", rsa, []string{"h=sha1; @rsa"}, dkim.PublishedUnusable, "key does not allow the hash"},
		{"service", rsa, []string{"s=other; @rsa"}, dkim.PublishedUnusable, "key is not for email"},
		{"unusable beside another", rsa, []string{"s=other; @rsa", "@other"}, dkim.PublishedUnusable, "key is not for email"},
		{"other text", rsa, []string{"hello"}, dkim.PublishedUnusable, "malformed key record"},
		{"no p=", rsa, []string{"v=DKIM1; k=rsa"}, dkim.PublishedUnusable, "malformed key record: tag p= is missing"},
		{"cut short", rsa, []string{rsa.Record()[:98]}, dkim.PublishedUnusable, "malformed key record: tag p= is not an RSA key"},
		{"without k=", ed, []string{strings.Replace(ed.Record(), "k=ed25519; ", "", 1)}, dkim.PublishedUnusable, "malformed key record: tag p= is not an RSA key"},
		{"with quotes", rsa, []string{`"` + rsa.Record() + `"`}, dkim.PublishedUnusable, "malformed key record"},

		{"not there", rsa, nil, dkim.PublishedMissing, missing},
	}
	zone := dnstest.MustParse(t, `
alias._domainkey.example.com.  CNAME target.example.net.
astray._domainkey.example.com. CNAME nowhere.example.net.
nodata._domainkey.example.com. A 192.0.2.1
$TIMEOUT dead._domainkey.example.com
$RCODE SERVFAIL broken._domainkey.example.com
$RCODE REFUSED refused._domainkey.example.com
$TRUNCATE truncated._domainkey.example.com
`)
	zone.AddTXT("target.example.net", rsa.Record())
	zone.AddTXT("truncated._domainkey.example.com", rsa.Record())
	client := dns.New(dns.Config{Servers: []string{dnstest.Serve(t, zone)}, Timeout: 2 * time.Second})
	check := func(name, selector string, key *dkim.PrivateKey, want dkim.Published, reason string) {
		for how, r := range map[string]dns.Resolver{"memory": zone, "packets": client} {
			t.Run(name+"/"+how, func(t *testing.T) {
				got, err := key.CheckPublished(ctx, r, selector, "example.com")
				if got != want || (err == nil) != (want == dkim.PublishedOK) || err != nil && !strings.HasPrefix(err.Error(), reason) {
					t.Errorf("got %s, %v; want %s, %q", got, err, want, reason)
				}
				if !slices.Contains(dkim.PublishedStates(), got) {
					t.Errorf("%s is not a state", got)
				}
			})
		}
	}
	for i, c := range cases {
		selector := fmt.Sprintf("s%d", i)
		for _, r := range c.records {
			zone.AddTXT(selector+"._domainkey.example.com", text(r))
		}
		check(c.name, selector, c.key, c.want, c.err)
	}
	const unknown = "key not available now"
	check("alias", "alias", rsa, dkim.PublishedOK, "")
	check("truncated", "truncated", rsa, dkim.PublishedOK, "")
	check("alias astray", "astray", rsa, dkim.PublishedMissing, missing)
	check("no text", "nodata", rsa, dkim.PublishedMissing, missing)
	check("timeout", "dead", rsa, dkim.PublishedUnknown, unknown)
	check("SERVFAIL", "broken", rsa, dkim.PublishedUnknown, unknown)
	check("REFUSED", "refused", rsa, dkim.PublishedUnknown, unknown)
}

func TestCheckPublishedEnds(t *testing.T) {
	k := newKeys(t)[1]
	z := dnstest.MustParse(t, "")
	z.AddTXT("s._domainkey.example.com", k.Record())
	client := dns.New(dns.Config{Servers: []string{dnstest.Serve(t, z)}})
	ended, cancel := context.WithCancel(ctx)
	cancel()
	if got, err := k.CheckPublished(ended, client, "s", "example.com"); got != dkim.PublishedUnknown || err == nil {
		t.Errorf("%s, %v", got, err)
	}
}
