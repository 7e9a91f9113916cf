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

// monitor is told of all that happens, and tells the metrics and the status page.
type monitor struct {
	*metrics.Metrics
	page *statuspage.Page
	// names are those of this host.
	names atomic.Pointer[[]string]
}

func newMonitor() *monitor {
	v, _ := buildVersion()
	return &monitor{
		Metrics: metrics.New(metrics.Config{Build: build(), ProtocolErrors: violations(), Stages: stages()}),
		// Until a configuration is in force nothing is kept.
		page: statuspage.New(statuspage.Config{Version: v, Privacy: statuspage.Off}),
	}
}

// DNSQuery is of [dns.Observer], as those that follow.
func (w *monitor) DNSQuery(qtype, rcode string, took time.Duration) {
	w.Metrics.DNSQuery(qtype, rcode, took)
	w.page.DNSQuery(qtype, rcode, took)
}

func (w *monitor) DNSCacheHit() {
	w.Metrics.DNSCacheHit()
	w.page.DNSCacheHit()
}

func (w *monitor) DNSCacheMiss() {
	w.Metrics.DNSCacheMiss()
	w.page.DNSCacheMiss()
}

func (w *monitor) DNSCacheStale() {
	w.Metrics.DNSCacheStale()
	w.page.DNSCacheStale()
}

// ConnectionOpened is of [milter.Counter], as ConnectionClosed.
func (w *monitor) ConnectionOpened() {
	w.Metrics.ConnectionOpened()
	w.page.ConnectionOpened()
}

func (w *monitor) ConnectionClosed() {
	w.Metrics.ConnectionClosed()
	w.page.ConnectionClosed()
}

// keyState tells what DNS publishes about a key of ours.
func (w *monitor) keyState(k config.Key, state string) {
	w.KeyState(string(k.Use), k.Domain, k.Selector, state)
	w.page.KeyState(string(k.Use), k.Domain, k.Selector, state)
}

// forgetKeys ends what keyState has told.
func (w *monitor) forgetKeys() {
	w.ForgetKeys()
	w.page.ForgetKeys()
}

// refused tells that a configuration was not accepted, while inForce is.
func (w *monitor) refused(err error, inForce *config.Config) {
	now := time.Now()
	w.Reloaded(false, now)
	if privacy(inForce) == statuspage.Anonymous {
		err = errors.New("see the log for the reason") // err may quote a name
	}
	w.page.ReloadFailed(now, err)
}

// hostNames returns the names by which people may ask for the page.
func (w *monitor) hostNames() []string {
	if names := w.names.Load(); names != nil {
		return *names
	}
	return nil
}

// inForce tells which configuration is.
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

// privacy returns how much the status page keeps.
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
		return "# Overrides are not shown.\n" + text
	}
	return text
}

func build() metrics.Build {
	v, revision := buildVersion()
	return metrics.Build{Version: v, Revision: revision}
}

// violations returns the known reasons to close a connection from an MTA.
func violations() []string {
	var all []string
	for _, v := range milter.Violations() {
		all = append(all, string(v))
	}
	return all
}

// stages returns the stages in which a milter's error may be.
func stages() []string {
	var all []string
	for _, s := range milter.Stages() {
		all = append(all, string(s))
	}
	return all
}
