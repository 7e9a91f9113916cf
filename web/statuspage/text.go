package statuspage

import (
	"fmt"
	"strconv"
	"time"
)

// absent stands for a missing value.
const absent = "–"

// grouped formats n like 1,234,567.
func grouped(n uint64) string {
	s := strconv.FormatUint(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// between formats a number that is only known to lie between least and most.
func between(least, most uint64) string {
	if least == most {
		return grouped(least)
	}
	return grouped(least) + "–" + grouped(most)
}

// percent formats part as a share of whole. It never rounds to 0 % or to 100 %.
func percent(part, whole uint64) string {
	if whole == 0 {
		return absent
	}
	f := float64(part) / float64(whole) * 100
	switch {
	case part > 0 && f < 0.1:
		return "<0.1 %"
	case part < whole && f > 99.9:
		return ">99.9 %"
	case part == whole:
		return "100 %"
	}
	return strconv.FormatFloat(f, 'f', 1, 64) + " %"
}

// duration formats d with at least three digits.
func duration(d time.Duration) string {
	ms := float64(d) / float64(time.Millisecond)
	switch {
	case ms < 9.995:
		return strconv.FormatFloat(ms, 'f', 2, 64) + " ms"
	case ms < 99.95:
		return strconv.FormatFloat(ms, 'f', 1, 64) + " ms"
	case ms < 999.5:
		return strconv.FormatFloat(ms, 'f', 0, 64) + " ms"
	}
	return strconv.FormatFloat(d.Seconds(), 'f', 2, 64) + " s"
}

// age formats a long time with up to two units.
func age(d time.Duration) string {
	minutes := int(max(d, 0) / time.Minute)
	days, hours := minutes/(24*60), minutes/60%24
	switch {
	case days > 0:
		return fmt.Sprintf("%d d %d h", days, hours)
	case hours > 0:
		return fmt.Sprintf("%d h %d min", hours, minutes%60)
	case minutes > 0:
		return fmt.Sprintf("%d min", minutes)
	}
	return fmt.Sprintf("%d s", int(max(d, 0)/time.Second))
}

const stampLayout = "2006-01-02 15:04:05"

// moment is a point in time, for people (Text) and for machines (ISO).
type moment struct{ Text, ISO string }

// momentOf formats t with date and time. The zero time is absent.
func momentOf(t time.Time, zone *time.Location) moment {
	if t.IsZero() {
		return moment{Text: absent}
	}
	t = t.In(zone)
	return moment{Text: t.Format(stampLayout), ISO: t.Format(time.RFC3339)}
}

// clockOf formats the time of day of t, with the date unless it is today's.
func clockOf(t, now time.Time) moment {
	m := momentOf(t, now.Location())
	if m.ISO != "" && t.In(now.Location()).Format(time.DateOnly) == now.Format(time.DateOnly) {
		m.Text = m.Text[len("2006-01-02 "):]
	}
	return m
}
