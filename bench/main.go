// Command bench makes list files of any size and, beside the tests of the
// project, measures it at scale. It is a module of its own, so that what it
// needs is no burden for those who use the project.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/dncd/dncd/bench/internal/peer"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(2)
	}
}

func run() error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return command().ExecuteContext(ctx)
}

func command() *cobra.Command {
	root := &cobra.Command{
		Use:           "bench",
		Short:         "Make list files and measure dncd at scale",
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.AddCommand(genCommand(), loadCommand(), duringCommand(), optOutsCommand(), watchCommand(), basesCommand(), relistCommand(), followedCommand(), readersCommand(), killCommand(), damageCommand(), checkCommand(),
		policyCommand(), overloadCommand(), soakCommand(), scrubCommand(), reportCommand(), badgerCommand(), serveCommand())
	return root
}

// badgerCommand is how load starts this program again: see peer.BadgerCommand.
func badgerCommand() *cobra.Command {
	return &cobra.Command{
		Use:    peer.BadgerCommand,
		Hidden: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			return peer.LoadBadger(cmd.Context(), args, cmd.OutOrStdout())
		},
	}
}
