package statuspage

import (
	"time"

	"authmilter/policy"
	"authmilter/verify/dkim"
	"authmilter/verify/dmarc"
)

const (
	minutes       = 60
	quarters      = 96
	quarterOfHour = 15 * time.Minute
)

// counts holds the counters of messages for one slot of time.
type counts struct {
	dispositions [maxWords]uint32
	skips        [maxWords]uint32
	results      [methodCount][maxWords]uint32
	forged       uint32 // fields removed
	harmless     uint32 // likewise
}

// minute holds what happened in one minute.
type minute struct {
	counts
	waits   histogram // at end of message
	longest time.Duration
	dns     dnsCounts
}

// dnsCounts holds the counters of DNS queries and cache look-ups.
type dnsCounts struct {
	qtypes              [maxWords]uint32
	rcodes              [maxWords]uint32
	took                time.Duration // sum over all queries
	longest             time.Duration
	hits, misses, stale uint32
}

// recorder is the bounded memory of a [Page]. It is not safe for concurrent use.
type recorder struct {
	hour     ring[minute]
	day      ring[counts]
	talkers  ring[sketch]
	messages [maxMessages]record
	// next is where the next message goes; the kept ones come before it.
	next, kept int
	// since is when counting the talkers began.
	since time.Time
}

func newRecorder(now time.Time) *recorder {
	return &recorder{
		since:   now,
		hour:    newRing[minute](time.Minute, minutes),
		day:     newRing[counts](quarterOfHour, quarters),
		talkers: newRing[sketch](talkersBlock, talkersBlocks),
	}
}

// count counts one finished message.
func (r *recorder) count(now time.Time, v *policy.Verdict) {
	m, q := r.hour.at(now), r.day.at(now)
	m.add(v)
	q.add(v)
	if v.Skip == policy.NotSkipped {
		m.waits.add(v.EndOfMessage)
		m.longest = max(m.longest, v.EndOfMessage)
	}
}

// add counts one finished message as package metrics does: one result for each
// signature and for each identity that SPF checked, and the DKIM result none for an
// unsigned message.
func (c *counts) add(v *policy.Verdict) {
	c.forged += uint32(v.Forged())
	c.harmless += uint32(v.HarmlessRemoved)
	if v.Skip != policy.NotSkipped {
		c.skips[skips.position(string(v.Skip))]++
		return
	}
	c.dispositions[dispositions.position(string(v.Decision.Disposition))]++
	r := v.Result
	if len(r.DKIM) == 0 {
		c.result(methodDKIM, string(dkim.None))
	}
	for i := range r.DKIM {
		c.result(methodDKIM, string(r.DKIM[i].Status))
	}
	c.result(methodSPF, string(r.SPF.Status))
	if r.Helo != nil {
		c.result(methodSPF, string(r.Helo.Status))
	}
	c.result(methodDMARC, string(r.DMARC.Status))
	if r.ARC.Status != "" {
		c.result(methodARC, string(r.ARC.Status))
	}
	if r.IPRev != nil {
		c.result(methodIPRev, string(r.IPRev.Status))
	}
}

func (c *counts) result(method int, status string) {
	c.results[method][methods[method].statuses.position(status)]++
}

// failed counts a message that failed DMARC, by author domain and client.
func (r *recorder) failed(now time.Time, v *policy.Verdict) {
	if v.Skip != policy.NotSkipped || v.Result.DMARC.Status != dmarc.Fail {
		return
	}
	name := v.Result.DMARCDomain()
	if name == "" {
		return
	}
	f := failure{domain: cut(name, maxDomain), client: v.Envelope.ClientIP, at: now, policy: policyNames.position("")}
	if p := v.Result.DMARC.Policy; p != nil {
		f.policy = policyNames.position(string(p.Published))
	}
	r.talkers.at(now).add(f)
}

// keep keeps m as the newest of the last messages.
func (r *recorder) keep(m *record) {
	r.messages[r.next] = *m
	r.next = (r.next + 1) % maxMessages
	r.kept = min(r.kept+1, maxMessages)
}

// last returns a copy of the last messages, newest first.
func (r *recorder) last() []record {
	all := make([]record, 0, r.kept)
	for i := 1; i <= r.kept; i++ {
		all = append(all, r.messages[(r.next-i+maxMessages)%maxMessages])
	}
	return all
}

// forget forgets everything that holds personal data.
func (r *recorder) forget(now time.Time) {
	r.since = now
	clear(r.messages[:])
	r.next, r.kept = 0, 0
	clear(r.talkers.slots)
}

func (c *dnsCounts) add(qtype, rcode string, took time.Duration) {
	c.qtypes[qtypes.position(qtype)]++
	c.rcodes[rcodes.position(rcode)]++
	took = max(took, 0)
	c.took += took
	c.longest = max(c.longest, took)
}

func (c *dnsCounts) sum(o *dnsCounts) {
	for i := range c.qtypes {
		c.qtypes[i] += o.qtypes[i]
		c.rcodes[i] += o.rcodes[i]
	}
	c.took += o.took
	c.longest = max(c.longest, o.longest)
	c.hits += o.hits
	c.misses += o.misses
	c.stale += o.stale
}

func (c *counts) sum(o *counts) {
	for i := range c.dispositions {
		c.dispositions[i] += o.dispositions[i]
		c.skips[i] += o.skips[i]
		for m := range c.results {
			c.results[m][i] += o.results[m][i]
		}
	}
	c.forged += o.forged
	c.harmless += o.harmless
}
