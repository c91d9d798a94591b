package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/dncd/dncd/client"
)

func (a *app) consentCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "consent",
		Short: "Record and withdraw consents of single persons",
		Example: `  dnc consent add +14155550123 --kind permission --form written --scope acme --evidence form-4711
  dnc consent withdraw +14155550123 --scope acme --reason "asked by telephone"`,
	}
	requireSubcommand(cmd)
	cmd.AddCommand(a.consentAddCommand(), a.consentWithdrawCommand())
	return cmd
}

// consentKinds and consentForms are as they are typed.
var (
	consentKinds = []string{"permission", "purchase", "inquiry", "contract"}
	consentForms = []string{"oral", "written"}
)

// consentFlags are the times and choices of a consent, as they are typed.
type consentFlags struct {
	kind, form, channel, obtainedAt, expiresAt, from, until string
}

func (a *app) consentAddCommand() *cobra.Command {
	var o client.Consent
	var flags consentFlags
	cmd := &cobra.Command{
		Use:   "add NUMBER --kind KIND",
		Short: "Record that a person permits calls, or that a relationship exists",
		Long: `Record that a person permits calls, or that a relationship with them exists.

The policy decides what a consent permits, and for how long. Only a permission with evidence, recorded
by an officer, can lift an opt-out that is older than it, and only where the policy says so. A subscriber
never learns of a consent: its base keeps the number blocked.`,
		Example: `  dnc consent add +14155550123 --kind permission --form written --scope acme --evidence form-4711
  dnc consent add +33199001234 --kind contract --scope acme/energy --obtained-at 2026-09-01
  dnc consent add +33199001234 --kind permission --scope acme --goods "energy contracts" --appointment-from 2026-12-01T18:00:00+01:00 --appointment-until 2026-12-01T19:00:00+01:00`,
		Args: counted(1, 1, "number"),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.Number = args[0]
			if err := flags.fill(cmd, &o); err != nil {
				return err
			}
			return a.consentAdd(cmd, o)
		},
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	f := cmd.Flags()
	f.StringVar(&o.Region, "region", "", "how a national number is read, such as FR")
	f.StringVar(&o.Scope, "scope", "", "who may call: this scope and below (default: everyone)")
	f.StringVar(&flags.kind, "kind", "", "what it rests on: permission, purchase, inquiry or contract (required)")
	f.StringVar(&flags.form, "form", "", "how it was given: oral or written")
	f.StringVar(&flags.channel, "channel", "", "how it came in: call, email, letter, sms, web, in-person or other")
	f.StringVar(&o.Desk, "desk", "", "who received it")
	f.StringVar(&flags.obtainedAt, "obtained-at", "", "when it was obtained, not in the future: a time, or a date, which is its first moment in UTC (default: now)")
	f.StringVar(&o.Evidence, "evidence", "", "what proves it: a form, a recording's id, a link")
	f.StringVar(&o.Note, "note", "", "anything else")
	f.StringVar(&flags.expiresAt, "expires-at", "", "when it ends, if that is earlier than the policy says; of a contract, when it ended")
	f.StringVar(&o.Goods, "goods", "", "what it was given for: the nature of the goods or services")
	f.StringVar(&o.ThirdParties, "third-parties", "", "who else may call, as the person agreed")
	f.StringVar(&flags.from, "appointment-from", "", "of a permission: when the appointment begins that the person agreed to, a time with its zone")
	f.StringVar(&flags.until, "appointment-until", "", "of a permission: when it ends, at most 24 hours later")
	complete(cmd, "kind", consentKinds...)
	complete(cmd, "form", consentForms...)
	complete(cmd, "channel", channels...)
	return cmd
}

// fill reads the flags into a consent.
func (f *consentFlags) fill(cmd *cobra.Command, o *client.Consent) (err error) {
	if f.kind == "" {
		return usagef(cmd, "--kind is missing: say what the consent rests on: permission, purchase, inquiry or contract")
	}
	err = errors.Join(oneOf(cmd, "kind", f.kind, consentKinds), oneOf(cmd, "form", f.form, consentForms), oneOf(cmd, "channel", f.channel, channels))
	if err != nil {
		return err
	}
	o.Kind, o.Form, o.Channel = client.ConsentKind(f.kind), client.ConsentForm(f.form), client.Channel(f.channel)
	if o.ObtainedAt, err = parseTime(cmd, "obtained-at", f.obtainedAt); err != nil {
		return err
	}
	if o.ExpiresAt, err = parseTime(cmd, "expires-at", f.expiresAt); err != nil {
		return err
	}
	if o.AppointmentFrom, err = parseTime(cmd, "appointment-from", f.from); err != nil {
		return err
	}
	o.AppointmentUntil, err = parseTime(cmd, "appointment-until", f.until)
	return err
}

func (a *app) consentAdd(cmd *cobra.Command, o client.Consent) error {
	c, err := a.connect()
	if err != nil {
		return err
	}
	receipt, err := c.RecordConsent(cmd.Context(), o)
	if err != nil {
		return err
	}
	lifts := "lifts no opt-out"
	if receipt.MayLift {
		lifts = "may lift an older opt-out, if the policy says so"
	}
	return a.print(receipt, func() string {
		return fmt.Sprintf("%s  %s recorded for %s  %s  revision %d", receipt.Number, lower(o.Kind), forWhom(stored(o.Scope)), lifts, receipt.Revision)
	})
}

func (a *app) consentWithdrawCommand() *cobra.Command {
	var w client.ConsentWithdrawal
	var kind string
	var mistake bool
	cmd := &cobra.Command{
		Use:   "withdraw NUMBER",
		Short: "End the consents of a number at exactly one scope",
		Long: `End the consents of a number at exactly one scope.

Those at scopes above and below stay. If there are none, nothing is recorded and the exit code is 2. After
a withdrawal no consent that was obtained before it can be recorded at that scope, so that a file that is
imported again does not bring it back. With --mistake it can. If the person does not want to be called,
record an opt-out as well.`,
		Example: `  dnc consent withdraw +14155550123 --scope acme --reason "asked by telephone"
  dnc consent withdraw +14155550123 --scope acme --kind purchase --mistake --reason "another customer's order"`,
		Args: counted(1, 1, "number"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := oneOf(cmd, "kind", kind, consentKinds); err != nil {
				return err
			}
			w.Number, w.Kind, w.Why = args[0], client.ConsentKind(kind), withdrawnFor(mistake)
			return a.consentWithdraw(cmd, w)
		},
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	f := cmd.Flags()
	f.StringVar(&w.Region, "region", "", "how a national number is read, such as FR")
	f.StringVar(&w.Scope, "scope", "", "the exact scope of the consents (default: those for everyone)")
	f.StringVar(&kind, "kind", "", "which kind: permission, purchase, inquiry or contract (default: every kind)")
	f.StringVar(&w.Reason, "reason", "", "why, for the history")
	f.BoolVar(&mistake, "mistake", false, "they should not have been recorded: they may be recorded again")
	f.StringVar(&w.Desk, "desk", "", "who received it")
	complete(cmd, "kind", consentKinds...)
	return cmd
}

// withdrawnFor is the kind of reason of a withdrawal.
func withdrawnFor(mistake bool) client.WithdrawalReason {
	if mistake {
		return client.WithdrawnMistake
	}
	return client.WithdrawnRequested
}

func (a *app) consentWithdraw(cmd *cobra.Command, w client.ConsentWithdrawal) error {
	c, err := a.connect()
	if err != nil {
		return err
	}
	receipt, err := c.WithdrawConsent(cmd.Context(), w)
	if err != nil {
		return err
	}
	return a.print(receipt, func() string {
		return fmt.Sprintf("%s  %s withdrawn for %s  revision %d",
			receipt.Number, count(uint64(receipt.Withdrawn), "consent"), forWhom(stored(w.Scope)), receipt.Revision)
	})
}

// terms is what a record or an event says of a consent, as facts in brackets.
func terms(kind client.ConsentKind, t *client.ConsentTerms) []string {
	facts := []string{lower(t.ConsentForm)}
	if t.Goods != "" {
		facts = append(facts, "for "+t.Goods)
	}
	if t.ThirdParties != "" {
		facts = append(facts, "with "+t.ThirdParties)
	}
	if !t.AppointmentFrom.IsZero() {
		facts = append(facts, fmt.Sprintf("appointment %s to %s", stamp(t.AppointmentFrom), stamp(t.AppointmentUntil)))
	}
	if kind == client.ConsentPermission && t.MayLift {
		facts = append(facts, "may lift an opt-out")
	}
	return facts
}
