package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/dncd/dncd/client"
	"github.com/dncd/dncd/internal/policy"
)

func (a *app) optoutCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "optout",
		Short: "Record and withdraw the objections of single persons",
		Example: `  dnc optout add +14155550123 --scope acme --channel call --evidence ticket-4711
  dnc optout withdraw +14155550123 --scope acme --reason "asked to be called again"`,
	}
	requireSubcommand(cmd)
	cmd.AddCommand(a.optoutAddCommand(), a.optoutWithdrawCommand())
	return cmd
}

// channels are how objections come in, as they are typed.
var channels = []string{"call", "email", "letter", "sms", "web", "in-person", "other"}

func (a *app) optoutAddCommand() *cobra.Command {
	var o client.OptOut
	var channel, receivedAt, expiresAt string
	cmd := &cobra.Command{
		Use:   "add NUMBER",
		Short: "Record that a person objects to calls",
		Long: `Record that a person objects to calls.

When it returns, the objection is durable, and from the revision that it prints on
no check at its scope or below answers ALLOW.`,
		Example: `  dnc optout add +14155550123
  dnc optout add +33199001234 --scope acme --channel email --desk after-sales --evidence ticket-4711
  dnc optout add 01.99.00.12.34 --region FR --received-at 2026-09-01 --expires-at 2029-09-01`,
		Args: counted(1, 1, "number"),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if err := oneOf(cmd, "channel", channel, channels); err != nil {
				return err
			}
			o.Number, o.Channel = args[0], client.Channel(channel)
			if o.ReceivedAt, err = parseTime(cmd, "received-at", receivedAt); err != nil {
				return err
			}
			if o.ExpiresAt, err = parseTime(cmd, "expires-at", expiresAt); err != nil {
				return err
			}
			return a.optoutAdd(cmd, o)
		},
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	f := cmd.Flags()
	f.StringVar(&o.Region, "region", "", "how a national number is read, such as FR")
	f.StringVar(&o.Scope, "scope", "", "who may not call: this scope and below (default: nobody may)")
	f.StringVar(&channel, "channel", "", "how it came in: call, email, letter, sms, web, in-person or other")
	f.StringVar(&o.Desk, "desk", "", "who received it")
	f.StringVar(&receivedAt, "received-at", "", "when it was received: a time, or a date, which is its first moment in UTC (default: now)")
	f.StringVar(&o.Evidence, "evidence", "", "what proves it: a ticket, a recording's id, a link")
	f.StringVar(&o.Note, "note", "", "anything else")
	f.StringVar(&expiresAt, "expires-at", "", "when it ends: a time, or a date, which is its first moment in UTC: that day it is over (default: never)")
	complete(cmd, "channel", channels...)
	return cmd
}

func (a *app) optoutAdd(cmd *cobra.Command, o client.OptOut) error {
	c, err := a.connect()
	if err != nil {
		return err
	}
	receipt, err := c.RecordOptOut(cmd.Context(), o)
	if err != nil {
		return err
	}
	return a.print(receipt, func() string {
		return fmt.Sprintf("%s  opted out for %s  revision %d", receipt.Number, forWhom(stored(o.Scope)), receipt.Revision)
	})
}

func (a *app) optoutWithdrawCommand() *cobra.Command {
	var w client.Withdrawal
	var mistake bool
	cmd := &cobra.Command{
		Use:   "withdraw NUMBER --reason TEXT",
		Short: "End all opt-outs of a number at exactly one scope",
		Long: `End all opt-outs of a number that are in force at exactly one scope.

Those at scopes above and below stay. If there are none, the exit code is 2.`,
		Example: `  dnc optout withdraw +14155550123 --scope acme --reason "asked to be called again, ticket 4712"`,
		Args:    counted(1, 1, "number"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if w.Reason == "" {
				return usagef(cmd, "--reason is missing: the number becomes callable, say why")
			}
			w.Number, w.Why = args[0], withdrawnFor(mistake)
			return a.optoutWithdraw(cmd, w)
		},
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	f := cmd.Flags()
	f.StringVar(&w.Region, "region", "", "how a national number is read, such as FR")
	f.StringVar(&w.Scope, "scope", "", "the exact scope of the opt-outs (default: those for everyone)")
	f.StringVar(&w.Reason, "reason", "", "why, for the history (required)")
	f.BoolVar(&mistake, "mistake", false, "the opt-outs should not have been recorded: another number, another person")
	f.StringVar(&w.Desk, "desk", "", "who received it")
	return cmd
}

func (a *app) optoutWithdraw(cmd *cobra.Command, w client.Withdrawal) error {
	c, err := a.connect()
	if err != nil {
		return err
	}
	receipt, err := c.WithdrawOptOut(cmd.Context(), w)
	if err != nil {
		return err
	}
	return a.print(receipt, func() string {
		return fmt.Sprintf("%s  %s withdrawn for %s  revision %d",
			receipt.Number, count(uint64(receipt.Withdrawn), "opt-out"), forWhom(stored(w.Scope)), receipt.Revision)
	})
}

// stored is a scope that the server accepted, as it keeps it.
func stored(typed string) string {
	scope, err := policy.ParseScope(typed)
	if err != nil { // a later server may accept what is not known here
		return typed
	}
	return string(scope)
}

// parseTime reads a time with its zone, or a date, which means its beginning in UTC. Empty is none. The zero time of programs is
// refused: it would count as none, such as an --as-of that is answered as of now.
func parseTime(cmd *cobra.Command, flag, text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.RFC3339Nano, time.DateOnly} {
		t, err := time.Parse(layout, text)
		if err == nil && t.IsZero() {
			return t, usagef(cmd, "--%s %q is what programs write for no time: leave it out", flag, text)
		}
		if err == nil {
			return t, nil
		}
	}
	return time.Time{}, usagef(cmd, "--%s %q is neither a date such as 2026-09-01 nor a time such as 2026-09-01T12:00:00Z", flag, text)
}
