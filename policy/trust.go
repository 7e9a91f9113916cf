package policy

import (
	"fmt"
	"slices"

	"authmilter/verify"
	"authmilter/verify/arc"
)

// trustedForwarder returns the reason to deliver a message that failed DMARC here
// but was authentic when a trusted sealer received it (RFC 8617 section 7.2.1).
//
// A set counts only if its sealer and every later one are trusted: each sealer
// can have changed what it received, and vouches only for the presence of older
// sets.
func (r *Rules) trustedForwarder(res *verify.Result) OverrideReason {
	// With several author domains, it is unclear which one the sealer saw.
	if len(r.TrustedSealers) == 0 || res.ARC.Status != arc.Pass || len(res.Author.Domains) != 1 {
		return OverrideReason{}
	}
	var found OverrideReason
	for _, set := range slices.Backward(res.ARC.Chain.Sets) {
		sealer := set.Seal.Domain
		if !slices.Contains(r.TrustedSealers, sealer) {
			break
		}
		// The oldest of them is the closest to the author.
		if evidence := evidence(set.Results, res.DMARC.Policy); evidence != "" {
			found = OverrideReason{TrustedForwarder, fmt.Sprintf("%s saw %s (i=%d)", sealer, evidence, set.Instance)}
		}
	}
	return found
}
