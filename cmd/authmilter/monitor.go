package main

import (
	"errors"
	"sync/atomic"
	"time"

	"authmilter/config"
	"authmilter/metrics"
	"authmilter/milter"
	"authmilter/web/statuspage"
)

// monitor passes events to the metrics and the status page.
type monitor struct {
	*metrics.Metrics
	page *statuspage.Page
	// names are the names of this host.
	names atomic.Pointer[[]string]
}

func newMonitor() *monitor {
	v, _ := buildVersion()
	return &monitor{
		Metrics: metrics.New(metrics.Config{Build: build(), ProtocolErrors: words(milter.Violations()), Stages: words(milter.Stages())}),
		// Nothing is kept until a configuration is in force.
		page: statuspage.New(statuspage.Config{Version: v, Privacy: statuspage.Off}),
	}
}

// DNSQuery implements [dns.Observer].
func (w *monitor) DNSQuery(qtype, rcode string, took time.Duration) {
	w.Metrics.DNSQuery(qtype, rcode, took)
	w.page.DNSQuery(qtype, rcode, took)
}

// DNSCacheHit implements [dns.Observer].
func (w *monitor) DNSCacheHit() {
	w.Metrics.DNSCacheHit()
	w.page.DNSCacheHit()
}

// DNSCacheMiss implements [dns.Observer].
func (w *monitor) DNSCacheMiss() {
	w.Metrics.DNSCacheMiss()
	w.page.DNSCacheMiss()
}

// DNSCacheStale implements [dns.Observer].
func (w *monitor) DNSCacheStale() {
	w.Metrics.DNSCacheStale()
	w.page.DNSCacheStale()
}

// ConnectionOpened implements [milter.Counter].
func (w *monitor) ConnectionOpened() {
	w.Metrics.ConnectionOpened()
	w.page.ConnectionOpened()
}

// ConnectionClosed implements [milter.Counter].
func (w *monitor) ConnectionClosed() {
	w.Metrics.ConnectionClosed()
	w.page.ConnectionClosed()
}

// keyState reports what DNS publishes for one of our keys.
func (w *monitor) keyState(k config.Key, state string) {
	w.KeyState(string(k.Use), k.Domain, k.Selector, state)
	w.page.KeyState(string(k.Use), k.Domain, k.Selector, state)
}

// forgetKeys discards what keyState reported.
func (w *monitor) forgetKeys() {
	w.ForgetKeys()
	w.page.ForgetKeys()
}

// refused reports that a new configuration was refused, so that inForce still holds.
func (w *monitor) refused(err error, inForce *config.Config) {
	now := time.Now()
	w.Reloaded(false, now)
	if privacy(inForce) == statuspage.Anonymous {
		err = errors.New("see the log for the reason") // err can contain a name
	}
	w.page.ReloadFailed(now, err)
}

// hostNames returns the host names under which the page is served.
func (w *monitor) hostNames() []string {
	if names := w.names.Load(); names != nil {
		return *names
	}
	return nil
}

// inForce reports that the configuration c is now in force.
func (w *monitor) inForce(c *config.Config) {
	now := time.Now()
	w.Reloaded(true, now)
	w.SetAuthorDomains(c.Metrics.AuthorDomains)
	w.SetLimits(metrics.Limits{
		Connections:  c.Limits.Connections,
		Messages:     c.Limits.Messages,
		EndOfMessage: time.Duration(c.Limits.EndOfMessage),
	})
	names := c.HostNames()
	w.names.Store(&names)
	w.page.SetPrivacy(privacy(c))
	w.page.SetState(statuspage.State{AuthservID: c.AuthservID, Config: configText(c), LoadedAt: now})
}

// privacy returns how much the status page keeps under c.
func privacy(c *config.Config) statuspage.Privacy {
	switch {
	case c.Metrics.StatusPage == config.StatusPageOff || c.Metrics.Listen == "":
		return statuspage.Off
	case c.Metrics.StatusPage == config.StatusPageAnonymous:
		return statuspage.Anonymous
	}
	return statuspage.Full
}

// configText returns the configuration as the status page shows it.
func configText(c *config.Config) string {
	hide := privacy(c) == statuspage.Anonymous && len(c.Override) > 0
	text, err := c.Text(!hide)
	switch {
	case err != nil:
		return "# " + err.Error()
	case hide:
		return "# Overrides are hidden.\n" + text
	}
	return text
}

func build() metrics.Build {
	v, revision := buildVersion()
	return metrics.Build{Version: v, Revision: revision}
}

// words returns a list of one kind of words as strings.
func words[T ~string](list []T) []string {
	var all []string
	for _, w := range list {
		all = append(all, string(w))
	}
	return all
}
