// Command authmilter is a milter for Postfix and Sendmail. It verifies DKIM, SPF,
// DMARC and ARC for each inbound message and adds the results in an
// Authentication-Results field.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

func main() { exit(execute(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }

// exit ends the process at once. Besides main, only what ends a service that hangs may
// call it.
func exit(status int) { os.Exit(status) }

func execute(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	root := rootCommand()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	var usage usageError
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, errFinding):
		return exitFinding
	case errors.As(err, &usage):
		fmt.Fprintf(stderr, "authmilter: %v\nSee authmilter --help.\n", err)
		return exitUsage
	default:
		fmt.Fprintf(stderr, "authmilter: %v\n", err)
		return exitFinding
	}
}

func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "authmilter",
		Short: "Verify DKIM, SPF, DMARC and ARC of inbound mail for Postfix and Sendmail",
		Long: `authmilter is a milter that verifies DKIM, SPF, DMARC and ARC for each inbound
message and adds the results in an Authentication-Results field. It can also enforce
DMARC policies, add ARC seals to inbound mail, and DKIM-sign mail from your own users.

Exit status: 0 success, 1 a failed check, an invalid configuration or a service that
could not start or end in time, 2 a usage error.`,
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.AddCommand(serveCommand(), checkCommand(), lookupCommand(), keygenCommand(), configCommand(), versionCommand(), manCommand())
	root.InitDefaultCompletionCmd()
	requireUsage(root)
	return root
}

// requireUsage turns argument errors of cmd and its subcommands, and a missing
// subcommand, into usage errors.
func requireUsage(cmd *cobra.Command) {
	for _, c := range cmd.Commands() {
		requireUsage(c)
	}
	if cmd.HasSubCommands() {
		cmd.Args = cobra.NoArgs
		cmd.RunE = func(cmd *cobra.Command, _ []string) error {
			return usageError{fmt.Errorf("%s needs a command", cmd.CommandPath())}
		}
	}
	if check := cmd.Args; check != nil {
		cmd.Args = func(cmd *cobra.Command, args []string) error {
			if err := check(cmd, args); err != nil {
				return usageError{err}
			}
			return nil
		}
	}
}
