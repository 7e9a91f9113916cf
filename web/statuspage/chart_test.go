package statuspage

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestNiceTop(t *testing.T) {
	for _, test := range []struct{ highest, want uint64 }{
		{0, 2}, {1, 2}, {2, 2}, {3, 4}, {5, 6}, {9, 10}, {10, 10}, {11, 20}, {61, 80}, {99, 100}, {101, 200}, {12345, 20000},
	} {
		if got := niceTop(test.highest); got != test.want {
			t.Errorf("%d: %d, want %d", test.highest, got, test.want)
		}
	}
	for n := uint64(0); n < 5000; n++ {
		if top := niceTop(n); top < n || top%2 != 0 {
			t.Errorf("%d: %d", n, top)
		}
	}
	if niceTop(1<<64-1) == 0 {
		t.Error("no top")
	}
}

func TestChart(t *testing.T) {
	p := plot{
		title: "T", unit: "messages",
		kinds:  []kind{{"a", "ka"}, {"b", "kb"}},
		values: [][]uint64{{1, 1}, {0, 0}, {4, 0}, {0, 2}},
		clock:  func(i int) string { return fmt.Sprintf("c%d", i) },
	}
	c := p.draw()
	if c.Series[0].Path != "M1 100v-25h8v25zM21 100v-100h8v100z" {
		t.Errorf("a: %s", c.Series[0].Path)
	}
	// The second kind is stacked on the first.
	if c.Series[1].Path != "M1 75v-25h8v25zM31 100v-50h8v50z" {
		t.Errorf("b: %s", c.Series[1].Path)
	}
	if c.Summary != "T: 8 messages, peak 4 (a 5, b 3)" {
		t.Error(c.Summary)
	}
	if c.Slots[0].Tip != "c0: 2 messages (a 1, b 1)" || c.Slots[1].Tip != "c1: 0 messages" || c.Slots[2].X != 20 {
		t.Errorf("%+v", c.Slots)
	}
	if c.Top != "4" || c.Half != "2" || c.Width != 40 || strings.Join(c.Labels, " ") != "c0 c1 c2 c3" {
		t.Errorf("%+v", c)
	}
}

// TestShares holds that the parts of a bar fill it, in the order of the tones.
func TestShares(t *testing.T) {
	if shares(nil) != nil {
		t.Error("a bar of nothing")
	}
	got := shares(map[tone]uint64{toneBad: 1, toneGood: 5, toneWait: 0, toneFlat: 2})
	want := "[{good 0 62.5} {flat 62.5 25} {bad 87.5 12.5}]"
	if fmt.Sprint(got) != want {
		t.Errorf("%v, want %s", got, want)
	}
}

func TestText(t *testing.T) {
	for _, test := range []struct{ got, want string }{
		{grouped(0), "0"}, {grouped(999), "999"}, {grouped(1000), "1,000"}, {grouped(1234567), "1,234,567"},
		{between(3, 3), "3"}, {between(1000, 1203), "1,000–1,203"},
		{percent(0, 0), "–"}, {percent(0, 5), "0.0 %"}, {percent(1, 3), "33.3 %"}, {percent(5, 5), "100 %"},
		{percent(1, 100000), "<0.1 %"}, {percent(99999, 100000), ">99.9 %"},
		{duration(0), "0.00 ms"}, {duration(420 * time.Microsecond), "0.42 ms"}, {duration(9994 * time.Microsecond), "9.99 ms"},
		{duration(9999 * time.Microsecond), "10.0 ms"}, {duration(99960 * time.Microsecond), "100 ms"},
		{duration(999600 * time.Microsecond), "1.00 s"}, {duration(12345 * time.Millisecond), "12.35 s"},
		{age(0), "0 s"}, {age(-time.Hour), "0 s"}, {age(59 * time.Second), "59 s"}, {age(90 * time.Second), "1 min"},
		{age(125 * time.Minute), "2 h 5 min"}, {age(49 * time.Hour), "2 d 1 h"},
		{cut("short", 10), "short"}, {cut("0123456789a", 10), "0123456..."}, {cut("012345üüüü", 10), "012345..."},
		{cut(strings.Repeat("\x80", 20), 10), "\x80\x80\x80\x80..."},
	} {
		if test.got != test.want {
			t.Errorf("%q, want %q", test.got, test.want)
		}
	}
}

func TestClock(t *testing.T) {
	now := time.Date(2026, 3, 10, 1, 30, 0, 0, time.FixedZone("CET", 3600))
	for _, test := range []struct {
		t    time.Time
		want string
	}{
		{time.Time{}, "–"},
		{time.Date(2026, 3, 9, 23, 30, 5, 0, time.UTC), "00:30:05"}, // today, there
		{time.Date(2026, 3, 9, 22, 30, 5, 0, time.UTC), "2026-03-09 23:30:05"},
	} {
		if got := clockOf(test.t, now).Text; got != test.want {
			t.Errorf("%q, want %q", got, test.want)
		}
	}
}
