package policy

// Step is one rule and its outcome for a message.
type Step struct {
	Rule string `json:"rule"`
	// Applies reports whether the rule applies. Outcome is what it asks for, or
	// why it does not apply.
	Applies bool   `json:"applies"`
	Outcome string `json:"outcome"`
	// Part reports that the rule is an override that the message matches in part:
	// it can tighten, but loosens nothing.
	Part bool `json:"part,omitempty"`
}

// Explain returns every rule that was tried for a message, in order: overrides up
// to the first that matches in full and does not only report, then the reasons.
func (r *Rules) Explain(m *Message) []Step {
	var steps []Step
	for i := range r.Overrides {
		step := r.explainOverride(i, m)
		steps = append(steps, step)
		if step.Applies && !step.Part && r.Overrides[i].Action != ActionReportOnly {
			break
		}
	}
	for _, f := range r.findings(m) {
		if f.reason == NoReason {
			continue // only the default
		}
		step := Step{Rule: string(f.reason), Applies: true, Outcome: string(f.disposition)}
		if f.reason == ReasonTempError {
			step.Outcome += " (" + ascii(f.text) + ")"
		}
		if f.override.Type != NotOverridden {
			step.Outcome += " (" + string(f.override.Type) + ": " + f.override.Detail + ")"
		}
		steps = append(steps, step)
	}
	return steps
}

// explainOverride returns the step of the i-th override.
func (r *Rules) explainOverride(i int, m *Message) Step {
	o := &r.Overrides[i]
	step := Step{Rule: o.title(i)}
	extent, unmet := o.match(m)
	switch {
	case extent == inFull:
		step.Applies, step.Outcome = true, string(o.Action)
	case extent == notAtAll:
		step.Outcome = unmet.unmet(m)
	case o.Action.Tightens():
		step.Applies, step.Part = true, true
		step.Outcome = string(o.Action) + ", matches in part and only tightens: " + unmet.unmet(m)
	default:
		step.Part = true
		step.Outcome = "matches in part and loosens nothing: " + unmet.unmet(m)
	}
	return step
}
