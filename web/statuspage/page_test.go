package statuspage

import (
	"errors"
	"html/template"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// update reports whether to rewrite golden files.
var update = os.Getenv("AUTHMILTER_UPDATE") != ""

// few returns a page after three messages from each sender.
func few() *Page {
	c := newClock()
	end := c.t
	c.t = end.Add(-3 * time.Hour)
	p := New(Config{Version: "1.4.0", Now: c.now})
	p.SetState(State{AuthservID: "mx.example.org", Config: configText, LoadedAt: c.t})
	p.KeyState("seal", "example.org", "arc2026", "ok")
	p.KeyState("sign", "example.org", "ed2026", "missing")
	p.ConnectionOpened()
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 3 {
		for i := range senders {
			c.forward(6*time.Minute + 13*time.Second)
			v := senders[i].verdict(rnd, c.t)
			p.Observe(v)
			ask(p, rnd, v)
		}
	}
	p.ReloadFailed(c.t, errors.New("authmilter.toml:12:1: dns.timout: unknown key"))
	c.t = end
	return p
}

// TestGolden compares a whole page. AUTHMILTER_UPDATE=1 rewrites it.
func TestGolden(t *testing.T) {
	got := get(t, few())
	golden := filepath.Join("testdata", "page.html")
	if update {
		if err := os.WriteFile(golden, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	gotLines, wantLines := strings.Split(got, "\n"), strings.Split(string(want), "\n")
	for i := range min(len(gotLines), len(wantLines)) {
		if gotLines[i] != wantLines[i] {
			t.Fatalf("line %d is\n%s\nwant\n%s", i+1, gotLines[i], wantLines[i])
		}
	}
	if len(gotLines) != len(wantLines) {
		t.Errorf("%d lines, want %d", len(gotLines), len(wantLines))
	}
}

func TestHandler(t *testing.T) {
	p := filled(Full)
	for _, test := range []struct {
		method, target string
		code           int
		kind           string
	}{
		{http.MethodGet, "/", 200, "text/html; charset=utf-8"},
		{http.MethodHead, "/", 200, "text/html; charset=utf-8"},
		{http.MethodGet, "/?refresh=off", 200, "text/html; charset=utf-8"},
		{http.MethodPost, "/", 405, "text/plain; charset=utf-8"},
		{http.MethodOptions, "/", 405, "text/plain; charset=utf-8"},
		{"<script>", "/", 405, "text/plain; charset=utf-8"},
		{http.MethodGet, "/x", 404, "text/plain; charset=utf-8"},
		{http.MethodGet, "//", 404, "text/plain; charset=utf-8"},
		{http.MethodGet, "/favicon.ico", 404, "text/plain; charset=utf-8"},
		{http.MethodPost, "/x", 404, "text/plain; charset=utf-8"},
	} {
		r := httptest.NewRequest(http.MethodGet, test.target, nil)
		r.Method = test.method
		w := httptest.NewRecorder()
		p.ServeHTTP(w, r)
		h := w.Header()
		if w.Code != test.code || h.Get("Content-Type") != test.kind {
			t.Errorf("%s %s: %d %s", test.method, test.target, w.Code, h.Get("Content-Type"))
		}
		if (w.Code == 405) != (h.Get("Allow") == "GET, HEAD") {
			t.Errorf("%s %s: Allow: %s", test.method, test.target, h.Get("Allow"))
		}
		for name, want := range map[string]string{
			"X-Content-Type-Options":       "nosniff",
			"X-Frame-Options":              "DENY",
			"Referrer-Policy":              "no-referrer",
			"Cache-Control":                "no-store",
			"Cross-Origin-Resource-Policy": "same-origin",
			"Content-Security-Policy":      contentPolicy(pageCSS),
		} {
			if h.Get(name) != want {
				t.Errorf("%s %s: %s: %s", test.method, test.target, name, h.Get(name))
			}
		}
		if n := w.Body.Len(); (n == 0) != (test.method == http.MethodHead) {
			t.Errorf("%s %s: %d octets", test.method, test.target, n)
		}
		if w.Code == 200 {
			if n, err := strconv.Atoi(h.Get("Content-Length")); err != nil || n < 10000 {
				t.Errorf("%s %s: Content-Length: %s", test.method, test.target, h.Get("Content-Length"))
			}
		}
		if test.method == http.MethodGet && w.Code == 200 {
			if reloads := strings.Contains(w.Body.String(), `http-equiv="refresh"`); reloads != (test.target == "/") {
				t.Errorf("%s: reloads is %v", test.target, reloads)
			}
		}
	}
}

// TestBrokenRendering holds that an error while rendering sends no partial page and
// breaks nothing else.
func TestBrokenRendering(t *testing.T) {
	p := filled(Full)
	code := func() int {
		w := httptest.NewRecorder()
		p.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
		if w.Code != 200 && strings.Contains(w.Body.String(), "<p>") {
			t.Error("a part of the page was sent")
		}
		return w.Code
	}
	whole := p.template
	p.template = template.Must(template.New("broken").Parse("<p>{{.NoSuchField}}"))
	if code() != 500 {
		t.Error("no error from a broken template")
	}
	p.template = whole
	now := p.now
	p.now = func() time.Time { panic("no clock") }
	if code() != 500 {
		t.Error("no error from a panic")
	}
	p.now = now
	p.Observe(senders[0].verdict(newRand(), p.now()))
	if code() != 200 {
		t.Error("no page any more")
	}
}
