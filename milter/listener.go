package milter

import (
	"errors"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"authmilter/verify/clean"
)

// slots bound the connections of all listeners of a server.
type slots chan struct{}

// guardedListener hands out connections that are guarded, and at most as many
// at a time as there are slots.
type guardedListener struct {
	net.Listener
	slots    slots
	observer Counter
	log      *slog.Logger
	// closing ends Accept; ending ends the connections that have nothing to do.
	closing chan struct{}
	once    sync.Once
	ending  atomic.Bool

	mu    sync.Mutex
	conns map[*guarded]struct{}
}

// ConnObserver counts what happens on connections. It must be quick and safe
// for concurrent use.
type ConnObserver interface {
	ConnectionOpened()
	ConnectionClosed()
	// ConnectionDelayed counts a connection that waits because there are too
	// many.
	ConnectionDelayed()
	// ProtocolError counts a [Violation].
	ProtocolError(violation string)
}

func newGuardedListener(l net.Listener, s slots, o Counter, log *slog.Logger) *guardedListener {
	return &guardedListener{
		Listener: l,
		slots:    s,
		observer: o,
		log:      log,
		closing:  make(chan struct{}),
		conns:    map[*guarded]struct{}{},
	}
}

// Accept implements [net.Listener]. A connection for which there is no slot waits
// for one, and others behind it in the kernel's queue: the MTA has more patience
// with that than with a connection that is closed at once.
func (l *guardedListener) Accept() (net.Conn, error) {
	conn, err := l.accept()
	if err != nil {
		return nil, err
	}
	select {
	case l.slots <- struct{}{}:
	default:
		l.observer.ConnectionDelayed()
		select {
		case l.slots <- struct{}{}:
		case <-l.closing:
			_ = conn.Close()
			return nil, net.ErrClosed
		}
	}
	g := newGuarded(conn, l)
	l.mu.Lock()
	l.conns[g] = struct{}{}
	l.mu.Unlock()
	l.observer.ConnectionOpened()
	return g, nil
}

// accept waits out what passes, such as a lack of file descriptors: an error
// would end the listener for good.
func (l *guardedListener) accept() (net.Conn, error) {
	for pause := 5 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		conn, err := l.Listener.Accept()
		if err == nil || errors.Is(err, net.ErrClosed) {
			return conn, err
		}
		l.observer.Error(string(StageListen))
		l.log.Error("cannot accept connections", "listener", l.Addr().String(), "error", err)
		select {
		case <-time.After(pause):
		case <-l.closing:
			return nil, net.ErrClosed
		}
	}
}

// Close implements [net.Listener]. It may be called twice.
func (l *guardedListener) Close() (err error) {
	l.once.Do(func() {
		close(l.closing)
		err = l.Listener.Close()
	})
	return err
}

// end closes the connections that carry no message now, and lets the others
// close when theirs has ended.
func (l *guardedListener) end() {
	l.ending.Store(true)
	l.mu.Lock()
	defer l.mu.Unlock()
	for g := range l.conns {
		if !g.busy.Load() {
			// Wakes a read that waits; the reader then closes.
			_ = g.Conn.SetReadDeadline(time.Unix(1, 0))
		}
	}
}

// forget gives the slot of a connection free. It may be called twice.
func (l *guardedListener) forget(g *guarded) {
	l.mu.Lock()
	_, open := l.conns[g]
	delete(l.conns, g)
	l.mu.Unlock()
	if open {
		<-l.slots
		l.observer.ConnectionClosed()
	}
}

// violation counts and logs err if the peer is to blame for it. The connection is
// closed.
func (l *guardedListener) violation(g *guarded, err error) {
	var v Violation
	if !errors.As(err, &v) || l.ending.Load() {
		return
	}
	l.tell(g, v, "connection closed", g.dialogue.queueID)
}

// stray counts and logs that octets of a message came without one.
func (l *guardedListener) stray(g *guarded, queueID string) {
	l.tell(g, NoMessage, "part of a message that did not begin or was lost: deferred", queueID)
}

// unreadable counts and logs that a client address cannot be read.
func (l *guardedListener) unreadable(g *guarded) {
	l.tell(g, UnreadableAddress, "client address not readable: taken for unknown", "")
}

// tell counts and logs a violation, and what comes of it.
func (l *guardedListener) tell(g *guarded, v Violation, what, queueID string) {
	l.observer.ProtocolError(string(v))
	attrs := []any{"listener", l.Addr().String(), "peer", g.RemoteAddr().String(), "reason", string(v)}
	if queueID != "" {
		attrs = append(attrs, "queue_id", clean.Text(queueID, maxQueueID))
	}
	l.log.Warn(what, attrs...)
}

// replyLost counts and logs that an MTA did not take what was found out about a
// message, which may have it back again.
func (l *guardedListener) replyLost(g *guarded, err error) {
	l.observer.Error(string(StageAnswer))
	l.log.Warn("the MTA did not take the reply to a message", "listener", l.Addr().String(), "peer", g.RemoteAddr().String(), "error", err)
}
