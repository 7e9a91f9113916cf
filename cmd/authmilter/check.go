package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"authmilter/policy"
	"authmilter/verify"
	"authmilter/verify/authres"
	"authmilter/verify/clean"
	"authmilter/verify/dkim"
	"authmilter/verify/dmarc"
	"authmilter/verify/dns"
	"authmilter/verify/message"
	"authmilter/verify/spf"
)

// checkFlags are the flags of the command check.
type checkFlags struct {
	config, resolver   string
	ip, helo, mailFrom string
	json, explain      bool
}

func checkCommand() *cobra.Command {
	var f checkFlags
	cmd := &cobra.Command{
		Use:   "check [flags] FILE|-",
		Short: "Verify one message from a file exactly as the milter would",
		Long: `Verify one message from a file, or from standard input for "-", exactly as the
milter would, and print the Authentication-Results field that it would insert.
Without --ip there is no SPF result.

Exit status: 1 if the message fails: if its author domain has a DMARC policy and
the result is not pass, or if it has none and nothing passes but something
failed.`,
		Args: usageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error { return f.run(cmd, args[0]) },
	}
	configFlag(cmd, &f.config)
	resolverFlag(cmd, &f.resolver)
	cmd.Flags().StringVar(&f.ip, "ip", "", "`address` of the client that sent the message")
	cmd.Flags().StringVar(&f.helo, "helo", "", "`name` that the client gave in HELO")
	cmd.Flags().StringVar(&f.mailFrom, "mail-from", "", "`address` in MAIL FROM; empty: the null sender")
	cmd.Flags().BoolVar(&f.json, "json", false, "print JSON")
	cmd.Flags().BoolVar(&f.explain, "explain", false, "show every DNS look-up and every step of SPF")
	return cmd
}

// resolverFlag adds --resolver to cmd.
func resolverFlag(cmd *cobra.Command, resolver *string) {
	cmd.Flags().StringVar(resolver, "resolver", "", "ask this DNS server, as `host:port`, instead of the configured ones")
}

// loadWith returns the config of path with its DNS servers replaced by resolver,
// if that is given, and a resolver made of it.
func loadWith(path, resolver string) (*Config, *dns.Client, error) {
	cfg, err := loadConfig(path)
	if err != nil {
		return nil, nil, err
	}
	if resolver != "" {
		cfg.DNS.Servers = make([]hostPort, 1)
		if err := cfg.DNS.Servers[0].UnmarshalText([]byte(resolver)); err != nil {
			return nil, nil, usageError{fmt.Errorf("--resolver: %w", err)}
		}
	}
	client, err := cfg.newResolver(nil)
	return cfg, client, err
}

func (f *checkFlags) run(cmd *cobra.Command, file string) error {
	env := verify.Envelope{Helo: f.helo, MailFrom: strings.TrimSuffix(strings.TrimPrefix(f.mailFrom, "<"), ">")}
	if f.ip != "" {
		ip, err := netip.ParseAddr(f.ip)
		if err != nil {
			return usageError{fmt.Errorf("--ip: %q is not an address", f.ip)}
		}
		env.ClientIP = ip.Unmap()
	}
	cfg, resolver, err := loadWith(f.config, f.resolver)
	if err != nil {
		return err
	}
	in := cmd.InOrStdin()
	if file != "-" {
		opened, err := os.Open(file)
		if err != nil {
			return err
		}
		defer opened.Close()
		in = opened
	}
	opts := cfg.verifyOptions(resolver)
	opts.Explain = f.explain
	r, removed, err := verifyFile(cmd.Context(), cfg, opts, env, in)
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	rep := newReport(cfg, env, r, removed)
	out := cmd.OutOrStdout()
	if f.json {
		enc := json.NewEncoder(out)
		enc.SetIndent("", "  ")
		enc.SetEscapeHTML(false)
		err = enc.Encode(rep)
	} else {
		err = rep.print(out, f.explain)
	}
	if err != nil {
		return err
	}
	if failed(r) {
		return errFinding
	}
	return nil
}

// verifyFile passes the message in r through the path that mail takes, and
// returns the numbers of the forged fields that the milter would remove.
func verifyFile(ctx context.Context, cfg *Config, opts verify.Options, env verify.Envelope, r io.Reader) (*verify.Result, int, error) {
	// One past the bounds, so that verify tells of a message beyond them as it
	// does for the milter.
	limits := message.Limits{Bytes: 64 << 20, Fields: 1 << 20}
	header, body, err := message.ReadHeader(bufio.NewReader(r), limits)
	if err != nil {
		return nil, 0, err
	}
	c := verify.New(opts).Begin(ctx, env)
	defer c.Cancel()
	claimant, removed := cfg.claimant(), 0
	for _, field := range header {
		if field.Is("authentication-results") && claimant.Claims(field.Raw) {
			removed++
		}
		c.Field(field)
	}
	c.EndHeader()
	if _, err := io.Copy(c, body); err != nil {
		return nil, 0, err
	}
	select {
	case <-c.Ready():
	case <-ctx.Done():
		return nil, 0, ctx.Err()
	}
	return c.Finish(), removed, nil
}

// failed tells whether a message fails as a whole.
func failed(r *verify.Result) bool {
	if r.DMARC.Status != dmarc.None {
		return r.DMARC.Status != dmarc.Pass
	}
	bad := false
	for _, d := range r.DKIM {
		if d.Status == dkim.Pass {
			return false
		}
		bad = true
	}
	switch r.SPF.Status {
	case spf.Pass:
		return false
	case spf.None, spf.Neutral:
		return bad
	}
	return true
}

// report is what check prints.
type report struct {
	AuthorDomains []string       `json:"author_domains"`
	AuthorError   string         `json:"author_error,omitempty"`
	DKIM          []dkimReport   `json:"dkim"`
	SPF           spfReport      `json:"spf"`
	Helo          *spfReport     `json:"spf_helo,omitempty"`
	DMARC         dmarcReport    `json:"dmarc"`
	Disposition   string         `json:"disposition"`
	Requested     string         `json:"requested_disposition"`
	Header        string         `json:"authentication_results"`
	Removed       int            `json:"forged_fields_removed"`
	Queries       int            `json:"dns_queries"`
	Bytes         int64          `json:"body_bytes"`
	Lookups       []lookupReport `json:"lookups,omitempty"`
	Steps         []stepReport   `json:"spf_steps,omitempty"`
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
	Error       string `json:"error,omitempty"`
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
}

type lookupReport struct {
	Type         string   `json:"type"`
	Name         string   `json:"name"`
	Values       []string `json:"values,omitempty"`
	CNAMEs       []string `json:"cnames,omitempty"`
	Authentic    bool     `json:"authentic,omitempty"`
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

func newReport(cfg *Config, env verify.Envelope, r *verify.Result, removed int) *report {
	decision := (&policy.Rules{}).Decide(env, r)
	rep := &report{
		AuthorDomains: r.Author.Domains,
		AuthorError:   reason(r.Author.Err),
		DKIM:          []dkimReport{},
		SPF:           newSPFReport(&r.SPF),
		DMARC:         newDMARCReport(r),
		Disposition:   string(decision.Disposition),
		Requested:     string(decision.Requested),
		Header: "Authentication-Results: " +
			strings.ReplaceAll(authres.Format(cfg.AuthservID, policy.AuthenticationResults(env, r)), "\r\n", "\n"),
		Removed: removed,
		Queries: r.Queries,
		Bytes:   r.Size,
	}
	if r.Helo != nil {
		helo := newSPFReport(r.Helo)
		rep.Helo = &helo
	}
	for _, d := range r.DKIM {
		rep.DKIM = append(rep.DKIM, newDKIMReport(&d))
	}
	for _, e := range r.Lookups {
		rep.Lookups = append(rep.Lookups, lookupReport{
			Type: e.Type, Name: shown(e.Name), Values: shownAll(e.Values), CNAMEs: shownAll(e.CNAMEs),
			Authentic: e.Authentic, Error: reason(e.Err),
			Milliseconds: float64(e.Took.Microseconds()) / 1000, TTLInSeconds: int64(e.TTL / time.Second),
		})
	}
	for _, s := range r.Steps {
		rep.Steps = append(rep.Steps, stepReport{
			Depth: s.Depth, Domain: shown(s.Domain), Record: shown(s.Record), Term: shown(s.Term),
			Target: shown(s.Target), Outcome: s.Outcome, Reason: shown(s.Reason),
		})
	}
	return rep
}

func newDKIMReport(d *dkim.Result) dkimReport {
	s := d.Signature
	rep := dkimReport{
		Result: string(d.Status), Reason: string(d.Reason), Error: reason(d.Err),
		Domain: shown(s.Domain), Selector: shown(s.Selector), Identity: shown(s.Identity), Algorithm: s.Algorithm,
	}
	if k := d.Key; k != nil {
		rep.KeyBits, rep.KeyAliases, rep.Testing = k.Bits, shownAll(k.CNAMEs), k.Testing
	}
	return rep
}

func newSPFReport(r *spf.Result) spfReport {
	return spfReport{
		Result: string(r.Status), Identity: string(r.Identity), Domain: shown(r.Domain), Mechanism: shown(r.Mechanism),
		Error: reason(r.Err), Explanation: shown(r.Explanation), Lookups: r.Lookups, Void: r.Void,
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
	}
	for _, id := range d.Aligned {
		rep.Aligned = append(rep.Aligned, id.Method+" "+shown(id.Domain))
	}
	return rep
}

// print writes the report for people.
func (r *report) print(w io.Writer, explain bool) error {
	var b strings.Builder
	fmt.Fprintln(&b, r.Header)
	if r.Removed > 0 {
		fmt.Fprintf(&b, "\n%d forged Authentication-Results removed\n", r.Removed)
	}
	if explain {
		r.explain(&b)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// explain writes what was asked of the DNS, what it answered, and what decided.
func (r *report) explain(b *strings.Builder) {
	fmt.Fprintf(b, "\nAuthor domain: %s%s\n", orNone(strings.Join(r.AuthorDomains, ", ")), inParens(r.AuthorError))
	fmt.Fprintf(b, "\nDNS look-ups (%d):\n", r.Queries)
	for _, l := range r.Lookups {
		fmt.Fprintf(b, "  %s %s  (%.1f ms)\n", l.Type, l.Name, l.Milliseconds)
		for _, c := range l.CNAMEs {
			fmt.Fprintf(b, "    alias of %s\n", c)
		}
		for _, v := range l.Values {
			fmt.Fprintf(b, "    %s\n", v)
		}
		switch {
		case l.Error != "":
			fmt.Fprintf(b, "    error: %s\n", l.Error)
		case len(l.Values) == 0:
			fmt.Fprintf(b, "    no such record\n")
		}
	}
	fmt.Fprintf(b, "\nSPF, identity %s: %s%s\n", r.SPF.Identity, r.SPF.Result, inParens(r.SPF.Error))
	for _, s := range r.Steps {
		indent := strings.Repeat("  ", s.Depth+1)
		switch {
		case s.Record != "":
			fmt.Fprintf(b, "%s%s: %s\n", indent, s.Domain, s.Record)
		case s.Target != "" && s.Target != s.Term:
			fmt.Fprintf(b, "%s%s -> %s: %s%s\n", indent, s.Term, s.Target, s.Outcome, inParens(s.Reason))
		default:
			fmt.Fprintf(b, "%s%s: %s%s\n", indent, orNone(s.Term), s.Outcome, inParens(s.Reason))
		}
	}
	if r.SPF.Explanation != "" {
		fmt.Fprintf(b, "  the domain explains: %s\n", r.SPF.Explanation)
	}
	fmt.Fprintf(b, "\nDKIM signatures (%d):\n", len(r.DKIM))
	for _, d := range r.DKIM {
		fmt.Fprintf(b, "  %s selector %s, %s, %d-bit key: %s%s\n", orNone(d.Domain), orNone(d.Selector),
			orNone(d.Algorithm), d.KeyBits, d.Result, inParens(d.Error))
	}
	d := r.DMARC
	fmt.Fprintf(b, "\nDMARC for %s: %s%s\n", orNone(d.Domain), d.Result, inParens(d.Error))
	if d.RecordDomain != "" {
		fmt.Fprintf(b, "  record found at _dmarc.%s, policy %s (tag %s)\n", d.RecordDomain, orNone(d.Policy), orNone(d.PolicyTag))
	}
	if d.OrgDomain != "" {
		fmt.Fprintf(b, "  organizational domain %s\n", d.OrgDomain)
	}
	for _, id := range d.Aligned {
		fmt.Fprintf(b, "  aligned: %s\n", id)
	}
	fmt.Fprintf(b, "\nDisposition: %s (the domain asks for: %s)\n", r.Disposition, r.Requested)
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
