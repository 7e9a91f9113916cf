package statuspage

import (
	"fmt"
	"time"

	"authmilter/verify/dkim"
)

// notice is something that the administrator should look at.
type notice struct{ Class, Text string }

// Thresholds for notices. With fewer results or queries than enough, a share means
// nothing.
const (
	maxTemporary  = 0.02            // share of all results
	maxFailed     = 0.05            // share of all DNS queries
	maxWait       = 4 * time.Second // half of the default limits.end_of_message
	enoughResults = 100
	enoughQueries = 50
)

// attention returns what is wrong or may soon be.
func (f *facts) attention() []notice {
	var all []notice
	add := func(t tone, format string, args ...any) {
		all = append(all, notice{string(t), fmt.Sprintf(format, args...)})
	}
	if !f.failedAt.IsZero() {
		add(toneBad, "The reload at %s failed; the previous configuration is still in force.", clockOf(f.failedAt, f.now).Text)
	}
	for _, k := range f.keys {
		if k.state != string(dkim.PublishedOK) {
			add(toneOf(k.state), "Key %s of %s in DNS: %s.", shown(k.selector, maxText), shown(k.domain, maxDomain), shown(k.state, maxText))
		}
	}
	if n := f.hourCounts.skips[skips.position("overload")]; n > 0 {
		add(toneBad, "Messages passed on unverified in the last hour because too many were in flight: %s.", grouped(uint64(n)))
	}
	if part, whole := f.hourCounts.temporary(); whole >= enoughResults && float64(part) > maxTemporary*float64(whole) {
		add(toneWait, "%s of the results in the last hour were temporary errors.", percent(part, whole))
	}
	if part, whole := f.dns.failed(); whole >= enoughQueries && float64(part) > maxFailed*float64(whole) {
		add(toneWait, "%s of the DNS queries in the last hour failed.", percent(part, whole))
	}
	if d, ok := f.waits.quantile(0.99, f.longest); ok && d > maxWait {
		add(toneWait, "One message in a hundred made the MTA wait %s or longer at end of message.", duration(d))
	}
	hour := total(f.hourCounts.dispositions[:]) + total(f.hourCounts.skips[:])
	if day := total(f.dayCounts.dispositions[:]) + total(f.dayCounts.skips[:]); hour == 0 && day > 0 {
		add(toneWarn, "No messages arrived in the last hour.")
	}
	return all
}
