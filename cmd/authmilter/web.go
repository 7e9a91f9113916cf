package main

import (
	"errors"
	"log/slog"
	"net"
	"net/http"
	"syscall"

	"authmilter/metrics"
)

// webServer serves the metrics at an address that a reload may change.
type webServer struct {
	handler http.Handler
	log     *slog.Logger
	server  *http.Server // nil: off
	// listener is the server's.
	listener net.Listener
}

// listen serves at addr, "" for nowhere, instead of where it did. On an error it
// goes on as before.
func (w *webServer) listen(addr string) error {
	var l net.Listener
	if addr != "" {
		var err error
		if l, err = net.Listen("tcp", addr); err != nil {
			return badKey("metrics.listen", "%s: %w", addr, listenReason(err))
		}
	}
	w.close()
	if l == nil {
		return nil
	}
	server := metrics.NewServer(w.handler)
	server.ErrorLog = slog.NewLogLogger(w.log.Handler(), slog.LevelWarn)
	w.server, w.listener = server, l
	// Ends with close.
	go func() {
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			w.log.Error("metrics server failed", "error", err)
		}
	}()
	return nil
}

// addr returns the address served, "" where that is nowhere.
func (w *webServer) addr() string {
	if w.server == nil {
		return ""
	}
	return w.listener.Addr().String()
}

func (w *webServer) close() {
	if w.server != nil {
		_ = w.server.Close()
		w.server = nil
	}
}

// listenReason returns what is wrong without the address, which is told anyway.
func listenReason(err error) error {
	if errors.Is(err, syscall.EADDRINUSE) {
		return errors.New("address already in use")
	}
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Err
	}
	return err
}
