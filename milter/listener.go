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

// slots bounds the connections on all listeners of a server.
type slots chan struct{}

// guardedListener accepts guarded connections, at most as many at a time as there
// are slots.
type guardedListener struct {
	net.Listener
	slots    slots
	observer Counter
	log      *slog.Logger
	// closing ends Accept; ending ends idle connections.
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
	// ConnectionDelayed counts a connection that has to wait for a free slot.
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

// Accept implements [net.Listener]. If there is no free slot, the connection waits
// for one, and others wait behind it in the kernel's queue: an MTA copes better
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

// accept retries after temporary errors, such as a lack of file descriptors: an
// error would end the listener for good.
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

// end closes the connections with no message in flight. The others close when
// their message has ended.
func (l *guardedListener) end() {
	l.ending.Store(true)
	l.mu.Lock()
	defer l.mu.Unlock()
	for g := range l.conns {
		if !g.busy.Load() {
			// Wakes a blocked read, whose goroutine then closes the connection.
			_ = g.Conn.SetReadDeadline(time.Unix(1, 0))
		}
	}
}

// forget frees the slot of a connection. It may be called twice.
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

// violation counts and logs err, which closes the connection, if the peer is to
// blame for it.
func (l *guardedListener) violation(g *guarded, err error) {
	var v Violation
	if !errors.As(err, &v) || l.ending.Load() {
		return
	}
	l.observe(g, v, "connection closed", g.dialogue.queueID)
}

// stray counts and logs part of a message that never began or was lost.
func (l *guardedListener) stray(g *guarded, queueID string) {
	l.observe(g, NoMessage, "part of a message that never began or was lost: deferred", queueID)
}

// unreadable counts and logs that a client address cannot be read.
func (l *guardedListener) unreadable(g *guarded) {
	l.observe(g, UnreadableAddress, "cannot read the client address: treated as unknown", "")
}

// observe counts and logs a violation and its consequence.
func (l *guardedListener) observe(g *guarded, v Violation, what, queueID string) {
	l.observer.ProtocolError(string(v))
	attrs := []any{"listener", l.Addr().String(), "peer", g.RemoteAddr().String(), "reason", string(v)}
	if queueID != "" {
		attrs = append(attrs, "queue_id", clean.Text(queueID, maxQueueID))
	}
	l.log.Warn(what, attrs...)
}

// replyLost counts and logs that an MTA did not take the reply to a message. The
// message may come again.
func (l *guardedListener) replyLost(g *guarded, err error) {
	l.observer.Error(string(StageAnswer))
	l.log.Warn("the MTA did not take the reply to a message", "listener", l.Addr().String(), "peer", g.RemoteAddr().String(), "error", err)
}
