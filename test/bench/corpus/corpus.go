// Package corpus makes the mail that the bench sends, always the same for a
// seed, with the DNS records that it needs and the verdicts that it must get.
package corpus

import (
	"fmt"
	"math/rand/v2"
	"time"

	"authmilter/verify/message"
)

// Options describe the mail to make. A number that is 0 means its default.
type Options struct {
	// Seed decides everything that is random.
	Seed uint64
	// Messages is how many there are; the default is 600.
	Messages int
	// Domains is how many domains send them; the default is 50.
	Domains int
	// MeanBytes is the mean size of a body; the default is 32 KiB. The sizes
	// are log-normal, from 2 KiB to 1 MiB.
	MeanBytes int
	// FixedBytes, if set, is the size of every body.
	FixedBytes int
	// Signatures, if set, is how many signatures each message has, instead of
	// the usual mixture; -1 means none.
	Signatures int
	// Fields, if set, is how many fields each header has, instead of 25 to 35.
	Fields int
	// ARC is the share of messages with an ARC chain of one to three sets.
	ARC float64
	// Sound leaves out unsigned and broken messages.
	Sound bool
}

func (o Options) withDefaults() Options {
	if o.Messages == 0 {
		o.Messages = 600
	}
	if o.Domains == 0 {
		o.Domains = 50
	}
	if o.MeanBytes == 0 {
		o.MeanBytes = 32 << 10
	}
	return o
}

// Corpus is mail and the DNS that goes with it.
type Corpus struct {
	Sessions []*Session
	Messages []*Message // of all sessions
	// Zone is the whole DNS, in master-file format.
	Zone string
}

// Session is an SMTP session: one client, which sends its messages one after
// another.
type Session struct {
	ClientIP   string
	ClientName string
	Helo       string
	Messages   []*Message
}

// Message is one message.
type Message struct {
	ID       string // its queue ID
	MailFrom string
	RcptTo   string
	Header   message.Header
	Body     []byte
	Want     Verdict
	// Signatures are the DKIM signatures, for the floor.
	Signatures []Signature
}

// Verdict is what a verifier says about a message, in the words of RFC 8601.
// DKIM is the best of several results. A method without a result is "".
type Verdict struct{ DKIM, SPF, DMARC, ARC string }

// signedAt is the time of every signature.
var signedAt = time.Date(2025, 3, 1, 12, 0, 0, 0, time.UTC)

// New makes a corpus.
func New(o Options) (*Corpus, error) {
	o = o.withDefaults()
	m := &maker{Options: o, rand: rand.New(rand.NewPCG(o.Seed, 0x61757468))}
	m.keys = newKeys(m.rand)
	m.domains = make([]*domain, o.Domains)
	for i := range m.domains {
		m.domains[i] = m.newDomain(i)
	}
	sizes := bodySizes(o)
	m.rand.Shuffle(len(sizes), func(i, j int) { sizes[i], sizes[j] = sizes[j], sizes[i] })
	// One message in ten is unsigned, and one in ten broken.
	classes := m.rand.Perm(len(sizes))
	c := &Corpus{}
	var s *Session
	var from *domain
	for i, size := range sizes {
		// Most sessions carry one message, some two or three.
		if s == nil || len(s.Messages) == 3 || m.rand.Float64() < 0.7 {
			from = m.domains[i%len(m.domains)]
			s = m.session(from)
			c.Sessions = append(c.Sessions, s)
		}
		msg, err := m.message(i, size, class(classes[i]*10/len(sizes)), from, s)
		if err != nil {
			return nil, fmt.Errorf("message %d: %w", i, err)
		}
		s.Messages = append(s.Messages, msg)
		c.Messages = append(c.Messages, msg)
	}
	c.Zone = m.zone()
	return c, nil
}

// class says what is wrong with a message; any other value means nothing.
type class int

const (
	unsigned class = iota
	broken
)

// maker makes a corpus.
type maker struct {
	Options
	rand    *rand.Rand
	keys    *keys
	domains []*domain
}

// one returns one of list.
func one[T any](r *rand.Rand, list ...T) T { return list[r.IntN(len(list))] }
