package main

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"authmilter/verify/dns/dnstest"
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

// TestServeDebugChangesNoLookup checks that DNS servers cannot see the log level: a
// sender could run one. The domain's explanation of an SPF fail, which nobody reads in
// serve, is never fetched.
func TestServeDebugChangesNoLookup(t *testing.T) {
	const records = `
example.com.                   TXT  "v=spf1 a mx include:_spf.example.com -all exp=%{ir}._why.example.com"
example.com.                   A    192.0.2.1
example.com.                   MX   10 mx.example.com.
mx.example.com.                A    192.0.2.1
_spf.example.com.              TXT  "v=spf1 ptr exists:%{i}.list.example.com -all exp=_why.example.com"
99.2.0.192._why.example.com.   TXT  "because"
_why.example.com.              TXT  "because"
_dmarc.example.com.            TXT  "v=DMARC1; p=reject"
out.example.net.               TXT  "v=spf1 -all exp=%{h}._why.example.com"
`
	asked := func(level string) []string {
		zone := dnstest.MustParse(t, records)
		d := serving(t, common(dnstest.Serve(t, zone), "log.level = \""+level+"\"\nspf.helo_result = true\niprev.check = true\n"), nil)
		m := spoofed
		m.header = append(slices.Clone(m.header), [2]string{"DKIM-Signature",
			" v=1; a=ed25519-sha256; d=example.com; s=s1; h=from; bh=" + strings.Repeat("A", 43) + "=; b=" + strings.Repeat("A", 86) + "=="})
		connect(t, d.address("listen")).deliver(m)
		d.waitLog("msg=message ")
		if !strings.Contains(d.log.String(), `spf="fail example.com`) || !strings.Contains(d.log.String(), `spf_helo="fail`) {
			t.Error("SPF does not fail")
		}
		if explains := strings.Contains(d.log.String(), "msg=look-up"); explains != (level == "debug") {
			t.Errorf("level %s: explained %t", level, explains)
		}
		// They are asked at once, and a name twice if an answer comes too late.
		questions := zone.Queries()
		slices.Sort(questions)
		return slices.Compact(questions)
	}
	info, debug := asked("info"), asked("debug")
	if !slices.Equal(info, debug) {
		t.Errorf("at level info  %q\nat level debug %q", info, debug)
	}
	if len(info) < 8 || strings.Contains(strings.Join(info, " "), "_why") {
		t.Errorf("asked for %q", info)
	}
}

// TestServeUnknownClient checks that a client whose address the MTA does not know is
// nowhere shown as if it had one.
func TestServeUnknownClient(t *testing.T) {
	d := serving(t, common(zoneServer(t), `log.level = "debug"
policy.mode = "enforce"
policy.reject_text = "rejected {client}."
spf.received_spf = true
iprev.check = true
[[override]]
name = "own"
client = ["192.0.2.0/24"]
action = "accept"
`), nil)
	m := connect(t, d.address("listen"))
	rejected := spoofed
	rejected.client, rejected.clientName = "", "localhost"
	edits := m.deliver(rejected)
	if want := "reply 550 5.7.1 rejected ."; edits[len(edits)-1] != want {
		t.Errorf("%q, want %q", edits, want)
	}
	accepted := rejected
	accepted.from, accepted.queueID = "ceo@bank.example", "4gAccepted"
	accepted.header = [][2]string{{"From", " ceo@bank.example"}}
	edits = m.deliver(accepted)
	d.waitLog("msg=message queue_id=4gAccepted client=\"\" ")
	if !strings.Contains(d.log.String(), `outcome="client is missing, not 192.0.2.0/24"`) {
		t.Error("the log does not explain the override")
	}
	_, page := d.get("/")
	for _, text := range append(edits, d.log.String(), page) {
		if strings.Contains(text, "invalid IP") || strings.Contains(text, "client-ip") {
			t.Errorf("an address is shown: %s", text)
		}
	}
}

// TestServeHarmless checks that log, metrics and status page tell a removed field that
// misleads nobody from a forged one.
func TestServeHarmless(t *testing.T) {
	d := serving(t, common(zoneServer(t), ""), nil)
	m := connect(t, d.address("listen"))
	microsoft := spoofed
	microsoft.header = slices.Clone(spoofed.header)
	microsoft.header[0][1] = " mx.example.org; dkim=none (message not signed)\n header.d=none;mx.example.org; dmarc=none action=none\n header.from=example.com;"
	if edits := m.deliver(microsoft); edits[0] != "delete 1 Authentication-Results" {
		t.Errorf("%q", edits)
	}
	d.waitLog(" harmless_removed=1 ")
	if strings.Contains(d.log.String(), "forged_removed") {
		t.Error("logged as forged")
	}
	d.wantMetric(`authmilter_ar_headers_removed_total{claim="forged",header="Authentication-Results"} 0`)
	d.wantMetric(`authmilter_ar_headers_removed_total{claim="harmless",header="Authentication-Results"} 1`)
	m.deliver(spoofed)
	d.waitLog(" forged_removed=1 ")
	d.wantMetric(`authmilter_ar_headers_removed_total{claim="forged",header="Authentication-Results"} 1`)
	d.wantMetric(`authmilter_ar_headers_removed_total{claim="harmless",header="Authentication-Results"} 1`)
	_, page := d.get("/")
	for _, want := range []string{"forged fields removed: 1", "harmless fields removed: 1"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
}

// TestServeReportOnly checks that log and status page say what an override that only
// reports keeps from happening.
func TestServeReportOnly(t *testing.T) {
	for _, mode := range []string{"report", "enforce"} {
		d := serving(t, common(zoneServer(t), "policy.mode = \""+mode+"\"\n"+
			"[[override]]\nname = \"watched\"\nrecipient = [\"rcpt.example.org\"]\naction = \"report-only\"\n"), nil)
		edits := connect(t, d.address("listen")).deliver(spoofed)
		if last := edits[len(edits)-1]; !strings.Contains(last, "local_policy: watched: report-only") {
			t.Errorf("%s: %q", mode, edits)
		}
		d.waitLog(`disposition=none requested=reject reason=dmarc intended=reject override=local_policy override_detail="watched: report-only" bytes`)
		d.wantMetric(`authmilter_overrides_total{reason="local_policy"} 1`)
		d.wantMetric(`authmilter_messages_total{disposition="none",listener="inet:0@127.0.0.1"} 1`)
		if _, page := d.get("/"); !strings.Contains(page, "would be reject") {
			t.Errorf("%s: the page does not show what would have been done", mode)
		}
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
