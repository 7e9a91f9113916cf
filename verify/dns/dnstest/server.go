package dnstest

import (
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	mdns "github.com/miekg/dns"
)

// Server serves a zone in real packets, over UDP and TCP on one port.
type Server struct {
	addr string
	zone atomic.Pointer[Zone]
	// delay is added to every answer, in nanoseconds.
	delay atomic.Int64
	udp   *mdns.Server
	tcp   *mdns.Server
	// closing ends the answers that are still delayed.
	closing chan struct{}
	once    sync.Once
}

// Serve serves z on loopback until the test ends, and returns the address.
func Serve(t testing.TB, z *Zone) (addr string) {
	t.Helper()
	s, err := NewServer(z, "127.0.0.1:0")
	if err != nil {
		t.Fatalf("DNS server: %v", err)
	}
	t.Cleanup(s.Close)
	return s.Addr()
}

// NewServer serves z at addr, which is host:port; port 0 picks a free one.
func NewServer(z *Zone, addr string) (*Server, error) {
	packets, streams, err := Listen(addr)
	if err != nil {
		return nil, err
	}
	s := &Server{addr: packets.LocalAddr().String(), closing: make(chan struct{})}
	s.zone.Store(z)
	handler := mdns.HandlerFunc(s.serve)
	s.udp = &mdns.Server{PacketConn: packets, Handler: handler}
	s.tcp = &mdns.Server{Listener: streams, Handler: handler}
	for _, m := range []*mdns.Server{s.udp, s.tcp} {
		started := make(chan struct{})
		m.NotifyStartedFunc = func() { close(started) }
		go func() { _ = m.ActivateAndServe() }() // ends with Close
		<-started
	}
	return s, nil
}

// Listen opens one port for both UDP and TCP, for servers that break the rules
// that [Server] keeps. addr is host:port; port 0 picks a free one.
func Listen(addr string) (net.PacketConn, net.Listener, error) {
	var failure error
	// A port that is free for TCP may be taken for UDP: try a few.
	for range 20 {
		packets, err := net.ListenPacket("udp", addr)
		if err != nil {
			failure = err
			continue
		}
		streams, err := net.Listen("tcp", packets.LocalAddr().String())
		if err == nil {
			return packets, streams, nil
		}
		packets.Close()
		failure = err
	}
	return nil, nil, failure
}

// Addr returns the address served, as host:port.
func (s *Server) Addr() string { return s.addr }

// SetZone replaces the zone.
func (s *Server) SetZone(z *Zone) { s.zone.Store(z) }

// SetDelay delays every answer by d, in addition to the zone's own delays.
func (s *Server) SetDelay(d time.Duration) { s.delay.Store(int64(d)) }

// Close stops the server. Calling it again does nothing.
func (s *Server) Close() {
	s.once.Do(func() {
		close(s.closing)
		_ = s.udp.Shutdown()
		_ = s.tcp.Shutdown()
	})
}

func (s *Server) serve(w mdns.ResponseWriter, q *mdns.Msg) {
	if len(q.Question) != 1 {
		m := new(mdns.Msg).SetRcode(q, mdns.RcodeFormatError)
		_ = w.WriteMsg(m) // a client that went away needs no answer
		return
	}
	a := s.zone.Load().ask(q.Question[0].Name, q.Question[0].Qtype)
	if late := a.delay + time.Duration(s.delay.Load()); late > 0 {
		select {
		case <-time.After(late):
		case <-s.closing:
			return
		}
	}
	if a.timeout {
		return
	}
	m := a.reply(q)
	limit := mdns.MinMsgSize
	if opt := q.IsEdns0(); opt != nil {
		limit = int(opt.UDPSize())
		m.SetEdns0(1232, false)
	}
	if w.LocalAddr().Network() == "udp" {
		if a.truncate {
			m.Answer, m.Truncated = nil, true
		}
		m.Truncate(limit)
	}
	_ = w.WriteMsg(m)
}
