package milter

import (
	"bytes"
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
	// inBuffer is the size of the buffer for packets. Body chunks bypass it and
	// go straight to their reader; larger packets get memory while they are read.
	inBuffer = 4 << 10
	// outFlush is how much output may gather before it is written.
	outFlush = 64 << 10
)

// Deadlines of a connection.
const (
	// negotiateTime is how long a new connection may take to send its first packet.
	negotiateTime = 30 * time.Second
	// idleTime is how long the MTA may be silent between two packets: longer than
	// any SMTP client may be silent in a session (libmilter's default).
	idleTime = 7210 * time.Second
	// frameTime is how long the rest of a packet may take to arrive.
	frameTime = time.Minute
	// writeTime is how long the MTA may take to read what we send.
	writeTime = 30 * time.Second
)

// errEnded ends an idle connection during a shutdown.
var errEnded = errors.New("milter: shutting down")

// guarded protects go-milter from the peer of a connection. go-milter trusts its
// peer: it would panic on an empty packet or an unterminated string, and allocate
// whatever length the peer names. guarded checks the length of each packet and
// its format, and passes packets on in an order that go-milter does not
// misunderstand (see dialogue).
//
// It also reads ahead and gathers writes, so that a batch of packets costs only a
// system call or two each way. It writes gathered output before any read that
// might block, so nobody ever waits for it; progress is written at once.
//
// One goroutine reads and writes. Any goroutine may call Close.
type guarded struct {
	net.Conn
	owner *guardedListener

	in      []byte // buffered input: in[start:end] is unread
	start   int
	end     int
	passing int // octets of the current packet that may be passed on
	// made is what is left of packets we made, to be read before the current one;
	// spare is memory to reuse for the next ones.
	made, spare []byte
	first       bool
	command     byte // of the current packet
	failed      error

	dialogue dialogue

	// busy is set while a message is in flight: from MAIL to the reply at its
	// end.
	busy atomic.Bool

	mu      sync.Mutex
	out     []byte
	pending int // octets of out that are an incomplete packet
	// unasked is set if the next reply is to a packet we made, which the MTA must
	// not see.
	unasked bool
	closed  bool
}

func newGuarded(conn net.Conn, owner *guardedListener) *guarded {
	return &guarded{Conn: conn, owner: owner, in: make([]byte, inBuffer), first: true}
}

// SetReadDeadline does nothing: go-milter allows one second for the first
// packet, but a busy MTA may need longer. guarded sets its own deadlines.
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
	if len(g.made) == 0 && g.passing == 0 {
		if err := g.next(); err != nil {
			g.failed = err
			g.owner.violation(g, err)
			return 0, err
		}
	}
	if len(g.made) > 0 {
		n := copy(p, g.made)
		g.made = g.made[n:]
		return n, nil
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

// next reads and checks the next packet that is not held back: all of it, or only
// the command of a body chunk.
func (g *guarded) next() error {
	if g.command == cmdEndMessage {
		g.busy.Store(false)
	}
	for {
		if len(g.in) > inBuffer && g.start == g.end {
			g.in, g.start, g.end = make([]byte, inBuffer), 0, 0
		}
		command, whole, err := g.packet()
		if err != nil {
			return err
		}
		g.first = false
		payload := g.in[min(g.end, g.start+lengthSize+1):min(g.end, g.start+whole)]
		if command != cmdMacro {
			g.passOn(command, payload, whole)
			return nil
		}
		if err := g.dialogue.hold(payload); err != nil {
			return err
		}
		g.start += whole
	}
}

// packet buffers the next packet (at least the command of a body chunk) and checks
// it. It returns the command, and the size of the packet including its length.
func (g *guarded) packet() (command byte, whole int, err error) {
	if err := g.fill(lengthSize); err != nil {
		return 0, 0, err
	}
	length := binary.BigEndian.Uint32(g.in[g.start:])
	if length == 0 {
		return 0, 0, EmptyPacket
	}
	if err := g.fill(lengthSize + 1); err != nil {
		return 0, 0, err
	}
	command = g.in[g.start+lengthSize]
	if err := checkLength(length, command, g.first); err != nil {
		return 0, 0, err
	}
	whole = lengthSize + int(length)
	if command == cmdBody {
		return command, whole, nil
	}
	if err := g.fill(whole); err != nil {
		return 0, 0, err
	}
	return command, whole, checkPayload(command, g.in[g.start+lengthSize+1:g.start+whole])
}

// passOn makes a packet ready to be read, in a form that go-milter understands and
// after anything that go-milter must see first.
func (g *guarded) passOn(command byte, payload []byte, whole int) {
	g.command = command
	g.passing = whole
	g.made = g.spare[:0]
	// replaced is set if a packet we made is read instead of the MTA's.
	replaced := false
	switch {
	case command == cmdConnect:
		g.before(command)
		if readable, ok := readableConnect(payload); !ok {
			g.owner.unreadable(g)
			g.made = appendPacket(g.made, command, readable)
			replaced = true
		}
	case command == cmdEndMessage && len(payload) > 0:
		// libmilter calls SMFIC_BODYEOB the final body chunk (mfdef.h). go-milter
		// drops its contents, so they become a separate chunk.
		g.before(cmdBody)
		g.made = appendPacket(g.made, cmdBody, payload)
		g.before(command)
		g.made = appendPacket(g.made, command, nil)
		replaced = true
		g.mu.Lock()
		g.unasked = true
		g.mu.Unlock()
	default:
		g.before(command)
	}
	if replaced {
		g.start, g.passing = g.start+whole, 0
	}
	switch command {
	case cmdMail:
		g.busy.Store(true)
	case cmdAbort, cmdQuit, cmdQuitNew:
		g.busy.Store(false)
	}
	g.spare = g.made
	if cap(g.spare) > inBuffer {
		g.spare = nil
	}
}

// before queues what go-milter must read before a command.
func (g *guarded) before(command byte) {
	made, stray, queueID := g.dialogue.next(g.made, command)
	g.made = made
	if stray {
		g.owner.stray(g, queueID)
	}
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

// receive reads what is available. It waits up to limit for input.
func (g *guarded) receive(p []byte, limit time.Duration) (int, error) {
	for {
		begun := time.Now()
		if err := g.await(limit); err != nil {
			return 0, err
		}
		n, err := g.Conn.Read(p)
		// end may have woken this read because the connection was idle, just as
		// the next message began. That message continues.
		woken := g.owner.ending.Load() && g.busy.Load() &&
			errors.Is(err, os.ErrDeadlineExceeded) && time.Since(begun) < limit
		if n > 0 || !woken {
			return n, err
		}
	}
}

// await prepares for a read that may block: it writes out everything that the MTA
// could be waiting for, and sets the deadline.
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
	// Checked only now, because we may just have overwritten the deadline that end
	// has set.
	if g.start == g.end && g.passing == 0 && g.owner.ending.Load() && !g.busy.Load() {
		return errEnded
	}
	return nil
}

// cut returns the error to report if err cut a packet short.
func cut(err error) error {
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return TooSlow
	case errors.Is(err, io.EOF):
		return Truncated
	}
	return err
}

// Write implements [net.Conn]. It accepts whole packets or parts of them.
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
		g.pending -= size
		if g.unasked {
			g.unasked = false
			g.out = append(g.out[:len(g.out)-len(frame)], frame[size:]...)
			continue
		}
		urgent = urgent || frame[lengthSize] == replyProgress
	}
	if urgent || len(g.out) >= outFlush {
		if err := g.flushLocked(g.pending); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}

func (g *guarded) flush() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.flushLocked(0)
}

// flushLocked writes the gathered output except the last keep octets.
func (g *guarded) flushLocked(keep int) error {
	ready := len(g.out) - keep
	if ready == 0 {
		return nil
	}
	if err := g.Conn.SetWriteDeadline(time.Now().Add(writeTime)); err != nil {
		return err
	}
	_, err := g.Conn.Write(g.out[:ready])
	rest := g.out[ready:]
	if cap(g.out) > inBuffer {
		g.out = bytes.Clone(rest)
	} else {
		g.out = append(g.out[:0], rest...)
	}
	g.pending = keep
	return err
}

// Close implements [net.Conn].
func (g *guarded) Close() error {
	// A write in progress may take long, so the connection is closed during the
	// write, not after it.
	if g.mu.TryLock() {
		if !g.closed {
			_ = g.flushLocked(0) // the peer may be gone already
		}
		g.closed = true
		g.mu.Unlock()
	}
	g.owner.forget(g)
	return g.Conn.Close()
}
