package main

import (
	"fmt"
	"io"
	"strings"

	"authmilter/policy"
)

// testingText says what becomes of the policy of a domain that is testing it.
const testingText = "  t=y: the domain is testing, and the policy counts as %s\n"

// print writes the report as text.
func (r *checkOutput) print(w io.Writer, explain bool) error {
	var b strings.Builder
	fmt.Fprintln(&b, r.Header)
	if len(r.removed) > 0 {
		fmt.Fprintln(&b)
	}
	for _, kind := range policy.OwnFieldKinds() {
		n := r.removed[kind]
		if kind == policy.ResultsField {
			n -= r.Harmless
		}
		if n > 0 {
			fmt.Fprintf(&b, "%d forged %s removed\n", n, kind)
		}
	}
	if r.Harmless > 0 {
		fmt.Fprintf(&b, "%d harmless %s removed\n", r.Harmless, policy.ResultsField)
	}
	if o := r.Origin; o != nil {
		from := "came from " + o.Client + inParens(o.ClientName)
		if o.Client == "" {
			from = "came from an unknown client" + inParens(o.Error)
		}
		fmt.Fprintf(&b, "\nThe message %s, by way of the relay %s.\n", from, o.Relay)
	}
	switch r.Skipped {
	case string(policy.LocalNetwork):
		what := "not verify this message"
		if r.dkimOnly {
			what = "verify only the signatures of this message"
		}
		fmt.Fprintf(&b, "\nThe milter would %s: the client is in skip.networks.\n", what)
	case string(policy.ByOverride):
		fmt.Fprintln(&b, "\nThe milter would add nothing to this message: an override has the action skip.")
	}
	if explain {
		r.explain(&b)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// explain writes the look-ups with their answers, the steps and the rules.
func (r *checkOutput) explain(b *strings.Builder) {
	fmt.Fprintf(b, "\nAuthor domain: %s%s\n", orNone(strings.Join(r.AuthorDomains, ", ")), inParens(r.AuthorError))
	fmt.Fprintf(b, "\nDNS look-ups (%d):\n", r.Queries)
	for _, l := range r.Lookups {
		l.print(b)
	}
	fmt.Fprintf(b, "\nSPF, identity %s: %s%s\n", r.SPF.Identity, r.SPF.Result, inParens(r.SPF.Reason))
	for _, s := range r.Steps {
		s.print(b, "  ")
	}
	printExplanation(b, r.SPF.Explanation)
	fmt.Fprintf(b, "\nDKIM signatures (%d):\n", len(r.DKIM))
	for _, d := range r.DKIM {
		fmt.Fprintf(b, "  %s selector %s, %s, %s: %s%s\n", orNone(d.Domain), orNone(d.Selector),
			orNone(d.Algorithm), d.key(), d.Result, inParens(d.Error))
	}
	d := r.DMARC
	fmt.Fprintf(b, "\nDMARC for %s: %s%s\n", orNone(d.Domain), d.Result, inParens(d.Error))
	printWalk(b, d.Walk)
	if d.RecordDomain != "" {
		fmt.Fprintf(b, "  policy %s (tag %s%s) in the record at _dmarc.%s\n",
			orNone(d.Published), orNone(d.PolicyTag), ifTrue(d.Testing, ", testing"), d.RecordDomain)
	}
	if d.Testing {
		fmt.Fprintf(b, testingText, orNone(d.Effective))
	}
	if d.OrgDomain != "" {
		fmt.Fprintf(b, "  organizational domain %s\n", d.OrgDomain)
	}
	for _, id := range d.Aligned {
		fmt.Fprintf(b, "  aligned: %s\n", id)
	}
	fmt.Fprintf(b, "\nARC: %s%s\n", r.ARC.Result, inParens(r.ARC.Error))
	for _, s := range r.ARC.Sets {
		fmt.Fprintf(b, "  i=%d sealed by %s selector %s: %s\n", s.Instance, s.Domain, s.Selector, s.Results)
		for _, text := range s.NotRead {
			fmt.Fprintf(b, "    not read: %s\n", text)
		}
	}
	if len(r.Rules) > 0 {
		fmt.Fprintf(b, "\nRules:\n")
	}
	for _, s := range r.Rules {
		fmt.Fprintf(b, "  %s: %s%s\n", s.Rule, ifTrue(!s.Applies && !s.Part, "does not match, "), s.Outcome)
	}
	fmt.Fprintf(b, "\nDisposition: %s (the domain asks for: %s)\n", r.Disposition, r.Requested)
	if r.Intended != r.Disposition {
		fmt.Fprintf(b, "  intended: %s\n", r.Intended)
	}
	if r.Override != "" {
		fmt.Fprintf(b, "  because of %s: %s\n", r.Override, r.Why)
	}
	if r.Reply != "" {
		fmt.Fprintf(b, "  reply to the client: %s\n", r.Reply)
	}
}

// printExplanation writes a domain's explanation of its SPF fail, "" if there is none.
func printExplanation(w io.Writer, text string) {
	if text != "" {
		fmt.Fprintf(w, "  explanation by the domain: %s\n", shown(text))
	}
}

func (d *dkimOutput) key() string {
	if d.KeyBits == 0 {
		return "no key"
	}
	return fmt.Sprintf("%d-bit key", d.KeyBits)
}

// print writes one step of SPF, indented by its depth.
func (s *stepOutput) print(w io.Writer, indent string) {
	indent += strings.Repeat("    ", s.Depth)
	switch {
	case s.Record != "":
		fmt.Fprintf(w, "%s%s: %s\n", indent, s.Domain, s.Record)
	case s.Term == "":
		fmt.Fprintf(w, "%s%s: %s%s\n", indent, s.Domain, s.Outcome, inParens(s.Reason))
	case s.Target != "" && !strings.HasSuffix(s.Term, s.Target):
		fmt.Fprintf(w, "%s  %s -> %s: %s%s\n", indent, s.Term, s.Target, s.Outcome, inParens(s.Reason))
	default:
		fmt.Fprintf(w, "%s  %s: %s%s\n", indent, s.Term, s.Outcome, inParens(s.Reason))
	}
}

func (l *lookupOutput) print(w io.Writer) {
	fmt.Fprintf(w, "  %s %s  (%.1f ms, TTL %d s%s)\n", l.Type, l.Name, l.Milliseconds, l.TTLInSeconds, ifTrue(l.Authentic, ", DNSSEC"))
	for _, c := range l.CNAMEs {
		fmt.Fprintf(w, "    alias of %s\n", c)
	}
	for _, v := range l.Values {
		fmt.Fprintf(w, "    %s\n", v)
	}
	switch {
	case l.Error != "":
		fmt.Fprintf(w, "    %s\n", l.Error)
	case len(l.Values) == 0:
		fmt.Fprintln(w, "    no such record")
	}
}

// printWalk writes the look-ups of policy records and the errors in what they found.
func printWalk(w io.Writer, walk []walkOutput) {
	for _, s := range walk {
		fmt.Fprintf(w, "  %s\n", s.Name)
		for _, c := range s.CNAMEs {
			fmt.Fprintf(w, "    alias of %s\n", c)
		}
		policies := 0
		for _, r := range s.Records {
			fmt.Fprintf(w, "    %s%s\n", r.Text, ifTrue(!r.DMARC, "  (not a DMARC record)"))
			for _, warning := range r.Warnings {
				fmt.Fprintf(w, "      %s\n", warning)
			}
			if r.DMARC {
				policies++
			}
		}
		switch {
		case s.Error != "":
			fmt.Fprintf(w, "    %s\n", s.Error)
		case len(s.Records) == 0:
			fmt.Fprintln(w, "    no TXT record")
		case policies > 1:
			fmt.Fprintf(w, "    %d DMARC records at the same name: all are ignored (RFC 9989 section 4.10)\n", policies)
		}
	}
}

func ifTrue(condition bool, text string) string {
	if condition {
		return text
	}
	return ""
}

func inParens(s string) string {
	if s == "" {
		return ""
	}
	return " (" + s + ")"
}

func orNone(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
