// Package dnstest provides DNS data for tests: a [Zone] that answers in memory
// as a [dns.Resolver], and a [Server] that serves it in real packets.
package dnstest

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	mdns "github.com/miekg/dns"

	"authmilter/verify/dns"
)

// Zone is the whole DNS as a recursive resolver sees it: names that it does not
// hold do not exist. It is safe for concurrent use.
type Zone struct {
	mu      sync.Mutex
	records map[string][]mdns.RR // by lower-case owner name
	exists  map[string]bool      // owner names and the empty non-terminals above them
	faults  map[string]*fault    // by lower-case name, and by name and type
	queries []string

	once   sync.Once
	client *dns.Client
}

// fault is how a name misbehaves.
type fault struct {
	timeout  bool
	rcode    int
	truncate bool
	partial  bool
	delay    time.Duration
}

// Parse reads a zone in the master-file format of RFC 1035 section 5, with the
// origin "." and a default TTL of 300 seconds. Additional directives make names
// misbehave, for all types or for one:
//
//	$TIMEOUT name [type]          no answer ever comes
//	$RCODE SERVFAIL name [type]   the answer has that code
//	$TRUNCATE name [type]         the answer over UDP is truncated
//	$PARTIAL name [type]          the answer does not follow an alias
//	$DELAY 20ms name [type]       the answer comes late
func Parse(text string) (*Zone, error) {
	z := &Zone{
		records: map[string][]mdns.RR{},
		exists:  map[string]bool{".": true},
		faults:  map[string]*fault{},
	}
	var master strings.Builder
	for line := range strings.Lines(text) {
		own, err := z.directive(strings.Fields(line))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", strings.TrimSpace(line), err)
		}
		if own {
			line = "\n"
		}
		master.WriteString(line)
	}
	p := mdns.NewZoneParser(strings.NewReader(master.String()), ".", "")
	p.SetDefaultTTL(300)
	for rr, ok := p.Next(); ok; rr, ok = p.Next() {
		z.add(rr)
	}
	return z, p.Err()
}

// MustParse is like [Parse] but fails the test on an error.
func MustParse(t testing.TB, text string) *Zone {
	t.Helper()
	z, err := Parse(text)
	if err != nil {
		t.Fatalf("zone: %v", err)
	}
	return z
}

// Add adds one record in master-file form.
func (z *Zone) Add(record string) error {
	rr, err := mdns.NewRR("$TTL 300\n" + record)
	if err != nil {
		return err
	}
	if rr == nil {
		return fmt.Errorf("no record in %q", record)
	}
	z.mu.Lock()
	defer z.mu.Unlock()
	z.add(rr)
	return nil
}

// AddTXT adds a TXT record to name. text can hold any octets, and is split into
// strings of at most 255.
func (z *Zone) AddTXT(name, text string) {
	rr := &mdns.TXT{Hdr: mdns.RR_Header{Name: mdns.Fqdn(name), Rrtype: mdns.TypeTXT, Class: mdns.ClassINET, Ttl: 300}}
	for first := true; first || text != ""; first = false {
		n := min(255, len(text))
		rr.Txt = append(rr.Txt, escape(text[:n]))
		text = text[n:]
	}
	z.mu.Lock()
	defer z.mu.Unlock()
	z.add(rr)
}

// escape returns octets the way miekg/dns holds them in a TXT.
func escape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\' || c == '"':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c < ' ' || c > '~':
			fmt.Fprintf(&b, "\\%03d", c)
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

func (z *Zone) add(rr mdns.RR) {
	name := canonical(rr.Header().Name)
	z.records[name] = append(z.records[name], rr)
	for off, end := 0, false; !end; off, end = mdns.NextLabel(name, off) {
		z.exists[name[off:]] = true
	}
}

// canonical returns name fully qualified, in lower case, and with the escapes
// that miekg/dns writes when it reads a packet; master files may use others.
func canonical(name string) string {
	wire := make([]byte, 256)
	name = mdns.Fqdn(name)
	if _, err := mdns.PackDomainName(name, wire, 0, nil, false); err == nil {
		if packed, _, err := mdns.UnpackDomainName(wire, 0); err == nil {
			name = packed
		}
	}
	return strings.ToLower(name)
}

// Timeout makes look-ups of name, for all types or for one, go unanswered.
func (z *Zone) Timeout(name, qtype string) {
	z.misbehave(name, qtype, func(f *fault) { f.timeout = true })
}

// Fail makes look-ups of name, for all types or for one, end with an RCODE such
// as "SERVFAIL". It panics if rcode is unknown.
func (z *Zone) Fail(name, qtype, rcode string) {
	code, ok := mdns.StringToRcode[rcode]
	if !ok {
		panic("no RCODE " + rcode)
	}
	z.misbehave(name, qtype, func(f *fault) { f.rcode = code })
}

func (z *Zone) misbehave(name, qtype string, how func(*fault)) {
	z.mu.Lock()
	defer z.mu.Unlock()
	key := canonical(name) + " " + qtype
	if z.faults[key] == nil {
		z.faults[key] = &fault{}
	}
	how(z.faults[key])
}

// directive carries out a line, given as its words, if it is one of our own
// directives, and reports whether it is.
func (z *Zone) directive(words []string) (own bool, err error) {
	if len(words) == 0 {
		return false, nil
	}
	var how func(*fault)
	args := words[1:]
	switch words[0] {
	case "$TIMEOUT":
		how = func(f *fault) { f.timeout = true }
	case "$TRUNCATE":
		how = func(f *fault) { f.truncate = true }
	case "$PARTIAL":
		how = func(f *fault) { f.partial = true }
	case "$RCODE", "$DELAY":
		if len(args) == 0 {
			return true, errors.New("argument missing")
		}
		if words[0] == "$DELAY" {
			d, err := time.ParseDuration(args[0])
			if err != nil {
				return true, err
			}
			how = func(f *fault) { f.delay = d }
		} else {
			code, ok := mdns.StringToRcode[args[0]]
			if !ok {
				return true, errors.New("no such RCODE")
			}
			how = func(f *fault) { f.rcode = code }
		}
		args = args[1:]
	default:
		return false, nil
	}
	qtype := ""
	switch len(args) {
	case 1:
	case 2:
		qtype = args[1]
		if _, ok := mdns.StringToType[qtype]; !ok {
			return true, errors.New("no such type")
		}
	default:
		return true, errors.New("want a name and at most a type")
	}
	z.misbehave(args[0], qtype, how)
	return true, nil
}

// Queries returns the questions asked so far, in order, as "TXT example.com".
func (z *Zone) Queries() []string {
	z.mu.Lock()
	defer z.mu.Unlock()
	return append([]string(nil), z.queries...)
}

// maxChain bounds the aliases that an answer follows.
const maxChain = 16

// answer is what a recursive resolver says to a question.
type answer struct {
	fault
	records []mdns.RR // the chain of aliases first
	soa     *mdns.SOA // for negative answers, if a zone has one
}

// ask records the question and returns its answer.
func (z *Zone) ask(name string, qtype uint16) answer {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.queries = append(z.queries, mdns.TypeToString[qtype]+" "+strings.TrimSuffix(name, "."))
	var a answer
	name = strings.ToLower(name)
	for range maxChain {
		partial := false
		if f := z.faultOf(name, qtype); f != nil {
			partial = f.partial
			a.fault.timeout = f.timeout
			a.fault.truncate = a.fault.truncate || f.truncate
			a.fault.delay += f.delay
			if f.timeout || f.rcode != 0 {
				a.rcode = f.rcode
				return a
			}
		}
		owner := z.owner(name)
		var alias string
		found := false
		for _, rr := range z.records[owner] {
			switch {
			case rr.Header().Rrtype == qtype:
				found = true
			case rr.Header().Rrtype == mdns.TypeCNAME:
				alias = canonical(rr.(*mdns.CNAME).Target)
			default:
				continue
			}
			rr = mdns.Copy(rr)
			rr.Header().Name = name
			a.records = append(a.records, rr)
		}
		if found || alias == "" {
			if !found {
				a.soa = z.soa(name)
				if owner == "" {
					a.rcode = mdns.RcodeNameError
				}
			}
			return a
		}
		if partial {
			return a
		}
		name = alias
	}
	a.rcode = mdns.RcodeServerFailure
	return a
}

// owner returns the name whose records answer for name: itself, the wildcard
// that covers it, or "" if it does not exist.
func (z *Zone) owner(name string) string {
	if z.exists[name] {
		return name
	}
	for off, end := mdns.NextLabel(name, 0); !end; off, end = mdns.NextLabel(name, off) {
		if w := "*." + name[off:]; z.exists[w] {
			return w
		}
		if z.exists[name[off:]] {
			break
		}
	}
	return ""
}

func (z *Zone) soa(name string) *mdns.SOA {
	for off, end := 0, false; !end; off, end = mdns.NextLabel(name, off) {
		for _, rr := range z.records[name[off:]] {
			if soa, ok := rr.(*mdns.SOA); ok {
				return soa
			}
		}
	}
	return nil
}

func (z *Zone) faultOf(name string, qtype uint16) *fault {
	if f := z.faults[name+" "+mdns.TypeToString[qtype]]; f != nil {
		return f
	}
	return z.faults[name+" "]
}
