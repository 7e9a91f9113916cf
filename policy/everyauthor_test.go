package policy

import (
	"math/rand/v2"
	"testing"

	"authmilter/verify/dmarc"
)

// TestNeedsEveryAuthor checks that what another author domain publishes changes no
// decision about a message that one domain asks to reject, unless the rules say that
// it may: only then need its look-up be waited for.
func TestNeedsEveryAuthor(t *testing.T) {
	rnd := rand.New(rand.NewPCG(9, 10))
	same, different := 0, 0
	for range 60_000 {
		m, r := randomMessage(rnd), randomRules(rnd, 2)
		m.Result.Author.Domains = []string{"bank.example", "second.example"}
		bank := dmarc.Result{
			Author: "bank.example", Status: dmarc.Fail, Disposition: dmarc.DispositionReject, Pending: dmarc.DispositionNone,
			Policy: &dmarc.Policy{AuthorDomain: "bank.example", Published: dmarc.DispositionReject, Percent: 100},
		}
		late := dmarc.Result{
			Author: "second.example", Status: dmarc.TempError, Reason: dmarc.ReasonPolicyLookup,
			Disposition: dmarc.DispositionNone, Pending: pick(rnd, dmarc.DispositionNone, dmarc.DispositionReject),
		}
		decide := func(other dmarc.Result) Disposition {
			m.Result.Authors = []dmarc.Result{bank, other}
			m.Result.DMARC = dmarc.Strictest(m.Result.Authors)
			return r.Decide(m).Intended
		}
		known := randomAuthor(rnd, "second.example")
		switch waited, cut := decide(known), decide(late); {
		case waited == cut:
			same++
		case !r.NeedsEveryAuthor():
			t.Fatalf("%s, and %s if its look-up is cut short\nrules %+v\nother author %+v", waited, cut, r, known)
		default:
			different++
		}
	}
	if same < 1000 || different < 100 {
		t.Errorf("the same %d times, different %d times", same, different)
	}
}
