package web

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func get(t *testing.T, h http.Handler, path string) (int, string) {
	t.Helper()
	w := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodGet, path, nil)
	r.Host = "127.0.0.1:9894"
	h.ServeHTTP(w, r)
	text, err := io.ReadAll(w.Result().Body)
	if err != nil {
		t.Fatal(err)
	}
	return w.Code, string(text)
}

// text answers with s.
func text(s string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, s) })
}

func TestHandler(t *testing.T) {
	var ready error
	profiling := false
	h := Handler(Config{
		Ready: func(ctx context.Context) error {
			if _, bounded := ctx.Deadline(); !bounded {
				t.Error("Ready is called without a deadline")
			}
			return ready
		},
		Metrics:   text("metrics\n"),
		Page:      text("page\n"),
		Profiling: func() bool { return profiling },
	})
	for _, tt := range []struct {
		path  string
		ready error
		code  int
		text  string
	}{
		{"/healthz", nil, http.StatusOK, "ok\n"},
		{"/healthz", errors.New("no"), http.StatusOK, "ok\n"},
		{"/readyz", nil, http.StatusOK, "ready\n"},
		{"/readyz", errors.New("no resolver answers"), http.StatusServiceUnavailable, "not ready: no resolver answers\n"},
		{"/metrics", nil, http.StatusOK, "metrics\n"},
		{"/", nil, http.StatusOK, "page\n"},
		{"/debug/pprof/", nil, http.StatusNotFound, "404 page not found\n"},
		{"/debug/pprof/heap", nil, http.StatusNotFound, "404 page not found\n"},
		{"/nonsense", nil, http.StatusNotFound, "404 page not found\n"},
	} {
		ready = tt.ready
		if code, text := get(t, h, tt.path); code != tt.code || text != tt.text {
			t.Errorf("%s, %v: %d %q", tt.path, tt.ready, code, text)
		}
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/metrics", nil))
	if w.Code != http.StatusMethodNotAllowed {
		t.Errorf("POST: %d", w.Code)
	}
	profiling = true
	if code, text := get(t, h, "/debug/pprof/"); code != http.StatusOK || !strings.Contains(text, "goroutine") {
		t.Errorf("profiles: %d %q", code, text)
	}
}

// TestHostNames holds that the page and the profiles are not shown under somebody
// else's name, and that what monitoring reads is.
func TestHostNames(t *testing.T) {
	h := Handler(Config{
		Metrics:   text("metrics\n"),
		Page:      text("page\n"),
		Profiling: func() bool { return true },
		Names:     func() []string { return []string{"mx.example.org"} },
	})
	for host, code := range map[string]int{
		"127.0.0.1:9894": http.StatusOK, "[::1]:9894": http.StatusOK, "192.0.2.1": http.StatusOK, "[2001:db8::1]": http.StatusOK,
		"localhost:9894": http.StatusOK, "LOCALHOST": http.StatusOK, "MX.example.org:9894": http.StatusOK,
		"attacker.example": http.StatusMisdirectedRequest, "attacker.example:9894": http.StatusMisdirectedRequest,
		"localhost.attacker.example": http.StatusMisdirectedRequest, "": http.StatusMisdirectedRequest,
		"127.0.0.1.attacker.example:9894": http.StatusMisdirectedRequest,
	} {
		for path, want := range map[string]int{"/": code, "/debug/pprof/": code, "/metrics": http.StatusOK, "/healthz": http.StatusOK} {
			r := httptest.NewRequest(http.MethodGet, path, nil)
			r.Host = host
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if w.Code != want {
				t.Errorf("%s under %q: %d, want %d", path, host, w.Code, want)
			}
		}
	}
}
