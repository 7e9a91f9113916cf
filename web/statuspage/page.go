// Package statuspage shows to people, on one HTML page, what the milter did
// during the last day.
//
// A [Page] observes finished verdicts and DNS exchanges, keeps a summary of
// them in bounded memory, and serves it. The page is complete in itself: it has
// no script, fetches nothing, and its charts are drawn here.
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
// Personal data are the addresses and names of clients, what they say in HELO,
// mail addresses, author domains and all other domains that a message names,
// queue IDs, and texts that can hold any of these: the reasons that errors give,
// replies, and the details of overrides.
type Privacy uint8

const (
	// Full keeps and shows everything that this package knows of.
	Full Privacy = iota
	// Anonymous neither keeps nor shows personal data. What remains are numbers;
	// of each of the last messages its time, its results with their reasons as
	// far as these are names from a fixed set, its disposition, and the time
	// taken; and what is of our own: the configuration and the states of our
	// keys.
	Anonymous
	// Off keeps nothing, and there is no page.
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

// Config is what a [Page] knows from the start.
type Config struct {
	// Version of the binary, for people.
	Version string
	Privacy Privacy
	// Now is the clock, in whose time zone the page is; nil means time.Now.
	Now func() time.Time
}

// State is the configuration in force.
type State struct {
	AuthservID string
	// Config is the configuration as TOML, without secrets. Of it 64 KiB are
	// shown.
	Config string
	// LoadedAt is when it came into force.
	LoadedAt time.Time
}

// The bounds on what is shown of ourselves.
const (
	maxConfig     = 64 << 10 // octets
	maxConfigLine = 1024
	maxKeys       = 100
)

// Page is the status page. It implements [policy.Observer] and the Observer of
// package verify/dns, and is an [http.Handler] for the path "/". It is safe for
// concurrent use.
//
// Its memory is bounded by 2 MiB, whatever is observed: most of it are the eight
// tables of the author domains that fail DMARC, with 200 domains of 5 client
// addresses each, and the texts of the last 100 messages. What it serves is not
// longer than 3 MiB, nor than 250 KiB where nobody means harm.
type Page struct {
	version     string
	now         func() time.Time
	started     time.Time
	template    *template.Template
	policy      string // the Content-Security-Policy
	connections atomic.Int64
	// privacy is a Privacy. It changes under mu only.
	privacy atomic.Uint32

	mu       sync.Mutex
	recorder *recorder
	state    State
	failedAt time.Time // the last reload that was refused, if that was the last
	failure  string
	keys     []keyState
}

// keyState is what DNS publishes about a key of ours.
type keyState struct{ use, domain, selector, state string }

//go:embed page.html
var pageHTML string

//go:embed page.css
var pageCSS string

// New returns a Page on which nothing happened yet.
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

// contentPolicy allows one style element that holds css, and nothing else.
func contentPolicy(css string) string {
	sum := sha256.Sum256([]byte(css))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) +
		"'; form-action 'none'; frame-ancestors 'none'; base-uri 'none'"
}

func (p *Page) mode() Privacy { return Privacy(p.privacy.Load()) }

// SetPrivacy changes how much is kept. What must no longer be kept is forgotten.
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

// SetState tells which configuration is in force. It ends what ReloadFailed has
// told.
func (p *Page) SetState(s State) {
	s.Config = cleanLines(s.Config)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.state, p.failedAt, p.failure = s, time.Time{}, ""
}

// ReloadFailed tells that a configuration was refused, and why. The one before
// stays in force.
func (p *Page) ReloadFailed(at time.Time, err error) {
	text := shown(err.Error(), maxConfigLine)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.failedAt, p.failure = at, text
}

// KeyState tells what DNS publishes about a key of ours. use, domain and selector
// come from the configuration; state is a dkim.Published. Of further keys than
// 100 nothing is shown.
func (p *Page) KeyState(use, domain, selector, state string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	told := keyState{use, domain, selector, state}
	for i := range p.keys {
		k := &p.keys[i]
		if k.use == use && k.domain == domain && k.selector == selector {
			*k = told
			return
		}
	}
	if len(p.keys) < maxKeys {
		p.keys = append(p.keys, told)
	}
}

// ForgetKeys ends what KeyState has told.
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
		return // what was kept meanwhile is not what may be kept now
	}
	p.recorder.count(now, v)
	p.recorder.keep(&r)
	if mode == Full {
		p.recorder.failed(now, v)
	}
}

// DNSQuery counts one DNS exchange. qtype and rcode are those of the Observer of
// package verify/dns; every other one is counted as "other".
func (p *Page) DNSQuery(qtype, rcode string, took time.Duration) {
	p.countDNS(func(c *dnsCounts) { c.add(qtype, rcode, took) })
}

// DNSCacheHit counts a look-up that the cache answered.
func (p *Page) DNSCacheHit() { p.countDNS(func(c *dnsCounts) { c.hits++ }) }

// DNSCacheMiss counts a look-up that had to be asked.
func (p *Page) DNSCacheMiss() { p.countDNS(func(c *dnsCounts) { c.misses++ }) }

// DNSCacheStale counts a look-up that the cache answered with what had expired,
// because there was no other answer.
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

// ConnectionOpened and ConnectionClosed follow the connections from MTAs.
func (p *Page) ConnectionOpened() { p.connections.Add(1) }

// ConnectionClosed is the end of what ConnectionOpened began.
func (p *Page) ConnectionClosed() { p.connections.Add(-1) }

// ServeHTTP serves the page at "/", and nothing else.
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
		plain(w, http.StatusInternalServerError, shown("the page could not be made: "+err.Error(), maxConfigLine))
		return
	}
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	if r.Method == http.MethodGet {
		// A client that went away is no concern of ours.
		_, _ = w.Write(body)
	}
}

func plain(w http.ResponseWriter, code int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(code)
	_, _ = w.Write([]byte(text + "\n"))
}

var errPanic = errors.New("a failure of ours")

// paused is the query that asks for a page that does not reload itself.
const paused = "refresh=off"

// render returns the page. A failure of ours stays within it: the milter goes on.
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

// shown returns text from outside as it may be shown.
func shown(s string, most int) string {
	// errors.Join puts each on a line.
	return clean.Text(strings.ReplaceAll(s, "\n", ", "), most)
}

// cleanLines cleans a text of several lines.
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
