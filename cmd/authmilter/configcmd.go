package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"authmilter/config"
	"authmilter/milter"
)

func configCommand() *cobra.Command {
	var path string
	c := &cobra.Command{
		Use:   "config",
		Short: "Check or show the configuration",
	}
	check := &cobra.Command{
		Use:   "check",
		Short: "Tell whether a config file is valid, and what the MTA needs",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := config.Load(path)
			if err != nil {
				return err
			}
			if _, err := cfg.NewResolver(nil); err != nil {
				return err
			}
			for _, w := range cfg.Warnings() {
				fmt.Fprintln(cmd.ErrOrStderr(), "warning:", w)
			}
			out := cmd.OutOrStdout()
			fmt.Fprintln(out, "The configuration is valid. For the MTA:")
			for _, a := range cfg.Listen {
				fmt.Fprintf(out, "\n# Postfix, main.cf\n%s\n", postfixLine(a.Address))
				fmt.Fprintf(out, "dnl Sendmail, sendmail.mc\n%s\n", sendmailLine(a.Address))
			}
			return nil
		},
	}
	show := &cobra.Command{
		Use:   "show",
		Short: "Print the whole configuration in force, defaults included",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := config.Read(path)
			if err != nil {
				return err
			}
			text, err := cfg.Text(true)
			if err != nil {
				return err
			}
			_, err = io.WriteString(cmd.OutOrStdout(), text)
			return err
		},
	}
	configFlag(check, &path)
	configFlag(show, &path)
	c.AddCommand(check, show)
	return c
}

// postfixLine returns the line for main.cf that attaches a milter.
func postfixLine(a milter.Address) string {
	return fmt.Sprintf("smtpd_milters = { %s, connect_timeout=10s, default_action=accept }", a.Postfix())
}

// sendmailLine returns the line for sendmail.mc that attaches a milter.
func sendmailLine(a milter.Address) string {
	return fmt.Sprintf("INPUT_MAIL_FILTER(`authmilter', `S=%s, T=C:30s;S:30s;R:60s;E:5m')dnl", a.Sendmail())
}
