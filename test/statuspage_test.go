package test

import (
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"authmilter/policy"
	"authmilter/test/browser"
	"authmilter/test/daemon"
	"authmilter/test/mta"
	"authmilter/test/need"
	"authmilter/test/scenario"
	"authmilter/verify/dns/dnstest"
)

// pageRig is a daemon behind Postfix, and a browser.
type pageRig struct {
	*browser.Browser
	daemon *daemon.Daemon
	mta    mta.MTA
	direct *mta.Direct
	url    string
}

// startPage runs a milter with the zones of the scenarios and additional
// configuration.
func startPage(t *testing.T, all []*scenario.Scenario, config string) pageRig {
	t.Helper()
	need.Found(t, browser.Find())
	port := mta.FreePort(t)
	r := rig{
		mta:    mta.StartPostfix(t, fmt.Sprintf("inet:127.0.0.1:%d", port)),
		listen: fmt.Sprintf("inet:%d@127.0.0.1", port),
	}
	d := r.serve(t, dnstest.MustParse(t, mergeZones(all)), config)
	return pageRig{
		Browser: browser.Start(t),
		daemon:  d,
		mta:     r.mta,
		direct:  mta.NewDirect(fmt.Sprintf("inet:127.0.0.1:%d", port)),
		url:     "http://" + d.Config.Metrics + "/",
	}
}

// screens are the screens on which people read the page.
var screens = map[string]browser.Screen{
	"light":  {Width: 1280, Height: 900},
	"dark":   {Width: 1280, Height: 900, Dark: true},
	"tablet": {Width: 800, Height: 1000},
	"phone":  {Width: 360, Height: 740, Dark: true},
}

// check checks that the loaded page fits its screen and has requested nothing
// but itself, and that the console is silent. Screenshots go to the directory
// in AUTHMILTER_SCREENSHOTS.
func (p pageRig) check(t *testing.T, name string) {
	t.Helper()
	for _, how := range slices.Sorted(maps.Keys(screens)) {
		p.Look(screens[how])
		p.Go(p.url)
		var width struct{ Page, Screen int }
		p.Eval(`({page: document.documentElement.scrollWidth, screen: window.innerWidth})`, &width)
		if width.Page > width.Screen || width.Screen != screens[how].Width {
			t.Errorf("%s, %s: the page is %d pixels wide on a screen of %d", name, how, width.Page, width.Screen)
		}
		var background string
		p.Eval(`getComputedStyle(document.body).backgroundColor`, &background)
		if dark := darkColour(t, background); dark != screens[how].Dark {
			t.Errorf("%s, %s: the background is %s", name, how, background)
		}
		picture := p.Screenshot()
		if dir := os.Getenv("AUTHMILTER_SCREENSHOTS"); dir != "" {
			if err := os.WriteFile(filepath.Join(dir, name+"-"+how+".png"), picture, 0o644); err != nil {
				t.Error(err)
			}
		}
	}
	for _, c := range p.Complaints() {
		t.Errorf("%s: %s", name, c)
	}
	for _, url := range p.Requests() {
		if url != p.url && url != "about:blank" {
			t.Errorf("%s: the page requests %s", name, url)
		}
	}
}

func darkColour(t *testing.T, css string) bool {
	t.Helper()
	var r, g, b int
	if _, err := fmt.Sscanf(css, "rgb(%d, %d, %d)", &r, &g, &b); err != nil {
		t.Fatalf("colour %q: %v", css, err)
	}
	return r+g+b < 3*128
}

// rows returns the cells in the body of a section's table.
func (p pageRig) rows(section string) (rows [][]string) {
	p.Eval(fmt.Sprintf(`[...document.querySelectorAll('section[aria-labelledby=%s] tbody tr')]
		.map(row => [...row.cells].map(cell => cell.innerText))`, section), &rows)
	return rows
}

// counts returns a column of a table, keyed by the first cell of each row.
func counts(rows [][]string, column int) map[string]string {
	all := map[string]string{}
	for _, r := range rows {
		if len(r) > column {
			all[strings.TrimSpace(r[0])] = r[column]
		}
	}
	return all
}

// TestStatusPage sends mail of every kind through Postfix, and compares the
// numbers that a browser shows with the verdicts.
func TestStatusPage(t *testing.T) {
	all := choose(loadScenarios(t), func(s *scenario.Scenario) bool { return s.Config == "" })
	p := startPage(t, all, "policy.mode = \"enforce\"\niprev.check = true\n")
	p.check(t, "empty")
	for _, s := range all {
		p.mta.Deliver(t, s.Client, s.Message)
	}
	p.check(t, "full")
	p.Look(screens["light"])
	p.Go(p.url)

	m := p.daemon.Metrics(t)
	metric := func(name string) string { return fmt.Sprint(m["authmilter_"+name]) }
	verified := 0.0
	shown := counts(p.rows("volume"), 1)
	for _, d := range policy.Dispositions() {
		name := fmt.Sprintf(`messages_total{disposition="%s",listener="%s"}`, d, p.daemon.Config.Listen)
		verified += m["authmilter_"+name]
		if shown[string(d)] != metric(name) {
			t.Errorf("%s: %q are shown, %s are counted", d, shown[string(d)], metric(name))
		}
	}
	if shown["verified"] != fmt.Sprint(verified) || verified < 30 {
		t.Errorf("%q verified messages are shown, want %v", shown["verified"], verified)
	}
	for _, claim := range []string{"forged", "harmless"} {
		want := metric(fmt.Sprintf(`ar_headers_removed_total{claim="%s",header="Authentication-Results"}`, claim))
		if got := shown[claim+" fields removed"]; got != want || want == "0" {
			t.Errorf("%q %s fields are shown, %s were removed", got, claim, want)
		}
	}
	methods := map[string]string{}
	for _, row := range p.rows("methods") {
		if len(row) == 6 { // the hour; rows of the day do not repeat the method
			methods[row[0]] = row[5]
		}
	}
	for method, results := range map[string][]string{
		"spf": {"pass", "fail", "none"}, "dmarc": {"pass", "fail", "none", "permerror"}, "arc": {"pass", "fail", "none"},
	} {
		for _, result := range results {
			sum := 0.0
			for name, value := range m {
				if strings.HasPrefix(name, fmt.Sprintf(`authmilter_auth_results_total{method="%s",`, method)) &&
					strings.HasSuffix(name, fmt.Sprintf(`,result="%s"}`, result)) {
					sum += value
				}
			}
			if want := fmt.Sprintf("%s %v", result, sum); !strings.Contains(methods[method], want) || sum == 0 {
				t.Errorf("%s: %q does not say %q", method, methods[method], want)
			}
		}
	}
	if rows := p.rows("messages"); len(rows) != min(100, len(all)) {
		t.Errorf("%d messages are shown, want %d", len(rows), len(all))
	}
	if failing := counts(p.rows("talkers"), 2); failing["example.com"] == "" {
		t.Errorf("example.com is not among %v", failing)
	}
}

// TestStatusPageIsHarmless fills every text of a message with markup. The page
// shows the text, and none of it acts as markup.
func TestStatusPageIsHarmless(t *testing.T) {
	const script = `<script>alert(document.title='broken')</script><img src=x onerror=alert(1)><b>"'&amp;</b></td></table></html>{{.}}`
	p := startPage(t, nil, "")
	message := mta.Message{
		From: "<b>" + script + "@evil.example",
		To:   script + "@rcpt.example.org",
		Data: []byte(strings.Join([]string{
			"From: " + script + " <" + script + "@" + "evil.example>",
			"Subject: " + script,
			"Authentication-Results: " + mta.Hostname + "; " + script,
			"List-Id: <" + script + ">",
			"DKIM-Signature: v=1; a=" + script + "; d=" + script + "; s=" + script + "; h=from; bh=AA==; b=AA==",
			"DKIM-Signature: " + script,
			"ARC-Seal: i=1; cv=none; a=rsa-sha256; d=" + script + "; s=" + script + "; b=AA==",
			"ARC-Message-Signature: i=1; " + script,
			"ARC-Authentication-Results: i=1; " + script,
			script + ": x",
			"", script, "",
		}, "\r\n")),
	}
	client := mta.Client{Addr: netip.MustParseAddr("192.0.2.1"), Name: script, Helo: script}
	for range 3 {
		p.direct.Deliver(t, client, message)
	}
	long := strings.Repeat("W", 300)
	p.direct.Deliver(t, mta.Client{Addr: client.Addr, Name: long, Helo: long}, mta.Message{
		From: long + "@" + long, To: message.To, Data: []byte("From: " + long + "@" + long[:60] + ".example\r\n\r\n"),
	})
	p.check(t, "hostile")
	var page struct {
		Title   string
		Scripts int
		Images  int
		Text    bool
	}
	p.Eval(`({
		title: document.title,
		scripts: document.scripts.length,
		images: document.images.length,
		text: document.querySelector('section[aria-labelledby=messages]').innerText.includes('<script>'),
	})`, &page)
	if page.Title != "authmilter on "+mta.Hostname || page.Scripts != 0 || page.Images != 0 {
		t.Errorf("%+v", page)
	}
	if !page.Text {
		t.Error("the page does not show the text")
	}
	if rows := p.rows("messages"); len(rows) != 4 {
		t.Errorf("%d messages are shown", len(rows))
	}
}
