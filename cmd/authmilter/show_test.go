package main

import (
	"net/http"
	"strings"
	"testing"
)

// TestServeDebugLog checks that level debug explains each result, that level info does
// not, and that neither shows any part of a body.
func TestServeDebugLog(t *testing.T) {
	zone := zoneServer(t)
	d := serving(t, common(zone, "log.level = \"debug\"\n"+
		"[[override]]\nname = \"monitor\"\nmail_from = [\"monitor.example\"]\nclient = [\"192.0.2.0/24\"]\naction = \"skip\"\n"), nil)
	m := connect(t, d.address("listen"))
	secret := spoofed
	secret.body = "the words of a body\r\n"
	m.deliver(secret)
	d.waitLog("msg=message ")
	for _, want := range []string{
		`level=DEBUG msg=look-up queue_id=4gTest type=TXT name=_dmarc.example.com `,
		`level=DEBUG msg="spf record" queue_id=4gTest depth=0 domain=example.com record="v=spf1 `,
		`level=DEBUG msg="spf term" queue_id=4gTest depth=0 domain=example.com term=`,
		`level=DEBUG msg=rule queue_id=4gTest rule=dmarc applies=true outcome=`,
	} {
		if !strings.Contains(d.log.String(), want) {
			t.Errorf("the log does not contain %s", want)
		}
	}
	if text := d.log.String(); strings.Contains(text, `term=""`) {
		t.Errorf("a step without a term: %s", text)
	}
	skipped := secret
	skipped.from, skipped.queueID = "ping@monitor.example", "4gSkipped"
	m.deliver(skipped)
	d.waitLog("skipped=override")
	if want := "level=DEBUG msg=rule queue_id=4gSkipped rule=monitor applies=true outcome=skip\n"; !strings.Contains(d.log.String(), want) {
		t.Errorf("the log does not contain %s", want)
	}
	d.reload(common(zone, "log.level = \"info\"\n"), "configuration reloaded")
	seen := d.log.Len()
	m.deliver(secret)
	d.waitLogAfter(seen, "msg=message ")
	if later := d.log.String()[seen:]; strings.Contains(later, "DEBUG") {
		t.Errorf("at level info: %s", later)
	}
	if strings.Contains(d.log.String(), "the words") {
		t.Error("the body is in the log")
	}
}

// TestServeSkippedDKIM checks that the log explains the results of mail of our own
// like others, if its signatures are verified.
func TestServeSkippedDKIM(t *testing.T) {
	zone := zoneServer(t)
	d := serving(t, common(zone, "log.level = \"debug\"\nskip.check_dkim = true\n"), nil)
	m := connect(t, d.address("listen"))
	local := readMail(t, "signed.eml", mail{client: "127.0.0.1", clientName: "localhost", helo: "localhost", queueID: "4gLocal"})
	m.deliver(local)
	d.waitLog("skipped=network")
	for _, want := range []string{
		`skipped=network dkim="pass example.com `,
		`level=DEBUG msg=look-up queue_id=4gLocal type=TXT name=`,
	} {
		if !strings.Contains(d.log.String(), want) {
			t.Errorf("the log does not contain %s:\n%s", want, d.log.String())
		}
	}
	d.wantMetric(`authmilter_own_dkim_results_total{result="pass"} 1`)
	seen := d.log.Len()
	d.reload(common(zone, "log.level = \"debug\"\n"), "configuration reloaded")
	m.deliver(local)
	d.waitLogAfter(seen, "skipped=network")
	if later := d.log.String()[seen:]; strings.Contains(later, "dkim=") || strings.Contains(later, "look-up") {
		t.Errorf("off: %s", later)
	}
}

// TestServeShows checks that a reload changes what is shown over HTTP.
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

// TestServeStatusPage checks that the page shows what happens, as far as the
// configuration in force allows.
func TestServeStatusPage(t *testing.T) {
	zone := zoneServer(t)
	override := "[[override]]\nname = \"for the boss\"\nrecipient = [\"boss.example.org\"]\naction = \"accept\"\n"
	d := serving(t, common(zone, override), nil)
	m := connect(t, d.address("listen"))
	m.deliver(spoofed)
	d.waitLog("msg=message ")
	page := func() string {
		t.Helper()
		code, text := d.get("/")
		if code != http.StatusOK {
			t.Fatalf("/: %d %q", code, text)
		}
		return text
	}
	personal := []string{"4gTest", "192.0.2.99", "out.example.net", "alice@example.com"}
	full := page()
	for _, want := range append(personal, "no authenticated identifier", "boss.example.org", "quarantine_field") {
		if !strings.Contains(full, want) {
			t.Errorf("the page does not show %q", want)
		}
	}

	d.reload("nonsense = 1\n", "configuration refused")
	if !strings.Contains(page(), "nonsense: unknown key") {
		t.Error("the page does not show that a configuration was refused")
	}

	seen := d.log.Len()
	d.reload(common(zone, "metrics.status_page = \"anonymous\"\n"+override), "configuration reloaded")
	m.deliver(spoofed)
	d.waitLogAfter(seen, "msg=message ")
	anonymous := page()
	for _, private := range append(personal, "boss", "unknown key") {
		if strings.Contains(anonymous, private) {
			t.Errorf("the page shows %q", private)
		}
	}
	if !strings.Contains(anonymous, "not authenticated") {
		t.Error("the page does not show reasons")
	}

	d.reload(common(zone, "metrics.status_page = \"off\"\n"), "configuration reloaded")
	if code, _ := d.get("/"); code != http.StatusNotFound {
		t.Errorf("/: %d", code)
	}
}
