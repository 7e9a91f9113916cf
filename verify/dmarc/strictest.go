package dmarc

// Strictest returns the strictest of the results for the author domains of one
// message (RFC 9989 section 11.5), the first of several that are. There must be
// one. From strict to lax:
//
//   - a fail that asks for rejection, then one that asks for quarantine: nothing
//     that is added to a message makes it better;
//   - a permerror, then a temperror: a policy may apply that is not known, be it
//     for a domain beyond the bound or for one whose DNS is down. A message that
//     can never be judged is not to be tried again for ever;
//   - a fail that asks for nothing;
//   - a none, so that no pass of one domain vouches for another;
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
	// Among temporary errors, the one that leaves most open.
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
