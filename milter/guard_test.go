package milter

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	gomilter "github.com/d--j/go-milter"
)

// counter counts what a server reports.
type counter struct {
	mu         sync.Mutex
	open       int
	delayed    int
	panics     int
	inFlight   int
	errors     []string
	violations []string
}

func (c *counter) ConnectionOpened()  { c.mu.Lock(); defer c.mu.Unlock(); c.open++ }
func (c *counter) ConnectionClosed()  { c.mu.Lock(); defer c.mu.Unlock(); c.open-- }
func (c *counter) ConnectionDelayed() { c.mu.Lock(); defer c.mu.Unlock(); c.delayed++ }
func (c *counter) Panic()             { c.mu.Lock(); defer c.mu.Unlock(); c.panics++ }
func (c *counter) MessageBegan()      { c.mu.Lock(); defer c.mu.Unlock(); c.inFlight++ }
func (c *counter) MessageEnded()      { c.mu.Lock(); defer c.mu.Unlock(); c.inFlight-- }
func (c *counter) Error(s string)     { c.mu.Lock(); defer c.mu.Unlock(); c.errors = append(c.errors, s) }
func (c *counter) ProtocolError(why string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.violations = append(c.violations, why)
}

func (c *counter) get() counter {
	c.mu.Lock()
	defer c.mu.Unlock()
	return counter{
		open: c.open, delayed: c.delayed, panics: c.panics, inFlight: c.inFlight,
		errors: slices.Clone(c.errors), violations: slices.Clone(c.violations),
	}
}

// frame returns one packet.
func frame(command byte, payload string) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(1+len(payload)))
	return append(append(b, command), payload...)
}

// negotiation is the packet that Postfix sends first.
var negotiation = frame(cmdNegotiate, "\x00\x00\x00\x06\x00\x00\x01\xff\x00\x1f\xff\xff")

// validDialogue is a whole valid session, except its end.
func validDialogue() [][]byte {
	return [][]byte{
		negotiation,
		frame(cmdMacro, "Cj\x00mx.example.org\x00{daemon_name}\x00smtpd\x00"),
		frame(cmdConnect, "client.example.com\x004\x00\x19192.0.2.1\x00"),
		frame(cmdHelo, "client.example.com\x00"),
		frame(cmdMacro, "M"),
		frame(cmdMail, "<a@example.com>\x00SIZE=100\x00"),
		frame(cmdMacro, "Ri\x00QUEUEID\x00"),
		frame(cmdRcpt, "<b@example.org>\x00"),
		frame(cmdData, ""),
		frame(cmdHeader, "From\x00 a@example.com\x00"),
		frame(cmdHeader, "Subject\x00\x00"),
		frame(cmdEndHeader, ""),
		frame(cmdBody, "hello\r\n"),
		frame(cmdEndMessage, ""),
		frame(cmdAbort, ""),
		frame(cmdQuitNew, ""),
		frame(cmdConnect, "localhost\x00L\x00\x00/run/x\x00"),
		frame(cmdConnect, "unknown\x00U"),
		frame(cmdUnknown, "NOOP\x00"),
		frame(cmdQuit, ""),
	}
}

// drain is a milter that accepts everything.
type drain struct{ gomilter.NoOpMilter }

func (drain) BodyChunk([]byte, gomilter.Modifier) (*gomilter.Response, error) {
	return gomilter.RespContinue, nil
}

// guardedServer runs go-milter behind the guard, and returns a function that sends
// it a stream and returns all of its answers.
func guardedServer(t testing.TB, count *counter) func(chunks ...[]byte) []byte {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	quietLibrary(log)
	g := newGuardedListener(l, make(slots, 100), count, log)
	s := gomilter.NewServer(gomilter.WithMilter(func() gomilter.Milter { return drain{} }),
		gomilter.WithNegotiationCallback(negotiate), gomilter.WithActions(wantedActions), gomilter.WithProtocols(wantedProtocol))
	done := make(chan struct{})
	go func() { _ = s.Serve(g); close(done) }()
	t.Cleanup(func() { s.Close(); <-done })
	return func(chunks ...[]byte) []byte {
		conn, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(patience))
		var answers bytes.Buffer
		read := make(chan struct{})
		go func() { _, _ = io.Copy(&answers, conn); close(read) }()
		for _, c := range chunks {
			if _, err := conn.Write(c); err != nil {
				break // the server has closed the connection
			}
		}
		_ = conn.(*net.TCPConn).CloseWrite()
		<-read
		return answers.Bytes()
	}
}

func TestGuardLetsAValidDialogueThrough(t *testing.T) {
	count := &counter{}
	send := guardedServer(t, count)
	stream := bytes.Join(validDialogue(), nil)
	whole := send(stream)
	if len(whole) == 0 {
		t.Fatal("no answer")
	}
	var octets [][]byte
	for i := range stream {
		octets = append(octets, stream[i:i+1])
	}
	if answers := send(octets...); !bytes.Equal(answers, whole) {
		t.Errorf("byte by byte: %q, at once: %q", answers, whole)
	}
	if v := count.get().violations; len(v) > 0 {
		t.Errorf("violations: %v", v)
	}
}

func TestGuardEndsBadConnections(t *testing.T) {
	valid := func(n int, rest ...[]byte) []byte {
		return bytes.Join(append(slices.Clone(validDialogue()[:n]), rest...), nil)
	}
	for _, test := range []struct {
		name   string
		stream []byte
		want   Violation
	}{
		{"empty packet first", []byte{0, 0, 0, 0}, EmptyPacket},
		{"empty packet later", valid(3, []byte{0, 0, 0, 0}), EmptyPacket},
		{"no negotiation", frame(cmdHelo, "x\x00"), NotNegotiated},
		{"another protocol", []byte("EHLO x\r\nMAIL FROM:<>\r\n"), NotNegotiated},
		{"short negotiation", frame(cmdNegotiate, "\x00\x00\x00\x06"), MalformedPayload},
		{"long negotiation", frame(cmdNegotiate, string(make([]byte, 5000))), PacketTooLarge},
		{"absurd length first", []byte{0xff, 0xff, 0xff, 0xff, 'O'}, PacketTooLarge},
		{"absurd length", valid(3, []byte{0xff, 0xff, 0xff, 0xff, 'B'}), PacketTooLarge},
		{"512 MiB", valid(3, []byte{0x20, 0, 0, 0, 'L'}), PacketTooLarge},
		{"negotiated twice", valid(3, negotiation), NegotiatedTwice},
		{"too many macros", valid(3, frame(cmdMacro, "Mi\x00"+strings.Repeat("x", maxMacros)+"\x00")), PacketTooLarge},
		{"too many macros together", valid(3,
			frame(cmdMacro, "Mi\x00"+strings.Repeat("x", maxMacros*2/3)+"\x00"),
			frame(cmdMacro, "Ri\x00"+strings.Repeat("x", maxMacros*2/3)+"\x00")), PacketTooLarge},
		{"unknown command", valid(3, frame('Z', "")), UnknownCommand},
		{"helo without its NUL", valid(3, frame(cmdHelo, "x")), MalformedPayload},
		{"empty helo", valid(3, frame(cmdHelo, "")), MalformedPayload},
		{"mail without its NUL", valid(4, frame(cmdMail, "<a@b>")), MalformedPayload},
		{"empty mail", valid(4, frame(cmdMail, "")), MalformedPayload},
		{"rcpt without its NUL", valid(7, frame(cmdRcpt, "<a@b>")), MalformedPayload},
		{"header of one string", valid(9, frame(cmdHeader, "From\x00")), MalformedPayload},
		{"header of three strings", valid(9, frame(cmdHeader, "From\x00x\x00y\x00")), MalformedPayload},
		{"header without its NUL", valid(9, frame(cmdHeader, "From\x00x")), MalformedPayload},
		{"empty macro", valid(3, frame(cmdMacro, "")), MalformedPayload},
		{"macro without its NUL", valid(3, frame(cmdMacro, "Mi\x00x")), MalformedPayload},
		{"cut in a length", valid(3, []byte{0, 0}), Truncated},
		{"cut in a packet", valid(3, frame(cmdHelo, "host\x00")[:7]), Truncated},
		{"cut in a body", valid(12, frame(cmdBody, "hello")[:7]), Truncated},
	} {
		count := &counter{}
		send := guardedServer(t, count)
		send(test.stream)
		// The process is alive, and serves the next connection.
		if answers := send(bytes.Join(validDialogue(), nil)); len(answers) == 0 {
			t.Errorf("%s: the next connection got no answer", test.name)
		}
		if v := count.get().violations; len(v) != 1 || v[0] != string(test.want) {
			t.Errorf("%s: violations %v, want %s", test.name, v, test.want)
		}
	}
}

// TestGuardSurvivesMutations sends every truncation of every packet, and many random
// changes, and checks that none makes go-milter panic.
func TestGuardSurvivesMutations(t *testing.T) {
	count := &counter{}
	send := guardedServer(t, count)
	valid := validDialogue()
	for i, f := range valid {
		for cut := range len(f) - lengthSize {
			short := slices.Clone(f[:lengthSize+cut])
			binary.BigEndian.PutUint32(short, uint32(cut))
			stream := slices.Clone(valid[:i])
			send(bytes.Join(append(stream, short), nil))
		}
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 1500 {
		stream := bytes.Join(valid, nil)
		for range 1 + rnd.IntN(4) {
			stream[rnd.IntN(len(stream))] = byte(rnd.IntN(256))
		}
		send(stream)
	}
	if answers := send(bytes.Join(valid, nil)); len(answers) == 0 {
		t.Error("no answer after all that")
	}
}

func FuzzGuard(f *testing.F) {
	f.Add(bytes.Join(validDialogue(), nil))
	for i := range validDialogue() {
		f.Add(bytes.Join(validDialogue()[:i], nil))
	}
	f.Add([]byte{0, 0, 0, 0})
	send := guardedServer(f, &counter{})
	f.Fuzz(func(t *testing.T, stream []byte) {
		send(stream)
		if answers := send(negotiation); len(answers) == 0 {
			t.Error("no answer")
		}
	})
}

// pipe is a connection that counts its system calls.
type pipe struct {
	net.Conn
	in     *bytes.Reader
	reads  int
	writes [][]byte
}

func (p *pipe) Read(b []byte) (int, error) { p.reads++; return p.in.Read(b) }
func (p *pipe) Write(b []byte) (int, error) {
	p.writes = append(p.writes, slices.Clone(b))
	return len(b), nil
}
func (p *pipe) SetReadDeadline(time.Time) error  { return nil }
func (p *pipe) SetWriteDeadline(time.Time) error { return nil }
func (p *pipe) Close() error                     { return nil }
func (p *pipe) RemoteAddr() net.Addr             { return &net.TCPAddr{} }

func newPipe(stream []byte) (*pipe, *guarded) {
	p := &pipe{in: bytes.NewReader(stream)}
	l := newGuardedListener(nil, make(slots, 1), &counter{}, slog.New(slog.DiscardHandler))
	return p, newGuarded(p, l)
}

func TestGuardGathersWritesAndHoldsNoneBack(t *testing.T) {
	p, g := newPipe(negotiation)
	// go-milter writes this way: the head of a packet, then its payload.
	for _, part := range []string{"\x00\x00\x00\x03m", "x\x00", "\x00\x00\x00\x02i", "y", "\x00\x00\x00\x01a"} {
		if _, err := g.Write([]byte(part)); err != nil {
			t.Fatal(err)
		}
	}
	if len(p.writes) != 0 {
		t.Errorf("written before anybody waits: %q", p.writes)
	}
	buf := make([]byte, lengthSize)
	if _, err := io.ReadFull(g, buf); err != nil {
		t.Fatal(err)
	}
	if want := "\x00\x00\x00\x03mx\x00\x00\x00\x00\x02iy\x00\x00\x00\x01a"; len(p.writes) != 1 || string(p.writes[0]) != want {
		t.Errorf("writes %q", p.writes)
	}
	// Progress does not wait for a read.
	_, _ = g.Write([]byte("\x00\x00\x00\x01p"))
	if len(p.writes) != 2 {
		t.Errorf("progress was held back: %q", p.writes)
	}
	// Output written while input is buffered leaves before the next read that
	// waits, at the latest with Close.
	_, _ = g.Write([]byte("\x00\x00\x00\x01c"))
	_ = g.Close()
	if len(p.writes) != 3 {
		t.Errorf("lost at the end: %q", p.writes)
	}
}

func TestGuardReadsAhead(t *testing.T) {
	stream := slices.Concat(negotiation, frame(cmdMail, "<>\x00"))
	for range 30 {
		stream = append(stream, frame(cmdHeader, "Name\x00 some value\x00")...)
	}
	stream = append(stream, frame(cmdBody, string(make([]byte, 60_000)))...)
	_, g := newPipe(stream)
	if out, err := io.ReadAll(g); err != nil || !bytes.Equal(out, stream) {
		t.Fatalf("%d octets of %d, %v", len(out), len(stream), err)
	}
	// One read for all that fits the buffer; the body takes more.
	p, g := newPipe(stream[:len(stream)-60_005])
	if _, err := io.ReadAll(g); err != nil || p.reads > 2 {
		t.Errorf("%d reads, %v", p.reads, err)
	}
}

// late is a connection on which a message begins just as its listener ends, so that
// the read is woken without need.
type late struct {
	*pipe
	g    *guarded
	left int
}

func (c *late) Read(b []byte) (int, error) {
	if c.g.command == cmdMail && c.left > 0 {
		c.left--
		c.g.owner.ending.Store(true)
		return 0, os.ErrDeadlineExceeded
	}
	return c.pipe.Read(b)
}

func TestGuardGoesOnWithAMessageThatJustBegan(t *testing.T) {
	stream := slices.Concat(negotiation, frame(cmdMail, "<a@example.com>\x00"))
	rest := slices.Concat(frame(cmdHeader, "From\x00 a@example.com\x00"), frame(cmdEndHeader, ""), frame(cmdBody, "x"), frame(cmdEndMessage, ""))
	l := newGuardedListener(nil, make(slots, 1), &counter{}, slog.New(slog.DiscardHandler))
	c := &late{pipe: &pipe{in: bytes.NewReader(stream)}, left: 2}
	g := newGuarded(c, l)
	c.g = g
	got := make([]byte, len(stream)+len(rest))
	n := 0
	read := func(until int) {
		for n < until {
			m, err := g.Read(got[n:until])
			if err != nil {
				t.Fatalf("after %d octets: %v", n, err)
			}
			n += m
		}
	}
	read(len(stream))
	c.in = bytes.NewReader(rest)
	read(len(got))
	if c.left != 0 || !bytes.Equal(got, slices.Concat(stream, rest)) {
		t.Errorf("read %q", got)
	}
	if _, err := g.Read(got); !errors.Is(err, errEnded) {
		t.Errorf("after the message: %v", err)
	}
}

func TestGuardLimitsConnections(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	count := &counter{}
	l := newGuardedListener(inner, make(slots, 2), count, slog.New(slog.DiscardHandler))
	var clients, conns []net.Conn
	accepted := make(chan net.Conn)
	failed := make(chan error, 1)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				failed <- err
				return
			}
			accepted <- conn
		}
	}()
	dial := func() {
		t.Helper()
		c, err := net.Dial("tcp", inner.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		clients = append(clients, c)
	}
	dial()
	dial()
	conns = append(conns, <-accepted, <-accepted)
	select {
	case <-accepted:
		t.Fatal("Accept returned a connection that nobody opened")
	case <-time.After(50 * time.Millisecond):
	}
	if n := count.get().delayed; n != 0 {
		t.Errorf("%d delayed although there is a slot for each", n)
	}
	dial()
	eventually(t, "the third connection waits", func() bool { return count.get().delayed == 1 })
	select {
	case <-accepted:
		t.Fatal("Accept returned a third connection with two slots")
	case <-time.After(50 * time.Millisecond):
	}
	conns[0].Close()
	conns[0].Close() // the second Close must free no other slot
	conns = append(conns, <-accepted)
	if n := count.get().open; n != 2 {
		t.Errorf("%d open", n)
	}
	dial()
	eventually(t, "a fourth connection waits", func() bool { return count.get().delayed == 2 })
	l.Close()
	if err := <-failed; !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept ended with %v", err)
	}
	_ = clients[3].SetReadDeadline(time.Now().Add(patience))
	if _, err := clients[3].Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the connection that waited is left open: %v", err)
	}
	for _, c := range conns {
		c.Close()
	}
	if n := count.get().open; n != 0 {
		t.Errorf("%d open at the end", n)
	}
}

// scarce is a listener that lacks file descriptors for some time.
type scarce struct {
	net.Listener
	left int
}

func (s *scarce) Accept() (net.Conn, error) {
	if s.left > 0 {
		s.left--
		return nil, &net.OpError{Op: "accept", Err: os.NewSyscallError("accept4", syscall.EMFILE)}
	}
	return s.Listener.Accept()
}

// TestAcceptFails checks that temporary errors of Accept are counted and retried.
func TestAcceptFails(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	count := &counter{}
	l := newGuardedListener(&scarce{inner, 2}, make(slots, 1), count, slog.New(slog.DiscardHandler))
	defer l.Close()
	client, err := net.Dial("tcp", inner.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
	if got, want := count.get().errors, []string{string(StageListen), string(StageListen)}; !slices.Equal(got, want) {
		t.Errorf("errors in %q, want %q", got, want)
	}
}
