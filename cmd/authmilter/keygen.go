package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"authmilter/verify/dkim"
	"authmilter/verify/domain"
)

// keygenFlags are the flags of the command keygen.
type keygenFlags struct {
	domain, selector string
	keyType          string
	bits             int
	out              string
	force            bool
}

func keygenCommand() *cobra.Command {
	var f keygenFlags
	cmd := &cobra.Command{
		Use:   "keygen --domain D --selector S [flags]",
		Short: "Generate a private key and print the DNS record to publish",
		Long: `Generate a private key for ARC sealing (arc.key_file) or DKIM signing
(sign.key_file), and print the DNS record that publishes its public key: for a zone
file, for a web form and, if it is long, split into strings of 255 octets.

The key is written to a file that only its owner can read. An existing file is not
overwritten without --force, and anything but a regular file is never replaced. Ed25519 keys are short and fast, but many receivers
support only RSA: sign with both, or with RSA.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.generate(cmd.OutOrStdout()) },
	}
	cmd.Flags().StringVar(&f.domain, "domain", "", "signing `domain` (the d= tag)")
	cmd.Flags().StringVar(&f.selector, "selector", "", "`name` of the key in the domain (the s= tag)")
	cmd.Flags().StringVar(&f.keyType, "type", string(dkim.RSA), "key type, rsa or ed25519")
	cmd.Flags().IntVar(&f.bits, "bits", 2048, "size of an RSA key, 1024 to 4096")
	cmd.Flags().StringVar(&f.out, "out", "", "`file` for the private key (default DOMAIN.SELECTOR.pem)")
	cmd.Flags().BoolVar(&f.force, "force", false, "overwrite the file if it exists")
	return cmd
}

// The limits for the size of RSA keys. Longer keys cost every receiver more, and
// their records do not fit into a DNS packet (RFC 6376 section 3.3.3).
const minKeygenBits, maxKeygenBits = dkim.MinSigningBits, 4096

func (f *keygenFlags) generate(out io.Writer) error {
	for _, v := range []struct {
		flag  string
		value *string
	}{{"--domain", &f.domain}, {"--selector", &f.selector}} {
		if *v.value == "" {
			return usageError{fmt.Errorf("%s is missing", v.flag)}
		}
		ascii, err := domain.ToASCII(*v.value)
		if err != nil {
			return usageError{fmt.Errorf("%s: %q is %w", v.flag, *v.value, err)}
		}
		*v.value = ascii
	}
	t := dkim.KeyType(strings.ToLower(f.keyType))
	if t != dkim.RSA && t != dkim.Ed25519 {
		return usageError{fmt.Errorf("--type: %q is neither rsa nor ed25519", f.keyType)}
	}
	if f.bits < minKeygenBits || f.bits > maxKeygenBits {
		return usageError{fmt.Errorf("--bits: %d is not between %d and %d", f.bits, minKeygenBits, maxKeygenBits)}
	}
	if f.out == "" {
		f.out = f.domain + "." + f.selector + ".pem"
	}
	key, err := dkim.NewPrivateKey(t, f.bits)
	if err != nil {
		return err
	}
	text, err := key.PEM()
	if err != nil {
		return err
	}
	if err := writeKey(f.out, text, f.force); err != nil {
		return err
	}
	return printRecord(out, f, key)
}

// maxString is the length of one string of a TXT record (RFC 1035 section 3.3).
const maxString = 255

func printRecord(out io.Writer, f *keygenFlags, key *dkim.PrivateKey) error {
	record := key.Record()
	name := f.selector + "._domainkey." + f.domain
	var parts []string
	for rest := record; rest != ""; {
		n := min(len(rest), maxString)
		parts = append(parts, `"`+rest[:n]+`"`)
		rest = rest[n:]
	}
	var b strings.Builder
	fmt.Fprintf(&b, "The private key is in %s: a %d-bit %s key.\n", f.out, key.Bits, key.Type)
	fmt.Fprintf(&b, "\nFor a zone file:\n\n%s. IN TXT ( %s )\n", name, strings.Join(parts, "\n    "))
	fmt.Fprintf(&b, "\nFor a web form:\n\nname:  %s\ntype:  TXT\nvalue: %s\n", name, record)
	if len(parts) > 1 {
		fmt.Fprintf(&b, "\nIf the form wants strings of at most %d characters:\n\n%s\n", maxString, strings.Join(parts, "\n"))
	}
	fmt.Fprintf(&b, "\nOnce it is published, check it with: authmilter lookup dkim %s %s\n", f.selector, f.domain)
	_, err := io.WriteString(out, b.String())
	return err
}
