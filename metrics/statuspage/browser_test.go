package statuspage

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/html"
)

// chromium runs the browser without a window, and returns what it wrote.
func chromium(t *testing.T, args ...string) (stdout, stderr string) {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil || testing.Short() {
		t.Skip("chromium is not installed, or the test is to be short")
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	args = append([]string{
		"--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run",
		"--user-data-dir=" + t.TempDir(), "--enable-logging=stderr",
	}, args...)
	cmd := exec.CommandContext(ctx, path, args...)
	var out, log strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &log
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v: %s", err, log.String())
	}
	return out.String(), log.String()
}

// hostilePage returns a page with messages of which every field is markup.
func hostilePage() *Page {
	p := filled(Full)
	f := filler{names: true, text: func(n int) string { return fmt.Sprintf(hostile[n%len(hostile)], n) }}
	for range 3 {
		for _, v := range f.verdicts(p.now()) {
			p.Observe(v)
		}
	}
	f = filler{names: true, text: func(n int) string { return fmt.Sprint(n) + strings.Repeat("W", 300) }}
	for _, v := range f.verdicts(p.now()) {
		p.Observe(v)
	}
	return p
}

// TestBrowserHasNothingToComplainOf loads the page as people do: its style passes
// the Content-Security-Policy, and no text in it becomes anything else.
func TestBrowserHasNothingToComplainOf(t *testing.T) {
	for name, p := range map[string]*Page{"full": filled(Full), "anonymous": filled(Anonymous), "hostile": hostilePage()} {
		t.Run(name, func(t *testing.T) {
			var mu sync.Mutex
			var asked []string
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				mu.Lock()
				asked = append(asked, r.URL.Path)
				mu.Unlock()
				p.ServeHTTP(w, r)
			}))
			defer server.Close()
			dom, log := chromium(t, "--dump-dom", server.URL+"/")
			server.Close() // nothing is asked any more
			for line := range strings.Lines(log) {
				if strings.Contains(line, "CONSOLE") {
					t.Errorf("the console says %s", line)
				}
			}
			for _, path := range asked {
				if path != "/" && path != "/favicon.ico" {
					t.Errorf("the page asked for %s", path)
				}
			}
			if strings.Contains(dom, "<script") || strings.Contains(dom, "<img") || strings.Count(dom, "<style") != 1 {
				t.Error("the document holds what was not put into it")
			}
			if _, err := html.Parse(strings.NewReader(dom)); err != nil || !strings.Contains(dom, "Last messages") {
				t.Errorf("no page: %v", err)
			}
		})
	}
}

// measure is a page around the page that tells how wide it became, and whether
// its style was used.
const measure = `<!DOCTYPE html><title>measure</title>
<iframe src="/" width="%d" height="2000" onload="
	const root = this.contentDocument.documentElement;
	document.body.dataset.width = root.scrollWidth + ' ' + this.contentWindow.getComputedStyle(root).colorScheme;
"></iframe>`

// TestNothingScrollsSideways holds the page to the width that there is, on a
// phone and on a desk.
func TestNothingScrollsSideways(t *testing.T) {
	widths := regexp.MustCompile(`data-width="(\d+) ([a-z ]*)"`)
	for name, p := range map[string]*Page{"full": filled(Full), "anonymous": filled(Anonymous), "hostile": hostilePage()} {
		for _, width := range []int{360, 800, 1360} {
			t.Run(fmt.Sprintf("%s at %d", name, width), func(t *testing.T) {
				server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if r.URL.Path == "/measure" {
						fmt.Fprintf(w, measure, width)
						return
					}
					inner := httptest.NewRecorder()
					p.ServeHTTP(inner, r)
					// But for these two it is what the browser gets.
					policy := inner.Header().Get("Content-Security-Policy")
					inner.Header().Set("Content-Security-Policy", strings.Replace(policy, "frame-ancestors 'none'", "frame-ancestors 'self'", 1))
					inner.Header().Del("X-Frame-Options")
					for k, v := range inner.Header() {
						w.Header()[k] = v
					}
					w.WriteHeader(inner.Code)
					_, _ = w.Write(inner.Body.Bytes())
				}))
				defer server.Close()
				dom, log := chromium(t, "--dump-dom", "--hide-scrollbars", "--window-size=1600,2200", server.URL+"/measure")
				m := widths.FindStringSubmatch(dom)
				switch {
				case m == nil:
					t.Fatalf("not measured: %s", log)
				case m[1] != fmt.Sprint(width):
					t.Errorf("the page is %s wide", m[1])
				case m[2] != "light dark":
					t.Errorf("the page has no style: %q", m[2])
				}
			})
		}
	}
}
