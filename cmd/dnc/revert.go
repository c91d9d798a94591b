package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/dncd/dncd/client"
)

func (a *app) revertCommand() *cobra.Command {
	var maxShrink string
	var dryRun, yes bool
	cmd := &cobra.Command{
		Use:   "revert LIST",
		Short: "Restore the list as it was before its last import",
		Long: `Restore the list as it was before its last import: its numbers, snapshot date and coverage.
The date may be old enough to make the list stale. A second revert undoes the first.

A revert that shrinks the list, or a covered prefix, by more than --max-shrink is
refused and changes nothing (exit code 1); --yes overrides that.`,
		Example: `  dnc revert us-ftc
  dnc revert us-ftc --dry-run`,
		Args: counted(1, 1, "list"),
		RunE: func(cmd *cobra.Command, args []string) error {
			ratio, err := parseRatio(cmd, "max-shrink", maxShrink)
			if err != nil {
				return err
			}
			c, err := a.connect()
			if err != nil {
				return err
			}
			r, err := c.Revert(cmd.Context(), client.RevertRequest{
				List: args[0], MaxShrink: &ratio, Override: yes, TakeOver: yes, DryRun: dryRun,
			})
			if err != nil {
				return namesList(err, args[0])
			}
			return a.printRevert(args[0], r)
		},
		ValidArgsFunction: a.completeListArg,
	}
	f := cmd.Flags()
	f.StringVar(&maxShrink, "max-shrink", "10%", "refuse a revert that shrinks the list, or one covered prefix, by more")
	f.BoolVar(&dryRun, "dry-run", false, "compare and count, change nothing")
	f.BoolVar(&yes, "yes", false, "override the guard")
	return cmd
}

// printRevert prints the result of a revert.
func (a *app) printRevert(list string, r client.ImportResult) error {
	if err := a.print(r, func() string { return describeImport(list, r) }); err != nil {
		return err
	}
	a.sayStale(list, r)
	a.explainGuards(list, r)
	return nil
}

// explainGuards names the guards that failed, and says that the list is unchanged if they refused.
func (a *app) explainGuards(list string, r client.ImportResult) {
	if r.Refused {
		a.end(exitNo)
		fmt.Fprintf(a.stderr, "dnc: refused, %s is as it was\n", list)
	}
	a.writeGuards(r.GuardFailures)
}
