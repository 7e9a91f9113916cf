package dns_test

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"slices"
	"testing"
	"time"

	mdns "github.com/miekg/dns"

	"authmilter/verify/dns"
	"authmilter/verify/dns/dnstest"
)

// streams serves truncated answers over UDP. Over TCP it serves what handle
// writes when given the answer to the query.
func streams(t *testing.T, handle func(conn net.Conn, answer []byte)) (addr string) {
	t.Helper()
	packets, listener, err := dnstest.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { packets.Close(); listener.Close() })
	go func() {
		buf := make([]byte, 1500)
		for {
			n, from, err := packets.ReadFrom(buf)
			if err != nil {
				return
			}
			m := reply(t, buf[:n])
			m.Answer, m.Truncated = nil, true
			_, _ = packets.WriteTo(pack(t, m), from)
		}
	}()
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				var length [2]byte
				if _, err := io.ReadFull(conn, length[:]); err != nil {
					return
				}
				query := make([]byte, binary.BigEndian.Uint16(length[:]))
				if _, err := io.ReadFull(conn, query); err != nil {
					return
				}
				handle(conn, pack(t, reply(t, query)))
			}()
		}
	}()
	return packets.LocalAddr().String()
}

func reply(t *testing.T, query []byte) *mdns.Msg {
	q := new(mdns.Msg)
	if err := q.Unpack(query); err != nil {
		t.Error(err)
	}
	return response(t, q, `a.example. 60 TXT "streamed"`)
}

// framed returns message preceded by length.
func framed(length int, message []byte) []byte {
	return append(binary.BigEndian.AppendUint16(nil, uint16(length)), message...)
}

// Whatever a server does with a stream, the look-up ends in time, and never
// with something that reads as an answer.
func TestOddStreams(t *testing.T) {
	good := dnstest.Serve(t, dnstest.MustParse(t, `a.example. 0 TXT "good"`))
	stall := func(conn net.Conn) { _, _ = conn.Read(make([]byte, 1)) } // until the client leaves
	for _, test := range []struct {
		name   string
		handle func(conn net.Conn, answer []byte)
		err    string // "" if the answer is accepted
	}{
		{name: "whole", handle: func(conn net.Conn, answer []byte) { _, _ = conn.Write(framed(len(answer), answer)) }},
		{name: "in pieces", handle: func(conn net.Conn, answer []byte) {
			for _, b := range framed(len(answer), answer) {
				_, _ = conn.Write([]byte{b})
			}
		}},
		{name: "more after it", handle: func(conn net.Conn, answer []byte) {
			_, _ = conn.Write(append(framed(len(answer), answer), "and more"...))
		}},
		{name: "closed at once", err: "connection closed before the end of the answer", handle: func(net.Conn, []byte) {}},
		{name: "closed within the length", err: "connection closed before the end of the answer", handle: func(conn net.Conn, _ []byte) { _, _ = conn.Write([]byte{0}) }},
		{name: "closed after the length", err: "connection closed before the end of the answer", handle: func(conn net.Conn, answer []byte) { _, _ = conn.Write(framed(len(answer), nil)) }},
		{name: "closed within the answer", err: "connection closed before the end of the answer", handle: func(conn net.Conn, answer []byte) {
			_, _ = conn.Write(framed(len(answer), answer[:len(answer)-1]))
		}},
		{name: "length zero", err: "the answer is to another question", handle: func(conn net.Conn, _ []byte) { _, _ = conn.Write(framed(0, nil)) }},
		{name: "length shorter than a header", err: "the answer is to another question", handle: func(conn net.Conn, answer []byte) {
			_, _ = conn.Write(framed(11, answer))
		}},
		{name: "length within the question", err: "the answer is to another question", handle: func(conn net.Conn, answer []byte) {
			_, _ = conn.Write(framed(15, answer))
		}},
		{name: "length after the question", err: "malformed answer", handle: func(conn net.Conn, answer []byte) {
			_, _ = conn.Write(framed(12+len("\x01a\x07example\x00")+4, answer))
		}},
		{name: "length within a record", err: "malformed answer", handle: func(conn net.Conn, answer []byte) {
			_, _ = conn.Write(framed(len(answer)-1, answer))
		}},
		{name: "length longer than the answer", err: "no answer within 400ms", handle: func(conn net.Conn, answer []byte) {
			_, _ = conn.Write(framed(len(answer)+1, answer))
			stall(conn)
		}},
		{name: "wrong ID", err: "the answer is to another question", handle: func(conn net.Conn, answer []byte) {
			answer[1] ^= 1
			_, _ = conn.Write(framed(len(answer), answer))
		}},
		{name: "query sent back", err: "the answer is to another question", handle: func(conn net.Conn, answer []byte) {
			answer[2] &^= 0x80
			_, _ = conn.Write(framed(len(answer), answer))
		}},
		{name: "silence", err: "no answer within 400ms", handle: func(conn net.Conn, _ []byte) { stall(conn) }},
		{name: "an octet now and then", err: "no answer within 400ms", handle: func(conn net.Conn, answer []byte) {
			for _, b := range framed(0xffff, append(answer, make([]byte, 0xffff)...)) {
				if _, err := conn.Write([]byte{b}); err != nil {
					return
				}
				time.Sleep(10 * time.Millisecond)
			}
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			addr := streams(t, test.handle)
			timeout := patience
			if test.err == "no answer within 400ms" {
				timeout = 400 * time.Millisecond
			}
			c := dns.New(dns.Config{Servers: []string{addr}, Timeout: timeout})
			begun := time.Now()
			a, err := c.TXT(context.Background(), "a.example")
			took := time.Since(begun)
			if test.err == "" {
				if err != nil || !slices.Equal(a.Values, []string{"streamed"}) {
					t.Errorf("got %q, %v", a.Values, err)
				}
				return
			}
			if !dns.IsTemporary(err) || err.Error() != "TXT a.example: "+test.err {
				t.Errorf("got %q, %v", a.Values, err)
			}
			if took > timeout+patience {
				t.Errorf("took %v", took)
			}
			c = dns.New(dns.Config{Servers: []string{addr, good}, Timeout: 10 * time.Second})
			if a, err := c.TXT(context.Background(), "a.example"); err != nil || !slices.Equal(a.Values, []string{"good"}) {
				t.Errorf("second server: got %q, %v", a.Values, err)
			}
		})
	}
}

// A server may answer only over UDP.
func TestNoStream(t *testing.T) {
	packets, listener, err := dnstest.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listener.Close()
	defer packets.Close()
	go func() {
		buf := make([]byte, 1500)
		for {
			n, from, err := packets.ReadFrom(buf)
			if err != nil {
				return
			}
			m := reply(t, buf[:n])
			m.Truncated = true
			_, _ = packets.WriteTo(pack(t, m), from)
		}
	}()
	c := dns.New(dns.Config{Servers: []string{packets.LocalAddr().String()}, Timeout: patience})
	if a, err := c.TXT(context.Background(), "a.example"); !dns.IsTemporary(err) || err.Error() != "TXT a.example: connection refused" {
		t.Errorf("got %q, %v", a.Values, err)
	}
}

// A packet that is right in everything but its source is not the answer
// (RFC 5452 section 9.1), and does not block the answer either.
func TestAnswersFromElsewhere(t *testing.T) {
	server, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	elsewhere, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer elsewhere.Close()
	go func() {
		buf := make([]byte, 1500)
		n, from, err := server.ReadFrom(buf)
		if err != nil {
			t.Error(err)
			return
		}
		m := reply(t, buf[:n])
		forged := m.Copy()
		forged.Answer[0].(*mdns.TXT).Txt = []string{"forged"}
		_, _ = elsewhere.WriteTo(pack(t, forged), from)
		time.Sleep(20 * time.Millisecond)
		_, _ = server.WriteTo(pack(t, m), from)
	}()
	c := dns.New(dns.Config{Servers: []string{server.LocalAddr().String()}, Timeout: patience})
	if a, err := c.TXT(context.Background(), "a.example"); err != nil || !slices.Equal(a.Values, []string{"streamed"}) {
		t.Errorf("got %q, %v", a.Values, err)
	}
}
