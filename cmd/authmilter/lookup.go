package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"

	"github.com/spf13/cobra"

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
		Short: "Show what a domain publishes, how it was found and what is wrong with it",
		Args:  usageArgs(cobra.NoArgs),
		RunE: func(*cobra.Command, []string) error {
			return usageError{errors.New("lookup needs a command: dkim, spf or dmarc")}
		},
	}
	commands := []*cobra.Command{
		{
			Use:   "dkim SELECTOR DOMAIN",
			Short: "Show a DKIM key",
			Args:  usageArgs(cobra.ExactArgs(2)),
			RunE:  f.command(lookupDKIM),
		},
		{
			Use:   "spf DOMAIN",
			Short: "Show an SPF record and evaluate it",
			Long: `Show the SPF record of a domain and all that evaluating it asks for. With --ip the
record is evaluated for that client, otherwise for one that nothing matches.`,
			Args: usageArgs(cobra.ExactArgs(1)),
			RunE: f.command(f.lookupSPF),
		},
		{
			Use:   "dmarc DOMAIN",
			Short: "Show the DMARC policy for an author domain, and the tree walk that finds it",
			Args:  usageArgs(cobra.ExactArgs(1)),
			RunE:  f.command(f.lookupDMARC),
		},
	}
	commands[1].Flags().StringVar(&f.ip, "ip", "", "`address` of a client")
	for _, cmd := range commands {
		configFlag(cmd, &f.config)
		resolverFlag(cmd, &f.resolver)
		c.AddCommand(cmd)
	}
	return c
}

type lookupFlags struct {
	config, resolver, ip string
	cfg                  *Config
}

// lookupFunc shows something on w. It returns errFinding where it found a fault.
type lookupFunc func(ctx context.Context, w io.Writer, r *dns.Meter, args []string) error

// command returns the function of a command that looks something up and then
// shows the look-ups it took.
func (f *lookupFlags) command(show lookupFunc) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		cfg, client, err := loadWith(f.config, f.resolver)
		if err != nil {
			return err
		}
		f.cfg = cfg
		for i := range args {
			if args[i], err = domain.ToASCII(args[i]); err != nil {
				return usageError{fmt.Errorf("%q is %w", args[i], err)}
			}
		}
		meter := dns.NewMeter(client, cfg.Limits.DNSQueries)
		meter.Record()
		var b strings.Builder
		found := show(cmd.Context(), &b, meter, args)
		fmt.Fprintln(&b, "\nDNS look-ups:")
		for _, e := range meter.Events() {
			fmt.Fprintf(&b, "  %s %s", e.Type, shown(e.Name))
			for _, c := range e.CNAMEs {
				fmt.Fprintf(&b, " -> %s", shown(c))
			}
			fmt.Fprintln(&b)
			for _, v := range e.Values {
				fmt.Fprintf(&b, "    %s\n", shown(v))
			}
			if e.Err != nil {
				fmt.Fprintf(&b, "    error: %s\n", reason(e.Err))
			}
		}
		if _, err := io.WriteString(cmd.OutOrStdout(), b.String()); err != nil {
			return err
		}
		return found
	}
}

func lookupDKIM(ctx context.Context, w io.Writer, r *dns.Meter, args []string) error {
	key, err := dkim.LookupKey(ctx, r, args[0], args[1])
	if err != nil {
		fmt.Fprintf(w, "%s\n", reason(err))
		return errFinding
	}
	fmt.Fprintf(w, "%d-bit %s key\n", key.Bits, key.Type)
	if key.Hashes != nil {
		fmt.Fprintf(w, "  only with the hashes %s\n", shown(strings.Join(key.Hashes, ", ")))
	}
	if key.Services != nil {
		fmt.Fprintf(w, "  only for the services %s\n", shown(strings.Join(key.Services, ", ")))
	}
	if key.Testing {
		fmt.Fprintln(w, "  t=y: the domain is testing DKIM")
	}
	if key.Strict {
		fmt.Fprintln(w, "  t=s: i= must not be in a subdomain")
	}
	if key.Authentic {
		fmt.Fprintln(w, "  the resolver vouches for the answer (DNSSEC)")
	}
	if key.Type == dkim.RSA && key.Bits < dkim.DefaultMinRSABits {
		fmt.Fprintln(w, "  too weak: signatures by this key are not accepted (RFC 8301 section 3.2)")
		return errFinding
	}
	return nil
}

// nobody is a client that no record allows on purpose (RFC 5737 section 3).
var nobody = netip.MustParseAddr("192.0.2.255")

func (f *lookupFlags) lookupSPF(ctx context.Context, w io.Writer, r *dns.Meter, args []string) error {
	ip := nobody
	if f.ip != "" {
		var err error
		if ip, err = netip.ParseAddr(f.ip); err != nil {
			return usageError{fmt.Errorf("--ip: %q is not an address", f.ip)}
		}
	}
	res := spf.Check(ctx, r, spf.Args{
		IP: ip, Helo: args[0], MailFrom: "postmaster@" + args[0], Explain: true,
		Trace: func(s spf.Step) {
			indent := strings.Repeat("  ", s.Depth)
			switch {
			case s.Record != "":
				fmt.Fprintf(w, "%s%s: %s\n", indent, shown(s.Domain), shown(s.Record))
			case s.Term != "":
				fmt.Fprintf(w, "%s  %s: %s%s\n", indent, shown(s.Term), s.Outcome, inParens(shown(s.Reason)))
			}
		},
	})
	fmt.Fprintf(w, "\nFor the client %s: %s%s\n", ip, res.Status, inParens(shown(res.Reason())))
	fmt.Fprintf(w, "%d of %d terms with look-ups, %d of them void\n", res.Lookups, spf.MaxLookups, res.Void)
	switch res.Status {
	case spf.PermError, spf.TempError, spf.None:
		return errFinding
	}
	return nil
}

func (f *lookupFlags) lookupDMARC(ctx context.Context, w io.Writer, r *dns.Meter, args []string) error {
	p, err := dmarc.Discover(ctx, r, args[0], dmarc.Mode(f.cfg.DMARC.Discovery))
	if err != nil {
		fmt.Fprintf(w, "%s\n", reason(err))
		return errFinding
	}
	if p.Record == nil {
		fmt.Fprintln(w, "no DMARC policy record")
		return errFinding
	}
	fmt.Fprintf(w, "_dmarc.%s: %s\n", p.RecordDomain, shown(p.Record.String()))
	for _, warning := range p.Record.Warnings {
		fmt.Fprintf(w, "  %s\n", shown(warning))
	}
	if !p.Applies() {
		fmt.Fprintln(w, "The record cannot be used: no policy applies.")
		return errFinding
	}
	fmt.Fprintf(w, "Policy for %s: %s (tag %s)\n", p.AuthorDomain, p.Published, p.Tag)
	if p.Testing {
		fmt.Fprintln(w, "  t=y: to be applied one level below")
	}
	if p.OrgDomain != "" {
		fmt.Fprintf(w, "Organizational domain: %s\n", p.OrgDomain)
	}
	return nil
}
