package dns

import (
	"context"
	"encoding/binary"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"authmilter/verify/ascii"
)

// oneAnswer is a Transport that answers with a packet, provided that the
// network transport would have accepted it as the answer. First it sets the ID
// to the query's, because names in the packet may point into it.
type oneAnswer []byte

func (p oneAnswer) Exchange(_ context.Context, _, _ string, query []byte) ([]byte, error) {
	copy(p, query[:2])
	if !answers(p, query) {
		return nil, errors.New("not the answer")
	}
	return p, nil
}

// wireRecord is a record as it appears in a packet.
type wireRecord struct {
	owner        string // in lower case, each label after its length
	qtype, class uint16
	data         []byte
	at           int // where data begins
}

// wireName reads a name (RFC 1035 section 4.1.4), and returns it and the offset
// of its end.
func wireName(packet []byte, at int) (name string, end int, ok bool) {
	end = -1
	for range 200 {
		if at >= len(packet) {
			return "", 0, false
		}
		n := int(packet[at])
		switch {
		case n == 0:
			if end < 0 {
				end = at + 1
			}
			return name, end, true
		case n >= 0xc0:
			if at+2 > len(packet) {
				return "", 0, false
			}
			if end < 0 {
				end = at + 2
			}
			at = int(binary.BigEndian.Uint16(packet[at:]) & 0x3fff)
		case n >= 0x40 || at+1+n > len(packet):
			return "", 0, false
		default:
			for _, c := range packet[at : at+1+n] {
				name += string(rune(ascii.Lower(c)))
			}
			at += 1 + n
		}
	}
	return "", 0, false
}

// wireAnswers reads the answer section of a packet with one question, until the
// end or the first error.
func wireAnswers(packet []byte) (records []wireRecord, whole bool) {
	_, at, ok := wireName(packet, 12)
	if !ok {
		return nil, false
	}
	at += 4
	for range binary.BigEndian.Uint16(packet[6:]) {
		var r wireRecord
		if r.owner, at, ok = wireName(packet, at); !ok || at+10 > len(packet) {
			return records, false
		}
		r.qtype, r.class = binary.BigEndian.Uint16(packet[at:]), binary.BigEndian.Uint16(packet[at+2:])
		r.at = at + 10
		at = r.at + int(binary.BigEndian.Uint16(packet[at+8:]))
		if at > len(packet) {
			return records, false
		}
		r.data = packet[r.at:at]
		records = append(records, r)
	}
	return records, true
}

// expected returns the values that packet holds for the name in its question,
// and the number of aliases followed to get there.
func expected(packet []byte, records []wireRecord, qtype uint16) (values []string, steps int) {
	name, _, _ := wireName(packet, 12)
	for ; steps <= maxChain; steps++ {
		alias, found := "", false
		for _, r := range records {
			switch {
			case r.owner != name || r.class != dns.ClassINET:
			case r.qtype == qtype:
				values = append(values, wireValue(r, qtype))
			case r.qtype == dns.TypeCNAME:
				alias, _, found = wireName(packet, r.at)
			}
		}
		if len(values) > 0 || !found {
			return values, steps
		}
		name = alias
	}
	return nil, steps
}

func wireValue(r wireRecord, qtype uint16) string {
	if qtype == dns.TypeA {
		addr, _ := netip.AddrFromSlice(r.data)
		return addr.String()
	}
	var b strings.Builder
	for data := r.data; len(data) > 0; {
		n := int(data[0])
		b.Write(data[1 : 1+n])
		data = data[1+n:]
	}
	return b.String()
}

// FuzzAnswer gives the client a packet as the answer. What the client takes
// from it must be what another reader finds there for the question, and if the
// client says that there is nothing, that reader must find nothing either.
func FuzzAnswer(f *testing.F) {
	for _, test := range []struct {
		qtype   uint16
		rcode   int
		records []string
	}{
		{dns.TypeTXT, 0, []string{`a.example. 60 TXT "v=spf1 " "-all"`, `A.EXAMPLE. 5 TXT "\000\255\"\\"`}},
		{dns.TypeTXT, 0, []string{`a.example. 60 TXT \# 0`, `a.example. 60 TXT "v=spf1 -all"`}},
		{dns.TypeTXT, 0, []string{"a.example. 60 CNAME b.example.", "b.example. 60 CNAME c.example.", `c.example. 60 TXT "x"`, `d.example. 60 TXT "forged"`}},
		{dns.TypeTXT, 0, []string{"a.example. 60 CNAME b.example.", "b.example. 60 CNAME a.example."}},
		{dns.TypeTXT, dns.RcodeNameError, []string{"a.example. 60 CNAME b.example."}},
		{dns.TypeTXT, dns.RcodeServerFailure, nil},
		{dns.TypeA, 0, []string{"a.example. 60 A 192.0.2.1", "a.example. 60 A 192.0.2.2", "a.example. 60 AAAA 2001:db8::1"}},
		{dns.TypeA, 0, nil},
	} {
		m := new(dns.Msg).SetQuestion("a.example.", test.qtype)
		m.Response, m.Rcode, m.Compress = true, test.rcode, true
		for _, record := range test.records {
			rr, err := dns.NewRR(record)
			if err != nil {
				f.Fatal(err)
			}
			m.Answer = append(m.Answer, rr)
		}
		packet, err := m.Pack()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(packet, test.qtype == dns.TypeA)
		f.Add(packet[:len(packet)-3], test.qtype == dns.TypeA)
	}
	f.Fuzz(func(t *testing.T, packet []byte, addresses bool) {
		packet = slices.Clone(packet) // the original belongs to the fuzzer
		c := New(Config{Servers: []string{"s"}, Transport: oneAnswer(packet), CacheEntries: -1})
		qtype := dns.TypeTXT
		var got, cnames []string
		var ttl time.Duration
		var err error
		if addresses {
			qtype = dns.TypeA
			var a Answer[netip.Addr]
			a, err = c.A(t.Context(), "a.example")
			for _, addr := range a.Values {
				got = append(got, addr.String())
			}
			cnames, ttl = a.CNAMEs, a.TTL
		} else {
			var a Answer[string]
			a, err = c.TXT(t.Context(), "a.example")
			got, cnames, ttl = a.Values, a.CNAMEs, a.TTL
		}
		if len(cnames) > maxChain || ttl < 0 || ttl > maxPositive {
			t.Errorf("followed %d aliases, TTL %v", len(cnames), ttl)
		}
		if IsTemporary(err) {
			return
		}
		rcode := packet[3] & 0x0f
		records, whole := wireAnswers(packet)
		if !whole {
			t.Fatalf("taken from a packet that ends early: %q, %v", got, err)
		}
		want, steps := expected(packet, records, qtype)
		switch {
		case errors.Is(err, ErrLoop):
			if steps <= maxChain || len(want) > 0 {
				t.Errorf("loop reported: %q via %d aliases", want, steps)
			}
		case IsNotFound(err):
			if rcode != dns.RcodeNameError || len(want) > 0 {
				t.Errorf("not found reported: rcode %d, %q", rcode, want)
			}
		case len(got) == 0 && rcode != dns.RcodeSuccess:
			t.Errorf("no records reported: rcode %d", rcode)
		default:
			if !slices.Equal(got, want) || len(cnames) != steps {
				t.Errorf("got %q via %d aliases, want %q via %d", got, len(cnames), want, steps)
			}
		}
	})
}

// FuzzName asks for a name. Either the packet has its labels, octet for octet
// in lower case, or no packet is sent.
func FuzzName(f *testing.F) {
	for _, name := range []string{
		"a.example", "A.Example.", "", ".", "a..b", ".a", `a\.b`, `a\065`, "a b;\"@()", "\x00\xff.example", "_dmarc.é.example",
		strings.Repeat("a", 63) + ".b", strings.Repeat("a", 64) + ".b", strings.Repeat("a.", 126) + "a", strings.Repeat("a.", 126) + "aa",
	} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		labels := strings.Split(strings.TrimSuffix(name, "."), ".")
		possible := len(strings.TrimSuffix(name, ".")) <= 253
		var want []byte
		for _, label := range labels {
			possible = possible && 0 < len(label) && len(label) <= 63
			want = append(want, byte(len(label)))
			for i := 0; i < len(label); i++ {
				want = append(want, ascii.Lower(label[i]))
			}
		}
		fqdn, ok := question(canonical(name))
		if ok != possible {
			t.Fatalf("%q: possible: %v", name, ok)
		}
		if !ok {
			return
		}
		packet, err := query(fqdn, dns.TypeTXT, false).Pack()
		if err != nil || string(packet[12:len(packet)-4]) != string(want)+"\x00" {
			t.Fatalf("%q: asked for %q, %v", name, packet[12:], err)
		}
		read, _, err := dns.UnpackDomainName(packet, 12)
		if err != nil || read != fqdn {
			t.Errorf("%q: %q comes back as %q, %v", name, fqdn, read, err)
		}
	})
}
