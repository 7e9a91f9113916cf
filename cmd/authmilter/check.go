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
		Short: "Verify one message from a file exactly as the milter would",
		Long: `Verify one message from a file, or from standard input for "-", exactly as the
milter would, and print the Authentication-Results field that it would insert.
Without --ip SPF cannot be evaluated, and its result is none.

Exit status: 1 if the message fails: if its author domain has a DMARC policy and
the result is not pass, or if it has none and nothing passes but something
failed. A client that the milter would skip is verified all the same, and told.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return f.verify(cmd, args[0]) },
	}
	configFlag(cmd, &f.config)
	resolverFlag(cmd, &f.resolver)
	cmd.Flags().StringVar(&f.ip, "ip", "", "`address` of the client that sent the message")
	cmd.Flags().StringVar(&f.helo, "helo", "", "`name` that the client gave in HELO")
	cmd.Flags().StringVar(&f.mailFrom, "mail-from", "", "`address` in MAIL FROM; empty: the null sender")
	cmd.Flags().StringVar(&f.clientName, "client-name", "", "`host` name of the client, as the MTA has verified it")
	cmd.Flags().StringSliceVar(&f.recipients, "rcpt", nil, "`address` of a recipient; may be repeated")
	cmd.Flags().StringVar(&f.listener, "listener", "", "`address` of the listener that the MTA uses, as in listen")
	cmd.Flags().BoolVar(&f.json, "json", false, "print JSON")
	cmd.Flags().BoolVar(&f.explain, "explain", false, "show every DNS look-up and every step of SPF")
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
	r, removed, err := verifyFile(cmd.Context(), cfg, opts, env, in)
	if err != nil {
		return config.FileError(file, err)
	}
	for i, path := range f.recipients {
		f.recipients[i] = milter.ParsePath(path)
	}
	result := newCheckOutput(cfg, &policy.Message{Envelope: env, Recipients: policy.NewRecipients(f.recipients...), Listener: f.listener, Result: r}, removed)
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
	if messageFails(r) {
		return errFinding
	}
	return nil
}

// verifyFile passes the message in r through the path that mail takes, and
// returns the forged fields that the milter would remove.
func verifyFile(ctx context.Context, cfg *config.File, opts verify.Options, env verify.Envelope, r io.Reader) (*verify.Result, policy.Removed, error) {
	// One past the bounds, so that verify tells of a message beyond them as it
	// does for the milter.
	limits := message.Limits{Bytes: 64 << 20, Fields: 1 << 20}
	header, body, err := message.ReadHeader(bufio.NewReader(r), limits)
	if err != nil {
		return nil, nil, err
	}
	c := verify.New(opts).Begin(ctx, env)
	defer c.Cancel()
	own, removed := cfg.OwnFields(), policy.Removed{}
	if cfg.Skips(env.ClientIP) {
		own = own.OfOwnMail()
	}
	for _, field := range header {
		if kind := own.Kind(field.Name); own.Forged(kind, field.Name, field.Raw) {
			removed[kind]++
		}
		c.Field(field)
	}
	c.EndHeader()
	if _, err := io.Copy(c, body); err != nil {
		return nil, nil, err
	}
	select {
	case <-c.Ready():
	case <-ctx.Done():
		return nil, nil, ctx.Err()
	}
	return c.Finish(), removed, nil
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
