package metrics

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"authmilter/policy"
	"authmilter/verify"
	"authmilter/verify/arc"
	"authmilter/verify/dkim"
	"authmilter/verify/dmarc"
	"authmilter/verify/dns"
	"authmilter/verify/iprev"
	"authmilter/verify/message"
	"authmilter/verify/spf"
)

func newMetrics() *Metrics {
	return New(Config{
		Build:          Build{Version: "v1.2.3", Revision: "abc"},
		ProtocolErrors: []string{"empty_packet", "too_slow"},
		Stages:         []string{"verify", "answer"},
	})
}

func get(t *testing.T, h http.Handler, path string) (int, string) {
	t.Helper()
	w := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodGet, path, nil)
	r.Host = "127.0.0.1:9894"
	h.ServeHTTP(w, r)
	text, err := io.ReadAll(w.Result().Body)
	if err != nil {
		t.Fatal(err)
	}
	return w.Code, string(text)
}

// samples returns the values of our own metrics, except the buckets of histograms.
func samples(t *testing.T, m *Metrics) map[string]string {
	t.Helper()
	_, text := get(t, m.Handler(), "/metrics")
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

// TestStart holds the series that exist from the start to a list of them.
func TestStart(t *testing.T) {
	m := newMetrics()
	m.ListenerAdded("inet:8894@127.0.0.1")
	var lines []string
	for name, value := range samples(t, m) {
		if strings.HasPrefix(name, "build_info{") {
			if value != "1" || !strings.Contains(name, `revision="abc",version="v1.2.3"`) {
				t.Errorf("%s %s", name, value)
			}
			continue
		}
		if value != "0" {
			t.Errorf("%s is %s at the start", name, value)
		}
		lines = append(lines, name+"\n")
	}
	slices.Sort(lines)
	golden(t, "testdata/start.txt", strings.Join(lines, ""))
}

// golden compares text with a file, or writes the file if AUTHMILTER_UPDATE is set.
func golden(t *testing.T, path, text string) {
	t.Helper()
	if os.Getenv("AUTHMILTER_UPDATE") != "" {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if text != string(want) {
		t.Errorf("%s is not up to date (make golden): want\n%s", path, text)
	}
}

func TestObserve(t *testing.T) {
	m := newMetrics()
	m.SetAuthorDomains([]string{"example.com", "example.net"})
	rsaSignature := &dkim.Signature{Algorithm: "rsa-sha256"}
	m.Observe(&policy.Verdict{
		Listener: "l",
		Decision: policy.Decision{Disposition: policy.None, Requested: policy.Reject},
		Removed:  policy.Removed{policy.ResultsField: 3, policy.QuarantineField: 1}, HarmlessRemoved: 1,
		Result: &verify.Result{
			DKIM: []dkim.Result{
				{Status: dkim.Pass, Signature: rsaSignature, Key: &dkim.Key{Type: "rsa", Bits: 2048}},
				{Status: dkim.Fail, Reason: dkim.ReasonBodyHash, Signature: rsaSignature, Key: &dkim.Key{Type: "rsa", Bits: 1536}},
				{Status: dkim.Fail, Reason: dkim.ReasonBodyHash, Signature: &dkim.Signature{Algorithm: "Ed25519-SHA256"}, Key: &dkim.Key{Type: "ed25519", Bits: 256}},
				{Status: dkim.PermError, Reason: dkim.ReasonNoKey, Signature: rsaSignature},
				{Status: dkim.Neutral, Reason: dkim.ReasonSyntax, Signature: &dkim.Signature{Algorithm: "<hostile>"}},
			},
			SPF:   spf.Result{Status: spf.SoftFail, Identity: spf.MailFrom},
			Helo:  &spf.Result{Status: spf.Pass, Identity: spf.Helo},
			IPRev: &iprev.Result{Status: iprev.Fail, Reason: iprev.ReasonNoMatch},
			DMARC: dmarc.Result{Status: dmarc.Pass, Author: "mail.example.com", Policy: &dmarc.Policy{Published: dmarc.DispositionReject}},
			ARC:   arc.Result{Status: arc.Pass, Chain: &arc.Chain{Sets: make([]arc.Set, 4)}},
			Size:  1000,
		},
		Seal:         policy.Sealing{Done: true},
		EndOfMessage: 250 * time.Millisecond,
		Stages: policy.Stages{
			Receive: time.Second, Wait: 2 * time.Second, Verify: 3 * time.Second,
			Decide: 4 * time.Second, Seal: 5 * time.Second, Write: 6 * time.Second,
		},
	})
	m.Observe(&policy.Verdict{
		Listener: "l",
		Decision: policy.Decision{Disposition: policy.None, Override: policy.OverrideReason{Type: policy.TrustedForwarder}},
		Seal:     policy.Sealing{Err: arc.ErrOwn},
		Result: &verify.Result{
			SPF:      spf.Result{Status: spf.TempError, Reason: spf.ReasonDNS, Identity: spf.MailFrom},
			DMARC:    dmarc.Result{Status: dmarc.Fail, Reason: dmarc.ReasonNotAligned, Author: "notexample.com"},
			Exceeded: dns.BudgetTime,
			ARC:      arc.Result{Status: arc.Fail, Reason: arc.ReasonTooMany, Chain: &arc.Chain{}},
			Size:     24,
		},
		EndOfMessage: 750 * time.Millisecond,
	})
	m.Observe(&policy.Verdict{Listener: "l", Skip: policy.Authenticated, Removed: policy.Removed{policy.ResultsField: 1}, Signing: policy.Signing{Selectors: []string{"s"}}})
	m.Observe(&policy.Verdict{Listener: "l", Skip: policy.LocalNetwork})
	m.Observe(&policy.Verdict{Listener: "l", Skip: policy.LocalNetwork, Signing: policy.Signing{Selectors: []string{"s"}}, DKIMOnly: &verify.Result{}})
	m.Observe(&policy.Verdict{Listener: "l", Skip: policy.Authenticated, Signing: policy.Signing{Selectors: []string{"s"}}, DKIMOnly: &verify.Result{
		Exceeded: dns.BudgetQueries,
		DKIM:     []dkim.Result{{Status: dkim.Fail, Signature: rsaSignature}, {Status: dkim.Fail, Signature: rsaSignature}},
	}})
	m.Observe(&policy.Verdict{Listener: "l", Skip: policy.LocalNetwork, Signing: policy.Signing{Err: errors.New("no")}})
	m.Observe(&policy.Verdict{Listener: "l", Skip: policy.LocalNetwork, Signing: policy.Signing{Err: message.ErrLongLine}})
	m.Observe(&policy.Verdict{Listener: "l", Skip: policy.Overload})
	m.KeyState("seal", "old.example", "s", "ok")
	m.ForgetKeys()
	m.KeyState("seal", "example.org", "s", "ok")
	m.KeyState("seal", "example.org", "s", "mismatch")
	m.DNSQuery("TXT", "SERVFAIL", time.Second)
	m.DNSCacheHit()
	m.DNSCacheStale()
	m.DNSCacheMiss()
	m.DNSCacheMiss()
	m.ConnectionOpened()
	m.ConnectionOpened()
	m.ConnectionClosed()
	m.ConnectionDelayed()
	m.ProtocolError("too_slow")
	m.Panic()
	m.Error("answer")
	m.MessageBegan()
	m.MessageBegan()
	m.MessageEnded()
	m.SetLimits(Limits{Connections: 10, Messages: 20, EndOfMessage: 8 * time.Second})
	m.Reloaded(true, time.Unix(1000, 0))
	m.Reloaded(false, time.Unix(2000, 0))

	got := samples(t, m)
	for name, want := range map[string]string{
		`messages_total{disposition="none",listener="l"}`:                                              "2",
		`messages_skipped_total{reason="authenticated"}`:                                               "2",
		`auth_results_total{method="dkim",reason="",result="pass"}`:                                    "1",
		`auth_results_total{method="dkim",reason="body_hash",result="fail"}`:                           "2",
		`auth_results_total{method="dkim",reason="",result="none"}`:                                    "1",
		`auth_results_total{method="spf",reason="",result="softfail"}`:                                 "1",
		`auth_results_total{method="spf",reason="dns",result="temperror"}`:                             "1",
		`auth_results_total{method="dmarc",reason="",result="pass"}`:                                   "1",
		`auth_results_total{method="dmarc",reason="not_aligned",result="fail"}`:                        "1",
		`auth_results_total{method="arc",reason="",result="pass"}`:                                     "1",
		`auth_results_total{method="arc",reason="too_many_sets",result="fail"}`:                        "1",
		`overrides_total{reason="trusted_forwarder"}`:                                                  "1",
		`arc_seals_total{result="sealed"}`:                                                             "1",
		`arc_seals_total{result="own"}`:                                                                "1",
		`arc_seals_total{result="error"}`:                                                              "0",
		`own_messages_total{result="signed"}`:                                                          "3",
		`own_dkim_results_total{result="none"}`:                                                        "1",
		`own_dkim_results_total{result="fail"}`:                                                        "2",
		`own_dkim_results_total{result="pass"}`:                                                        "0",
		`own_messages_total{result="unsigned"}`:                                                        "2",
		`own_messages_total{result="error"}`:                                                           "1",
		`key_state{domain="old.example",selector="s",state="ok",use="seal"}`:                           "",
		`key_state{domain="example.org",selector="s",state="ok",use="seal"}`:                           "0",
		`key_state{domain="example.org",selector="s",state="mismatch",use="seal"}`:                     "1",
		`ar_headers_removed_total{claim="forged",header="Authentication-Results"}`:                     "3",
		`ar_headers_removed_total{claim="harmless",header="Authentication-Results"}`:                   "1",
		`ar_headers_removed_total{claim="forged",header="quarantine"}`:                                 "1",
		`auth_results_total{method="dkim",reason="no_key",result="permerror"}`:                         "1",
		`auth_results_total{method="spf",reason="",result="pass"}`:                                     "1",
		`auth_results_total{method="iprev",reason="no_match",result="fail"}`:                           "1",
		`dkim_signatures_total{algorithm="rsa-sha256",key_bits="2048",result="pass"}`:                  "1",
		`dkim_signatures_total{algorithm="rsa-sha256",key_bits="1025-2047",result="fail"}`:             "1",
		`dkim_signatures_total{algorithm="ed25519-sha256",key_bits="256",result="fail"}`:               "1",
		`dkim_signatures_total{algorithm="rsa-sha256",key_bits="unknown",result="permerror"}`:          "1",
		`dkim_signatures_total{algorithm="unknown",key_bits="unknown",result="neutral"}`:               "1",
		`spf_results_total{identity="mailfrom",result="softfail"}`:                                     "1",
		`spf_results_total{identity="mailfrom",result="temperror"}`:                                    "1",
		`spf_results_total{identity="helo",result="pass"}`:                                             "1",
		`dmarc_results_total{disposition="none",override="",policy="reject",result="pass"}`:            "1",
		`dmarc_results_total{disposition="none",override="trusted_forwarder",policy="",result="fail"}`: "1",
		`arc_results_total{result="pass",sets="3-5"}`:                                                  "1",
		`arc_results_total{result="fail",sets="over"}`:                                                 "1",
		`author_domain_results_total{author_domain="example.com",result="pass"}`:                       "1",
		`author_domain_results_total{author_domain="example.com",result="fail"}`:                       "0",
		`author_domain_results_total{author_domain="example.net",result="pass"}`:                       "0",
		`errors_total{stage="seal"}`:                                                                   "0",
		`errors_total{stage="sign"}`:                                                                   "1",
		`errors_total{stage="answer"}`:                                                                 "1",
		`stage_duration_seconds_sum{stage="receive"}`:                                                  "1",
		`stage_duration_seconds_sum{stage="wait"}`:                                                     "2",
		`stage_duration_seconds_sum{stage="verify"}`:                                                   "3",
		`stage_duration_seconds_sum{stage="decide"}`:                                                   "4",
		`stage_duration_seconds_sum{stage="seal"}`:                                                     "5",
		`stage_duration_seconds_sum{stage="write"}`:                                                    "6",
		`stage_duration_seconds_count{stage="write"}`:                                                  "2",
		`dns_budget_exceeded_total{budget="time"}`:                                                     "1",
		`dns_budget_exceeded_total{budget="queries"}`:                                                  "1",
		`dns_cache_total{result="stale"}`:                                                              "1",
		"messages_in_flight":                                                                           "1",
		"connections_limit":                                                                            "10",
		"messages_limit":                                                                               "20",
		"eom_limit_seconds":                                                                            "8",
		"message_bytes_total":                                                                          "1024",
		"eom_duration_seconds_count":                                                                   "2",
		"eom_duration_seconds_sum":                                                                     "1",
		`dns_queries_total{qtype="TXT",rcode="SERVFAIL"}`:                                              "1",
		"dns_query_duration_seconds_sum":                                                               "1",
		`dns_cache_total{result="hit"}`:                                                                "1",
		`dns_cache_total{result="miss"}`:                                                               "2",
		"connections":                                                                                  "1",
		"connections_delayed_total":                                                                    "1",
		`milter_protocol_errors_total{reason="too_slow"}`:                                              "1",
		`milter_protocol_errors_total{reason="empty_packet"}`:                                          "0",
		"panics_total":                                 "1",
		"config_last_reload_successful":                "0",
		"config_last_reload_success_timestamp_seconds": "1000",
	} {
		if got[name] != want {
			t.Errorf("%s is %q, not %s", name, got[name], want)
		}
	}
}

// TestAuthorDomains holds that a reload changes which domains are counted.
func TestAuthorDomains(t *testing.T) {
	m := newMetrics()
	count := func(author string) {
		m.Observe(&policy.Verdict{Listener: "l", Result: &verify.Result{DMARC: dmarc.Result{Status: dmarc.Fail, Author: author}}})
	}
	count("example.com")
	m.SetAuthorDomains([]string{"example.com", "mail.example.com"})
	count("example.com")
	count("a.mail.example.com")
	count("other.example")
	m.SetAuthorDomains([]string{"mail.example.com"})
	count("example.com")
	count("mail.example.com")
	var got []string
	for name, value := range samples(t, m) {
		if strings.HasPrefix(name, "author_domain_results_total") && value != "0" {
			got = append(got, name+" "+value)
		}
	}
	want := []string{`author_domain_results_total{author_domain="mail.example.com",result="fail"} 2`}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
