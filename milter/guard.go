package milter

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// inBuffer holds the packets of a connection but for body chunks, which go
	// straight to their reader. Larger packets get memory for as long as they
	// are read.
	inBuffer = 4 << 10
	// outFlush is how much output is gathered at most.
	outFlush = 64 << 10
)

// Deadlines of a connection.
const (
	// negotiateTime is how long a new connection may take for its first packet.
	negotiateTime = 30 * time.Second
	// idleTime is how long the MTA may be silent between two packets: longer
	// than any SMTP session lets its client be silent (libmilter's default).
	idleTime = 7210 * time.Second
	// frameTime is how long a packet that has begun may take to arrive.
	frameTime = time.Minute
	// writeTime is how long the MTA may take to read what we send.
	writeTime = 30 * time.Second
)

// errEnded ends a connection that has nothing more to do in a shutdown.
var errEnded = errors.New("milter: shutting down")

// guarded is a connection from an MTA on its way to go-milter, which trusts its
// peer: it would panic at an empty packet or a string without its end, and
// allocate whatever length it is told. guarded passes on only packets that have
// been checked, for length and for the shape that their command asks for.
//
// It also reads ahead and gathers writes, so that a batch of packets costs a
// system call or two each way. Gathered output leaves before a read that would
// wait, so nobody ever waits for it; progress leaves at once.
//
// One goroutine reads and writes. Close may be called by any.
type guarded struct {
	net.Conn
	owner *guardedListener

	in      []byte // buffered input: in[start:end] is to be read
	start   int
	end     int
	passing int // octets of the current packet that may be passed on
	first   bool
	command byte // of the current packet
	failed  error

	// busy tells that a message is on its way: from MAIL to the reply at its
	// end.
	busy atomic.Bool

	mu      sync.Mutex
	out     []byte
	pending int // octets of out that are an incomplete packet
	closed  bool
}

func newGuarded(conn net.Conn, owner *guardedListener) *guarded {
	return &guarded{Conn: conn, owner: owner, in: make([]byte, inBuffer), first: true}
}

// SetReadDeadline does nothing: go-milter allows one second for the first
// packet, which a busy MTA may need longer for. The deadlines are ours.
func (g *guarded) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline does nothing, for the same reason.
func (g *guarded) SetWriteDeadline(time.Time) error { return nil }

// Read implements [net.Conn].
func (g *guarded) Read(p []byte) (int, error) {
	if g.failed != nil {
		return 0, g.failed
	}
	if len(p) == 0 {
		return 0, nil
	}
	if g.passing == 0 {
		if err := g.next(); err != nil {
			g.failed = err
			g.owner.violation(g, err)
			return 0, err
		}
	}
	if g.start < g.end {
		n := copy(p, g.in[g.start:min(g.end, g.start+g.passing)])
		g.start += n
		g.passing -= n
		return n, nil
	}
	// The rest of a body chunk.
	n, err := g.receive(p[:min(len(p), g.passing)], frameTime)
	g.passing -= n
	if err != nil && n == 0 {
		g.failed = cut(err)
		g.owner.violation(g, g.failed)
		return 0, g.failed
	}
	return n, nil
}

// next reads and checks the next packet: all of it, or of a body chunk its
// command.
func (g *guarded) next() error {
	if g.command == cmdEndMessage {
		g.busy.Store(false)
	}
	if len(g.in) > inBuffer && g.start == g.end {
		g.in, g.start, g.end = make([]byte, inBuffer), 0, 0
	}
	if err := g.fill(lengthSize); err != nil {
		return err
	}
	length := binary.BigEndian.Uint32(g.in[g.start:])
	if length == 0 {
		return EmptyPacket
	}
	if err := g.fill(lengthSize + 1); err != nil {
		return err
	}
	command := g.in[g.start+lengthSize]
	if err := checkLength(length, command, g.first); err != nil {
		return err
	}
	whole := lengthSize + int(length)
	if command != cmdBody {
		if err := g.fill(whole); err != nil {
			return err
		}
		if err := checkPayload(command, g.in[g.start+lengthSize+1:g.start+whole]); err != nil {
			return err
		}
	}
	g.first = false
	g.command = command
	g.passing = whole
	switch command {
	case cmdMail:
		g.busy.Store(true)
	case cmdAbort, cmdQuit, cmdQuitNew:
		g.busy.Store(false)
	}
	return nil
}

// fill reads until n octets are buffered.
func (g *guarded) fill(n int) error {
	if g.end-g.start >= n {
		return nil
	}
	if g.start > 0 {
		g.end = copy(g.in, g.in[g.start:g.end])
		g.start = 0
	}
	if n > len(g.in) {
		g.in = append(make([]byte, 0, n), g.in[:g.end]...)[:n]
	}
	for g.end < n {
		limit := frameTime
		switch {
		case g.first && g.end == 0:
			limit = negotiateTime
		case g.end == 0:
			limit = idleTime
		}
		read, err := g.receive(g.in[g.end:], limit)
		g.end += read
		if err != nil && read == 0 {
			if g.owner.ending.Load() {
				return errEnded
			}
			if g.end == 0 && !errors.Is(err, os.ErrDeadlineExceeded) {
				return err // between two packets
			}
			return cut(err)
		}
	}
	return nil
}

// receive reads what there is, and waits until limit for it.
func (g *guarded) receive(p []byte, limit time.Duration) (int, error) {
	for {
		begun := time.Now()
		if err := g.await(limit); err != nil {
			return 0, err
		}
		n, err := g.Conn.Read(p)
		// end may have woken a read that it took for one between two messages,
		// when the next message had just begun: that one goes on.
		woken := g.owner.ending.Load() && g.busy.Load() &&
			errors.Is(err, os.ErrDeadlineExceeded) && time.Since(begun) < limit
		if n > 0 || !woken {
			return n, err
		}
	}
}

// await makes ready for a read that may wait: nothing that the MTA could be
// waiting for is held back.
func (g *guarded) await(limit time.Duration) error {
	if err := g.flush(); err != nil {
		if g.command == cmdEndMessage {
			g.owner.replyLost(g, err)
		}
		return err
	}
	if err := g.Conn.SetReadDeadline(time.Now().Add(limit)); err != nil {
		return err
	}
	// After the deadline, which end may have set before: see there.
	if g.start == g.end && g.passing == 0 && g.owner.ending.Load() && !g.busy.Load() {
		return errEnded
	}
	return nil
}

// cut returns what it means that a packet does not arrive whole.
func cut(err error) error {
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return TooSlow
	case errors.Is(err, io.EOF):
		return Truncated
	}
	return err
}

// Write implements [net.Conn]. It takes whole packets or parts of them.
func (g *guarded) Write(p []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return 0, net.ErrClosed
	}
	g.out = append(g.out, p...)
	g.pending += len(p)
	urgent := false
	for g.pending > lengthSize {
		frame := g.out[len(g.out)-g.pending:]
		size := lengthSize + int(binary.BigEndian.Uint32(frame))
		if len(frame) < size {
			break
		}
		urgent = urgent || frame[lengthSize] == replyProgress
		g.pending -= size
	}
	if urgent || len(g.out) >= outFlush {
		if err := g.flushLocked(); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}

func (g *guarded) flush() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.flushLocked()
}

func (g *guarded) flushLocked() error {
	if len(g.out) == 0 {
		return nil
	}
	if err := g.Conn.SetWriteDeadline(time.Now().Add(writeTime)); err != nil {
		return err
	}
	_, err := g.Conn.Write(g.out)
	if cap(g.out) > inBuffer {
		g.out = nil
	}
	g.out = g.out[:0]
	g.pending = 0
	return err
}

// Close implements [net.Conn].
func (g *guarded) Close() error {
	// A write that is under way may take its time: the connection is closed
	// under it, instead of after it.
	if g.mu.TryLock() {
		if !g.closed {
			_ = g.flushLocked() // the peer may be gone already
		}
		g.closed = true
		g.mu.Unlock()
	}
	g.owner.forget(g)
	return g.Conn.Close()
}
