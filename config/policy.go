package config

import (
	"regexp"
	"strings"

	"authmilter/policy"
)

// fieldName matches names of header fields (RFC 5322 section 2.2) that every MTA
// accepts.
var fieldName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9-]{0,60}$`)

// othersField matches names of fields with another meaning. Used as
// policy.quarantine_field, they would be removed from inbound mail.
var othersField = regexp.MustCompile(`(?i)^(date|from|sender|reply-to|to|cc|bcc|message-id|in-reply-to|references|subject|comments|keywords|` +
	`return-path|delivered-to|received|received-spf|authentication-results|dkim-signature|auto-submitted|precedence|mime-version|content-.*|arc-.*|resent-.*|list-.*)$`)

// rejectStatus matches enhanced status codes of class 5 (RFC 3463 section 2).
var rejectStatus = regexp.MustCompile(`^5\.[0-9]{1,3}\.[0-9]{1,3}$`)

// normalizePolicy checks the policy table and normalizes its names.
func (f *File) normalizePolicy() error {
	p := &f.Policy
	const accept, quarantine, reject = choiceAccept, choiceQuarantine, choiceReject
	temperror := []Choice{choiceByPolicy, choiceAccept, choiceTempfail}
	for _, v := range []struct {
		key   string
		value Choice
		words []Choice
	}{
		{"policy.mode", p.Mode, []Choice{Choice(policy.ModeReport), Choice(policy.ModeEnforce)}},
		{"policy.quarantine", p.Quarantine, []Choice{Choice(policy.ByHeader), Choice(policy.ByHold), Choice(policy.ByReject)}},
		{"policy.permerror", p.Permerror, []Choice{accept, quarantine, reject}},
		{"policy.bounce_without_author", p.BounceWithoutAuthor, []Choice{accept, quarantine, reject}},
		{"policy.several_from", p.SeveralFrom, []Choice{accept, quarantine, reject}},
		{"policy.several_authors", p.SeveralAuthors, []Choice{accept, quarantine, reject}},
		{"policy.too_many_forged", p.TooManyForged, []Choice{reject, choiceTempfail}},
		{"policy.spf_fail", p.SPFFail, []Choice{accept, quarantine, reject}},
		{"policy.dkim_missing", p.DKIMMissing, []Choice{accept, quarantine, reject}},
		{"policy.iprev_fail", p.IPRevFail, []Choice{accept, quarantine, reject}},
		{"policy.temperror.dmarc", p.Temperror.DMARC, temperror},
		{"policy.temperror.spf", p.Temperror.SPF, temperror},
		{"policy.temperror.dkim", p.Temperror.DKIM, temperror},
		{"policy.temperror.iprev", p.Temperror.IPRev, temperror},
	} {
		if err := v.value.oneOf(0, v.key, v.words...); err != nil {
			return err
		}
	}
	if !fieldName.MatchString(p.QuarantineField) {
		return badKey("policy.quarantine_field", "%q is not the name of a header field", p.QuarantineField)
	}
	if othersField.MatchString(p.QuarantineField) {
		return badKey("policy.quarantine_field", "%q has another meaning, and incoming fields of this name would be removed", p.QuarantineField)
	}
	if !rejectStatus.MatchString(p.RejectStatus) {
		return badKey("policy.reject_status", "%q is not an enhanced status code such as %q", p.RejectStatus, policy.DefaultStatus)
	}
	if err := (policy.ReplyTemplate{Text: p.RejectText}).Check(); err != nil {
		return badKey("policy.reject_text", "%w", err)
	}
	for i, name := range p.DKIMRequired {
		// Some people write a leading dot to include the names below.
		p.DKIMRequired[i] = strings.TrimPrefix(name, ".")
	}
	if err := normalizeNames(0, "policy.dkim_required", p.DKIMRequired); err != nil {
		return err
	}
	if !f.IPRev.Check {
		if p.IPRevFail != accept {
			return badKey("policy.iprev_fail", "needs iprev.check = true")
		}
		if p.Temperror.IPRev == choiceTempfail {
			return badKey("policy.temperror.iprev", "needs iprev.check = true")
		}
	}
	if len(p.DKIMRequired) == 0 && p.DKIMMissing != accept {
		return badKey("policy.dkim_missing", "needs a list of domains in policy.dkim_required")
	}
	return nil
}

// Rules returns the rules that decide about messages.
func (f *File) Rules() *policy.Rules {
	p := &f.Policy
	return &policy.Rules{
		Mode:           policy.Mode(p.Mode),
		Overrides:      f.overrides,
		TrustedSealers: f.ARC.TrustedSealers,
		QuarantineBy:   policy.QuarantineBy(p.Quarantine),
		Reply:          policy.ReplyTemplate{Status: p.RejectStatus, Text: p.RejectText},
		PerReason: policy.PerReason{
			Author:         p.Permerror.disposition(),
			Bounce:         p.BounceWithoutAuthor.disposition(),
			SeveralFrom:    p.SeveralFrom.disposition(),
			SeveralAuthors: p.SeveralAuthors.disposition(),
			SPF:            p.SPFFail.disposition(),
			DKIM:           p.DKIMMissing.disposition(),
			DKIMRequired:   p.DKIMRequired,
			IPRev:          p.IPRevFail.disposition(),
			TempErrors: policy.TempErrors{
				DMARC: p.Temperror.DMARC.tempError(), SPF: p.Temperror.SPF.tempError(),
				DKIM: p.Temperror.DKIM.tempError(), IPRev: p.Temperror.IPRev.tempError(),
			},
		},
	}
}
