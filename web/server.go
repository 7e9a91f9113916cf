package web

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"syscall"
	"time"

	"golang.org/x/net/netutil"
)

// Server serves a handler at an address that may change while it runs. It is not
// safe for concurrent use.
type Server struct {
	handler http.Handler
	log     *slog.Logger
	// server and listener are nil while nothing is served.
	server   *http.Server
	listener net.Listener
}

// NewServer returns a server for h that does not listen yet. It logs to log what
// goes wrong later.
func NewServer(h http.Handler, log *slog.Logger) *Server {
	return &Server{handler: h, log: log}
}

// Listen serves at addr, a "host:port", instead of the address before; "" stops
// serving. If it returns an error, which names addr, nothing has changed.
func (s *Server) Listen(addr string) error {
	var l net.Listener
	if addr != "" {
		var err error
		if l, err = net.Listen(network(addr), addr); err != nil {
			return fmt.Errorf("%s: %w", addr, reason(err))
		}
	}
	s.Close()
	if l == nil {
		return nil
	}
	l = netutil.LimitListener(l, maxConnections)
	server := newHTTPServer(s.handler)
	server.ErrorLog = slog.NewLogLogger(s.log.Handler(), slog.LevelWarn)
	s.server, s.listener = server, l
	// Close ends it.
	go func() {
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			s.log.Error("metrics server failed", "error", err)
		}
	}()
	return nil
}

// maxConnections bounds the connections at once. Further ones wait in the kernel's
// queue, where they take no file descriptor from the milter.
const maxConnections = 32

// network returns the network to listen on at addr. Go would open "0.0.0.0" for IPv6
// too.
func network(addr string) string {
	if a, err := netip.ParseAddrPort(addr); err == nil && a.Addr().Is4() {
		return "tcp4"
	}
	return "tcp"
}

// Addr returns the address served, "" if there is none.
func (s *Server) Addr() string {
	if s.server == nil {
		return ""
	}
	return s.listener.Addr().String()
}

// Close stops serving and closes all connections.
func (s *Server) Close() {
	if s.server != nil {
		_ = s.server.Close()
		s.server, s.listener = nil, nil
	}
}

// newHTTPServer returns an HTTP server for h with limits for slow clients.
func newHTTPServer(h http.Handler) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      2 * time.Minute,  // longer than a profile of the usual 30 seconds
		IdleTimeout:       10 * time.Second, // an idle connection keeps others waiting
		MaxHeaderBytes:    16 << 10,
	}
}

// reason returns what net.Listen's error says without the address.
func reason(err error) error {
	if errors.Is(err, syscall.EADDRINUSE) {
		return errors.New("address already in use")
	}
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Err
	}
	return err
}
