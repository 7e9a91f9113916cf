// Package metrics shows to Prometheus what the milter sees. It is the sole
// home of client_golang.
//
// A [Metrics] has a registry of its own. No label value comes from outside:
// each is one of a known set, and the known sets start at 0.
package metrics

import (
	"errors"
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"authmilter/policy"
	"authmilter/verify"
	"authmilter/verify/arc"
	"authmilter/verify/dkim"
	"authmilter/verify/dmarc"
	"authmilter/verify/iprev"
	"authmilter/verify/spf"
)

const namespace = "authmilter"

// Metrics holds every collector. It implements [policy.Observer], and the
// observers of the packages that count what happens below a verdict.
type Metrics struct {
	registry *prometheus.Registry

	messages *prometheus.CounterVec
	skipped  *prometheus.CounterVec
	results  *prometheus.CounterVec
	override *prometheus.CounterVec
	seals    *prometheus.CounterVec
	signed   *prometheus.CounterVec
	keys     *prometheus.GaugeVec
	removed  prometheus.Counter
	bytes    prometheus.Counter
	eom      prometheus.Histogram

	dnsQueries  *prometheus.CounterVec
	dnsDuration prometheus.Histogram
	dnsCache    *prometheus.CounterVec

	connections prometheus.Gauge
	delayed     prometheus.Counter
	violations  *prometheus.CounterVec
	panics      prometheus.Counter

	reloadOK   prometheus.Gauge
	reloadTime prometheus.Gauge
}

// Build describes the binary, for build_info.
type Build struct{ Version, Revision string }

// seconds are the classic buckets of every duration, from what a cached answer
// takes to Sendmail's read timeout and beyond.
var seconds = []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 8, 10, 30}

// Config is what a Metrics knows from the start.
type Config struct {
	Build Build
	// ProtocolErrors are all reasons that ProtocolError may be called with.
	ProtocolErrors []string
}

// New returns the collectors in a registry of their own.
func New(c Config) *Metrics {
	m := &Metrics{registry: prometheus.NewRegistry()}

	m.messages = m.counterVec("messages_total", "Messages verified, by what was done with them.", "listener", "disposition")
	m.skipped = m.counterVec("messages_skipped_total", "Messages passed on without verification.", "reason")
	m.results = m.counterVec("auth_results_total", "Results written, by method.", "method", "result")
	m.override = m.counterVec("overrides_total", "Messages with which less or more is done than their author domain asks for, by the reason.", "reason")
	m.seals = m.counterVec("arc_seals_total", "Messages to be sealed, by what became of it.", "result")
	m.signed = m.counterVec("own_messages_total", "Messages of our own, by what became of signing them.", "result")
	m.keys = m.gaugeVec("key_state", "Whether DNS publishes a key of ours: 1 for what is the case.", "use", "domain", "selector", "state")
	m.removed = m.counter("ar_headers_removed_total", "Forged Authentication-Results fields deleted.")
	m.bytes = m.counter("message_bytes_total", "Octets of message bodies received.")
	m.eom = m.histogram("eom_duration_seconds", "Time that the MTA waited at the end of a message.")

	m.dnsQueries = m.counterVec("dns_queries_total", "DNS exchanges, by type of record and response code.", "qtype", "rcode")
	m.dnsDuration = m.histogram("dns_query_duration_seconds", "Time of one DNS exchange.")
	m.dnsCache = m.counterVec("dns_cache_total", "Look-ups by what the cache had.", "result")

	m.connections = m.gauge("connections", "Connections from MTAs that are open.")
	m.delayed = m.counter("connections_delayed_total", "Connections that waited because there were too many.")
	m.violations = m.counterVec("milter_protocol_errors_total", "Connections closed because the peer broke the milter protocol.", "reason")
	m.panics = m.counter("panics_total", "Failures of ours that were confined to one message.")

	m.reloadOK = m.gauge("config_last_reload_successful", "Whether the last configuration was accepted.")
	m.reloadTime = m.gauge("config_last_reload_success_timestamp_seconds", "When a configuration was last accepted.")

	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Namespace: namespace,
		Name:      "build_info",
		Help:      "Always 1; the labels describe the binary.",
		ConstLabels: prometheus.Labels{
			"version": c.Build.Version, "revision": c.Build.Revision, "goversion": runtime.Version(),
		},
	})
	info.Set(1)
	m.registry.MustRegister(info,
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))

	m.zero(c)
	return m
}

// zero makes the known label sets exist from the start, so that a rate over
// them is right from the first event.
func (m *Metrics) zero(c Config) {
	for _, s := range policy.Skips() {
		m.skipped.WithLabelValues(string(s))
	}
	for _, s := range dkim.Statuses() {
		m.results.WithLabelValues("dkim", string(s))
	}
	for _, s := range spf.Statuses() {
		m.results.WithLabelValues("spf", string(s))
	}
	for _, s := range dmarc.Statuses() {
		m.results.WithLabelValues("dmarc", string(s))
	}
	for _, s := range iprev.Statuses() {
		m.results.WithLabelValues("iprev", string(s))
	}
	for _, s := range arc.Statuses() {
		m.results.WithLabelValues("arc", string(s))
	}
	for _, r := range policy.ReasonTypes() {
		m.override.WithLabelValues(string(r))
	}
	m.seals.WithLabelValues("sealed")
	m.seals.WithLabelValues("error")
	for _, s := range unsealed {
		m.seals.WithLabelValues(s.result)
	}
	for _, s := range []string{"signed", "unsigned", "error"} {
		m.signed.WithLabelValues(s)
	}
	for _, s := range []string{"hit", "miss"} {
		m.dnsCache.WithLabelValues(s)
	}
	for _, reason := range c.ProtocolErrors {
		m.violations.WithLabelValues(reason)
	}
}

// ListenerAdded makes the counters of a listener exist, so that it is seen even
// if no message ever comes.
func (m *Metrics) ListenerAdded(name string) {
	for _, d := range policy.Dispositions() {
		m.messages.WithLabelValues(name, string(d))
	}
}

// Observe counts one finished message.
func (m *Metrics) Observe(v *policy.Verdict) {
	m.removed.Add(float64(v.Removed))
	if v.Skip != policy.NotSkipped {
		m.skipped.WithLabelValues(string(v.Skip)).Inc()
		if v.Skip == policy.Authenticated || v.Skip == policy.LocalNetwork {
			m.signed.WithLabelValues(signingResult(v.Signing)).Inc()
		}
		return
	}
	m.messages.WithLabelValues(v.Listener, string(v.Decision.Disposition)).Inc()
	m.eom.Observe(v.EndOfMessage.Seconds())
	r := v.Result
	m.bytes.Add(float64(r.Size))
	if len(r.DKIM) == 0 {
		m.results.WithLabelValues("dkim", string(dkim.None)).Inc()
	}
	for _, d := range r.DKIM {
		m.results.WithLabelValues("dkim", string(d.Status)).Inc()
	}
	m.results.WithLabelValues("spf", string(r.SPF.Status)).Inc()
	m.results.WithLabelValues("dmarc", string(r.DMARC.Status)).Inc()
	if r.IPRev != nil {
		m.results.WithLabelValues("iprev", string(r.IPRev.Status)).Inc()
	}
	if s := r.ARC.Status; s != "" {
		m.results.WithLabelValues("arc", string(s)).Inc()
	}
	if t := v.Decision.Reason.Type; t != policy.NoReason {
		m.override.WithLabelValues(string(t)).Inc()
	}
	if v.Seal.Done || v.Seal.Err != nil {
		m.seals.WithLabelValues(sealResult(v.Seal)).Inc()
	}
}

// unsealed are the reasons not to seal a message that are none of our faults.
var unsealed = [...]struct {
	err    error
	result string
}{
	{arc.ErrBroken, "broken_before"},
	{arc.ErrFull, "full"},
	{arc.ErrOwn, "own"},
	{arc.ErrUnknown, "unknown"},
	{arc.ErrTooManyFields, "too_many_fields"},
	{verify.ErrHeaderTooLarge, "header_too_large"},
}

func sealResult(s policy.Sealing) string {
	if s.Done {
		return "sealed"
	}
	for _, u := range unsealed {
		if errors.Is(s.Err, u.err) {
			return u.result
		}
	}
	return "error"
}

func signingResult(s policy.Signing) string {
	switch {
	case s.Err != nil:
		return "error"
	case len(s.Selectors) > 0:
		return "signed"
	}
	return "unsigned"
}

// KeyState records what DNS publishes about a key of ours, whose use, domain and
// selector come from the configuration. state is a [dkim.Published].
func (m *Metrics) KeyState(use, domain, selector, state string) {
	for _, s := range dkim.PublishedStates() {
		value := 0.0
		if string(s) == state {
			value = 1
		}
		m.keys.WithLabelValues(use, domain, selector, string(s)).Set(value)
	}
}

// ForgetKeys ends what KeyState has recorded.
func (m *Metrics) ForgetKeys() { m.keys.Reset() }

// DNSQuery counts one DNS exchange. qtype and rcode are of known sets.
func (m *Metrics) DNSQuery(qtype, rcode string, took time.Duration) {
	m.dnsQueries.WithLabelValues(qtype, rcode).Inc()
	m.dnsDuration.Observe(took.Seconds())
}

// DNSCacheHit counts a look-up that the cache answered.
func (m *Metrics) DNSCacheHit() { m.dnsCache.WithLabelValues("hit").Inc() }

// DNSCacheMiss counts a look-up that had to be asked.
func (m *Metrics) DNSCacheMiss() { m.dnsCache.WithLabelValues("miss").Inc() }

// ConnectionOpened and ConnectionClosed follow the connections from MTAs.
func (m *Metrics) ConnectionOpened() { m.connections.Inc() }

// ConnectionClosed is the end of what ConnectionOpened began.
func (m *Metrics) ConnectionClosed() { m.connections.Dec() }

// ConnectionDelayed counts a connection that waits because there are too many.
func (m *Metrics) ConnectionDelayed() { m.delayed.Inc() }

// ProtocolError counts a connection closed for reason, which is of a known set.
func (m *Metrics) ProtocolError(reason string) { m.violations.WithLabelValues(reason).Inc() }

// Panic counts a failure of ours that was confined to one message.
func (m *Metrics) Panic() { m.panics.Inc() }

// Reloaded records whether a configuration was accepted at now.
func (m *Metrics) Reloaded(ok bool, now time.Time) {
	if !ok {
		m.reloadOK.Set(0)
		return
	}
	m.reloadOK.Set(1)
	m.reloadTime.Set(float64(now.Unix()))
}

func (m *Metrics) counter(name, help string) prometheus.Counter {
	c := prometheus.NewCounter(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help})
	m.registry.MustRegister(c)
	return c
}

func (m *Metrics) counterVec(name, help string, labels ...string) *prometheus.CounterVec {
	c := prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help}, labels)
	m.registry.MustRegister(c)
	return c
}

func (m *Metrics) gauge(name, help string) prometheus.Gauge {
	g := prometheus.NewGauge(prometheus.GaugeOpts{Namespace: namespace, Name: name, Help: help})
	m.registry.MustRegister(g)
	return g
}

func (m *Metrics) gaugeVec(name, help string, labels ...string) *prometheus.GaugeVec {
	g := prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: namespace, Name: name, Help: help}, labels)
	m.registry.MustRegister(g)
	return g
}

// histogram has classic buckets for everybody and a native histogram for
// servers that scrape those.
func (m *Metrics) histogram(name, help string) prometheus.Histogram {
	h := prometheus.NewHistogram(prometheus.HistogramOpts{
		Namespace:                      namespace,
		Name:                           name,
		Help:                           help,
		Buckets:                        seconds,
		NativeHistogramBucketFactor:    1.1,
		NativeHistogramMaxBucketNumber: 160,
	})
	m.registry.MustRegister(h)
	return h
}
