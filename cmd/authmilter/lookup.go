package main

import (
	"context"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"authmilter/config"
	"authmilter/verify/dkim"
	"authmilter/verify/dmarc"
	"authmilter/verify/dns"
	"authmilter/verify/domain"
	"authmilter/verify/spf"
)

func lookupCommand() *cobra.Command {
	var f lookupFlags
	c := &cobra.Command{
		Use:   "lookup",
		Short: "Look up the DKIM, SPF or DMARC records of a domain and check them",
	}
	commands := []*cobra.Command{
		{
			Use:   "dkim SELECTOR DOMAIN",
			Short: "Look up a DKIM key",
			Args:  cobra.ExactArgs(2),
			RunE:  f.command(f.lookupDKIM),
		},
		{
			Use:   "spf DOMAIN",
			Short: "Look up an SPF record and evaluate it",
			Long: `Look up the SPF record of a domain and show every step of its evaluation. With
--ip, the record is evaluated for that client. Otherwise it is evaluated for an address
that no record should list.`,
			Args: cobra.ExactArgs(1),
			RunE: f.command(f.lookupSPF),
		},
		{
			Use:   "dmarc DOMAIN",
			Short: "Look up the DMARC policy for an author domain",
			Long: `Look up the DMARC policy for an author domain, and show the tree walk that finds it
and any errors in the records.`,
			Args: cobra.ExactArgs(1),
			RunE: f.command(f.lookupDMARC),
		},
	}
	commands[1].Flags().StringVar(&f.ip, "ip", "", "`address` of the client")
	for _, cmd := range commands {
		configFlag(cmd, &f.config)
		resolverFlag(cmd, &f.resolver)
		c.AddCommand(cmd)
	}
	return c
}

type lookupFlags struct {
	config, resolver, ip string

	cfg    *config.File
	client netip.Addr
}

// lookupFunc looks something up and shows it on w. It returns errFinding if there is
// something wrong with it.
type lookupFunc func(ctx context.Context, w io.Writer, r *dns.Meter, args []string) error

// command returns the RunE function of a command that runs show and then prints the
// look-ups that it made.
func (f *lookupFlags) command(show lookupFunc) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		var err error
		if f.client, err = clientFlag(f.ip); err != nil {
			return err
		}
		cfg, client, err := readConfig(f.config, f.resolver)
		if err != nil {
			return err
		}
		f.cfg = cfg
		for i := range args {
			if args[i], err = domain.ToASCII(args[i]); err != nil {
				return usageError{fmt.Errorf("%q is %w", args[i], err)}
			}
		}
		ctx, cancel := context.WithTimeout(cmd.Context(), time.Duration(cfg.Limits.DNSTime))
		defer cancel()
		meter := dns.NewMeter(client, cfg.Limits.DNSQueries)
		meter.Record()
		var b strings.Builder
		found := show(ctx, &b, meter, args)
		fmt.Fprintln(&b, "\nDNS look-ups:")
		for _, l := range newLookupOutputs(meter.Events()) {
			l.print(&b)
		}
		if _, err := io.WriteString(cmd.OutOrStdout(), b.String()); err != nil {
			return err
		}
		return found
	}
}

func (f *lookupFlags) lookupDKIM(ctx context.Context, w io.Writer, r *dns.Meter, args []string) error {
	key, err := dkim.LookupKey(ctx, r, args[0], args[1])
	for _, l := range newLookupOutputs(r.Events()) {
		fmt.Fprintf(w, "%s\n", l.Name)
		for _, c := range l.CNAMEs {
			fmt.Fprintf(w, "  alias of %s\n", c)
		}
	}
	for _, e := range r.Events() {
		for _, v := range e.Values {
			fmt.Fprintf(w, "  %s\n", shown(v))
			if _, err := dkim.ParseKey(v); err != nil {
				fmt.Fprintf(w, "    %s\n", reason(err))
			}
		}
		if len(e.Values) > 1 {
			fmt.Fprintf(w, "  %d records: which one counts is undefined (RFC 6376 section 3.6.2.2)\n", len(e.Values))
		}
	}
	fmt.Fprintln(w)
	if err != nil {
		fmt.Fprintf(w, "%s\n", reason(err))
		return errFinding
	}
	fmt.Fprintf(w, "%d-bit %s key\n", key.Bits, key.Type)
	if key.Hashes != nil {
		fmt.Fprintf(w, "  h=: only for the hash algorithms %s\n", shown(strings.Join(key.Hashes, ", ")))
	}
	if key.Services != nil {
		fmt.Fprintf(w, "  s=: only for the services %s\n", shown(strings.Join(key.Services, ", ")))
	}
	if key.Testing {
		fmt.Fprintln(w, "  t=y: the domain is testing DKIM")
	}
	if key.Strict {
		fmt.Fprintln(w, "  t=s: i= must not name a subdomain")
	}
	if key.Authentic {
		fmt.Fprintln(w, "  validated by the resolver (DNSSEC)")
	}
	if key.Type == dkim.RSA && key.Bits < f.cfg.DKIM.MinimumRSABits {
		fmt.Fprintf(w, "  too weak: less than %d bits (dkim.minimum_rsa_bits; RFC 8301 section 3.2)\n", f.cfg.DKIM.MinimumRSABits)
		return errFinding
	}
	if key.Type == dkim.RSA && key.Bits > f.cfg.DKIM.MaximumRSABits {
		fmt.Fprintf(w, "  too large: more than %d bits (dkim.maximum_rsa_bits)\n", f.cfg.DKIM.MaximumRSABits)
		return errFinding
	}
	return nil
}

// unlistedClient is an address that no record should list (RFC 5737 section 3).
var unlistedClient = netip.MustParseAddr("192.0.2.255")

func (f *lookupFlags) lookupSPF(ctx context.Context, w io.Writer, r *dns.Meter, args []string) error {
	ip := unlistedClient
	if f.client.IsValid() {
		ip = f.client
	}
	res := spf.Check(ctx, r, spf.Args{
		IP: ip, Helo: args[0], MailFrom: "postmaster@" + args[0], Explain: true,
		Trace: func(s spf.Step) {
			step := newStepOutput(s)
			step.print(w, "")
		},
	})
	fmt.Fprintf(w, "\nFor the client %s: %s%s\n", ip, res.Status, inParens(shown(res.Text())))
	printExplanation(w, res.Explanation)
	fmt.Fprintf(w, "%d of %d terms with look-ups, %d of them void\n", res.Lookups, spf.MaxLookups, res.Void)
	switch res.Status {
	case spf.PermError, spf.TempError, spf.None:
		return errFinding
	}
	return nil
}

func (f *lookupFlags) lookupDMARC(ctx context.Context, w io.Writer, r *dns.Meter, args []string) error {
	p, err := dmarc.Discover(ctx, r, args[0], dmarc.Mode(f.cfg.DMARC.Discovery))
	if p == nil {
		return err
	}
	fmt.Fprintf(w, "Looked for policy records (%v):\n", dmarc.Mode(f.cfg.DMARC.Discovery))
	printWalk(w, newWalkOutput(p.Walk))
	fmt.Fprintln(w)
	switch {
	case err != nil:
		fmt.Fprintf(w, "Policy for %s: cannot be determined now (%s)\n", p.AuthorDomain, reason(err))
		return errFinding
	case p.Record == nil:
		fmt.Fprintf(w, "Policy for %s: none published\n", p.AuthorDomain)
		return errFinding
	case !p.Applies():
		fmt.Fprintf(w, "Policy for %s: none; the record at _dmarc.%s has neither a valid policy nor a reporting address\n",
			p.AuthorDomain, p.RecordDomain)
		return errFinding
	}
	fmt.Fprintf(w, "Policy for %s: %s (from %s= in the record at _dmarc.%s)\n", p.AuthorDomain, p.Published, p.Tag, p.RecordDomain)
	if p.Testing {
		fmt.Fprintf(w, testingText, p.Effective())
	}
	if p.Record.NoPolicy {
		fmt.Fprintln(w, "  no valid p=, sp= or np=: counts as p=none because it has a reporting address")
	}
	fmt.Fprintf(w, "  alignment: DKIM %s, SPF %s\n", alignmentWord(p.Record.ADKIM), alignmentWord(p.Record.ASPF))
	if p.OrgDomain != "" {
		fmt.Fprintf(w, "Organizational domain: %s\n", p.OrgDomain)
	}
	return nil
}

func alignmentWord(a dmarc.Alignment) string {
	if a == dmarc.Strict {
		return "strict"
	}
	return "relaxed"
}
