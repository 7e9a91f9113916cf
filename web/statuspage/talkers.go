package statuspage

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Bounds on what is kept of the author domains that fail DMARC.
const (
	maxOffenders = 200 // domains in one block of time
	maxSources   = 5   // client addresses of one domain
	maxDomain    = 255 // octets of a domain name

	talkersBlock  = 3 * time.Hour
	talkersBlocks = 8 // including the current one, so 21 to 24 hours
)

// sketch counts the author domains that fail, and the clients that their mail
// came from, with the Space-Saving algorithm (Metwally, Agrawal, El Abbadi, 2005):
// if no counter is left, a new domain replaces the one with the lowest count, and
// that count becomes the possible error of the new one.
//
// After n failures no count is too high by more than n/maxOffenders, no count is
// too low, and every domain with more than n/maxOffenders failures is present. The
// same holds for the sources of one domain, counting from when it got its counter.
// The zero sketch is empty.
type sketch struct {
	index     map[string]int // positions in offenders, by domain
	counts    []uint32       // of the offenders; contiguous, to find the lowest fast
	offenders []offender
}

// offender is a domain that failed, at least count-over times and at most count
// times.
type offender struct {
	domain  string
	over    uint32
	policy  uint8 // as last seen; a position in policyNames
	last    time.Time
	sources [maxSources]source
}

// source counts one client address. A free one has the zero Addr.
type source struct {
	addr        netip.Addr
	count, over uint32
}

// failure is one message that failed.
type failure struct {
	domain string
	policy uint8
	client netip.Addr
	at     time.Time
}

func (s *sketch) add(f failure) {
	i, ok := s.index[f.domain]
	switch {
	case ok:
	case len(s.offenders) < maxOffenders:
		if s.index == nil {
			s.index = make(map[string]int, maxOffenders)
			s.counts = make([]uint32, 0, maxOffenders)
			s.offenders = make([]offender, 0, maxOffenders)
		}
		i = len(s.offenders)
		s.counts = append(s.counts, 0)
		s.offenders = append(s.offenders, offender{domain: strings.Clone(f.domain)})
		s.index[s.offenders[i].domain] = i
	default:
		i = s.least()
		delete(s.index, s.offenders[i].domain)
		s.offenders[i] = offender{domain: strings.Clone(f.domain), over: s.counts[i]}
		s.index[s.offenders[i].domain] = i
	}
	s.counts[i]++
	o := &s.offenders[i]
	o.policy, o.last = f.policy, f.at
	o.seen(f.client)
}

// least returns the position of the lowest count.
func (s *sketch) least() int {
	least := 0
	for i, n := range s.counts {
		if n < s.counts[least] {
			least = i
		}
	}
	return least
}

// floor returns how often a domain that has no counter may have failed.
func (s *sketch) floor() uint32 {
	if len(s.counts) < maxOffenders {
		return 0
	}
	return s.counts[s.least()]
}

// seen counts a message of the domain by the client that it came from.
func (o *offender) seen(client netip.Addr) {
	if !client.IsValid() {
		return
	}
	// A zone is a text from outside, of any length.
	client = client.Unmap().WithZone("")
	least := 0
	for i := range o.sources {
		s := &o.sources[i]
		if s.addr == client || !s.addr.IsValid() {
			s.addr = client
			s.count++
			return
		}
		if s.count < o.sources[least].count {
			least = i
		}
	}
	s := &o.sources[least]
	*s = source{addr: client, count: s.count + 1, over: s.count}
}

// copied returns a copy without the index that shares no memory with s.
func (s *sketch) copied() sketch {
	return sketch{counts: slices.Clone(s.counts), offenders: slices.Clone(s.offenders)}
}

// talker is a domain that failed at least least times and at most most times, over
// all blocks of time.
type talker struct {
	domain      string
	least, most uint64
	policy      uint8
	last        time.Time
	sources     []talkerSource
}

type talkerSource struct {
	addr        netip.Addr
	least, most uint64
}

// talkers combines the blocks. It sorts the domains, and the sources of each, by
// how often they certainly failed, highest first.
func talkers(blocks []sketch) []talker {
	position := map[string]int{}
	var all []talker
	var floors uint64
	here := map[string]uint64{} // sum of the floors of the blocks that a domain is in
	for b := range blocks {
		block := &blocks[b]
		floor := uint64(block.floor())
		floors += floor
		for i := range block.offenders {
			o := &block.offenders[i]
			n, ok := position[o.domain]
			if !ok {
				n = len(all)
				position[o.domain] = n
				all = append(all, talker{domain: o.domain})
			}
			here[o.domain] += floor
			all[n].merge(o, block.counts[i])
		}
	}
	for i := range all {
		t := &all[i]
		t.most += floors - here[t.domain]
		slices.SortStableFunc(t.sources, func(a, b talkerSource) int {
			return cmp.Or(cmp.Compare(b.least, a.least), cmp.Compare(b.most, a.most), a.addr.Compare(b.addr))
		})
		t.sources = t.sources[:min(len(t.sources), maxSources)]
	}
	slices.SortFunc(all, func(a, b talker) int {
		return cmp.Or(cmp.Compare(b.least, a.least), cmp.Compare(b.most, a.most), strings.Compare(a.domain, b.domain))
	})
	return all
}

// merge adds what one block knows about the domain.
func (t *talker) merge(o *offender, count uint32) {
	t.least += uint64(count - o.over)
	t.most += uint64(count)
	if !o.last.Before(t.last) {
		t.last, t.policy = o.last, o.policy
	}
	for _, s := range o.sources {
		if !s.addr.IsValid() {
			continue
		}
		i := slices.IndexFunc(t.sources, func(known talkerSource) bool { return known.addr == s.addr })
		if i < 0 {
			i = len(t.sources)
			t.sources = append(t.sources, talkerSource{addr: s.addr})
		}
		t.sources[i].least += uint64(s.count - s.over)
		t.sources[i].most += uint64(s.count)
	}
}
