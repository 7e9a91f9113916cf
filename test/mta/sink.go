package mta

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// maxMail bounds what a [Sink] accepts, in octets.
const maxMail = 100 << 20

// Mail is a message that a [Sink] received.
type Mail struct {
	// From and To are the paths of the envelope, without angle brackets; Args are
	// the parameters of MAIL.
	From, To, Args string
	// Data is the message, with CRLF line ends and without dot stuffing.
	Data []byte
}

// Sink is an SMTP and LMTP server that accepts everything, for tests to look at.
type Sink struct {
	listener net.Listener
	sessions sync.WaitGroup

	mu    sync.Mutex
	conns map[net.Conn]bool
	boxes map[string]chan Mail
}

// NewSink starts a Sink on loopback. It ends with the test.
func NewSink(t testing.TB) *Sink {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("sink: %v", err)
	}
	return newSink(t, l)
}

// newSink starts a Sink that serves connections to l.
func newSink(t testing.TB, l net.Listener) *Sink {
	s := &Sink{listener: l, conns: map[net.Conn]bool{}, boxes: map[string]chan Mail{}}
	s.sessions.Go(s.accept)
	t.Cleanup(s.close)
	return s
}

// Port returns the TCP port of 127.0.0.1 that s listens on.
func (s *Sink) Port() int { return s.listener.Addr().(*net.TCPAddr).Port }

// Wait returns the next message for a recipient, or an error if none arrives within
// d.
func (s *Sink) Wait(to string, d time.Duration) (Mail, error) {
	select {
	case m := <-s.box(to):
		return m, nil
	case <-time.After(d):
		return Mail{}, fmt.Errorf("no message for %s within %v", to, d)
	}
}

func (s *Sink) box(to string) chan Mail {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.boxes[to] == nil {
		s.boxes[to] = make(chan Mail, 100)
	}
	return s.boxes[to]
}

func (s *Sink) accept() {
	for {
		c, err := s.listener.Accept()
		if err != nil {
			return // closed
		}
		s.mu.Lock()
		s.conns[c] = true
		s.mu.Unlock()
		s.sessions.Go(func() {
			defer func() {
				c.Close()
				s.mu.Lock()
				delete(s.conns, c)
				s.mu.Unlock()
			}()
			// An error means that the client went away; its test will miss the
			// message.
			_ = s.serve(c)
		})
	}
}

func (s *Sink) close() {
	s.listener.Close()
	s.mu.Lock()
	for c := range s.conns {
		c.Close()
	}
	s.mu.Unlock()
	s.sessions.Wait()
}

// serve handles one SMTP session (RFC 5321), with 8BITMIME (RFC 6152) and SMTPUTF8
// (RFC 6531), or one LMTP session (RFC 2033), in which the client says LHLO.
func (s *Sink) serve(c net.Conn) error {
	r := bufio.NewReaderSize(c, 64<<10)
	reply := func(text string) error {
		_, err := io.WriteString(c, text+"\r\n")
		return err
	}
	if err := reply("220 sink.example.org ESMTP"); err != nil {
		return err
	}
	var m Mail
	var recipients []string
	lmtp := false
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return err
		}
		line = strings.TrimRight(line, "\r\n")
		verb, _, _ := strings.Cut(strings.ToUpper(line), " ")
		answer := "250 2.0.0 Ok"
		switch verb {
		case "EHLO", "LHLO":
			lmtp = verb == "LHLO"
			answer = fmt.Sprintf("250-sink.example.org\r\n250-SIZE %d\r\n250-8BITMIME\r\n250 SMTPUTF8", maxMail)
		case "MAIL":
			m, recipients = Mail{}, nil
			m.From, m.Args = path(line)
		case "RCPT":
			to, _ := path(line)
			recipients = append(recipients, to)
		case "DATA":
			if err := reply("354 go on"); err != nil {
				return err
			}
			if m.Data, err = readData(r); err != nil {
				return err
			}
			for _, to := range recipients {
				m.To = to
				s.box(to) <- m
			}
			if lmtp {
				// One reply for each recipient (RFC 2033 section 4.2).
				answer = strings.TrimSuffix(strings.Repeat(answer+"\r\n", len(recipients)), "\r\n")
			}
		case "HELO", "RSET", "NOOP":
		case "QUIT":
			return reply("221 2.0.0 Bye")
		default:
			answer = "502 5.5.1 not known here"
		}
		if err := reply(answer); err != nil {
			return err
		}
	}
}

// path splits the argument of MAIL or RCPT into its path and its parameters. The
// path may have angle brackets in its quoted local part.
func path(line string) (address, args string) {
	_, rest, _ := strings.Cut(line, "<")
	quoted := false
	for i := 0; i < len(rest); i++ {
		switch c := rest[i]; {
		case c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case c == '>' && !quoted:
			return rest[:i], strings.TrimSpace(rest[i+1:])
		}
	}
	return rest, ""
}

// readData reads a message up to the line with the dot, and removes dot stuffing
// (RFC 5321 section 4.5.2).
func readData(r *bufio.Reader) ([]byte, error) {
	var b bytes.Buffer
	for start := true; ; {
		line, err := r.ReadSlice('\n')
		if err != nil && err != bufio.ErrBufferFull {
			return nil, err
		}
		if start {
			if string(line) == ".\r\n" {
				return b.Bytes(), nil
			}
			line = bytes.TrimPrefix(line, []byte("."))
		}
		if b.Len()+len(line) > maxMail {
			return nil, fmt.Errorf("a message of more than %d octets", maxMail)
		}
		b.Write(line)
		start = err == nil
	}
}
