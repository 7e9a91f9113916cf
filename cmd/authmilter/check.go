package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"os"

	"github.com/spf13/cobra"

	"authmilter/config"
	"authmilter/milter"
	"authmilter/policy"
	"authmilter/verify"
	"authmilter/verify/dkim"
	"authmilter/verify/dmarc"
	"authmilter/verify/message"
	"authmilter/verify/spf"
)

// checkFlags are the flags of the command check.
type checkFlags struct {
	config, resolver   string
	ip, helo, mailFrom string
	clientName         string
	recipients         []string
	listener           string
	json, explain      bool
}

func checkCommand() *cobra.Command {
	var f checkFlags
	cmd := &cobra.Command{
		Use:   "check [flags] FILE|-",
		Short: "Verify a message in a file exactly as the milter would",
		Long: `Verify a message in a file, or from standard input if the file is "-", exactly as
the milter would, and print the Authentication-Results field that the milter would
add. Without --ip, SPF cannot be evaluated and its result is none.

A message from a client that the milter would skip is verified anyway, with a note.

The exit status is 1 if the message fails. If its author domain has a DMARC policy, it
fails unless DMARC passes. Otherwise it fails if something failed and neither DKIM nor
SPF passed.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return f.verify(cmd, args[0]) },
	}
	configFlag(cmd, &f.config)
	resolverFlag(cmd, &f.resolver)
	cmd.Flags().StringVar(&f.ip, "ip", "", "IP `address` of the client that sent the message")
	cmd.Flags().StringVar(&f.helo, "helo", "", "`name` that the client sent in HELO or EHLO")
	cmd.Flags().StringVar(&f.mailFrom, "mail-from", "", "`address` in MAIL FROM (default: the null sender)")
	cmd.Flags().StringVar(&f.clientName, "client-name", "", "`host` name of the client, as verified by the MTA")
	cmd.Flags().StringSliceVar(&f.recipients, "rcpt", nil, "`address` of a recipient; can be repeated")
	cmd.Flags().StringVar(&f.listener, "listener", "", "listener that the MTA uses, an `address` as in the listen setting")
	cmd.Flags().BoolVar(&f.json, "json", false, "print JSON")
	cmd.Flags().BoolVar(&f.explain, "explain", false, "show DNS look-ups, the steps of SPF and the rules")
	return cmd
}

func (f *checkFlags) verify(cmd *cobra.Command, file string) error {
	env := verify.Envelope{Helo: f.helo, ClientName: f.clientName, MailFrom: milter.ParsePath(f.mailFrom)}
	var err error
	if env.ClientIP, err = clientFlag(f.ip); err != nil {
		return err
	}
	cfg, resolver, err := readConfig(f.config, f.resolver)
	if err != nil {
		return err
	}
	in := cmd.InOrStdin()
	if file != "-" {
		opened, err := os.Open(file)
		if err != nil {
			return config.FileError(file, err)
		}
		defer opened.Close()
		in = opened
	}
	opts := cfg.VerifyOptions(resolver)
	opts.Explain, opts.SPFExplanation = f.explain, f.explain
	v, err := verifyFile(cmd.Context(), cfg, opts, &env, in)
	if err != nil {
		return config.FileError(file, err)
	}
	for i, path := range f.recipients {
		f.recipients[i] = milter.ParsePath(path)
	}
	result := newCheckOutput(cfg, &policy.Message{Envelope: env, Recipients: policy.NewRecipients(f.recipients...), Listener: f.listener, Result: v.Result}, v)
	out := cmd.OutOrStdout()
	if f.json {
		enc := json.NewEncoder(out)
		enc.SetIndent("", "  ")
		enc.SetEscapeHTML(false)
		err = enc.Encode(result)
	} else {
		err = result.print(out, f.explain)
	}
	if err != nil {
		return err
	}
	if messageFails(v.Result) {
		return errFinding
	}
	return nil
}

// verifyFile verifies the message in r in the same way as the milter. If the client
// in env is a relay of ours, it is replaced by the client that the relays name.
// verifyFile returns the result and the numbers of fields that the milter would remove.
func verifyFile(ctx context.Context, cfg *config.File, opts verify.Options, env *verify.Envelope, r io.Reader) (*policy.Verdict, error) {
	// The highest limits that a configuration can set, so that verify itself reports
	// messages beyond its limits, as it does for the milter.
	limits := message.Limits{Bytes: 64 << 20, Fields: 1 << 20}
	header, body, err := message.ReadHeader(bufio.NewReader(r), limits)
	if err != nil {
		return nil, err
	}
	v := &policy.Verdict{Removed: policy.Removed{}}
	above := followRelays(cfg, env, v, header)
	c := verify.New(opts).Begin(ctx, *env)
	defer c.Cancel()
	own := cfg.OwnFields()
	var claims []string
	skips := cfg.Skips(env.ClientIP)
	if skips {
		own = own.OfOwnMail()
	}
	for i, field := range header {
		if kind := own.Kind(field.Name); own.Forged(kind, field.Name, field.Raw) {
			if _, ok := own.OfRelay(kind, field.Raw); !ok || i >= above {
				v.Removed[kind]++
				if kind == policy.ResultsField {
					claims = append(claims, field.Raw)
				}
			}
		}
		c.Field(field)
	}
	c.EndHeader()
	if _, err := io.Copy(c, body); err != nil {
		return nil, err
	}
	select {
	case <-c.Ready():
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	v.Result = c.Finish()
	known := v.Result
	if skips {
		known = nil
	}
	for _, value := range claims {
		if policy.Harmless(value, known) {
			v.HarmlessRemoved++
		}
	}
	return v, nil
}

// followRelays replaces the client in env, if it is a relay of ours, by the client
// that gave the message to the first relay, and sets the relay in v. It returns the
// number of fields at the top in which the results of relays are kept.
func followRelays(cfg *config.File, env *verify.Envelope, v *policy.Verdict, header message.Header) (kept int) {
	trail := cfg.Trail(env.ClientIP)
	if trail == nil {
		return 0
	}
	for _, field := range header {
		if trail.Field(field) {
			break
		}
	}
	v.Relay = env.ClientIP
	client, above, err := trail.Origin()
	env.ClientIP, env.ClientName, env.Helo, env.NoOrigin = client.Client, client.Name, client.Helo, err
	if !cfg.Relay.KeepResults || cfg.Skips(env.ClientIP) {
		return 0
	}
	return above
}

// messageFails reports whether a message fails as a whole.
func messageFails(r *verify.Result) bool {
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
