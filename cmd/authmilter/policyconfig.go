package main

import (
	"fmt"
	"net/netip"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"authmilter/policy"
	"authmilter/verify/domain"
)

// choice is one of a few words.
type choice string

// Words that several keys take.
const (
	choiceAccept     choice = "accept"
	choiceQuarantine choice = choice(policy.Quarantine)
	choiceReject     choice = choice(policy.Reject)
	choiceTempfail   choice = "tempfail"
	choiceByPolicy   choice = "by-policy"
)

// disposition returns what a choice has done.
func (c choice) disposition() policy.Disposition {
	if c == choiceAccept {
		return policy.None
	}
	return policy.Disposition(c)
}

// tempError returns what a choice has a temporary error do.
func (c choice) tempError() policy.TempError {
	if c == choiceByPolicy {
		return policy.TempErrorByPolicy
	}
	return policy.TempError(c)
}

// check refuses what is none of words.
func (c choice) check(key string, table int, words ...choice) error {
	if slices.Contains(words, c) {
		return nil
	}
	var list []string
	for _, w := range words {
		list = append(list, fmt.Sprintf("%q", string(w)))
	}
	if c == "" {
		return &keyError{key: key, table: table, err: fmt.Errorf("is missing; it is one of %s", strings.Join(list, ", "))}
	}
	return &keyError{key: key, table: table, err: fmt.Errorf("%q is none of %s", string(c), strings.Join(list, ", "))}
}

// fieldName is what a header field can be called (RFC 5322 section 2.2), of the
// characters that every MTA takes.
var fieldName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9-]{0,60}$`)

// othersField matches fields that mean something else. Incoming ones under the
// name of policy.quarantine_field are removed.
var othersField = regexp.MustCompile(`(?i)^(date|from|sender|reply-to|to|cc|bcc|message-id|in-reply-to|references|subject|comments|keywords|` +
	`return-path|delivered-to|received|received-spf|authentication-results|dkim-signature|auto-submitted|precedence|mime-version|content-.*|arc-.*|resent-.*|list-.*)$`)

// rejectStatus are the enhanced status codes of class 5 (RFC 3463 section 2).
var rejectStatus = regexp.MustCompile(`^5\.[0-9]{1,3}\.[0-9]{1,3}$`)

// checkPolicy checks the table policy, and normalizes it.
func (c *Config) checkPolicy() error {
	p := &c.Policy
	const accept, quarantine, reject = choiceAccept, choiceQuarantine, choiceReject
	temperror := []choice{choiceByPolicy, choiceAccept, choiceTempfail}
	for _, v := range []struct {
		key   string
		value choice
		words []choice
	}{
		{"policy.mode", p.Mode, []choice{choice(policy.ModeReport), choice(policy.ModeEnforce)}},
		{"policy.quarantine", p.Quarantine, []choice{choice(policy.ByHeader), choice(policy.ByHold), choice(policy.ByReject)}},
		{"policy.permerror", p.Permerror, []choice{accept, quarantine, reject}},
		{"policy.several_from", p.SeveralFrom, []choice{accept, quarantine, reject}},
		{"policy.several_authors", p.SeveralAuthors, []choice{accept, quarantine, reject}},
		{"policy.spf_fail", p.SPFFail, []choice{accept, quarantine, reject}},
		{"policy.dkim_missing", p.DKIMMissing, []choice{accept, quarantine, reject}},
		{"policy.iprev_fail", p.IPRevFail, []choice{accept, quarantine, reject}},
		{"policy.temperror.dmarc", p.Temperror.DMARC, temperror},
		{"policy.temperror.spf", p.Temperror.SPF, temperror},
		{"policy.temperror.dkim", p.Temperror.DKIM, temperror},
		{"policy.temperror.iprev", p.Temperror.IPRev, temperror},
	} {
		if err := v.value.check(v.key, 0, v.words...); err != nil {
			return err
		}
	}
	if !fieldName.MatchString(p.QuarantineField) {
		return badKey("policy.quarantine_field", "%q is not the name of a header field", p.QuarantineField)
	}
	if othersField.MatchString(p.QuarantineField) {
		return badKey("policy.quarantine_field", "%q means something else, and incoming ones would be removed", p.QuarantineField)
	}
	if !rejectStatus.MatchString(p.RejectStatus) {
		return badKey("policy.reject_status", "%q is no status code such as %q", p.RejectStatus, policy.DefaultStatus)
	}
	if err := (policy.ReplyTemplate{Text: p.RejectText}).Check(); err != nil {
		return &keyError{key: "policy.reject_text", err: err}
	}
	if err := asciiNames("policy.dkim_required", 0, p.DKIMRequired); err != nil {
		return err
	}
	if !c.IPRev.Check {
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

// asciiNames turns domain names into lower-case A-labels.
func asciiNames(key string, table int, names []string) error {
	for i, name := range names {
		ascii, err := domain.ToASCII(strings.TrimPrefix(name, "."))
		if err != nil {
			return &keyError{key: key, table: table, err: fmt.Errorf("%q is %w", name, err)}
		}
		names[i] = ascii
	}
	return nil
}

// checkOverrides checks the tables override, and normalizes them.
func (c *Config) checkOverrides() error {
	var actions []choice
	for _, a := range policy.Actions() {
		actions = append(actions, choice(a))
	}
	for i := range c.Override {
		o := &c.Override[i]
		if err := o.Action.check("override.action", i, actions...); err != nil {
			return err
		}
		if err := c.checkListeners(i, o.Listener); err != nil {
			return err
		}
		o.rule = policy.Override{Name: o.Name, Action: policy.Action(o.Action)}
		lists, isSet := o.lists(), false
		for _, condition := range policy.Conditions() {
			key, list := condition.Name(), lists[condition.Name()]
			if *list == nil {
				continue
			}
			if err := o.rule.Ask(key, *list...); err != nil {
				return &keyError{key: "override." + key, table: i, err: err}
			}
			*list, isSet = o.rule.Items(key), true
		}
		if !isSet {
			return &keyError{key: "override", table: i, err: fmt.Errorf("has no condition, and would match every message")}
		}
	}
	return nil
}

// lists returns the lists of o by their keys.
func (o *OverrideConfig) lists() map[string]*[]string {
	lists := map[string]*[]string{}
	v := reflect.ValueOf(o).Elem()
	for f := range v.Type().Fields() {
		if !f.IsExported() {
			continue
		}
		if list, ok := v.FieldByIndex(f.Index).Addr().Interface().(*[]string); ok {
			name, _, _ := strings.Cut(f.Tag.Get("toml"), ",")
			lists[name] = list
		}
	}
	return lists
}

// checkListeners checks the listeners of the i-th override, and normalizes them.
func (c *Config) checkListeners(i int, listeners []string) error {
	for n, text := range listeners {
		var l listenAddress
		err := l.UnmarshalText([]byte(text))
		if err == nil && !slices.ContainsFunc(c.Listen, func(a listenAddress) bool { return a.String() == l.String() }) {
			err = fmt.Errorf("%s is not in listen", l)
		}
		if err != nil {
			return &keyError{key: "override.listener", table: i, err: err}
		}
		listeners[n] = l.String()
	}
	return nil
}

// overrides returns the exceptions as package policy has them.
func (c *Config) overrides() []policy.Override {
	var all []policy.Override
	for i := range c.Override {
		all = append(all, c.Override[i].rule)
	}
	return all
}

// overrideWarnings returns what is allowed in the overrides, but hardly meant.
func (c *Config) overrideWarnings() (warnings []string) {
	all := c.overrides()
	warn := func(i int, format string, args ...any) {
		err := &keyError{key: "override", table: i, err: fmt.Errorf(format, args...)}
		warnings = append(warnings, c.locate(err).Error())
	}
	for i := range all {
		if j := slices.IndexFunc(all[:i], func(o policy.Override) bool { return o.Covers(&all[i]) }); j >= 0 {
			if all[i].Action.Tightens() {
				warn(i, "can only match in part: all that it matches in full, override %d has matched before", j+1)
			} else {
				warn(i, "can never match: all that it matches, override %d has matched before", j+1)
			}
		}
		if all[i].Action.Loosens() && all[i].Forgeable() {
			warn(i, "anybody can write what it asks for; add client, client_name, dkim or sealer")
		}
		if clients := all[i].Items("client"); len(clients) > 0 && !slices.ContainsFunc(clients, func(n string) bool { return !c.skipsAll(netip.MustParsePrefix(n)) }) {
			warn(i, "can never match: its clients are in skip.networks")
		}
	}
	return warnings
}

// skipsAll reports whether every address of a network is skipped.
func (c *Config) skipsAll(n netip.Prefix) bool {
	return slices.ContainsFunc(c.Skip.Networks, func(p prefix) bool { return p.Bits() <= n.Bits() && p.Contains(n.Addr()) })
}

// rules returns how messages are judged.
func (c *Config) rules() *policy.Rules {
	p := &c.Policy
	r := &policy.Rules{
		Mode:           policy.Mode(p.Mode),
		Overrides:      c.overrides(),
		TrustedSealers: c.ARC.TrustedSealers,
		QuarantineBy:   policy.QuarantineBy(p.Quarantine),
		Reply:          policy.ReplyTemplate{Status: p.RejectStatus, Text: p.RejectText},
		PerReason: policy.PerReason{
			Author:         p.Permerror.disposition(),
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
	return r
}
