package statuspage

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"
)

func address(n int) netip.Addr {
	return netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)})
}

// TestTalkersCountExactly holds that counts are exact while there are enough
// counters.
func TestTalkersCountExactly(t *testing.T) {
	blocks := make([]sketch, 3)
	at := time.Date(2026, 3, 10, 14, 0, 0, 0, time.UTC)
	for i := range 900 {
		blocks[i/300].add(failure{
			domain: fmt.Sprintf("d%d.example", i%7), client: address(i % 3), policy: uint8(i % 3), at: at.Add(time.Duration(i) * time.Second),
		})
	}
	all := talkers(blocks)
	if len(all) != 7 {
		t.Fatalf("%d domains", len(all))
	}
	var failed uint64
	for i, d := range all {
		if d.least != d.most {
			t.Errorf("%s: between %d and %d", d.domain, d.least, d.most)
		}
		failed += d.least
		var sources uint64
		for _, s := range d.sources {
			if s.least != s.most {
				t.Errorf("%s, %s: between %d and %d", d.domain, s.addr, s.least, s.most)
			}
			sources += s.least
		}
		if sources != d.least || len(d.sources) != 3 {
			t.Errorf("%s: %d sources with %d messages, of %d", d.domain, len(d.sources), sources, d.least)
		}
		if i > 0 && all[i-1].least < d.least {
			t.Errorf("%s comes after %s", d.domain, all[i-1].domain)
		}
	}
	if failed != 900 {
		t.Errorf("%d failures", failed)
	}
	// The last message of d4 was number 893.
	for _, d := range all {
		if d.domain == "d4.example" && (!d.last.Equal(at.Add(893*time.Second)) || d.policy != 893%3) {
			t.Errorf("last seen %v with policy %d", d.last, d.policy)
		}
	}
}

// TestTalkersUnderAFlood holds the sketch to its bounds while almost every message
// has a new domain: domains that fail often stay, and the true count lies between the
// two numbers.
func TestTalkersUnderAFlood(t *testing.T) {
	var s sketch
	rnd := newRand()
	truth := map[string]uint64{}
	made := 0
	const messages = 50000
	for range messages {
		name := fmt.Sprintf("x%d.flood.example", made)
		switch n := rnd.IntN(100); {
		case n < 5:
			name = "heavy.example"
		case n < 7:
			name = "half.example"
		default:
			made++
		}
		truth[name]++
		s.add(failure{domain: name, client: address(made)})
	}
	if len(s.offenders) != maxOffenders || len(s.index) != maxOffenders || len(s.counts) != maxOffenders {
		t.Fatalf("%d offenders, %d indexed, %d counted", len(s.offenders), len(s.index), len(s.counts))
	}
	for i := range s.offenders {
		o, count := &s.offenders[i], uint64(s.counts[i])
		if s.index[o.domain] != i {
			t.Errorf("%s is not where the index says", o.domain)
		}
		if real := truth[o.domain]; real > count || real < count-uint64(o.over) {
			t.Errorf("%s: %d, said to be between %d and %d", o.domain, real, count-uint64(o.over), count)
		}
		if o.over > messages/maxOffenders {
			t.Errorf("%s: error %d, the bound is %d", o.domain, o.over, messages/maxOffenders)
		}
	}
	all := talkers([]sketch{s, {}})
	if all[0].domain != "heavy.example" || all[1].domain != "half.example" {
		t.Errorf("first are %s and %s", all[0].domain, all[1].domain)
	}
}

// TestTalkersFloor holds that the upper number includes what a full block may have
// dropped.
func TestTalkersFloor(t *testing.T) {
	blocks := make([]sketch, 2)
	for i := range maxOffenders {
		for range 3 {
			blocks[0].add(failure{domain: fmt.Sprintf("d%d.example", i)})
		}
	}
	blocks[1].add(failure{domain: "late.example"})
	for _, d := range talkers(blocks) {
		if d.domain == "late.example" && (d.least != 1 || d.most != 4) {
			t.Errorf("between %d and %d", d.least, d.most)
		}
		if d.domain == "d7.example" && (d.least != 3 || d.most != 3) {
			t.Errorf("d7 between %d and %d", d.least, d.most)
		}
	}
}

// TestSources holds that a frequent client of a domain stays among many that come
// once.
func TestSources(t *testing.T) {
	var s sketch
	busy := netip.MustParseAddr("2001:db8::1")
	for i := range 1000 {
		s.add(failure{domain: "example.com", client: busy})
		s.add(failure{domain: "example.com", client: address(i)})
		s.add(failure{domain: "example.com"}) // the MTA did not give the client
	}
	all := talkers([]sketch{s})
	if len(all) != 1 || all[0].most != 3000 || len(all[0].sources) != maxSources {
		t.Fatalf("%+v", all)
	}
	first := all[0].sources[0]
	if first.addr != busy || first.least > 1000 || first.most < 1000 {
		t.Errorf("%+v", first)
	}
}

// TestSourcesAreOneAddressEach holds that IPv4-mapped addresses and zones do not
// make an address count as another one.
func TestSourcesAreOneAddressEach(t *testing.T) {
	var s sketch
	for _, text := range []string{"192.0.2.1", "::ffff:192.0.2.1", "fe80::1%" + strings.Repeat("z", 1000), "fe80::1%eth0"} {
		s.add(failure{domain: "example.com", client: netip.MustParseAddr(text)})
	}
	sources := talkers([]sketch{s})[0].sources
	if len(sources) != 2 || sources[0].addr.String() != "192.0.2.1" || sources[1].addr.String() != "fe80::1" {
		t.Errorf("%+v", sources)
	}
}
