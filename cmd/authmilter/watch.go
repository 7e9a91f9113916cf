package main

import (
	"bytes"
	"errors"
	"net"
	"os"
	"sync/atomic"
	"time"

	"github.com/pelletier/go-toml/v2"

	"authmilter/metrics"
	"authmilter/web/statuspage"
)

// watch is told of all that happens, and tells the metrics and the status page.
type watch struct {
	*metrics.Metrics
	page *statuspage.Page
	// names are those of this host.
	names atomic.Pointer[[]string]
}

func newWatch() *watch {
	v, _ := buildVersion()
	return &watch{
		Metrics: metrics.New(metrics.Config{Build: build(), ProtocolErrors: violations(), Stages: stages()}),
		// Until a configuration is in force nothing is kept.
		page: statuspage.New(statuspage.Config{Version: v, Privacy: statuspage.Off}),
	}
}

// DNSQuery is of [dns.Observer], as those that follow.
func (w *watch) DNSQuery(qtype, rcode string, took time.Duration) {
	w.Metrics.DNSQuery(qtype, rcode, took)
	w.page.DNSQuery(qtype, rcode, took)
}

func (w *watch) DNSCacheHit() {
	w.Metrics.DNSCacheHit()
	w.page.DNSCacheHit()
}

func (w *watch) DNSCacheMiss() {
	w.Metrics.DNSCacheMiss()
	w.page.DNSCacheMiss()
}

func (w *watch) DNSCacheStale() {
	w.Metrics.DNSCacheStale()
	w.page.DNSCacheStale()
}

// ConnectionOpened is of [milter.Counter], as ConnectionClosed.
func (w *watch) ConnectionOpened() {
	w.Metrics.ConnectionOpened()
	w.page.ConnectionOpened()
}

func (w *watch) ConnectionClosed() {
	w.Metrics.ConnectionClosed()
	w.page.ConnectionClosed()
}

// keyState tells what DNS publishes about a key of ours.
func (w *watch) keyState(k ownKey, state string) {
	w.KeyState(k.use, k.domain, k.selector, state)
	w.page.KeyState(k.use, k.domain, k.selector, state)
}

// forgetKeys ends what keyState has told.
func (w *watch) forgetKeys() {
	w.ForgetKeys()
	w.page.ForgetKeys()
}

// refused tells that a configuration was not accepted, while inForce is.
func (w *watch) refused(err error, inForce *Config) {
	now := time.Now()
	w.Reloaded(false, now)
	if inForce.privacy() == statuspage.Anonymous {
		err = errors.New("see the log for the reason") // err may quote a name
	}
	w.page.ReloadFailed(now, err)
}

// hostNames returns the names by which people may ask for the page.
func (w *watch) hostNames() []string {
	if names := w.names.Load(); names != nil {
		return *names
	}
	return nil
}

// hostNames returns the names that this host may have.
func (c *Config) hostNames() []string {
	names := []string{c.AuthservID}
	if host, _, err := net.SplitHostPort(c.Metrics.Listen); err == nil {
		names = append(names, host)
	}
	if host, err := os.Hostname(); err == nil {
		names = append(names, host)
	}
	return names
}

// inForce tells which configuration is.
func (w *watch) inForce(c *Config) {
	now := time.Now()
	w.Reloaded(true, now)
	w.SetAuthorDomains(c.Metrics.AuthorDomains)
	w.SetLimits(metrics.Limits{
		Connections:  c.Limits.Connections,
		Messages:     c.Limits.Messages,
		EndOfMessage: time.Duration(c.Limits.EndOfMessage),
	})
	names := c.hostNames()
	w.names.Store(&names)
	w.page.SetPrivacy(c.privacy())
	w.page.SetState(statuspage.State{AuthservID: c.AuthservID, Config: c.shown(), LoadedAt: now})
}

// What metrics.status_page may say.
const (
	pageFull      choice = "full"
	pageAnonymous choice = "anonymous"
	pageOff       choice = "off"
)

// privacy returns how much the status page keeps.
func (c *Config) privacy() statuspage.Privacy {
	switch {
	case c.Metrics.StatusPage == pageOff || c.Metrics.Listen == "":
		return statuspage.Off
	case c.Metrics.StatusPage == pageAnonymous:
		return statuspage.Anonymous
	}
	return statuspage.Full
}

// shown returns the whole configuration for the status page. It holds no secret:
// keys are in files of their own. Overrides can name people.
func (c *Config) shown() string {
	visible := *c
	hidden := ""
	if c.privacy() == statuspage.Anonymous && len(c.Override) > 0 {
		visible.Override, hidden = nil, "# Overrides are not shown.\n"
	}
	var text bytes.Buffer
	if err := toml.NewEncoder(&text).Encode(&visible); err != nil {
		return "# " + err.Error()
	}
	return hidden + text.String()
}
