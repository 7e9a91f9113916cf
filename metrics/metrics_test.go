package metrics

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"authmilter/policy"
	"authmilter/verify"
	"authmilter/verify/arc"
	"authmilter/verify/dkim"
	"authmilter/verify/dmarc"
	"authmilter/verify/spf"
)

func newMetrics() *Metrics {
	return New(Config{
		Build:          Build{Version: "v1.2.3", Revision: "abc"},
		ProtocolErrors: []string{"empty_packet", "too_slow"},
	})
}

func get(t *testing.T, h http.Handler, path string) (int, string) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	text, err := io.ReadAll(w.Result().Body)
	if err != nil {
		t.Fatal(err)
	}
	return w.Code, string(text)
}

// samples returns what /metrics says of our own metrics, but for the buckets of
// histograms.
func samples(t *testing.T, m *Metrics) map[string]string {
	t.Helper()
	_, text := get(t, m.Handler(func(context.Context) error { return nil }), "/metrics")
	all := map[string]string{}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		name, value, _ := strings.Cut(line, " ")
		if i := strings.LastIndexByte(line, ' '); strings.Contains(line, "}") {
			name, value = line[:i], line[i+1:]
		}
		if strings.HasPrefix(name, namespace+"_") && !strings.Contains(name, "_bucket{") {
			all[strings.TrimPrefix(name, namespace+"_")] = value
		}
	}
	return all
}

// TestStart holds that every known series exists from the start.
func TestStart(t *testing.T) {
	m := newMetrics()
	m.ListenerAdded("inet:8894@127.0.0.1")
	got := samples(t, m)
	want := []string{
		"ar_headers_removed_total", "message_bytes_total", "panics_total", "connections", "connections_delayed_total",
		"eom_duration_seconds_count", "eom_duration_seconds_sum",
		"dns_query_duration_seconds_count", "dns_query_duration_seconds_sum",
		"config_last_reload_successful", "config_last_reload_success_timestamp_seconds",
		`dns_cache_total{result="hit"}`, `dns_cache_total{result="miss"}`,
		`messages_skipped_total{reason="authenticated"}`, `messages_skipped_total{reason="network"}`,
		`messages_skipped_total{reason="overload"}`,
		`milter_protocol_errors_total{reason="empty_packet"}`, `milter_protocol_errors_total{reason="too_slow"}`,
		`messages_skipped_total{reason="override"}`,
		`own_messages_total{result="signed"}`, `own_messages_total{result="unsigned"}`, `own_messages_total{result="error"}`,
	}
	for r := range strings.FieldsSeq("local_policy mailing_list policy_test_mode sampled_out trusted_forwarder") {
		want = append(want, `overrides_total{reason="`+r+`"}`)
	}
	for r := range strings.FieldsSeq("sealed broken_before full own unknown too_many_fields header_too_large error") {
		want = append(want, `arc_seals_total{result="`+r+`"}`)
	}
	for _, d := range []string{"none", "quarantine", "reject", "defer"} {
		want = append(want, `messages_total{disposition="`+d+`",listener="inet:8894@127.0.0.1"}`)
	}
	for method, results := range map[string]string{
		"dkim":  "none pass fail policy neutral temperror permerror",
		"spf":   "none neutral pass fail softfail temperror permerror",
		"dmarc": "none pass fail temperror permerror",
		"arc":   "none pass fail",
		"iprev": "pass fail temperror permerror",
	} {
		for r := range strings.FieldsSeq(results) {
			want = append(want, `auth_results_total{method="`+method+`",result="`+r+`"}`)
		}
	}
	for _, name := range want {
		if value, ok := got[name]; !ok || value != "0" {
			t.Errorf("%s: %q", name, value)
		}
		delete(got, name)
	}
	for name, value := range got {
		if !strings.HasPrefix(name, "build_info{") {
			t.Errorf("unexpected: %s %s", name, value)
		} else if value != "1" || !strings.Contains(name, `revision="abc",version="v1.2.3"`) {
			t.Errorf("%s %s", name, value)
		}
	}
}

func TestObserve(t *testing.T) {
	m := newMetrics()
	m.Observe(&policy.Verdict{
		Listener: "l",
		Decision: policy.Decision{Disposition: policy.None, Requested: policy.Reject},
		Removed:  2,
		Result: &verify.Result{
			DKIM:  []dkim.Result{{Status: dkim.Pass}, {Status: dkim.Fail}, {Status: dkim.Fail}},
			SPF:   spf.Result{Status: spf.SoftFail},
			DMARC: dmarc.Result{Status: dmarc.Pass},
			ARC:   arc.Result{Status: arc.Pass},
			Size:  1000,
		},
		Seal:         policy.Sealing{Done: true},
		EndOfMessage: 250 * time.Millisecond,
	})
	m.Observe(&policy.Verdict{
		Listener: "l",
		Decision: policy.Decision{Disposition: policy.None, Reason: policy.Reason{Type: policy.TrustedForwarder}},
		Seal:     policy.Sealing{Err: arc.ErrOwn},
		Result: &verify.Result{
			SPF:   spf.Result{Status: spf.TempError},
			DMARC: dmarc.Result{Status: dmarc.TempError},
			ARC:   arc.Result{Status: arc.Fail},
			Size:  24,
		},
		EndOfMessage: 750 * time.Millisecond,
	})
	m.Observe(&policy.Verdict{Listener: "l", Skip: policy.Authenticated, Removed: 1, Signing: policy.Signing{Selectors: []string{"s"}}})
	m.Observe(&policy.Verdict{Listener: "l", Skip: policy.LocalNetwork})
	m.Observe(&policy.Verdict{Listener: "l", Skip: policy.LocalNetwork, Signing: policy.Signing{Err: errors.New("no")}})
	m.Observe(&policy.Verdict{Listener: "l", Skip: policy.Overload})
	m.KeyState("seal", "old.example", "s", "ok")
	m.ForgetKeys()
	m.KeyState("seal", "example.org", "s", "ok")
	m.KeyState("seal", "example.org", "s", "mismatch")
	m.DNSQuery("TXT", "SERVFAIL", time.Second)
	m.DNSCacheHit()
	m.DNSCacheMiss()
	m.DNSCacheMiss()
	m.ConnectionOpened()
	m.ConnectionOpened()
	m.ConnectionClosed()
	m.ConnectionDelayed()
	m.ProtocolError("too_slow")
	m.Panic()
	m.Reloaded(true, time.Unix(1000, 0))
	m.Reloaded(false, time.Unix(2000, 0))

	got := samples(t, m)
	for name, want := range map[string]string{
		`messages_total{disposition="none",listener="l"}`:                          "2",
		`messages_skipped_total{reason="authenticated"}`:                           "1",
		`auth_results_total{method="dkim",result="pass"}`:                          "1",
		`auth_results_total{method="dkim",result="fail"}`:                          "2",
		`auth_results_total{method="dkim",result="none"}`:                          "1",
		`auth_results_total{method="spf",result="softfail"}`:                       "1",
		`auth_results_total{method="spf",result="temperror"}`:                      "1",
		`auth_results_total{method="dmarc",result="pass"}`:                         "1",
		`auth_results_total{method="dmarc",result="fail"}`:                         "0",
		`auth_results_total{method="arc",result="pass"}`:                           "1",
		`auth_results_total{method="arc",result="fail"}`:                           "1",
		`overrides_total{reason="trusted_forwarder"}`:                              "1",
		`arc_seals_total{result="sealed"}`:                                         "1",
		`arc_seals_total{result="own"}`:                                            "1",
		`arc_seals_total{result="error"}`:                                          "0",
		`own_messages_total{result="signed"}`:                                      "1",
		`own_messages_total{result="unsigned"}`:                                    "1",
		`own_messages_total{result="error"}`:                                       "1",
		`key_state{domain="old.example",selector="s",state="ok",use="seal"}`:       "",
		`key_state{domain="example.org",selector="s",state="ok",use="seal"}`:       "0",
		`key_state{domain="example.org",selector="s",state="mismatch",use="seal"}`: "1",
		"ar_headers_removed_total":                                                 "3",
		"message_bytes_total":                                                      "1024",
		"eom_duration_seconds_count":                                               "2",
		"eom_duration_seconds_sum":                                                 "1",
		`dns_queries_total{qtype="TXT",rcode="SERVFAIL"}`:                          "1",
		"dns_query_duration_seconds_sum":                                           "1",
		`dns_cache_total{result="hit"}`:                                            "1",
		`dns_cache_total{result="miss"}`:                                           "2",
		"connections":                                                              "1",
		"connections_delayed_total":                                                "1",
		`milter_protocol_errors_total{reason="too_slow"}`:                          "1",
		`milter_protocol_errors_total{reason="empty_packet"}`:                      "0",
		"panics_total":                                 "1",
		"config_last_reload_successful":                "0",
		"config_last_reload_success_timestamp_seconds": "1000",
	} {
		if got[name] != want {
			t.Errorf("%s is %q, not %s", name, got[name], want)
		}
	}
}

// TestDocumented holds that docs/metrics.md lists each metric, and nothing else.
func TestDocumented(t *testing.T) {
	text, err := os.ReadFile("../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	var documented []string
	for _, m := range regexp.MustCompile("(?m)^\\| `("+namespace+"_[a-z_]+)`").FindAllStringSubmatch(string(text), -1) {
		documented = append(documented, m[1])
	}
	m := newMetrics()
	m.ListenerAdded("l")
	m.DNSQuery("TXT", "NOERROR", 0)
	m.KeyState("seal", "example.org", "s", "ok")
	families, err := m.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var registered []string
	for _, f := range families {
		if strings.HasPrefix(f.GetName(), namespace+"_") {
			registered = append(registered, f.GetName())
		}
	}
	slices.Sort(documented)
	if !slices.Equal(documented, registered) {
		t.Errorf("documented %q\nregistered %q", documented, registered)
	}
}

func TestHandler(t *testing.T) {
	var ready error
	h := newMetrics().Handler(func(ctx context.Context) error {
		if _, bounded := ctx.Deadline(); !bounded {
			t.Error("readiness is asked for without a limit")
		}
		return ready
	})
	for _, tt := range []struct {
		path  string
		ready error
		code  int
		text  string
	}{
		{"/healthz", nil, http.StatusOK, "ok\n"},
		{"/healthz", errors.New("no"), http.StatusOK, "ok\n"},
		{"/readyz", nil, http.StatusOK, "ready\n"},
		{"/readyz", errors.New("no resolver answers"), http.StatusServiceUnavailable, "not ready: no resolver answers\n"},
		{"/nonsense", nil, http.StatusNotFound, "404 page not found\n"},
	} {
		ready = tt.ready
		if code, text := get(t, h, tt.path); code != tt.code || text != tt.text {
			t.Errorf("%s, %v: %d %q", tt.path, tt.ready, code, text)
		}
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/metrics", nil))
	if w.Code != http.StatusMethodNotAllowed {
		t.Errorf("POST: %d", w.Code)
	}
}
