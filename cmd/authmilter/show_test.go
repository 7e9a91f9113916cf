package main

import (
	"net/http"
	"strings"
	"testing"
)

// TestServeDebugLog holds that the level debug tells how a verdict came about,
// that info does not, and that neither shows a piece of a body.
func TestServeDebugLog(t *testing.T) {
	zone := zoneServer(t)
	d := serving(t, common(zone, "log.level = \"debug\"\n"), nil)
	m := connect(t, d.address("listen"))
	secret := spoofed
	secret.body = "the words of a body\r\n"
	m.deliver(secret)
	d.waitLog("msg=message ")
	for _, want := range []string{
		`level=DEBUG msg=look-up queue_id=4gTest type=TXT name=_dmarc.example.com `,
		`level=DEBUG msg="spf term" queue_id=4gTest `,
		`level=DEBUG msg=rule queue_id=4gTest rule=dmarc applies=true outcome=`,
	} {
		if !strings.Contains(d.log.String(), want) {
			t.Errorf("the log does not say %s", want)
		}
	}
	d.reload(common(zone, "log.level = \"info\"\n"), "configuration reloaded")
	seen := d.log.Len()
	m.deliver(secret)
	d.waitLogAfter(seen, "msg=message ")
	if later := d.log.String()[seen:]; strings.Contains(later, "DEBUG") {
		t.Errorf("at the level info: %s", later)
	}
	if strings.Contains(d.log.String(), "the words") {
		t.Error("the body is in the log")
	}
}

// TestServeShows holds that a reload changes what is shown over HTTP.
func TestServeShows(t *testing.T) {
	zone := zoneServer(t)
	d := serving(t, common(zone, "metrics.author_domains = [\"example.com\"]\nlimits.messages = 7\n"), nil)
	if code, _ := d.get("/debug/pprof/"); code != http.StatusNotFound {
		t.Errorf("/debug/pprof/: %d", code)
	}
	connect(t, d.address("listen")).deliver(spoofed)
	d.waitLog("msg=message ")
	d.wantMetric(`authmilter_author_domain_results_total{author_domain="example.com",result="fail"} 1`)
	d.wantMetric("authmilter_messages_limit 7")
	d.wantMetric("authmilter_connections_limit 1000")
	d.wantMetric("authmilter_eom_limit_seconds 8")
	d.reload(common(zone, "metrics.profiling = true\nlimits.end_of_message = \"6s\"\n"), "configuration reloaded")
	if code, text := d.get("/debug/pprof/"); code != http.StatusOK || !strings.Contains(text, "goroutine") {
		t.Errorf("/debug/pprof/: %d %q", code, text)
	}
	d.wantMetric("authmilter_eom_limit_seconds 6")
	if _, text := d.get("/metrics"); strings.Contains(text, "author_domain=") {
		t.Error("the author domain is still counted")
	}
}
