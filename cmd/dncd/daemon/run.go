// Package daemon is the program dncd: its flags, its wiring and its signals. It is a package of its own so that tests
// can run the whole program in their process.
package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

// Exit codes.
const (
	exitOK       = 0
	exitProblems = 1 // fsck found problems and did not repair them
	exitError    = 2
)

// errProblems is the result of fsck when it found problems. It has printed them.
var errProblems = errors.New("problems found")

// Run runs dncd with its arguments and returns its exit code. The end of ctx, SIGINT and SIGTERM stop a server
// gracefully; a second signal ends the process immediately.
func Run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	ctx, restore := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
	defer restore()
	context.AfterFunc(ctx, restore) // the next signal has its default effect

	root := rootCommand(new(config))
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	cmd, err := root.ExecuteContextC(ctx)
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, errProblems):
		return exitProblems
	}
	fmt.Fprintf(stderr, "dncd: %v\n", err)
	hint := hintFor(err)
	if errors.As(err, new(usageError)) {
		hint = cmd.CommandPath() + " --help lists the flags"
	}
	if hint != "" {
		fmt.Fprintf(stderr, "hint: %s\n", hint)
	}
	return exitError
}

func rootCommand(c *config) *cobra.Command {
	root := &cobra.Command{
		Use:   "dncd",
		Short: "Serve a do-not-call store",
		Long: `dncd keeps opt-outs, consents, do-not-call lists and the policy, and answers over gRPC whether a number may be called.

Without a command it serves. Each flag has an environment variable: DNCD_ and the flag's name in upper
case with underscores, DNCD_TLS_CERT for --tls-cert. The file of --config has lines such as
tls-cert: cert.pem. Flags override environment variables, which override the file.`,
		Example: `  dncd
  dncd --config /etc/dncd.yaml
  dncd init --data /var/lib/dncd
  dncd --data /var/lib/dncd --listen 0.0.0.0:7362 --tls-cert cert.pem --tls-key key.pem --tls-client-ca ca.pem
  dncd fsck --data /var/lib/dncd`,
		Version:       version(),
		Args:          usageArgs(cobra.NoArgs),
		SilenceErrors: true,
		SilenceUsage:  true,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			return readSettings(cmd, c)
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			return serve(cmd.Context(), c, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.SetVersionTemplate("dncd {{.Version}}\n")
	c.addFlags(root)
	root.AddCommand(initCommand(c), fsckCommand(c), rotateKeyCommand(c), versionCommand())
	return root
}

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  usageArgs(cobra.NoArgs),
		Run:   func(cmd *cobra.Command, _ []string) { fmt.Fprintln(cmd.OutOrStdout(), "dncd", version()) },
	}
}

// usageError is an error in how the program was called.
type usageError struct{ err error }

func (e usageError) Error() string { return e.err.Error() }

func (e usageError) Unwrap() error { return e.err }

func usageArgs(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return usageError{err}
		}
		return nil
	}
}
