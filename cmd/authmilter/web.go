package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"

	"authmilter/metrics"
)

// webServer serves the metrics at an address that a reload may change.
type webServer struct {
	handler http.Handler
	log     *slog.Logger
	server  *http.Server // nil: off
}

// listen serves at addr, "" for nowhere, instead of where it did. On an error it
// goes on as before.
func (w *webServer) listen(addr string) error {
	var l net.Listener
	if addr != "" {
		var err error
		if l, err = net.Listen("tcp", addr); err != nil {
			return &keyError{"metrics.listen", fmt.Errorf("%s: %w", addr, listenReason(err))}
		}
	}
	w.close()
	if l == nil {
		return nil
	}
	server := metrics.NewServer(w.handler)
	w.server = server
	// Ends with close.
	go func() {
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			w.log.Error("metrics server failed", "error", err)
		}
	}()
	return nil
}

func (w *webServer) close() {
	if w.server != nil {
		_ = w.server.Close()
		w.server = nil
	}
}

// listenReason returns what is wrong without the address, which is told anyway.
func listenReason(err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Err
	}
	return err
}
