package policy

import (
	"fmt"
	"strings"
)

// Step is one rule and what became of it for a message.
type Step struct {
	Rule string `json:"rule"`
	// Applies tells whether the rule applies; Outcome what it asks for, or why
	// it does not apply.
	Applies bool   `json:"applies"`
	Outcome string `json:"outcome"`
}

// Explain returns every rule that was tried for a message, in the order in which
// they count: overrides up to the first that matches, then the grounds.
func (r *Rules) Explain(m *Message) []Step {
	var steps []Step
	for i := range r.Overrides {
		o := &r.Overrides[i]
		step := Step{Rule: o.title(i)}
		if c := o.unmet(m); c != nil {
			step.Outcome = fmt.Sprintf("%s is %s, not %s", c.name, orNobody(c.values), strings.Join(c.items, " or "))
			steps = append(steps, step)
			continue
		}
		step.Applies, step.Outcome = true, string(o.Action)
		steps = append(steps, step)
		break
	}
	for _, f := range r.findings(m) {
		if f.ground == NoGround {
			continue
		}
		step := Step{Rule: string(f.ground), Applies: true, Outcome: string(f.disposition)}
		if f.reason.Type != NoReason {
			step.Outcome += fmt.Sprintf(" (%s: %s)", f.reason.Type, f.reason.Detail)
		}
		steps = append(steps, step)
	}
	return steps
}

func orNobody(values []string) string {
	if len(values) == 0 {
		return "missing"
	}
	return strings.Join(values, ", ")
}
