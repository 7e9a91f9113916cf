package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"authmilter/verify/dkim"
	"authmilter/verify/dns/dnstest"
)

// makeKey writes an Ed25519 key to a file and returns its path and its record.
func makeKey(t *testing.T) (path, record string) {
	t.Helper()
	key, err := dkim.NewPrivateKey(dkim.Ed25519, 0)
	if err != nil {
		t.Fatal(err)
	}
	text, err := key.PEM()
	if err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(t.TempDir(), "key.pem")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return path, key.Record()
}

// TestServePublishedKeys checks that keys that DNS does not publish, or publishes
// differently, are logged as errors but do not affect mail. It also checks that a
// reload sees records published since, even if an older answer is cached.
func TestServePublishedKeys(t *testing.T) {
	file, record := makeKey(t)
	_, other := makeKey(t)
	const soa = `
seal.example. SOA ns.seal.example. root.seal.example. 1 3600 600 86400 3600
`
	dns, err := dnstest.NewServer(dnstest.MustParse(t, soa+`s._domainkey.sign.example. TXT "`+other+`"`), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(dns.Close)
	config := common(dns.Addr(), fmt.Sprintf(`
arc = { seal = true, domain = "seal.example", selector = "s", key_file = %q }
[[sign]]
domain = "sign.example"
selector = "s"
key_file = %[1]q
`, file))
	state := func(use, state string, value int) string {
		return fmt.Sprintf(`authmilter_key_state{domain="%[1]s.example",selector="s",state="%[2]s",use="%[1]s"} %[3]d`, use, state, value)
	}

	d := serving(t, config, nil)
	for _, use := range []string{"seal", "sign"} {
		d.waitLog("DNS does not publish it\" use=" + use + " name=s._domainkey." + use + ".example ")
	}
	if log := d.log.String(); strings.Count(log, "level=ERROR") != 2 || strings.Count(log, record) != 2 {
		t.Error("the log does not show the record to publish twice")
	}
	d.wantMetric(state("seal", "missing", 1))
	d.wantMetric(state("seal", "ok", 0))
	d.wantMetric(state("sign", "mismatch", 1))
	m := connect(t, d.address("listen"))
	if edits := m.deliver(spoofed); len(edits) < 2 || !strings.HasPrefix(edits[len(edits)-1], "ARC-Seal:") {
		t.Errorf("edits: %q", edits)
	}

	dns.SetZone(dnstest.MustParse(t, soa+fmt.Sprintf(
		"s._domainkey.seal.example. TXT %[1]q\ns._domainkey.sign.example. TXT %[1]q\n", record)))
	d.reload(config, `msg="key is published" use=sign domain=sign.example`)
	d.wantMetric(state("seal", "ok", 1))
	d.wantMetric(state("seal", "missing", 0))
	d.wantMetric(state("sign", "ok", 1))
	d.wantMetric(state("sign", "mismatch", 0))
}
