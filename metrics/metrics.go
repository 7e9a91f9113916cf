// Package metrics shows to Prometheus what the milter sees. It is the sole
// home of client_golang.
//
// A [Metrics] has a registry of its own. No label value comes from outside but
// the author domains that the configuration names: each is one of a known set,
// and the known sets start at 0.
package metrics

import (
	"runtime"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

const namespace = "authmilter"

// Metrics holds every collector. It implements [policy.Observer], and the
// observers of the packages that count what happens below a verdict.
type Metrics struct {
	registry *prometheus.Registry
	list     []Description

	messages *prometheus.CounterVec
	skipped  *prometheus.CounterVec
	results  *prometheus.CounterVec
	dkim     *prometheus.CounterVec
	spf      *prometheus.CounterVec
	dmarc    *prometheus.CounterVec
	arc      *prometheus.CounterVec
	override *prometheus.CounterVec
	authors  *prometheus.CounterVec
	seals    *prometheus.CounterVec
	own      *prometheus.CounterVec
	removed  *prometheus.CounterVec
	bytes    prometheus.Counter
	eom      prometheus.Histogram
	eomLimit prometheus.Gauge
	stages   stageTimes

	dnsQueries  *prometheus.CounterVec
	dnsDuration prometheus.Histogram
	dnsCache    *prometheus.CounterVec
	dnsExceeded *prometheus.CounterVec

	connections      prometheus.Gauge
	connectionsLimit prometheus.Gauge
	delayed          prometheus.Counter
	inFlight         prometheus.Gauge
	messagesLimit    prometheus.Gauge
	violations       *prometheus.CounterVec
	errors           *prometheus.CounterVec
	panics           prometheus.Counter

	keys       *prometheus.GaugeVec
	reloadOK   prometheus.Gauge
	reloadTime prometheus.Gauge

	authorDomains atomic.Pointer[authorDomains]
}

// Build describes the binary, for build_info.
type Build struct{ Version, Revision string }

// Config is what a Metrics knows from the start.
type Config struct {
	Build Build
	// ProtocolErrors are all reasons that ProtocolError may be called with, and
	// Stages all stages that Error may be.
	ProtocolErrors []string
	Stages         []string
}

// New returns the collectors in a registry of their own.
func New(c Config) *Metrics {
	m := &Metrics{registry: prometheus.NewRegistry()}

	m.messages = m.counterVec("messages_total", "messages verified, by the address that they came in at and by what was done with them", "listener", "disposition")
	m.skipped = m.counterVec("messages_skipped_total", "messages passed on without verification", "reason")
	m.results = m.counterVec("auth_results_total", "results with their reasons, by method; each signature counts, and an unsigned message as one none", "method", "result", "reason")
	m.dkim = m.counterVec("dkim_signatures_total", "DKIM signatures, by their algorithm and by the size of the key in bits", "result", "algorithm", "key_bits")
	m.spf = m.counterVec("spf_results_total", "SPF results, by identity", "identity", "result")
	m.dmarc = m.counterVec("dmarc_results_total", "DMARC results, by the policy that the author domain publishes for such a message, what was done, and why anything else", "result", "policy", "disposition", "override")
	m.arc = m.counterVec("arc_results_total", "ARC results, by the number of sets in the chain", "result", "sets")
	m.override = m.counterVec("overrides_total", "messages whose disposition differs from what the rules alone asked for, by override reason", "reason")
	m.authors = m.counterVec("author_domain_results_total", "DMARC results of the author domains that metrics.author_domains names, their subdomains included", "author_domain", "result")
	m.seals = m.counterVec("arc_seals_total", "messages to be sealed, by what became of it", "result")
	m.own = m.counterVec("own_messages_total", "messages of our own users and hosts, by what became of signing them", "result")
	m.removed = m.counterVec("ar_headers_removed_total", "header fields that claimed to be ours and were deleted", "header")
	m.bytes = m.counter("message_bytes_total", "octets of the bodies of verified messages received; what nothing needs of a body is not sent by the MTA")
	m.eom = m.histogram("eom_duration_seconds", "what the MTA waited after the last octet of a verified message")
	m.eomLimit = m.gauge("eom_limit_seconds", "limits.end_of_message")
	m.stages.init(m.histogramVec("stage_duration_seconds", "what the time for a verified message was spent on", "stage"))

	m.dnsQueries = m.counterVec("dns_queries_total", "packets sent to resolvers, by type and by answer", "qtype", "rcode")
	m.dnsDuration = m.histogram("dns_query_duration_seconds", "time from such a packet to its answer")
	m.dnsCache = m.counterVec("dns_cache_total", "look-ups, by whether the cache had the answer", "result")
	m.dnsExceeded = m.counterVec("dns_budget_exceeded_total", "messages whose look-ups ended because they had used up what a message may take", "budget")

	m.connections = m.gauge("connections", "connections from MTAs that are open")
	m.connectionsLimit = m.gauge("connections_limit", "limits.connections")
	m.delayed = m.counter("connections_delayed_total", "connections that waited because of limits.connections")
	m.inFlight = m.gauge("messages_in_flight", "messages on their way through")
	m.messagesLimit = m.gauge("messages_limit", "limits.messages")
	m.violations = m.counterVec("milter_protocol_errors_total", "times that a peer broke the milter protocol: no_message deferred a message, unreadable_address cost a client its SPF result, the others closed the connection", "reason")
	m.errors = m.counterVec("errors_total", "things that went wrong by a fault of ours or the machine's, by where; the log says what", "stage")
	m.panics = m.counter("panics_total", "faults of authmilter that were confined to one message, which then has temperrors; please report them")

	m.keys = m.gaugeVec("key_state", "what DNS publishes about a key of ours, checked at the start, at a reload and every hour: 1 for the one state that is the case", "use", "domain", "selector", "state")
	m.reloadOK = m.gauge("config_last_reload_successful", "1 if the last configuration was accepted, 0 if it was refused and the old one kept")
	m.reloadTime = m.gauge("config_last_reload_success_timestamp_seconds", "when a configuration was last accepted")
	m.gaugeVec("build_info", "always 1; the labels describe the binary", "version", "revision", "goversion").
		WithLabelValues(c.Build.Version, c.Build.Revision, runtime.Version()).Set(1)
	m.registry.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))

	m.zero(c)
	return m
}

// Limits are the bounds that gauges are to be seen beside.
type Limits struct {
	Connections, Messages int
	EndOfMessage          time.Duration
}

// SetLimits shows the limits in force.
func (m *Metrics) SetLimits(l Limits) {
	m.connectionsLimit.Set(float64(l.Connections))
	m.messagesLimit.Set(float64(l.Messages))
	m.eomLimit.Set(l.EndOfMessage.Seconds())
}

// DNSQuery counts one DNS exchange. qtype and rcode are of known sets.
func (m *Metrics) DNSQuery(qtype, rcode string, took time.Duration) {
	m.dnsQueries.WithLabelValues(qtype, rcode).Inc()
	m.dnsDuration.Observe(took.Seconds())
}

// DNSCacheHit counts a look-up that the cache answered.
func (m *Metrics) DNSCacheHit() { m.dnsCache.WithLabelValues("hit").Inc() }

// DNSCacheMiss counts a look-up that had to be asked.
func (m *Metrics) DNSCacheMiss() { m.dnsCache.WithLabelValues("miss").Inc() }

// DNSCacheStale counts a look-up that an expired entry of the cache answered.
func (m *Metrics) DNSCacheStale() { m.dnsCache.WithLabelValues("stale").Inc() }

// ConnectionOpened and ConnectionClosed follow the connections from MTAs.
func (m *Metrics) ConnectionOpened() { m.connections.Inc() }

// ConnectionClosed is the end of what ConnectionOpened began.
func (m *Metrics) ConnectionClosed() { m.connections.Dec() }

// ConnectionDelayed counts a connection that waits because there are too many.
func (m *Metrics) ConnectionDelayed() { m.delayed.Inc() }

// MessageBegan and MessageEnded follow the messages in flight.
func (m *Metrics) MessageBegan() { m.inFlight.Inc() }

// MessageEnded is the end of what MessageBegan began.
func (m *Metrics) MessageEnded() { m.inFlight.Dec() }

// ProtocolError counts a break of the milter protocol, whose reason is of a known set.
func (m *Metrics) ProtocolError(reason string) { m.violations.WithLabelValues(reason).Inc() }

// Error counts what went wrong in a stage, which is of a known set.
func (m *Metrics) Error(stage string) { m.errors.WithLabelValues(stage).Inc() }

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
