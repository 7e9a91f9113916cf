package main

import (
	"cmp"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"time"

	"authmilter/config"
	"authmilter/policy"
	"authmilter/verify"
	"authmilter/verify/arc"
	"authmilter/verify/authres"
	"authmilter/verify/dkim"
	"authmilter/verify/dmarc"
	"authmilter/verify/dns"
	"authmilter/verify/spf"
)

// checkOutput is the output of the command check.
type checkOutput struct {
	AuthorDomains []string     `json:"author_domains"`
	AuthorError   string       `json:"author_error,omitempty"`
	DKIM          []dkimOutput `json:"dkim"`
	SPF           spfOutput    `json:"spf"`
	Helo          *spfOutput   `json:"spf_helo,omitempty"`
	DMARC         dmarcOutput  `json:"dmarc"`
	ARC           arcOutput    `json:"arc"`
	Disposition   string       `json:"disposition"`
	Requested     string       `json:"requested_disposition"`
	// Intended is what an override that only reports, or the mode report, keeps from
	// happening; otherwise it is Disposition. Reason is the reason for it, and Override
	// is why something else is done than the reason asks for.
	Intended string `json:"intended_disposition"`
	Reason   string `json:"reason,omitempty"`
	Override string `json:"override,omitempty"`
	Why      string `json:"override_detail,omitempty"`
	Reply    string `json:"reply,omitempty"`
	// Rules are the rules tried and their outcomes.
	Rules    []policy.Step `json:"rules"`
	Header   string        `json:"authentication_results"`
	Removed  int           `json:"forged_fields_removed"`
	Harmless int           `json:"harmless_fields_removed,omitempty"`
	removed  policy.Removed
	Queries  int   `json:"dns_queries"`
	Bytes    int64 `json:"body_bytes"`
	// Origin is where the message came from if a relay of ours passed it on.
	Origin  *originOutput `json:"origin,omitempty"`
	Skipped string        `json:"milter_skips,omitempty"`
	// dkimOnly reports that the milter would verify only the signatures.
	dkimOnly bool
	Lookups  []lookupOutput `json:"lookups,omitempty"`
	Steps    []stepOutput   `json:"spf_steps,omitempty"`
}

// originOutput is the client that gave a message to the first of our relays.
type originOutput struct {
	// Relay is the client of the MTA.
	Relay      string `json:"relay"`
	Client     string `json:"client,omitempty"`
	ClientName string `json:"client_name,omitempty"`
	Helo       string `json:"helo,omitempty"`
	// Error is why the client is not known.
	Error string `json:"error,omitempty"`
}

func newOriginOutput(relay netip.Addr, env *verify.Envelope) *originOutput {
	if !relay.IsValid() {
		return nil
	}
	return &originOutput{
		Relay: relay.String(), Client: env.Client(), ClientName: logged(env.ClientName), Helo: logged(env.Helo),
		Error: reason(env.NoOrigin),
	}
}

type dkimOutput struct {
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

type spfOutput struct {
	Result      string `json:"result"`
	Identity    string `json:"identity"`
	Domain      string `json:"domain,omitempty"`
	Mechanism   string `json:"mechanism,omitempty"`
	Reason      string `json:"reason,omitempty"`
	Explanation string `json:"explanation,omitempty"`
	Lookups     int    `json:"lookups"`
	Void        int    `json:"void_lookups"`
}

type dmarcOutput struct {
	Result       string `json:"result"`
	Reason       string `json:"reason,omitempty"`
	Error        string `json:"error,omitempty"`
	Domain       string `json:"domain,omitempty"`
	RecordDomain string `json:"record_domain,omitempty"`
	OrgDomain    string `json:"organizational_domain,omitempty"`
	// Published is the policy as in the record, and Effective is what it amounts to if
	// the domain is testing it (t=y).
	Published string   `json:"published_policy,omitempty"`
	Effective string   `json:"effective_policy,omitempty"`
	PolicyTag string   `json:"policy_tag,omitempty"`
	Testing   bool     `json:"testing,omitempty"`
	Aligned   []string `json:"aligned,omitempty"`
	// Walk are the look-ups of policy records, in order.
	Walk []walkOutput `json:"walk,omitempty"`
}

type arcOutput struct {
	Result     string         `json:"result"`
	Reason     string         `json:"reason,omitempty"`
	Error      string         `json:"error,omitempty"`
	OldestPass *int           `json:"oldest_pass,omitempty"`
	Sets       []arcSetOutput `json:"sets,omitempty"`
}

type arcSetOutput struct {
	Instance int    `json:"instance"`
	Domain   string `json:"domain"`
	Selector string `json:"selector"`
	// Results are the sealer's results, as it wrote them, and NotRead the parts of
	// them that count for nothing, or why none of them does.
	Results string   `json:"results"`
	NotRead []string `json:"not_read,omitempty"`
}

// walkOutput is one look-up of a DMARC policy record.
type walkOutput struct {
	Name    string         `json:"name"`
	CNAMEs  []string       `json:"cnames,omitempty"`
	Records []recordOutput `json:"records,omitempty"`
	Error   string         `json:"error,omitempty"`
}

// recordOutput is a TXT record found by a look-up.
type recordOutput struct {
	Text string `json:"text"`
	// DMARC reports that it is a DMARC policy record.
	DMARC    bool     `json:"dmarc"`
	Warnings []string `json:"warnings,omitempty"`
}

type lookupOutput struct {
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

type stepOutput struct {
	Depth   int    `json:"depth"`
	Domain  string `json:"domain"`
	Record  string `json:"record,omitempty"`
	Term    string `json:"term,omitempty"`
	Target  string `json:"target,omitempty"`
	Outcome string `json:"outcome,omitempty"`
	Reason  string `json:"reason,omitempty"`
}

func newCheckOutput(cfg *config.File, m *policy.Message, v *policy.Verdict) *checkOutput {
	env, r := m.Envelope, m.Result
	decision := cfg.Rules().Decide(m)
	o := &checkOutput{
		AuthorDomains: r.Author.Domains,
		AuthorError:   reason(r.Author.Err),
		DKIM:          []dkimOutput{},
		SPF:           newSPFOutput(&r.SPF),
		DMARC:         newDMARCOutput(r),
		ARC:           newARCOutput(&r.ARC),
		Disposition:   string(decision.Disposition),
		Requested:     string(decision.Requested),
		Intended:      string(decision.Intended),
		Reason:        string(decision.Reason),
		Override:      string(decision.Override.Type),
		Why:           decision.Override.Detail,
		Reply:         replyText(decision.Reply),
		Rules:         cfg.Rules().Explain(m),
		Header: "Authentication-Results: " +
			strings.ReplaceAll(policy.FormatResults(cfg.AuthservID, env, r, decision, cfg.ResultsOptions()), "\r\n", "\n"),
		Removed:  v.Forged(),
		Harmless: v.HarmlessRemoved,
		removed:  v.Removed,
		Queries:  r.Queries,
		Bytes:    r.Size,
		Origin:   newOriginOutput(v.Relay, &env),
	}
	if cfg.Skips(env.ClientIP) {
		o.Skipped, o.dkimOnly = string(policy.LocalNetwork), cfg.Skip.CheckDKIM
	} else if decision.Skip {
		o.Skipped = string(policy.ByOverride)
	}
	if r.Helo != nil {
		helo := newSPFOutput(r.Helo)
		o.Helo = &helo
	}
	for _, d := range r.DKIM {
		o.DKIM = append(o.DKIM, newDKIMOutput(&d))
	}
	o.Lookups = newLookupOutputs(r.Lookups)
	for _, s := range r.Steps {
		o.Steps = append(o.Steps, newStepOutput(s))
	}
	return o
}

// newLookupOutputs sorts look-ups by name, since they are recorded as they end and
// the output of two runs should be comparable.
func newLookupOutputs(events []dns.Event) []lookupOutput {
	slices.SortStableFunc(events, func(a, b dns.Event) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.Type, b.Type))
	})
	var all []lookupOutput
	for _, e := range events {
		all = append(all, lookupOutput{
			Type: e.Type, Name: shown(e.Name), Values: shownAll(e.Values), CNAMEs: shownAll(e.CNAMEs),
			Authentic: e.Authentic, Stale: e.Stale, Error: lookupError(e.Err),
			Milliseconds: float64(e.Took.Microseconds()) / 1000, TTLInSeconds: int64(e.TTL / time.Second),
		})
	}
	return all
}

func newStepOutput(s spf.Step) stepOutput {
	return stepOutput{
		Depth: s.Depth, Domain: shown(s.Domain), Record: shown(s.Record), Term: shown(s.Term),
		Target: shown(s.Target), Outcome: s.Outcome, Reason: shown(s.Reason),
	}
}

// lookupError returns how a look-up failed, without its name, which is printed
// anyway.
func lookupError(err error) string {
	var failed *dns.Error
	switch {
	case errors.Is(err, dns.ErrLoop):
		return "nothing: the aliases form a loop"
	case dns.IsNotFound(err):
		return "no such name"
	case errors.As(err, &failed):
		return "error: " + reason(failed.Err)
	case err != nil:
		return "error: " + reason(err)
	}
	return ""
}

func newDKIMOutput(d *dkim.Result) dkimOutput {
	s := d.Signature
	o := dkimOutput{
		Result: string(d.Status), Reason: string(d.Reason), Error: reason(d.Err),
		Domain: shown(s.Domain), Selector: shown(s.Selector), Identity: shown(s.Identity), Algorithm: shown(s.Algorithm),
	}
	if k := d.Key; k != nil {
		o.KeyBits, o.KeyAliases, o.Testing = k.Bits, shownAll(k.CNAMEs), k.Testing
	}
	return o
}

func newSPFOutput(r *spf.Result) spfOutput {
	return spfOutput{
		Result: string(r.Status), Identity: string(r.Identity), Domain: shown(r.Domain), Mechanism: shown(r.Mechanism),
		Reason: shown(r.Text()), Explanation: shown(r.Explanation), Lookups: r.Lookups, Void: r.Void,
	}
}

func newDMARCOutput(r *verify.Result) dmarcOutput {
	d := &r.DMARC
	o := dmarcOutput{
		Result: string(d.Status), Reason: string(d.Reason), Error: reason(d.Err), Domain: shown(r.DMARCDomain()),
	}
	if p := d.Policy; p != nil {
		o.RecordDomain, o.OrgDomain = p.RecordDomain, p.OrgDomain
		o.Published, o.Effective = string(p.Published), string(p.Effective())
		o.PolicyTag, o.Testing = p.Tag, p.Testing
		o.Walk = newWalkOutput(p.Walk)
	}
	for _, id := range d.Aligned {
		o.Aligned = append(o.Aligned, id.Method+" "+shown(id.Domain))
	}
	return o
}

func newARCOutput(r *arc.Result) arcOutput {
	o := arcOutput{Result: string(r.Status), Reason: string(r.Reason), Error: reason(r.Err)}
	if r.Status == arc.Pass {
		o.OldestPass = &r.OldestPass
	}
	if r.Chain == nil {
		return o
	}
	for _, s := range r.Chain.Sets {
		o.Sets = append(o.Sets, arcSetOutput{
			Instance: s.Instance, Domain: shown(s.Seal.Domain), Selector: shown(s.Seal.Selector),
			Results: shown(strings.Join(strings.Fields(s.Results), " ")),
			NotRead: notRead(s.Results),
		})
	}
	return o
}

// notRead returns the parts of the results in an ARC Set that were not read, or the
// error if none were.
func notRead(results string) []string {
	r, err := authres.Parse(results)
	if err != nil {
		return []string{reason(err)}
	}
	return shownAll(r.Skipped)
}

func newWalkOutput(walk []*dmarc.Step) []walkOutput {
	var all []walkOutput
	for _, s := range walk {
		w := walkOutput{Name: shown(s.Name), CNAMEs: shownAll(s.CNAMEs), Error: lookupError(s.Err)}
		for _, v := range s.Values {
			r := recordOutput{Text: shown(v), DMARC: dmarc.IsRecord(v)}
			if parsed, err := dmarc.ParseRecord(v); err == nil {
				r.Warnings = shownAll(parsed.Warnings)
			}
			w.Records = append(w.Records, r)
		}
		all = append(all, w)
	}
	return all
}
