// Package statuspage serves one HTML page that shows people what the milter did
// during the last day.
//
// A [Page] observes finished verdicts and DNS queries, keeps a summary of them in
// bounded memory, and serves it. The page is self-contained: it has no script and
// fetches nothing, and this package draws its charts.
package statuspage

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"errors"
	"html/template"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"authmilter/policy"
	"authmilter/verify/clean"
)

// Privacy says how much a [Page] keeps and shows.
//
// Personal data are the addresses, names and HELO names of clients, mail
// addresses, author domains and all other domains that a message names, queue
// IDs, and texts that can hold any of these: error texts, replies, and the
// details of overrides.
type Privacy uint8

const (
	// Full keeps and shows everything that this package knows about.
	Full Privacy = iota
	// Anonymous neither keeps nor shows personal data. What remains is numbers, our
	// own configuration, the states of our keys, and a line for each of the last
	// messages: its time, its disposition, the time taken, and its results, with
	// reasons only if they come from a fixed set.
	Anonymous
	// Off keeps nothing and serves no page.
	Off
)

// String returns "full", "anonymous" or "off".
func (p Privacy) String() string {
	switch p {
	case Full:
		return "full"
	case Anonymous:
		return "anonymous"
	}
	return "off"
}

// Config configures a new [Page].
type Config struct {
	// Version is the version of the binary, as the page shows it.
	Version string
	Privacy Privacy
	// Now returns the current time; nil means time.Now. The page shows times in
	// the time zone of the time that Now returns.
	Now func() time.Time
}

// State is the configuration in force.
type State struct {
	AuthservID string
	// Config is the configuration as TOML, without secrets. The page shows the
	// first 64 KiB.
	Config string
	// LoadedAt is when the configuration came into force.
	LoadedAt time.Time
}

// Bounds on what the page shows about the configuration and our keys.
const (
	maxConfig     = 64 << 10 // octets
	maxConfigLine = 1024
	maxKeys       = 100
)

// Page is the status page. It implements [policy.Observer] and the Observer
// interface of package verify/dns, and is an [http.Handler] for the path "/". It
// is safe for concurrent use.
//
// It uses at most 2 MiB of memory, whatever it observes. Most of that is for the
// eight tables of author domains that fail DMARC, with 200 domains of 5 client
// addresses each, and for the texts of the last 100 messages. The page served is
// at most 3 MiB long; unless there is an attack, at most 250 KiB.
type Page struct {
	version     string
	now         func() time.Time
	started     time.Time
	template    *template.Template
	policy      string // the Content-Security-Policy
	connections atomic.Int64
	// privacy is a Privacy. It is changed only with mu held.
	privacy atomic.Uint32

	mu       sync.Mutex
	recorder *recorder
	state    State
	failedAt time.Time // of the last reload, if it failed
	failure  string
	keys     []keyState
}

// keyState is the state of one of our keys in DNS.
type keyState struct{ use, domain, selector, state string }

//go:embed page.html
var pageHTML string

//go:embed page.css
var pageCSS string

// New returns a Page that has observed nothing yet.
func New(c Config) *Page {
	if c.Now == nil {
		c.Now = time.Now
	}
	now := c.Now()
	p := &Page{
		version:  c.Version,
		now:      c.Now,
		started:  now,
		template: template.Must(template.New("page").Parse(pageHTML)),
		policy:   contentPolicy(pageCSS),
		recorder: newRecorder(now),
	}
	p.privacy.Store(uint32(c.Privacy))
	return p
}

// contentPolicy returns a Content-Security-Policy that allows one style element,
// which must contain css, and nothing else.
func contentPolicy(css string) string {
	sum := sha256.Sum256([]byte(css))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) +
		"'; form-action 'none'; frame-ancestors 'none'; base-uri 'none'"
}

func (p *Page) mode() Privacy { return Privacy(p.privacy.Load()) }

// SetPrivacy changes how much is kept, and forgets what may no longer be kept.
func (p *Page) SetPrivacy(to Privacy) {
	now := p.now()
	p.mu.Lock()
	defer p.mu.Unlock()
	if to != Full {
		p.recorder.forget(now)
	}
	if to != Full && to != Anonymous {
		p.recorder = newRecorder(now)
	}
	p.privacy.Store(uint32(to))
}

// SetState records the configuration in force. It clears what ReloadFailed
// recorded.
func (p *Page) SetState(s State) {
	s.Config = cleanLines(s.Config)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.state, p.failedAt, p.failure = s, time.Time{}, ""
}

// ReloadFailed records that a configuration was rejected, and why. The previous
// one stays in force.
func (p *Page) ReloadFailed(at time.Time, err error) {
	text := shown(err.Error(), maxConfigLine)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.failedAt, p.failure = at, text
}

// KeyState records the state of one of our keys in DNS. use, domain and selector
// come from the configuration; state is a dkim.Published. The page shows at most
// 100 keys.
func (p *Page) KeyState(use, domain, selector, state string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	found := keyState{use, domain, selector, state}
	for i := range p.keys {
		k := &p.keys[i]
		if k.use == use && k.domain == domain && k.selector == selector {
			*k = found
			return
		}
	}
	if len(p.keys) < maxKeys {
		p.keys = append(p.keys, found)
	}
}

// ForgetKeys clears what KeyState recorded.
func (p *Page) ForgetKeys() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.keys = nil
}

// Observe implements [policy.Observer].
func (p *Page) Observe(v *policy.Verdict) {
	mode := p.mode()
	if mode == Off {
		return
	}
	now := p.now()
	r := newRecord(v, mode != Full)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mode() != mode {
		return // r was made for the previous mode
	}
	p.recorder.count(now, v)
	p.recorder.keep(&r)
	if mode == Full {
		p.recorder.failed(now, v)
	}
}

// DNSQuery counts one DNS query. qtype and rcode are named as in the Observer
// interface of package verify/dns; other names are counted as "other".
func (p *Page) DNSQuery(qtype, rcode string, took time.Duration) {
	p.countDNS(func(c *dnsCounts) { c.add(qtype, rcode, took) })
}

// DNSCacheHit counts a look-up that the cache answered.
func (p *Page) DNSCacheHit() { p.countDNS(func(c *dnsCounts) { c.hits++ }) }

// DNSCacheMiss counts a look-up that needed a query.
func (p *Page) DNSCacheMiss() { p.countDNS(func(c *dnsCounts) { c.misses++ }) }

// DNSCacheStale counts a look-up that an expired cache entry answered, because no
// server did.
func (p *Page) DNSCacheStale() { p.countDNS(func(c *dnsCounts) { c.stale++ }) }

func (p *Page) countDNS(count func(*dnsCounts)) {
	if p.mode() == Off {
		return
	}
	now := p.now()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mode() != Off {
		count(&p.recorder.hour.at(now).dns)
	}
}

// ConnectionOpened counts a connection from an MTA as open.
func (p *Page) ConnectionOpened() { p.connections.Add(1) }

// ConnectionClosed counts a connection from an MTA as closed.
func (p *Page) ConnectionClosed() { p.connections.Add(-1) }

// ServeHTTP serves the page at "/" and answers 404 everywhere else.
func (p *Page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", p.policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
	switch {
	case r.URL.Path != "/" || p.mode() == Off:
		plain(w, http.StatusNotFound, "not found")
		return
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		h.Set("Allow", "GET, HEAD")
		plain(w, http.StatusMethodNotAllowed, "method not allowed")
		return
	}
	body, err := p.render(r.URL.RawQuery != paused)
	if err != nil {
		plain(w, http.StatusInternalServerError, shown("cannot render the page: "+err.Error(), maxConfigLine))
		return
	}
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	if r.Method == http.MethodGet {
		// An error means that the client went away.
		_, _ = w.Write(body)
	}
}

func plain(w http.ResponseWriter, code int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(code)
	_, _ = w.Write([]byte(text + "\n"))
}

var errPanic = errors.New("internal error")

// paused is the URL query for a page that does not reload itself.
const paused = "refresh=off"

// render returns the page. It recovers from panics, so that a bug here does not
// stop the milter.
func (p *Page) render(refresh bool) (page []byte, err error) {
	defer func() {
		if recover() != nil {
			page, err = nil, errPanic
		}
	}()
	v := p.snapshot().view()
	v.Refresh = refresh
	var b bytes.Buffer
	if err := p.template.Execute(&b, v); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// shown cleans s, a text from outside, for the page. most is the maximum length in
// octets.
func shown(s string, most int) string {
	// errors.Join puts each error on a line of its own.
	return clean.Text(strings.ReplaceAll(s, "\n", ", "), most)
}

// cleanLines cleans a text of several lines and cuts it to maxConfig octets.
func cleanLines(s string) string {
	var b strings.Builder
	for line := range strings.Lines(s) {
		line = strings.ReplaceAll(strings.TrimRight(line, "\r\n"), "\t", "    ")
		line = clean.Text(line, maxConfigLine)
		if b.Len()+len(line) >= maxConfig {
			b.WriteString("...\n")
			break
		}
		b.WriteString(line)
		b.WriteByte('\n')
	}
	return b.String()
}
