package statuspage

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// hostile are texts that do harm if they are not escaped.
var hostile = []string{
	`</style><script>alert(%d)</script>`,
	`"><img src=x onerror=alert(%d)>`,
	`' onmouseover='alert(%d)`,
	`</title></td></table><style>*{display:none}%d</style>`,
	`{{.}}<!--%d`,
	`javascript:alert(%d)`,
	"\x00\x1b[2J\r\n\xff\xc3%d\u202e\u2028",
	`]]>&lt;script&#62;%d`,
}

// TestHostileTexts puts markup into every field.
func TestHostileTexts(t *testing.T) {
	c := newClock()
	p := New(Config{Version: hostile[0], Now: c.now})
	p.SetState(State{AuthservID: hostile[1], Config: strings.Join(hostile, "\n"), LoadedAt: c.t})
	p.ReloadFailed(c.t, errors.New(hostile[3]))
	for _, h := range hostile {
		p.KeyState(h, h, h, h)
		p.DNSQuery(h, h, 0)
	}
	f := filler{names: true, text: func(n int) string { return fmt.Sprintf(hostile[n%len(hostile)], n) }}
	before := get(t, New(Config{Now: c.now}))
	for range len(hostile) {
		for _, v := range f.verdicts(c.t) {
			p.Observe(v)
		}
	}
	page := get(t, p)
	nodes := parse(t, page)
	if strings.Count(page, "<style") != 1 || strings.Contains(page, "<script") || strings.Contains(page, "<img") {
		t.Error("markup passed")
	}
	if strings.Contains(page, "<!--") {
		t.Error("a comment passed")
	}
	for _, r := range page {
		if r < ' ' && r != '\n' && r != '\t' || r == '\u202e' || r == '\u2028' || r == '\uFFFD' {
			t.Errorf("the page holds %q", r)
		}
	}
	// The table is whole: it has a row for each message.
	rows := 0
	for _, n := range nodes {
		if attribute(n, "role") == "rowheader" && attribute(n, "class") == "when" {
			rows++
		}
	}
	if rows != len(hostile)*5 {
		t.Errorf("%d messages", rows)
	}
	if !strings.Contains(page, "alert(") || strings.Contains(before, "alert(") {
		t.Error("nothing of what was put in is shown")
	}
}
