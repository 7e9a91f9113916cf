package statuspage

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

// TestAnonymous holds that no text from a message is kept or shown.
func TestAnonymous(t *testing.T) {
	c := newClock()
	mark := func(n int) string { return fmt.Sprintf("MARK%d", n) }
	show := func(mode Privacy) (string, *filler, *Page) {
		p := New(Config{Privacy: mode, Now: c.now})
		f := filler{text: mark, names: true}
		for _, v := range f.verdicts(c.t) {
			p.Observe(v)
		}
		return get(t, p), &f, p
	}
	page, f, p := show(Anonymous)
	if len(f.all) < 100 || f.addresses < 4 {
		t.Fatalf("only %d texts and %d addresses", len(f.all), f.addresses)
	}
	for _, leak := range []string{"MARK", "beef", "Client", "Author domain"} {
		if strings.Contains(page, leak) {
			i := strings.Index(page, leak)
			t.Errorf("the page holds %s", page[max(i-200, 0):min(i+100, len(page))])
		}
	}
	for _, m := range p.recorder.last() {
		if strings.Contains(m.text, "MARK") || m.client.IsValid() {
			t.Errorf("kept %q of %v", m.text, m.client)
		}
	}
	for _, block := range p.recorder.talkers.slots {
		if len(block.offenders) > 0 {
			t.Error("author domains are kept")
		}
	}
	if !strings.Contains(page, "without personal data") {
		t.Error("the page does not say that it is anonymous")
	}
	parse(t, page)
	// Make sure that the test can see a leak.
	page, _, _ = show(Full)
	if strings.Count(page, "MARK") < 30 || !strings.Contains(page, "2001:db8:beef::") {
		t.Error("the full page shows none of it")
	}
}

// TestAnonymousTellsReasons holds that names from our own sets are still shown.
func TestAnonymousTellsReasons(t *testing.T) {
	nodes := parse(t, get(t, filled(Anonymous)))
	for _, n := range nodes {
		if attribute(n, "aria-labelledby") != "messages" {
			continue
		}
		for _, want := range []string{"body hash", "not aligned", "not authenticated", "because of dmarc", "trusted forwarder", "skipped: authenticated", "signed"} {
			if !strings.Contains(textOf(n), want) {
				t.Errorf("no %q", want)
			}
		}
		return
	}
	t.Error("no messages")
}

func TestSetPrivacy(t *testing.T) {
	has := func(p *Page, text string) bool { return strings.Contains(get(t, p), text) }
	p := filled(Full)
	if !has(p, "bank.example") || !has(p, "203.0.113.200") {
		t.Fatal("there is nothing to forget")
	}
	p.SetPrivacy(Anonymous)
	for _, text := range []string{"bank.example", "203.0.113.200", "4gX"} {
		if has(p, text) {
			t.Errorf("%s is shown", text)
		}
	}
	verified := row(t, parse(t, get(t, p)), "volume", "verified")[2]
	if verified == "0" {
		t.Error("the numbers are forgotten")
	}
	p.SetPrivacy(Full)
	for _, text := range []string{"bank.example", "203.0.113.200", "4gX"} {
		if has(p, text) {
			t.Errorf("%s was kept", text)
		}
	}
	if !has(p, "Since 14:37:20.") {
		t.Error("the page does not say since when author domains are counted")
	}
	p.SetPrivacy(Off)
	w := httptest.NewRecorder()
	p.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	if w.Code != http.StatusNotFound {
		t.Errorf("off: %d", w.Code)
	}
	p.Observe(senders[3].verdict(newRand(), p.now()))
	p.DNSQuery("TXT", "NOERROR", 0)
	p.DNSCacheHit()
	p.ConnectionOpened() // still open when the page is back
	p.SetPrivacy(Full)
	nodes := parse(t, get(t, p))
	if got := row(t, nodes, "volume", "verified"); !slices.Equal(got, []string{"verified", "0", "0"}) {
		t.Errorf("off and on: %q", got)
	}
	if got := row(t, nodes, "dns", "cache hits"); !slices.Equal(got, []string{"cache hits", "0"}) {
		t.Errorf("off and on: %q", got)
	}
	if !has(p, ">8</dd>") {
		t.Error("connections are not 8")
	}
	if New(Config{Privacy: 77, Now: p.now}).mode().String() != "off" {
		t.Error("an unknown mode is not off")
	}
}
