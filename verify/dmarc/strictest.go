package dmarc

// Strictest returns the strictest of the results for the author domains of one
// message (RFC 9989 section 11.5); of several, the first. There must be at least
// one result. From strict to lax:
//
//   - a fail that asks for rejection, then one that asks for quarantine: adding
//     another author never makes the result milder;
//   - a permerror, then a temperror: an unknown policy may apply, for a domain
//     beyond the limit or one whose DNS is down. A permerror comes first because a
//     message that can never be judged must not be retried;
//   - a fail that asks for nothing;
//   - a none, so that the pass of one domain does not vouch for another;
//   - a pass: every author domain passes.
func Strictest(results []Result) Result {
	strictest := results[0]
	for _, r := range results[1:] {
		if r.strictness() > strictest.strictness() {
			strictest = r
		}
	}
	return strictest
}

func (r *Result) strictness() int {
	// Among temporary errors, the one with the strictest pending disposition.
	return 3*r.class() + r.Pending.severity()
}

func (r *Result) class() int {
	switch r.Status {
	case Fail:
		switch r.Disposition {
		case DispositionReject:
			return 6
		case DispositionQuarantine:
			return 5
		}
		return 2
	case PermError:
		return 4
	case TempError:
		return 3
	case None:
		return 1
	}
	return 0
}
