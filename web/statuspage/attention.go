package statuspage

import (
	"fmt"
	"time"

	"authmilter/verify/dkim"
)

// notice is something that wants the attention of the administrator.
type notice struct{ Class, Text string }

// What is worth a notice. Below the numbers of messages and exchanges a share
// says nothing.
const (
	maxTemporary    = 0.02            // of all results
	maxUnanswered   = 0.05            // of all DNS exchanges
	maxWait         = 4 * time.Second // half of what an MTA is made to wait
	enoughResults   = 100
	enoughExchanges = 50
)

// attention returns what is wrong, or may soon be.
func (f *facts) attention() []notice {
	var all []notice
	add := func(t tone, format string, args ...any) {
		all = append(all, notice{string(t), fmt.Sprintf(format, args...)})
	}
	if !f.failedAt.IsZero() {
		add(toneBad, "The last configuration was refused at %s: the one before is still in force.", clockOf(f.failedAt, f.now).Text)
	}
	for _, k := range f.keys {
		if k.state != string(dkim.PublishedOK) {
			add(toneOf(k.state), "Key %s of %s: %s in DNS.", shown(k.selector, maxText), shown(k.domain, maxDomain), shown(k.state, maxText))
		}
	}
	if n := f.hourCounts.skips[skips.position("overload")]; n > 0 {
		add(toneBad, "%s messages passed on unverified in the last hour, because there were too many at once.", grouped(uint64(n)))
	}
	if part, whole := f.hourCounts.temporary(); whole >= enoughResults && float64(part) > maxTemporary*float64(whole) {
		add(toneWait, "%s of the results of the last hour are temporary errors.", percent(part, whole))
	}
	if part, whole := f.dns.failed(); whole >= enoughExchanges && float64(part) > maxUnanswered*float64(whole) {
		add(toneWait, "%s of the DNS exchanges of the last hour brought no answer.", percent(part, whole))
	}
	if d, ok := f.waits.quantile(0.99, f.longest); ok && d > maxWait {
		add(toneWait, "The MTA waited %s and longer at the end of one message in a hundred.", duration(d))
	}
	hour := total(f.hourCounts.dispositions[:]) + total(f.hourCounts.skips[:])
	if day := total(f.dayCounts.dispositions[:]) + total(f.dayCounts.skips[:]); hour == 0 && day > 0 {
		add(toneWarn, "No message came in the last hour.")
	}
	return all
}
