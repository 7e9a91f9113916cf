package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"authmilter/config"
)

func configCommand() *cobra.Command {
	var path string
	c := &cobra.Command{
		Use:   "config",
		Short: "Check or show the configuration",
	}
	check := &cobra.Command{
		Use:   "check",
		Short: "Check a configuration file and print the settings for the MTA",
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
			fmt.Fprintln(out, "The configuration is valid. Settings for the MTA:")
			for _, a := range cfg.Listen {
				fmt.Fprintf(out, "\n%s", a.MTALines())
			}
			return nil
		},
	}
	show := &cobra.Command{
		Use:   "show",
		Short: "Print the whole configuration, including defaults",
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
