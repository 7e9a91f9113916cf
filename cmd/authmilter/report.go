package main

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"authmilter/policy"
	"authmilter/verify"
	"authmilter/verify/arc"
	"authmilter/verify/clean"
	"authmilter/verify/dkim"
	"authmilter/verify/dmarc"
	"authmilter/verify/dns"
	"authmilter/verify/spf"
)

// report is what check prints.
type report struct {
	AuthorDomains []string     `json:"author_domains"`
	AuthorError   string       `json:"author_error,omitempty"`
	DKIM          []dkimReport `json:"dkim"`
	SPF           spfReport    `json:"spf"`
	Helo          *spfReport   `json:"spf_helo,omitempty"`
	DMARC         dmarcReport  `json:"dmarc"`
	ARC           arcReport    `json:"arc"`
	Disposition   string       `json:"disposition"`
	Requested     string       `json:"requested_disposition"`
	// Intended is what would be done in the mode enforce, for what reason, and
	// why it is not what that reason asks for.
	Intended string `json:"intended_disposition"`
	Reason   string `json:"reason,omitempty"`
	Override string `json:"override,omitempty"`
	Why      string `json:"override_detail,omitempty"`
	Reply    string `json:"reply,omitempty"`
	// Rules are the rules tried, and what became of each.
	Rules   []policy.Step `json:"rules"`
	Header  string        `json:"authentication_results"`
	Removed int           `json:"forged_fields_removed"`
	forged  policy.Removed
	Queries int            `json:"dns_queries"`
	Bytes   int64          `json:"body_bytes"`
	Skipped string         `json:"milter_skips,omitempty"`
	Lookups []lookupReport `json:"lookups,omitempty"`
	Steps   []stepReport   `json:"spf_steps,omitempty"`
}

type dkimReport struct {
	Result     string   `json:"result"`
	Reason     string   `json:"reason,omitempty"`
	Error      string   `json:"error,omitempty"`
	Domain     string   `json:"domain,omitempty"`
	Selector   string   `json:"selector,omitempty"`
	Identity   string   `json:"identity,omitempty"`
	Algorithm  string   `json:"algorithm,omitempty"`
	KeyBits    int      `json:"key_bits,omitempty"`
	KeyAliases []string `json:"key_cnames,omitempty"`
	Testing    bool     `json:"testing,omitempty"`
}

type spfReport struct {
	Result      string `json:"result"`
	Identity    string `json:"identity"`
	Domain      string `json:"domain,omitempty"`
	Mechanism   string `json:"mechanism,omitempty"`
	Reason      string `json:"reason,omitempty"`
	Explanation string `json:"explanation,omitempty"`
	Lookups     int    `json:"lookups"`
	Void        int    `json:"void_lookups"`
}

type dmarcReport struct {
	Result       string   `json:"result"`
	Reason       string   `json:"reason,omitempty"`
	Error        string   `json:"error,omitempty"`
	Domain       string   `json:"domain,omitempty"`
	RecordDomain string   `json:"record_domain,omitempty"`
	OrgDomain    string   `json:"organizational_domain,omitempty"`
	Policy       string   `json:"policy,omitempty"`
	PolicyTag    string   `json:"policy_tag,omitempty"`
	Testing      bool     `json:"testing,omitempty"`
	Aligned      []string `json:"aligned,omitempty"`
	// Walk are the look-ups of policy records, in order.
	Walk []walkReport `json:"walk,omitempty"`
}

type arcReport struct {
	Result     string         `json:"result"`
	Reason     string         `json:"reason,omitempty"`
	Error      string         `json:"error,omitempty"`
	OldestPass *int           `json:"oldest_pass,omitempty"`
	Sets       []arcSetReport `json:"sets,omitempty"`
}

type arcSetReport struct {
	Instance int    `json:"instance"`
	Domain   string `json:"domain"`
	Selector string `json:"selector"`
	// Results is what the sealer saw, as written by him.
	Results string `json:"results"`
}

// walkReport is one look-up of a DMARC policy record.
type walkReport struct {
	Name    string         `json:"name"`
	CNAMEs  []string       `json:"cnames,omitempty"`
	Records []recordReport `json:"records,omitempty"`
	Error   string         `json:"error,omitempty"`
}

// recordReport is one TXT record found there.
type recordReport struct {
	Text string `json:"text"`
	// DMARC reports that it is a DMARC policy record.
	DMARC    bool     `json:"dmarc"`
	Warnings []string `json:"warnings,omitempty"`
}

type lookupReport struct {
	Type         string   `json:"type"`
	Name         string   `json:"name"`
	Values       []string `json:"values,omitempty"`
	CNAMEs       []string `json:"cnames,omitempty"`
	Authentic    bool     `json:"authentic,omitempty"`
	Stale        bool     `json:"stale,omitempty"`
	Error        string   `json:"error,omitempty"`
	Milliseconds float64  `json:"ms"`
	TTLInSeconds int64    `json:"ttl,omitempty"`
}

type stepReport struct {
	Depth   int    `json:"depth"`
	Domain  string `json:"domain"`
	Record  string `json:"record,omitempty"`
	Term    string `json:"term,omitempty"`
	Target  string `json:"target,omitempty"`
	Outcome string `json:"outcome,omitempty"`
	Reason  string `json:"reason,omitempty"`
}

// maxShown bounds a piece of text from outside on a terminal, in octets.
const maxShown = 1024

func shown(s string) string { return clean.Text(s, maxShown) }

func shownAll(list []string) []string {
	var out []string
	for _, s := range list {
		out = append(out, shown(s))
	}
	return out
}

func replyText(r policy.Reply) string {
	if r == (policy.Reply{}) {
		return ""
	}
	return fmt.Sprintf("%d %s %s", r.Code, r.Status, r.Text)
}

func newReport(cfg *Config, m *policy.Message, removed policy.Removed) *report {
	env, r := m.Envelope, m.Result
	decision := cfg.rules().Decide(m)
	rep := &report{
		AuthorDomains: r.Author.Domains,
		AuthorError:   reason(r.Author.Err),
		DKIM:          []dkimReport{},
		SPF:           newSPFReport(&r.SPF),
		DMARC:         newDMARCReport(r),
		ARC:           newARCReport(&r.ARC),
		Disposition:   string(decision.Disposition),
		Requested:     string(decision.Requested),
		Intended:      string(decision.Intended),
		Reason:        string(decision.Reason),
		Override:      string(decision.Override.Type),
		Why:           decision.Override.Detail,
		Reply:         replyText(decision.Reply),
		Rules:         cfg.rules().Explain(m),
		Header: "Authentication-Results: " +
			strings.ReplaceAll(policy.FormatResults(cfg.AuthservID, env, r, decision), "\r\n", "\n"),
		Removed: removed.Total(),
		forged:  removed,
		Queries: r.Queries,
		Bytes:   r.Size,
	}
	if cfg.skips(env.ClientIP) {
		rep.Skipped = string(policy.LocalNetwork)
	}
	if r.Helo != nil {
		helo := newSPFReport(r.Helo)
		rep.Helo = &helo
	}
	for _, d := range r.DKIM {
		rep.DKIM = append(rep.DKIM, newDKIMReport(&d))
	}
	rep.Lookups = newLookupReports(r.Lookups)
	for _, s := range r.Steps {
		rep.Steps = append(rep.Steps, newStepReport(s))
	}
	return rep
}

// newLookupReports orders look-ups by name: they are recorded as they end, and
// two runs should compare.
func newLookupReports(events []dns.Event) []lookupReport {
	slices.SortStableFunc(events, func(a, b dns.Event) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.Type, b.Type))
	})
	var all []lookupReport
	for _, e := range events {
		all = append(all, lookupReport{
			Type: e.Type, Name: shown(e.Name), Values: shownAll(e.Values), CNAMEs: shownAll(e.CNAMEs),
			Authentic: e.Authentic, Stale: e.Stale, Error: lookupError(e.Err),
			Milliseconds: float64(e.Took.Microseconds()) / 1000, TTLInSeconds: int64(e.TTL / time.Second),
		})
	}
	return all
}

func newStepReport(s spf.Step) stepReport {
	return stepReport{
		Depth: s.Depth, Domain: shown(s.Domain), Record: shown(s.Record), Term: shown(s.Term),
		Target: shown(s.Target), Outcome: s.Outcome, Reason: shown(s.Reason),
	}
}

// lookupError returns how a look-up failed, without its name, which is told
// anyway.
func lookupError(err error) string {
	var failed *dns.Error
	switch {
	case errors.Is(err, dns.ErrLoop):
		return "nothing: the aliases lead in a circle"
	case dns.IsNotFound(err):
		return "no such name"
	case errors.As(err, &failed):
		return "error: " + reason(failed.Err)
	case err != nil:
		return "error: " + reason(err)
	}
	return ""
}

func newDKIMReport(d *dkim.Result) dkimReport {
	s := d.Signature
	rep := dkimReport{
		Result: string(d.Status), Reason: string(d.Reason), Error: reason(d.Err),
		Domain: shown(s.Domain), Selector: shown(s.Selector), Identity: shown(s.Identity), Algorithm: shown(s.Algorithm),
	}
	if k := d.Key; k != nil {
		rep.KeyBits, rep.KeyAliases, rep.Testing = k.Bits, shownAll(k.CNAMEs), k.Testing
	}
	return rep
}

func newSPFReport(r *spf.Result) spfReport {
	return spfReport{
		Result: string(r.Status), Identity: string(r.Identity), Domain: shown(r.Domain), Mechanism: shown(r.Mechanism),
		Reason: shown(r.Text()), Explanation: shown(r.Explanation), Lookups: r.Lookups, Void: r.Void,
	}
}

func newDMARCReport(r *verify.Result) dmarcReport {
	d := &r.DMARC
	rep := dmarcReport{
		Result: string(d.Status), Reason: string(d.Reason), Error: reason(d.Err), Domain: shown(r.DMARCDomain()),
	}
	if p := d.Policy; p != nil {
		rep.RecordDomain, rep.OrgDomain = p.RecordDomain, p.OrgDomain
		rep.Policy, rep.PolicyTag, rep.Testing = string(p.Published), p.Tag, p.Testing
		rep.Walk = newWalkReport(p.Walk)
	}
	for _, id := range d.Aligned {
		rep.Aligned = append(rep.Aligned, id.Method+" "+shown(id.Domain))
	}
	return rep
}

func newARCReport(r *arc.Result) arcReport {
	rep := arcReport{Result: string(r.Status), Reason: string(r.Reason), Error: reason(r.Err)}
	if r.Status == arc.Pass {
		rep.OldestPass = &r.OldestPass
	}
	if r.Chain == nil {
		return rep
	}
	for _, s := range r.Chain.Sets {
		rep.Sets = append(rep.Sets, arcSetReport{
			Instance: s.Instance, Domain: shown(s.Seal.Domain), Selector: shown(s.Seal.Selector),
			Results: shown(strings.Join(strings.Fields(s.Results), " ")),
		})
	}
	return rep
}

func newWalkReport(walk []*dmarc.Step) []walkReport {
	var all []walkReport
	for _, s := range walk {
		w := walkReport{Name: shown(s.Name), CNAMEs: shownAll(s.CNAMEs), Error: lookupError(s.Err)}
		for _, v := range s.Values {
			r := recordReport{Text: shown(v), DMARC: dmarc.IsRecord(v)}
			if parsed, err := dmarc.ParseRecord(v); err == nil {
				r.Warnings = shownAll(parsed.Warnings)
			}
			w.Records = append(w.Records, r)
		}
		all = append(all, w)
	}
	return all
}
