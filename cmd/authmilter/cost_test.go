package main

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"authmilter/config"
	"authmilter/milter"
	"authmilter/policy"
	"authmilter/test/bench/corpus"
	"authmilter/verify/dns"
	"authmilter/verify/dns/dnstest"
)

// Limits on the cost of a typical message: 32 KiB, 30 fields, two RSA signatures and
// all DNS answers cached. Each limit is a little above the actual cost, so that no
// increase goes unnoticed.
const (
	maxReads       = 5
	maxWrites      = 2
	maxAllocations = 540
	// Each chunk of the body is read into its own memory and from then on passed by
	// reference. A copy would exceed this limit.
	maxOctetsPerBodyOctet = 1.2
	// The same message from a client of our own, which is not verified.
	maxSkippedAllocations = 250
)

// TestCostOfAMessage limits the cost of a message in a whole session, from the MTA's
// socket to the log.
func TestCostOfAMessage(t *testing.T) {
	rig := newCostRig(t, corpus.Options{Seed: 1, Messages: 1, Domains: 1, FixedBytes: 32 << 10, Signatures: 2, Fields: 30, Sound: true})
	rig.deliver() // fills the caches

	reads, writes := rig.reads.Load(), rig.writes.Load()
	rig.deliver()
	// The read that waits for the next command counts for this message too.
	reads, writes = rig.reads.Load()-reads, rig.writes.Load()-writes
	t.Logf("%d reads, %d writes", reads, writes)
	if reads > maxReads {
		t.Errorf("%d reads for a message, more than %d", reads, maxReads)
	}
	if writes > maxWrites {
		t.Errorf("%d writes for a message, more than %d", writes, maxWrites)
	}

	idle := runtime.NumGoroutine()
	allocations := testing.AllocsPerRun(20, rig.deliver)
	t.Logf("%.0f allocations", allocations)
	if allocations > maxAllocations {
		t.Errorf("%.0f allocations for a message, more than %d", allocations, maxAllocations)
	}

	// Goroutines end a little after the reply.
	for deadline := time.Now().Add(patience); runtime.NumGoroutine() > idle; {
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines after messages, %d before", runtime.NumGoroutine(), idle)
		}
		time.Sleep(time.Millisecond)
	}
}

// TestCostOfSkippedMail limits the cost of the same message if it is skipped: nothing
// is parsed or looked up for it.
func TestCostOfSkippedMail(t *testing.T) {
	rig := newSkippingRig(t, corpus.Options{Seed: 1, Messages: 1, Domains: 1, FixedBytes: 32 << 10, Signatures: 2, Fields: 30, Sound: true})
	rig.deliver()
	allocations := testing.AllocsPerRun(20, rig.deliver)
	t.Logf("%.0f allocations", allocations)
	if allocations > maxSkippedAllocations {
		t.Errorf("%.0f allocations for a skipped message, more than %d", allocations, maxSkippedAllocations)
	}
}

// TestBodyIsCopiedOnce compares the memory of two messages, one with a larger body.
func TestBodyIsCopiedOnce(t *testing.T) {
	const small, large = 1 << 20, 4 << 20
	memory := func(size int) uint64 {
		rig := newCostRig(t, corpus.Options{Seed: 1, Messages: 1, Domains: 1, FixedBytes: size, Signatures: 2, Fields: 30, Sound: true})
		rig.deliver()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		rig.deliver()
		runtime.ReadMemStats(&after)
		return after.TotalAlloc - before.TotalAlloc
	}
	each := float64(memory(large)-memory(small)) / (large - small)
	t.Logf("%.2f octets of memory for an octet of body", each)
	if each > maxOctetsPerBodyOctet {
		t.Errorf("%.2f octets of memory for an octet of body, more than %.1f", each, maxOctetsPerBodyOctet)
	}
}

// BenchmarkSession measures a message through the whole milter, and the share of the
// observers.
func BenchmarkSession(b *testing.B) {
	for _, observed := range []struct {
		name string
		by   func(*service) []policy.Observer
	}{
		{"whole", (*service).observers},
		{"without the log", func(s *service) []policy.Observer { return []policy.Observer{s.seen.Metrics, s.seen.page} }},
		{"without log and page", func(s *service) []policy.Observer { return []policy.Observer{s.seen.Metrics} }},
		{"without log, page and metrics", func(*service) []policy.Observer { return nil }},
	} {
		b.Run(observed.name, func(b *testing.B) {
			rig := newObservedRig(b, corpus.Options{Seed: 1, Messages: 1, Domains: 1, FixedBytes: 32 << 10, Signatures: 2, Fields: 30, Sound: true}, observed.by)
			b.ReportAllocs()
			for b.Loop() {
				rig.deliver()
			}
		})
	}
}

// costRig is a milter set up as by serve, and an MTA that costs nothing: it sends
// prepared octets and has room for the replies.
type costRig struct {
	t    testing.TB
	conn net.Conn
	// upto is sent before the first reply, chunks are further body chunks, and end is
	// the end of the message.
	upto   []byte
	chunks [][]byte
	end    []byte
	reply  []byte
	// chunkReply is the reply to the first chunk, endReplies those to the end of the
	// message.
	chunkReply, endReplies string

	reads, writes atomic.Int64 // of the milter
}

func newCostRig(t testing.TB, o corpus.Options) *costRig {
	t.Helper()
	return newObservedRig(t, o, (*service).observers)
}

// newSkippingRig returns a rig whose client is one of our own.
func newSkippingRig(t testing.TB, o corpus.Options) *costRig {
	t.Helper()
	rig := newChangedRig(t, o, (*service).observers, func(c *config.Config) {
		var everybody config.Network
		if err := everybody.UnmarshalText([]byte("0.0.0.0/0")); err != nil {
			t.Fatal(err)
		}
		c.Skip.Networks = []config.Network{everybody}
	})
	rig.chunkReply, rig.endReplies = "s", "a"
	return rig
}

func newObservedRig(t testing.TB, o corpus.Options, observers func(*service) []policy.Observer) *costRig {
	t.Helper()
	return newChangedRig(t, o, observers, func(*config.Config) {})
}

func newChangedRig(t testing.TB, o corpus.Options, observers func(*service) []policy.Observer, change func(*config.Config)) *costRig {
	t.Helper()
	mail, err := corpus.New(o)
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load("")
	if err != nil {
		t.Fatal(err)
	}
	cfg.AuthservID = "mx.rcpt.example"
	change(cfg)
	s := newService("", cfg, io.Discard)
	t.Cleanup(s.closeLog)
	s.show(cfg)
	resolver := dns.New(dns.Config{Servers: []string{"zone"}, Transport: dnstest.MustParse(t, mail.Zone), Observer: s.seen})
	server := milter.NewServer(milter.Config{Observers: observers(s), Counter: s.seen, Log: s.log}, cfg.Settings(resolver))

	rig := &costRig{t: t, reply: make([]byte, 64<<10), chunkReply: "c", endReplies: "ia"}
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(countingListener{l, rig}, "unix") }()
	t.Cleanup(func() {
		rig.conn.Close()
		if err := server.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	rig.conn = connect(t, "unix:"+l.Addr().String()).conn
	rig.prepare(mail.Sessions[0])
	return rig
}

// prepare prepares what an MTA sends for the first message of a session.
func (rig *costRig) prepare(s *corpus.Session) {
	m := s.Messages[0]
	frame := func(dst []byte, command byte, payload string) []byte {
		dst = binary.BigEndian.AppendUint32(dst, uint32(1+len(payload)))
		return append(append(dst, command), payload...)
	}
	b := frame(nil, 'C', s.ClientName+"\x004\x12\x34"+s.ClientIP+"\x00")
	b = frame(b, 'H', s.Helo+"\x00")
	b = frame(b, 'D', "Mi\x00"+m.ID+"\x00{mail_addr}\x00"+m.MailFrom+"\x00")
	b = frame(b, 'M', "<"+m.MailFrom+">\x00")
	b = frame(b, 'R', "<"+m.RcptTo+">\x00")
	b = frame(b, 'T', "")
	for _, f := range m.Header {
		b = frame(b, 'L', f.Name+"\x00"+strings.ReplaceAll(f.Raw, "\r\n", "\n")+"\x00")
	}
	b = frame(b, 'N', "")
	const chunk = 65535
	first := min(chunk, len(m.Body))
	rig.upto = frame(b, 'B', string(m.Body[:first]))
	for rest := m.Body[first:]; len(rest) > 0; rest = rest[min(chunk, len(rest)):] {
		rig.chunks = append(rig.chunks, frame(nil, 'B', string(rest[:min(chunk, len(rest))])))
	}
	rig.end = frame(frame(nil, 'D', "Ei\x00"+m.ID+"\x00"), 'E', "")
}

// deliver passes the message through the milter.
func (rig *costRig) deliver() {
	rig.send(rig.upto)
	rig.expect(rig.chunkReply)
	for _, c := range rig.chunks {
		rig.send(c)
		rig.expect("c")
	}
	rig.send(rig.end)
	rig.expect(rig.endReplies)
}

func (rig *costRig) send(p []byte) {
	if _, err := rig.conn.Write(p); err != nil {
		rig.t.Fatal(err)
	}
}

// expect reads a reply for each letter of commands.
func (rig *costRig) expect(commands string) {
	for i := range len(commands) {
		if _, err := io.ReadFull(rig.conn, rig.reply[:4]); err != nil {
			rig.t.Fatal(err)
		}
		reply := rig.reply[:binary.BigEndian.Uint32(rig.reply)]
		if _, err := io.ReadFull(rig.conn, reply); err != nil {
			rig.t.Fatal(err)
		}
		if reply[0] != commands[i] {
			rig.t.Fatalf("reply %q, want %q", reply[0], commands[i])
		}
	}
}

// countingListener counts the reads and writes of the milter, each of which is a
// system call.
type countingListener struct {
	net.Listener
	rig *costRig
}

func (l countingListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return countingConn{c, l.rig}, nil
}

type countingConn struct {
	net.Conn
	rig *costRig
}

func (c countingConn) Read(p []byte) (int, error) {
	c.rig.reads.Add(1)
	return c.Conn.Read(p)
}

func (c countingConn) Write(p []byte) (int, error) {
	c.rig.writes.Add(1)
	return c.Conn.Write(p)
}
