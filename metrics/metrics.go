// Package metrics exports metrics to Prometheus. It is the only package that uses
// client_golang.
//
// A [Metrics] has its own registry. No label value comes from a message: each is
// from a known set or from the configuration. Series whose labels are known start
// at 0.
package metrics

import (
	"runtime"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

const namespace = "authmilter"

// Metrics holds every collector. It implements [policy.Observer], and the interfaces
// by which package verify/dns and package milter report events.
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
	ownDKIM  *prometheus.CounterVec
	removed  *prometheus.CounterVec
	refused  *prometheus.CounterVec
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
	logDropped       prometheus.Counter

	keys       *prometheus.GaugeVec
	reloadOK   prometheus.Gauge
	reloadTime prometheus.Gauge

	authorDomains atomic.Pointer[authorDomains]
}

// Build describes the binary, for the metric build_info.
type Build struct{ Version, Revision string }

// Config configures a new [Metrics].
type Config struct {
	Build Build
	// ProtocolErrors lists the arguments that ProtocolError may be called with, and
	// Stages the arguments that Error may be called with.
	ProtocolErrors []string
	Stages         []string
}

// New returns the collectors, registered in a new registry.
func New(c Config) *Metrics {
	m := &Metrics{registry: prometheus.NewRegistry()}

	m.messages = m.counterVec("messages_total", "messages verified, by listener and by what was done with them", "listener", "disposition")
	m.skipped = m.counterVec("messages_skipped_total", "messages passed on without verification", "reason")
	m.results = m.counterVec("auth_results_total", "results by method and reason; each signature is counted, and an unsigned message as one none", "method", "result", "reason")
	m.dkim = m.counterVec("dkim_signatures_total", "DKIM signatures, by algorithm and by key size in bits", "result", "algorithm", "key_bits")
	m.spf = m.counterVec("spf_results_total", "SPF results, by identity", "identity", "result")
	m.dmarc = m.counterVec("dmarc_results_total", "DMARC results, by the policy that the author domain publishes for such a message, by what was done, and by why that differs from the policy", "result", "policy", "disposition", "override")
	m.arc = m.counterVec("arc_results_total", "ARC results, by the number of sets in the chain", "result", "sets")
	m.override = m.counterVec("overrides_total", "messages whose disposition differs from what the rules alone asked for, by override reason", "reason")
	m.authors = m.counterVec("author_domain_results_total", "DMARC results of the author domains in metrics.author_domains, including subdomains", "author_domain", "result")
	m.seals = m.counterVec("arc_seals_total", "messages that were to be sealed, by outcome", "result")
	m.own = m.counterVec("own_messages_total", "messages of our own users and hosts, by outcome of signing", "result")
	m.ownDKIM = m.counterVec("own_dkim_results_total", "DKIM results of messages of our own users and hosts, if skip.check_dkim is on; each signature is counted, and an unsigned message as one none", "result")
	m.refused = m.counterVec("refused_messages_total", "messages refused whatever the policy, because fields that claimed to be ours would have stayed in them", "reason")
	m.removed = m.counterVec("ar_headers_removed_total", "header fields deleted because they claimed to be ours, by whether they could mislead anybody", "header", "claim")
	m.bytes = m.counter("message_bytes_total", "body octets received of verified messages; the MTA does not send the parts of a body that no check needs")
	m.eom = m.histogram("eom_duration_seconds", "how long the MTA waited after the last octet of a verified message")
	m.eomLimit = m.gauge("eom_limit_seconds", "the value of limits.end_of_message")
	m.stages.init(m.histogramVec("stage_duration_seconds", "time spent in each stage of a verified message", "stage"))

	m.dnsQueries = m.counterVec("dns_queries_total", "queries sent to resolvers, by type and by answer", "qtype", "rcode")
	m.dnsDuration = m.histogram("dns_query_duration_seconds", "time from a query to its answer")
	m.dnsCache = m.counterVec("dns_cache_total", "look-ups, by cache result", "result")
	m.dnsExceeded = m.counterVec("dns_budget_exceeded_total", "messages whose look-ups were stopped because they used up limits.dns_queries or limits.dns_time", "budget")

	m.connections = m.gauge("connections", "open connections from MTAs")
	m.connectionsLimit = m.gauge("connections_limit", "the value of limits.connections")
	m.delayed = m.counter("connections_delayed_total", "connections that waited because of limits.connections")
	m.inFlight = m.gauge("messages_in_flight", "messages begun and not finished yet")
	m.messagesLimit = m.gauge("messages_limit", "the value of limits.messages")
	m.violations = m.counterVec("milter_protocol_errors_total", "violations of the milter protocol: no_message deferred a message, unreadable_address left a client without an SPF result, all others closed the connection", "reason")
	m.errors = m.counterVec("errors_total", "errors caused by authmilter or the host, by stage; the log has the details", "stage")
	m.panics = m.counter("panics_total", "panics, each confined to one message, whose results are temperror; please report them")
	m.logDropped = m.counter("log_lines_dropped_total", "log lines dropped because standard error did not take them in time; the log says where they are missing")

	m.keys = m.gaugeVec("key_state", "state of the DNS record of each of our keys, checked at start, at reload and every hour: 1 for the current state, 0 for the others", "use", "domain", "selector", "state")
	m.reloadOK = m.gauge("config_last_reload_successful", "1 if the last configuration was accepted, 0 if it was rejected and the previous one kept")
	m.reloadTime = m.gauge("config_last_reload_success_timestamp_seconds", "when a configuration was last accepted")
	m.gaugeVec("build_info", "always 1; the labels describe the binary", "version", "revision", "goversion").
		WithLabelValues(c.Build.Version, c.Build.Revision, runtime.Version()).Set(1)
	m.registry.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))

	m.zero(c)
	return m
}

// Limits holds the limits that are exported next to the gauges that they limit.
type Limits struct {
	Connections, Messages int
	EndOfMessage          time.Duration
}

// SetLimits records the limits in force.
func (m *Metrics) SetLimits(l Limits) {
	m.connectionsLimit.Set(float64(l.Connections))
	m.messagesLimit.Set(float64(l.Messages))
	m.eomLimit.Set(l.EndOfMessage.Seconds())
}

// DNSQuery counts one DNS query. qtype and rcode are from known sets.
func (m *Metrics) DNSQuery(qtype, rcode string, took time.Duration) {
	m.dnsQueries.WithLabelValues(qtype, rcode).Inc()
	m.dnsDuration.Observe(took.Seconds())
}

// DNSCacheHit counts a look-up that the cache answered.
func (m *Metrics) DNSCacheHit() { m.dnsCache.WithLabelValues("hit").Inc() }

// DNSCacheMiss counts a look-up that needed a query.
func (m *Metrics) DNSCacheMiss() { m.dnsCache.WithLabelValues("miss").Inc() }

// DNSCacheStale counts a look-up that an expired cache entry answered.
func (m *Metrics) DNSCacheStale() { m.dnsCache.WithLabelValues("stale").Inc() }

// ConnectionOpened counts a connection from an MTA as open.
func (m *Metrics) ConnectionOpened() { m.connections.Inc() }

// ConnectionClosed counts it as closed again.
func (m *Metrics) ConnectionClosed() { m.connections.Dec() }

// ConnectionDelayed counts a connection that waits because too many are open.
func (m *Metrics) ConnectionDelayed() { m.delayed.Inc() }

// MessageBegan counts a message as in flight.
func (m *Metrics) MessageBegan() { m.inFlight.Inc() }

// MessageEnded counts it as finished.
func (m *Metrics) MessageEnded() { m.inFlight.Dec() }

// ProtocolError counts a violation of the milter protocol. reason is one of
// Config.ProtocolErrors.
func (m *Metrics) ProtocolError(reason string) { m.violations.WithLabelValues(reason).Inc() }

// Error counts an error in a stage, which is one of Config.Stages.
func (m *Metrics) Error(stage string) { m.errors.WithLabelValues(stage).Inc() }

// Panic counts a panic that was confined to one message.
func (m *Metrics) Panic() { m.panics.Inc() }

// LogLinesDropped counts lines that are missing from the log.
func (m *Metrics) LogLinesDropped(lines int) { m.logDropped.Add(float64(lines)) }

// Reloaded records whether a configuration was accepted at now.
func (m *Metrics) Reloaded(ok bool, now time.Time) {
	if !ok {
		m.reloadOK.Set(0)
		return
	}
	m.reloadOK.Set(1)
	m.reloadTime.Set(float64(now.Unix()))
}
