package statuspage

import (
	"fmt"
	"strconv"
	"time"
)

// absent stands for a number that there is none of.
const absent = "–"

// grouped writes n as 1,234,567.
func grouped(n uint64) string {
	s := strconv.FormatUint(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// between writes a number that is only known to lie between two.
func between(least, most uint64) string {
	if least == most {
		return grouped(least)
	}
	return grouped(least) + "–" + grouped(most)
}

// percent writes part as a share of whole. Neither nothing nor everything is
// written but where it is so.
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

// duration writes d with three digits, at least.
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

// age writes a long time, in two units.
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

// moment is a point in time: for people, and for machines.
type moment struct{ Text, ISO string }

// momentOf writes t in full, the zero time as absent.
func momentOf(t time.Time, zone *time.Location) moment {
	if t.IsZero() {
		return moment{Text: absent}
	}
	t = t.In(zone)
	return moment{Text: t.Format(stampLayout), ISO: t.Format(time.RFC3339)}
}

// clockOf writes the time of day of t, with the day where that is not now's.
func clockOf(t, now time.Time) moment {
	m := momentOf(t, now.Location())
	if m.ISO != "" && t.In(now.Location()).Format(time.DateOnly) == now.Format(time.DateOnly) {
		m.Text = m.Text[len("2006-01-02 "):]
	}
	return m
}
