// Package web serves what people and monitoring read over HTTP: the metrics, the
// health checks, the status page and profiles.
//
// The health checks and the profiles are its own. For the rest it mounts handlers
// without knowing the packages that they come from.
package web

import (
	"context"
	"net"
	"net/http"
	"net/http/pprof"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// readyTimeout bounds what /readyz waits for.
const readyTimeout = 5 * time.Second

// Config says what a handler serves. A nil handler or function turns off what it
// is for.
type Config struct {
	// Metrics answers GET at /metrics.
	Metrics http.Handler
	// Ready returns nil if mail can be verified now, for /readyz.
	Ready func(context.Context) error
	// Page answers at /.
	Page http.Handler
	// Names returns the host names under which the page and the profiles may be
	// requested, besides "localhost" and every IP address.
	Names func() []string
	// Profiling reports whether /debug/pprof/ exists now.
	Profiling func() bool
}

// Handler returns a handler for /metrics; /healthz, which answers as long as the
// process runs; /readyz; the status page at /; and profiles below /debug/pprof/.
//
// The first three answer under any host name: monitoring reaches them under names that
// nobody has told us, and they tell nothing about a message or a person.
func Handler(c Config) http.Handler {
	mux := http.NewServeMux()
	if c.Metrics != nil {
		mux.Handle("GET /metrics", c.Metrics)
	}
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, "ok")
	})
	if c.Ready != nil {
		mux.HandleFunc("GET /readyz", c.readyz)
	}
	if c.Page != nil {
		mux.Handle("/{$}", c.byName(c.Page))
	}
	if c.Profiling != nil {
		mux.Handle("GET /debug/pprof/", c.byName(profiles(c.Profiling)))
	}
	return mux
}

func (c Config) readyz(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), readyTimeout)
	defer cancel()
	if err := c.Ready(ctx); err != nil {
		answer(w, http.StatusServiceUnavailable, "not ready: "+err.Error())
		return
	}
	answer(w, http.StatusOK, "ready")
}

// byName rejects requests for a host name that is not ours. Otherwise a web page
// open in a browser on this host could point its own name at us (DNS rebinding)
// and read what only this host may read.
func (c Config) byName(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !c.named(r.Host) {
			answer(w, http.StatusMisdirectedRequest, "unknown host name: use an IP address or a name of this host")
			return
		}
		h.ServeHTTP(w, r)
	})
}

// named reports whether hostport, from a Host field, is an IP address, localhost
// or a name of this host.
func (c Config) named(hostport string) bool {
	host := hostport
	if name, _, err := net.SplitHostPort(hostport); err == nil {
		host = name
	}
	if _, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil || strings.EqualFold(host, "localhost") {
		return true
	}
	if c.Names == nil {
		return false
	}
	return slices.ContainsFunc(c.Names(), func(name string) bool { return strings.EqualFold(host, name) })
}

// profiles serves the profiles of net/http/pprof while wanted returns true.
func profiles(wanted func() bool) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !wanted() {
			http.NotFound(w, r)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// answer sends a line of plain text.
func answer(w http.ResponseWriter, code int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(code)
	// An error means that the client went away.
	_, _ = w.Write([]byte(text + "\n"))
}
