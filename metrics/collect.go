package metrics

import (
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"authmilter/policy"
)

// Description describes a metric, for the documentation.
type Description struct {
	// Name includes the prefix "authmilter_"; Type is "counter", "gauge" or
	// "histogram".
	Name, Type string
	Help       string
	Labels     []Label
}

// Label is one label of a metric.
type Label struct {
	Name string
	// Values are the values in existing series, sorted, without the empty one.
	Values []string
}

// Descriptions describes our own metrics, without the Go runtime's and the
// process's.
func (m *Metrics) Descriptions() ([]Description, error) {
	families, err := m.registry.Gather()
	if err != nil {
		return nil, err
	}
	values := map[[2]string][]string{} // by metric and label
	for _, family := range families {
		for _, series := range family.GetMetric() {
			for _, pair := range series.GetLabel() {
				key := [2]string{family.GetName(), pair.GetName()}
				if v := pair.GetValue(); v != "" && !slices.Contains(values[key], v) {
					values[key] = append(values[key], v)
				}
			}
		}
	}
	list := slices.Clone(m.list)
	for i := range list {
		d := &list[i]
		d.Labels = slices.Clone(d.Labels)
		for j := range d.Labels {
			l := &d.Labels[j]
			l.Values = values[[2]string{d.Name, l.Name}]
			slices.Sort(l.Values)
		}
	}
	return list, nil
}

// Each of the following creates a collector, describes it and registers it.

func (m *Metrics) register(c prometheus.Collector, kind, name, help string, labels ...string) {
	d := Description{Name: namespace + "_" + name, Type: kind, Help: help}
	for _, l := range labels {
		d.Labels = append(d.Labels, Label{Name: l})
	}
	m.list = append(m.list, d)
	m.registry.MustRegister(c)
}

func (m *Metrics) counter(name, help string) prometheus.Counter {
	c := prometheus.NewCounter(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help})
	m.register(c, "counter", name, help)
	return c
}

func (m *Metrics) counterVec(name, help string, labels ...string) *prometheus.CounterVec {
	c := prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help}, labels)
	m.register(c, "counter", name, help, labels...)
	return c
}

func (m *Metrics) gauge(name, help string) prometheus.Gauge {
	g := prometheus.NewGauge(prometheus.GaugeOpts{Namespace: namespace, Name: name, Help: help})
	m.register(g, "gauge", name, help)
	return g
}

func (m *Metrics) gaugeVec(name, help string, labels ...string) *prometheus.GaugeVec {
	g := prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: namespace, Name: name, Help: help}, labels)
	m.register(g, "gauge", name, help, labels...)
	return g
}

func (m *Metrics) histogram(name, help string) prometheus.Histogram {
	h := prometheus.NewHistogram(durations(name, help))
	m.register(h, "histogram", name, help)
	return h
}

func (m *Metrics) histogramVec(name, help string, labels ...string) *prometheus.HistogramVec {
	h := prometheus.NewHistogramVec(durations(name, help), labels)
	m.register(h, "histogram", name, help, labels...)
	return h
}

// durations returns options for a histogram of durations, both classic and native.
// The classic buckets range from the time of a cached answer to beyond Sendmail's
// read timeout.
func durations(name, help string) prometheus.HistogramOpts {
	return prometheus.HistogramOpts{
		Namespace:                      namespace,
		Name:                           name,
		Help:                           help,
		Buckets:                        []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 8, 10, 30},
		NativeHistogramBucketFactor:    1.1,
		NativeHistogramMaxBucketNumber: 160,
	}
}

// stageTimes holds the histograms of the time spent in each stage of a message.
type stageTimes struct{ receive, wait, verify, decide, seal, write prometheus.Observer }

func (s *stageTimes) init(v *prometheus.HistogramVec) {
	s.receive = v.WithLabelValues("receive")
	s.wait = v.WithLabelValues("wait")
	s.verify = v.WithLabelValues("verify")
	s.decide = v.WithLabelValues("decide")
	s.seal = v.WithLabelValues("seal")
	s.write = v.WithLabelValues("write")
}

func (s *stageTimes) observe(v *policy.Verdict) {
	s.receive.Observe(v.Stages.Receive.Seconds())
	s.wait.Observe(v.Stages.Wait.Seconds())
	s.verify.Observe(v.Stages.Verify.Seconds())
	s.decide.Observe(v.Stages.Decide.Seconds())
	if v.Seal != (policy.Sealing{}) {
		s.seal.Observe(v.Stages.Seal.Seconds())
	}
	s.write.Observe(v.Stages.Write.Seconds())
}
