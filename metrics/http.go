package metrics

import (
	"context"
	"net"
	"net/http"
	"net/http/pprof"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// readyTimeout bounds what /readyz waits for.
const readyTimeout = 5 * time.Second

// Web is what is served beside the metrics.
type Web struct {
	// Ready tells whether mail can be verified, for /readyz.
	Ready func(context.Context) error
	// Page, where set, answers at /.
	Page http.Handler
	// Names are the host names by which people may ask for the page and for
	// profiles, beside "localhost" and every address.
	Names func() []string
	// Profiling, where set, tells whether /debug/pprof/ is there now.
	Profiling func() bool
}

// Handler serves /metrics; /healthz, which answers as long as the process
// lives; /readyz; the status page; and profiles where they are wanted.
func (m *Metrics) Handler(web Web) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{
		Registry:          m.registry,
		EnableOpenMetrics: true,
	}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, "ok")
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), readyTimeout)
		defer cancel()
		if err := web.Ready(ctx); err != nil {
			answer(w, http.StatusServiceUnavailable, "not ready: "+err.Error())
			return
		}
		answer(w, http.StatusOK, "ready")
	})
	if web.Page != nil {
		mux.Handle("/{$}", web.byName(web.Page))
	}
	if web.Profiling != nil {
		mux.Handle("GET /debug/pprof/", web.byName(profiles(web.Profiling)))
	}
	return mux
}

// byName refuses requests under a host name that is not ours. A web page that
// somebody reads on this host could otherwise have its own name lead here, and so
// read what only this host may.
func (web Web) byName(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !web.named(r.Host) {
			answer(w, http.StatusMisdirectedRequest, "ask by an address of this host, or by its name")
			return
		}
		h.ServeHTTP(w, r)
	})
}

func (web Web) named(hostport string) bool {
	host := hostport
	if name, _, err := net.SplitHostPort(hostport); err == nil {
		host = name
	}
	if _, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil || strings.EqualFold(host, "localhost") {
		return true
	}
	if web.Names == nil {
		return false
	}
	return slices.ContainsFunc(web.Names(), func(name string) bool { return strings.EqualFold(host, name) })
}

// profiles serves what net/http/pprof has, as long as it is wanted.
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

func answer(w http.ResponseWriter, code int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(code)
	// A client that went away is no concern of ours.
	_, _ = w.Write([]byte(text + "\n"))
}

// NewServer returns an HTTP server for h with limits for slow clients.
func NewServer(h http.Handler) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      2 * time.Minute, // longer than a profile of the usual 30 seconds
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
	}
}
