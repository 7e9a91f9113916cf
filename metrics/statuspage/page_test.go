package statuspage

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"html/template"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"authmilter/policy"
	"authmilter/verify/dkim"
	"authmilter/verify/dmarc"
)

// update says that golden files are to be rewritten.
var update = os.Getenv("AUTHMILTER_UPDATE") != ""

// few returns a page after three messages of each sender.
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

// elements are those that a page has.
var elements = []string{
	"a", "b", "body", "caption", "dd", "div", "dl", "dt", "figcaption", "figure", "h1", "h2", "head", "header", "html", "i", "li", "main",
	"meta", "p", "path", "pre", "rect", "section", "small", "span", "style", "svg", "table", "tbody", "td", "th", "thead", "time", "title",
	"tr", "ul",
}

// attributes are those that its elements have.
var attributes = []string{
	"aria-hidden", "aria-labelledby", "charset", "class", "colspan", "content", "d", "data-label", "datetime", "height", "href",
	"http-equiv", "id", "lang", "name", "preserveAspectRatio", "role", "rowspan", "scope", "tabindex", "viewBox", "width", "x", "y",
}

// parse returns the elements of a page, and fails the test for one that could
// do or fetch something.
func parse(t *testing.T, page string) []*html.Node {
	t.Helper()
	doc, err := html.Parse(strings.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	var all []*html.Node
	for n := range doc.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		all = append(all, n)
		if !slices.Contains(elements, n.Data) {
			t.Errorf("element %s", n.Data)
		}
		for _, a := range n.Attr {
			if !slices.Contains(attributes, a.Key) {
				t.Errorf("%s has the attribute %s", n.Data, a.Key)
			}
			if a.Key == "href" && !strings.HasPrefix(a.Val, "?") {
				t.Errorf("a link to %s", a.Val)
			}
		}
	}
	return all
}

func attribute(n *html.Node, key string) string {
	for _, a := range n.Attr {
		if a.Key == key {
			return a.Val
		}
	}
	return ""
}

// textOf returns the text below n.
func textOf(n *html.Node) string {
	var b strings.Builder
	for d := range n.Descendants() {
		if d.Type == html.TextNode {
			b.WriteString(d.Data)
		}
	}
	return strings.Join(strings.Fields(b.String()), " ")
}

// row returns the cells of the first row of a section whose text begins with name.
func row(t *testing.T, nodes []*html.Node, section, name string) []string {
	t.Helper()
	for _, n := range nodes {
		if n.Data != "section" || attribute(n, "aria-labelledby") != section {
			continue
		}
		for d := range n.Descendants() {
			if d.Type != html.ElementNode || d.Data != "tr" {
				continue
			}
			var cells []string
			for c := range d.ChildNodes() {
				if c.Type == html.ElementNode {
					cells = append(cells, textOf(c))
				}
			}
			if strings.HasPrefix(strings.Join(cells, " ")+" ", name) {
				return cells
			}
		}
	}
	t.Errorf("no row %q in %s", name, section)
	return nil
}

// TestPageIsHarmless holds that the page has what it may have only, and that the
// Content-Security-Policy lets its style pass.
func TestPageIsHarmless(t *testing.T) {
	for _, mode := range []Privacy{Full, Anonymous} {
		p := filled(mode)
		w := httptest.NewRecorder()
		p.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
		page := w.Body.String()
		parse(t, page)
		for _, forbidden := range []string{"<script", "style=", "http://", "https://", "url(", "@import", "javascript:", "<link", "<img", "<iframe", "<form"} {
			if strings.Contains(page, forbidden) {
				t.Errorf("%v: the page holds %s", mode, forbidden)
			}
		}
		begin, end := strings.Index(page, "<style>"), strings.Index(page, "</style>")
		if begin < 0 || end < 0 || strings.Count(page, "<style") != 1 {
			t.Fatalf("%v: not one style element", mode)
		}
		sum := sha256.Sum256([]byte(page[begin+len("<style>") : end]))
		want := "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) +
			"'; form-action 'none'; frame-ancestors 'none'; base-uri 'none'"
		if got := w.Header().Get("Content-Security-Policy"); got != want {
			t.Errorf("%v: Content-Security-Policy\n%s\nwant\n%s", mode, got, want)
		}
	}
}

// TestEveryClassHasAStyle holds the template and the style sheet to each other.
func TestEveryClassHasAStyle(t *testing.T) {
	nodes := append(parse(t, get(t, filled(Full))), parse(t, get(t, few()))...)
	used := map[string]bool{}
	for _, n := range nodes {
		for _, class := range strings.Fields(attribute(n, "class")) {
			used[class] = true
		}
	}
	for class := range used {
		if !strings.Contains(pageCSS, "."+class) {
			t.Errorf("class %s has no style", class)
		}
	}
}

// TestAccessibility holds what a page for everybody has.
func TestAccessibility(t *testing.T) {
	nodes := parse(t, get(t, filled(Full)))
	ids := map[string]int{}
	for _, n := range nodes {
		if id := attribute(n, "id"); id != "" {
			ids[id]++
		}
	}
	for _, n := range nodes {
		child := func(name string) bool {
			for c := range n.ChildNodes() {
				if c.Type == html.ElementNode && c.Data == name && textOf(c) != "" {
					return true
				}
			}
			return false
		}
		switch n.Data {
		case "html":
			if attribute(n, "lang") != "en" {
				t.Error("no language")
			}
		case "table":
			if !child("caption") {
				t.Errorf("a table without a caption: %.60s", textOf(n))
			}
		case "svg":
			if attribute(n, "role") != "img" || !child("title") {
				t.Error("a drawing without a title")
			}
		case "th":
			if attribute(n, "scope") == "" {
				t.Errorf("a heading without a scope: %s", textOf(n))
			}
		}
		if by := attribute(n, "aria-labelledby"); by != "" && ids[by] != 1 {
			t.Errorf("%d elements are called %s", ids[by], by)
		}
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

// TestNumbers holds that the page tells what was observed.
func TestNumbers(t *testing.T) {
	c := newClock()
	p := New(Config{Version: "1", Now: c.now})
	p.SetState(State{AuthservID: "mx.example.org", LoadedAt: c.t})
	rnd := newRand()
	observe := func(sender, times int) {
		for range times {
			p.Observe(senders[sender].verdict(rnd, c.t))
		}
	}
	// Five hours ago, and now.
	observe(3, 1000) // rejected
	c.forward(5 * time.Hour)
	observe(0, 1200) // passed, two signatures
	observe(3, 30)
	observe(4, 20) // quarantined
	observe(6, 10) // deferred
	observe(7, 7)  // authenticated
	observe(8, 3)  // local
	for range 40 {
		p.DNSQuery("TXT", "NOERROR", 10*time.Millisecond)
	}
	for range 10 {
		p.DNSQuery("MX", "timeout", 60*time.Millisecond)
	}
	p.DNSQuery("CAA", "BADSIG", 0)
	for range 3 {
		p.DNSCacheHit()
	}
	p.DNSCacheMiss()
	p.DNSCacheStale()
	p.ConnectionOpened()
	p.ConnectionOpened()
	p.ConnectionClosed()

	page := get(t, p)
	nodes := parse(t, page)
	for _, test := range []struct {
		section, row string
		want         []string
	}{
		{"volume", "none", []string{"none", "1,200", "1,200"}},
		{"volume", "quarantine", []string{"quarantine", "20", "20"}},
		{"volume", "defer", []string{"defer", "10", "10"}},
		{"volume", "reject", []string{"reject", "30", "1,030"}},
		{"volume", "verified", []string{"verified", "1,260", "2,260"}},
		{"volume", "skipped", []string{"skipped", "10", "10"}},
		{"volume", "by authenticated", []string{"by authenticated", "7", "7"}},
		{"volume", "by network", []string{"by network", "3", "3"}},
		{"volume", "by overload", []string{"by overload", "0", "0"}},
		{"volume", "forged fields removed", []string{"forged fields removed", "30", "1,030"}},
		{"methods", "dkim 1 h", []string{"dkim", "1 h", "97.6 %", "2,460", "dkim, 1 h: none 2.0 %, pass 97.6 %, temperror 0.4 %", "pass 2,400 none 50 temperror 10"}},
		{"methods", "spf 1 h", []string{"spf", "1 h", "95.2 %", "1,260", "spf, 1 h: pass 95.2 %, fail 2.4 %, softfail 1.6 %, temperror 0.8 %", "pass 1,200 softfail 20 temperror 10 fail 30"}},
		{"methods", "dmarc 1 h", []string{"dmarc", "1 h", "95.2 %", "1,260", "dmarc, 1 h: pass 95.2 %, fail 4.0 %, temperror 0.8 %", "pass 1,200 temperror 10 fail 50"}},
		{"methods", "arc 1 h", []string{"arc", "1 h", "0.0 %", "1,260", "arc, 1 h: none 100 %", "none 1,260"}},
		{"methods", "24 h", []string{"24 h", "69.4 %", "3,460", "dkim, 24 h: none 30.3 %, pass 69.4 %, temperror 0.3 %", "pass 2,400 none 1,050 temperror 10"}},
		{"dns", "NOERROR", []string{"NOERROR", "40", "78.4 %"}},
		{"dns", "timeout", []string{"timeout", "10", "19.6 %"}},
		{"dns", "other", []string{"other", "1", "2.0 %"}},
		{"dns", "asked for MX", []string{"asked for MX", "10", "19.6 %"}},
		{"dns", "asked for other", []string{"asked for other", "1", "2.0 %"}},
		{"dns", "mean latency", []string{"mean latency", "19.6 ms"}},
		{"dns", "longest", []string{"longest", "60.0 ms"}},
		{"dns", "found in the cache", []string{"found in the cache", "60.0 %"}},
		{"dns", "hits", []string{"hits", "3"}},
		{"dns", "misses", []string{"misses", "1"}},
		{"dns", "expired, used all the same", []string{"expired, used all the same", "1"}},
		{"talkers", "bank.example", []string{"bank.example", "reject", "1,030", "19:37:20", "203.0.113.200 1,030"}},
		{"talkers", "shop.example", []string{"shop.example", "quarantine", "20", "19:37:20", "203.0.113.9 20"}},
	} {
		if got := row(t, nodes, test.section, test.row); !slices.Equal(got, test.want) {
			t.Errorf("%q, want %q", got, test.want)
		}
	}
	tiles := map[string]string{}
	for _, n := range nodes {
		if n.Data == "dt" {
			tiles[textOf(n)] = textOf(n.Parent)
		}
	}
	for name, want := range map[string]string{
		"Messages verified":  "Messages verified1,2601 h · 24 h: 2,260",
		"DMARC pass":         "DMARC pass95.2 %1 h · 24 h: 53.1 %",
		"DNS without answer": "DNS without answer21.6 %1 h · mean: 19.6 ms",
		"Connections open":   "Connections open1now",
	} {
		if tiles[name] != want {
			t.Errorf("%q, want %q", tiles[name], want)
		}
	}
	if n := strings.Count(page, `<tr role="row"><th scope="row"`); n != maxMessages {
		t.Errorf("%d messages", n)
	}
	if !strings.Contains(page, "19:37: 1,270 messages (none 1,200, quarantine 20, defer 10, reject 30, skipped 10)") {
		t.Error("the chart of the hour has not got the last minute")
	}
	if !strings.Contains(page, "14:30: 1,000 messages (reject 1,000)") {
		t.Error("the chart of the day has not got its first quarter")
	}

	c.forward(time.Hour)
	nodes = parse(t, get(t, p))
	if got := row(t, nodes, "volume", "verified"); !slices.Equal(got, []string{"verified", "0", "2,260"}) {
		t.Errorf("an hour later: %q", got)
	}
	c.forward(24 * time.Hour)
	nodes = parse(t, get(t, p))
	if got := row(t, nodes, "volume", "verified"); !slices.Equal(got, []string{"verified", "0", "0"}) {
		t.Errorf("a day later: %q", got)
	}
	if got := row(t, nodes, "talkers", "none"); !slices.Equal(got, []string{"none"}) {
		t.Errorf("a day later: %q", got)
	}
}

// TestMessages holds that a message is told with its reasons.
func TestMessages(t *testing.T) {
	c := newClock()
	p := New(Config{Now: c.now})
	rnd := newRand()
	for i := range senders {
		v := senders[i].verdict(rnd, c.t)
		v.QueueID = fmt.Sprintf("Q%d", i)
		v.Took, v.EndOfMessage = 250*time.Millisecond, 20*time.Millisecond
		p.Observe(v)
		c.forward(time.Second)
	}
	nodes := parse(t, get(t, p))
	for at, want := range map[string][]string{
		"14:37:22": {"14:37:22Q2", "198.51.100.77lists.example.netiprev pass",
			"university.examplego-users-bounces@lists.example.net",
			"fail university.example mailbody hash did not verifypass lists.example.net l1", "pass lists.example.netmatched mx",
			"failno authenticated identifier aligns with the author domain", "pass lists.example.net arc1",
			"nonebecause of dmarctrusted forwarder: lists.example.net says that university.example passed", "250 mswait 20.0 ms"},
		"14:37:23": {"14:37:23Q3", "203.0.113.200helo [203.0.113.200]iprev permerrorthe address has no name",
			"bank.exampleservice@bank.example", "none", "fail bank.examplematched -all", "failno authenticated identifier", "none",
			"rejectbecause of dmarc550 5.7.1 rejected by the DMARC policy of bank.exampleforged fields removed: 1", "250 mswait 20.0 ms"},
		"14:37:25": {"14:37:25Q5", "192.0.2.130smtp.club.exampleiprev pass", "club.example<>", "none",
			"none smtp.club.exampleno SPF record", "noneno DMARC policy record", "none", "none", "250 mswait 20.0 ms"},
		"14:37:27": {"14:37:27Q7", "192.0.2.77laptop.example.org", "bob@example.org", "skipped: authenticated", "signed example.org", "250 ms"},
	} {
		if got := row(t, nodes, "messages", at); got != nil && !slices.Equal(got, want) {
			t.Errorf("%s:\n%q\nwant\n%q", at, got, want)
		}
	}
}

// TestManyOfEach holds that what is left out is told.
func TestManyOfEach(t *testing.T) {
	p := New(Config{Now: newClock().now})
	v := senders[0].verdict(newRand(), p.now())
	v.Result.DKIM = slices.Repeat([]dkim.Result{{Status: dkim.Policy, Reason: dkim.ReasonTooMany}}, 9)
	v.Result.Author.Domains = []string{"a.example", "b.example", "c.example"}
	v.Result.Author.Err = errors.New("several From fields")
	v.Decision.Intended = policy.Reject
	v.Seal.Err = errors.New("no key\nno luck")
	p.Observe(v)
	nodes := parse(t, get(t, p))
	got := strings.Join(row(t, nodes, "messages", "14:37:20"), "|")
	for _, want := range []string{
		"policytoo many signatures", "and 5 more signatures", "a.example and 2 more", "several From fields", "would be reject", "not sealed: no key, no luck",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in %s", want, got)
		}
	}
}

func TestAttention(t *testing.T) {
	quiet := func() (*clock, *Page) {
		c := newClock()
		p := New(Config{Now: c.now})
		rnd := newRand()
		for range 200 {
			p.Observe(senders[0].verdict(rnd, c.t))
			p.DNSQuery("TXT", "NOERROR", time.Millisecond)
		}
		p.KeyState("sign", "example.org", "s1", "ok")
		return c, p
	}
	slow := *senders[0].verdict(newRand(), newClock().t)
	slow.EndOfMessage = 5 * time.Second
	overloaded := policy.Verdict{Skip: policy.Overload}
	for _, test := range []struct {
		name string
		do   func(*clock, *Page)
		want string // "" for none
	}{
		{"nothing", func(*clock, *Page) {}, ""},
		{"reload", func(c *clock, p *Page) { p.ReloadFailed(c.t, errors.New("bad")) }, "refused at 14:37:20"},
		{"reload mended", func(c *clock, p *Page) { p.ReloadFailed(c.t, errors.New("bad")); p.SetState(State{LoadedAt: c.t}) }, ""},
		{"key", func(_ *clock, p *Page) { p.KeyState("sign", "example.org", "s1", "mismatch") }, "Key s1 of example.org: mismatch in DNS."},
		{"key forgotten", func(_ *clock, p *Page) { p.KeyState("sign", "example.org", "s1", "mismatch"); p.ForgetKeys() }, ""},
		{"overload", func(_ *clock, p *Page) { p.Observe(&overloaded) }, "1 messages passed on unverified"},
		{"one temperror", func(c *clock, p *Page) { p.Observe(senders[6].verdict(newRand(), c.t)) }, ""},
		{"temperrors", func(c *clock, p *Page) {
			for range 20 {
				p.Observe(senders[6].verdict(newRand(), c.t))
			}
		}, "temporary errors"},
		{"dns", func(_ *clock, p *Page) {
			for range 11 {
				p.DNSQuery("TXT", "SERVFAIL", 0)
			}
		}, "5.2 % of the DNS exchanges"},
		{"no such name", func(_ *clock, p *Page) {
			for range 100 {
				p.DNSQuery("TXT", "NXDOMAIN", 0)
			}
		}, ""},
		{"wait", func(_ *clock, p *Page) {
			for range 5 {
				p.Observe(&slow)
			}
		}, "waited 5.00 s"},
		{"silence", func(c *clock, _ *Page) { c.forward(2 * time.Hour) }, "No message"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, p := quiet()
			test.do(c, p)
			v := p.snapshot().view()
			var all []string
			for _, n := range v.Attention {
				all = append(all, n.Text)
			}
			got := strings.Join(all, "|")
			if (test.want == "") != (got == "") || !strings.Contains(got, test.want) {
				t.Errorf("%q, want %q", got, test.want)
			}
		})
	}
}

// hostile are texts that do harm where they are not escaped.
var hostile = []string{
	`</style><script>alert(%d)</script>`,
	`"><img src=x onerror=alert(%d)>`,
	`' onmouseover='alert(%d)`,
	`</title></td></table><style>*{display:none}%d</style>`,
	`{{.}}<!--%d`,
	`javascript:alert(%d)`,
	"\x00\x1b[2J\r\n\xff\xc3%d\u202e\u2028",
	`]]>&lt;script&#62;%d`,
}

// TestHostileTexts puts markup into every field there is.
func TestHostileTexts(t *testing.T) {
	c := newClock()
	p := New(Config{Version: hostile[0], Now: c.now})
	p.SetState(State{AuthservID: hostile[1], Config: strings.Join(hostile, "\n"), LoadedAt: c.t})
	p.ReloadFailed(c.t, errors.New(hostile[3]))
	for _, h := range hostile {
		p.KeyState(h, h, h, h)
		p.DNSQuery(h, h, 0)
	}
	f := filler{names: true, text: func(n int) string { return fmt.Sprintf(hostile[n%len(hostile)], n) }}
	before := get(t, New(Config{Now: c.now}))
	for range len(hostile) {
		for _, v := range f.verdicts(c.t) {
			p.Observe(v)
		}
	}
	page := get(t, p)
	nodes := parse(t, page)
	if strings.Count(page, "<style") != 1 || strings.Contains(page, "<script") || strings.Contains(page, "<img") {
		t.Error("markup passed")
	}
	if strings.Contains(page, "<!--") {
		t.Error("a comment passed")
	}
	for _, r := range page {
		if r < ' ' && r != '\n' && r != '\t' || r == '\u202e' || r == '\u2028' || r == '\uFFFD' {
			t.Errorf("the page holds %q", r)
		}
	}
	// The table is whole: it has a row for each message.
	rows := 0
	for _, n := range nodes {
		if attribute(n, "role") == "rowheader" && attribute(n, "class") == "when" {
			rows++
		}
	}
	if rows != len(hostile)*5 {
		t.Errorf("%d messages", rows)
	}
	if !strings.Contains(page, "alert(") || strings.Contains(before, "alert(") {
		t.Error("nothing of what was put in is shown")
	}
}

// TestAnonymous holds that no text of a message is kept or shown.
func TestAnonymous(t *testing.T) {
	c := newClock()
	mark := func(n int) string { return fmt.Sprintf("MARK%d", n) }
	show := func(mode Privacy) (string, *filler, *Page) {
		p := New(Config{Privacy: mode, Now: c.now})
		f := filler{text: mark, names: true}
		for _, v := range f.verdicts(c.t) {
			p.Observe(v)
		}
		return get(t, p), &f, p
	}
	page, f, p := show(Anonymous)
	if len(f.all) < 100 || f.addresses < 4 {
		t.Fatalf("only %d texts and %d addresses", len(f.all), f.addresses)
	}
	for _, leak := range []string{"MARK", "beef", "Client", "Author domain"} {
		if strings.Contains(page, leak) {
			i := strings.Index(page, leak)
			t.Errorf("the page holds %s", page[max(i-200, 0):min(i+100, len(page))])
		}
	}
	for _, m := range p.recorder.last() {
		if strings.Contains(m.text, "MARK") || m.client.IsValid() {
			t.Errorf("kept %q of %v", m.text, m.client)
		}
	}
	for _, block := range p.recorder.talkers.slots {
		if len(block.offenders) > 0 {
			t.Error("author domains are kept")
		}
	}
	if !strings.Contains(page, "without personal data") {
		t.Error("the page does not tell that it is anonymous")
	}
	parse(t, page)
	// That the test can see a leak.
	page, _, _ = show(Full)
	if strings.Count(page, "MARK") < 30 || !strings.Contains(page, "2001:db8:beef::") {
		t.Error("the full page shows none of it")
	}
}

// TestAnonymousTellsReasons holds that what is a name of ours stays.
func TestAnonymousTellsReasons(t *testing.T) {
	nodes := parse(t, get(t, filled(Anonymous)))
	for _, n := range nodes {
		if attribute(n, "aria-labelledby") != "messages" {
			continue
		}
		for _, want := range []string{"body hash", "not aligned", "not authenticated", "because of dmarc", "trusted forwarder", "skipped: authenticated", "signed"} {
			if !strings.Contains(textOf(n), want) {
				t.Errorf("no %q", want)
			}
		}
		return
	}
	t.Error("no messages")
}

func TestSetPrivacy(t *testing.T) {
	has := func(p *Page, text string) bool { return strings.Contains(get(t, p), text) }
	p := filled(Full)
	if !has(p, "bank.example") || !has(p, "203.0.113.200") {
		t.Fatal("nothing is there to be forgotten")
	}
	p.SetPrivacy(Anonymous)
	for _, text := range []string{"bank.example", "203.0.113.200", "4gX"} {
		if has(p, text) {
			t.Errorf("%s is shown", text)
		}
	}
	verified := row(t, parse(t, get(t, p)), "volume", "verified")[2]
	if verified == "0" {
		t.Error("the numbers are forgotten")
	}
	p.SetPrivacy(Full)
	for _, text := range []string{"bank.example", "203.0.113.200", "4gX"} {
		if has(p, text) {
			t.Errorf("%s was kept", text)
		}
	}
	p.SetPrivacy(Off)
	w := httptest.NewRecorder()
	p.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	if w.Code != http.StatusNotFound {
		t.Errorf("off: %d", w.Code)
	}
	p.Observe(senders[3].verdict(newRand(), p.now()))
	p.DNSQuery("TXT", "NOERROR", 0)
	p.DNSCacheHit()
	p.ConnectionOpened() // is open still when there is a page again
	p.SetPrivacy(Full)
	nodes := parse(t, get(t, p))
	if got := row(t, nodes, "volume", "verified"); !slices.Equal(got, []string{"verified", "0", "0"}) {
		t.Errorf("off and on: %q", got)
	}
	if got := row(t, nodes, "dns", "hits"); !slices.Equal(got, []string{"hits", "0"}) {
		t.Errorf("off and on: %q", got)
	}
	if !has(p, ">8</dd>") {
		t.Error("connections are not 8")
	}
	if New(Config{Privacy: 77, Now: p.now}).mode().String() != "off" {
		t.Error("an unknown mode is not off")
	}
}

// TestBrokenRendering holds that a failure of ours does not pass on.
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

// TestPageSize holds the page to a size whatever is in it.
func TestPageSize(t *testing.T) {
	c := newClock()
	long := strings.Repeat("'", 5000) // five octets each where it is escaped
	p := New(Config{Version: long, Now: c.now})
	p.SetState(State{AuthservID: long, Config: strings.Repeat("key = \"value\"\n", 100000)})
	p.ReloadFailed(c.t, errors.New(long))
	for i := range 1000 {
		p.KeyState(long, long, fmt.Sprint(i)+long, long)
	}
	f := filler{names: true, text: func(n int) string { return fmt.Sprint(n) + long }}
	for _, v := range f.verdicts(c.t) {
		if v.Result == nil {
			continue
		}
		v.Result.DKIM = slices.Repeat(v.Result.DKIM, 20)
		for range maxMessages {
			p.Observe(v)
		}
	}
	page := get(t, p)
	t.Logf("%d octets", len(page))
	if len(page) > 3<<20 {
		t.Errorf("%d octets", len(page))
	}
	if n := len(p.keys); n != maxKeys {
		t.Errorf("%d keys", n)
	}
	parse(t, page)
}

// TestMemory holds a Page to the bound that its comment tells.
func TestMemory(t *testing.T) {
	c := newClock()
	heap := func() int64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	long := strings.Repeat("x", 250)
	f := filler{names: true, text: func(n int) string { return fmt.Sprint(n) + long }}
	verdicts := f.verdicts(c.t)
	v := verdicts[len(verdicts)-1]
	v.Result.DKIM = slices.Repeat(v.Result.DKIM, 10)
	v.Result.DMARC.Status = dmarc.Fail
	const messages = 100_000 // over two days: each table is filled many times
	step := 48 * time.Hour / time.Duration(messages)
	before := heap()
	p := New(Config{Now: c.now})
	for i := range messages {
		// All that is new for each message is one large string, as the header is,
		// and the texts are parts of it.
		header := strconv.Itoa(i) + long + long
		v.Envelope.MailFrom, v.QueueID = header[:300], header[:200]
		v.Envelope.ClientIP = address(i)
		v.Result.DMARC.Author = header[:253]
		p.Observe(v)
		if i%10 == 0 {
			p.DNSQuery("TXT", "NOERROR", time.Millisecond)
		}
		c.forward(step)
	}
	grown := heap() - before
	runtime.KeepAlive(p)
	runtime.KeepAlive(v)
	t.Logf("%d KiB", grown>>10)
	if grown > 2<<20 {
		t.Errorf("grown by %d KiB", grown>>10)
	}
	if len(p.recorder.last()) != maxMessages {
		t.Error("messages are missing")
	}
}
