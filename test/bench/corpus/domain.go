package corpus

import (
	"crypto/rsa"
	"fmt"
	"strconv"
	"strings"
)

// Ways in which a domain publishes SPF.
type spfKind int

const (
	twoIncludes spfKind = iota
	oneInclude
	byMX
	noSPF
)

// domain is one sender and what it publishes.
type domain struct {
	name string
	key  *rsa.PrivateKey
	spf  spfKind
	all  string // the last term: "-all", "~all", "?all"
	// dmarc is the record, or "" if there is none; strict reports that its
	// alignment is strict.
	dmarc  string
	strict bool
	// sub is set if the author domain is a subdomain without a record of its
	// own.
	sub bool
	net string // the first three octets of its own network
}

// Names below a domain.
const (
	firstInclude  = "_spf."
	secondInclude = "_spf2."
	bounces       = "bounce."
	selector      = "s2025"
	selectorEd    = "ed2025"
)

func (m *maker) newDomain(i int) *domain {
	d := &domain{
		name: fmt.Sprintf("sender%02d.example", i),
		key:  m.keys.rsa[i%len(m.keys.rsa)],
		spf:  [...]spfKind{twoIncludes, oneInclude, twoIncludes, byMX, twoIncludes, oneInclude, twoIncludes, noSPF, twoIncludes, oneInclude}[i%10],
		all:  [...]string{"-all", "~all", "-all", "?all"}[i%4],
		net:  fmt.Sprintf("198.%d.%d", 18+i/200, i%200),
	}
	switch i % 7 {
	case 0: // none
	case 1:
		d.dmarc = "v=DMARC1; p=none; rua=mailto:dmarc@" + d.name
	case 2:
		d.dmarc = "v=DMARC1; p=quarantine; rua=mailto:dmarc@" + d.name
	case 3, 4:
		d.dmarc = "v=DMARC1; p=reject; rua=mailto:dmarc@" + d.name
	case 5:
		d.dmarc, d.strict = "v=DMARC1; p=reject; adkim=s; aspf=s", true
	case 6:
		d.dmarc, d.sub = "v=DMARC1; p=reject; sp=quarantine", true
	}
	return d
}

// author returns the domain of From.
func (d *domain) author() string {
	if d.sub {
		return "news." + d.name
	}
	return d.name
}

// Hosts of a domain, by where its SPF record names them.
func (d *domain) ownIP(n int) string      { return fmt.Sprintf("%s.%d", d.net, n) }
func (d *domain) includedIP(n int) string { return fmt.Sprintf("%s.%d", d.net, 64+n) }
func (d *domain) deepIP(n int) string     { return fmt.Sprintf("%s.%d", d.net, 128+n) }
func (d *domain) foreignIP(n int) string  { return fmt.Sprintf("%s.%d", d.net, 200+n) }

// foreign reports whether ip is a host that the SPF record does not name.
func (d *domain) foreign(ip string) bool {
	n, err := strconv.Atoi(strings.TrimPrefix(ip, d.net+"."))
	return err != nil || n >= 200
}

func (d *domain) spfRecord() string {
	switch d.spf {
	case twoIncludes:
		return fmt.Sprintf("v=spf1 ip4:%s.0/26 include:%s%s include:%s%s %s", d.net, firstInclude, d.name, secondInclude, d.name, d.all)
	case oneInclude:
		return fmt.Sprintf("v=spf1 ip4:%s.0/26 ip4:%s.128/27 include:%s%s %s", d.net, d.net, firstInclude, d.name, d.all)
	case byMX:
		return fmt.Sprintf("v=spf1 mx ip4:%s.0/26 ip4:%s.64/26 ip4:%s.128/27 %s", d.net, d.net, d.net, d.all)
	}
	return ""
}

// spfResult returns the SPF result for a host in the network that the record
// does not name.
func (d *domain) spfResult(foreign bool) string {
	switch {
	case d.spf == noSPF:
		return "none"
	case !foreign:
		return "pass"
	}
	return map[string]string{"-all": "fail", "~all": "softfail", "?all": "neutral"}[d.all]
}

// zone returns what all domains publish.
func (m *maker) zone() string {
	var z strings.Builder
	txt := func(name, text string) {
		fmt.Fprintf(&z, "%s. TXT", name)
		for text != "" {
			n := min(255, len(text))
			fmt.Fprintf(&z, " %q", text[:n])
			text = text[n:]
		}
		z.WriteByte('\n')
	}
	// Without an SOA, a resolver must not cache that a name does not exist
	// (RFC 2308 section 5).
	soa := func(name string) {
		fmt.Fprintf(&z, "%s. SOA ns.%s. hostmaster.%s. 1 3600 600 86400 300\n", name, name, name)
	}
	soa("example")
	for _, d := range m.domains {
		soa(d.name)
		for _, sender := range []string{d.name, bounces + d.name} {
			fmt.Fprintf(&z, "%s. MX 10 mx.%s.\n", sender, d.name)
			if d.spf != noSPF {
				txt(sender, d.spfRecord())
			}
		}
		if d.sub {
			fmt.Fprintf(&z, "%s. MX 10 mx.%s.\n", d.author(), d.name)
		}
		fmt.Fprintf(&z, "mx.%s. A %s.32\n", d.name, d.net)
		txt(firstInclude+d.name, fmt.Sprintf("v=spf1 ip4:%s.64/26 ~all", d.net))
		txt(secondInclude+d.name, fmt.Sprintf("v=spf1 ip4:%s.128/27 ~all", d.net))
		txt(selector+"._domainkey."+d.name, rsaRecord(d.key))
		txt(selectorEd+"._domainkey."+d.name, ed25519Record(m.keys.ed25519))
		if d.dmarc != "" {
			txt("_dmarc."+d.name, d.dmarc)
		}
	}
	for i := range relays {
		txt(selector+"._domainkey."+relayName(i), rsaRecord(m.relayKey(i)))
	}
	return z.String()
}

// relays is how many hosts sign and seal for others.
const relays = 5

func relayName(i int) string { return fmt.Sprintf("relay%d.example", i) }
