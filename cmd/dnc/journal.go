package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/dncd/dncd/client"
)

func (a *app) journalCommand() *cobra.Command {
	var p period
	cmd := &cobra.Command{
		Use:   "journal",
		Short: "Show who did what when: administrative acts that changed the store, oldest first",
		Long: `Show who did what when: administrative acts that changed the store, oldest first.

Those are lists created, changed, deleted, loaded and reverted, files of opt-outs imported,
tokens created and revoked, policies set, and repairs. No number is shown.`,
		Example: `  dnc journal --from 7d
  dnc journal --from 2026-11-01 --to 2026-12-01 -o json`,
		Args: counted(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			from, to, err := p.read(cmd)
			if err != nil {
				return err
			}
			return a.journal(cmd, from, to)
		},
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	p.flags(cmd)
	return cmd
}

func (a *app) journal(cmd *cobra.Command, from, to time.Time) error {
	c, err := a.connect()
	if err != nil {
		return err
	}
	shown := false
	for act, err := range c.Acts(cmd.Context(), from, to) {
		if err != nil {
			return err
		}
		shown = true
		if err := a.print(act, func() string { return describeAct(act) }); err != nil {
			return err
		}
	}
	if !shown && a.output == "text" {
		fmt.Fprintln(a.stdout, "no acts")
	}
	return nil
}

func describeAct(act client.Act) string {
	text := fmt.Sprintf("%d.%d  %s  %s", act.ID.Revision, act.ID.Index, stamp(act.Time), lower(act.Kind))
	if act.Subject != "" {
		text += " " + act.Subject
	}
	if act.RecordedBy != "" {
		text += "  by " + act.RecordedBy
		if !act.RecordedByProven {
			text += " (claimed)"
		}
	}
	return text + note(act.Detail)
}

// period is the flags --from and --to.
type period struct{ from, to string }

func (p *period) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&p.from, "from", "", "from this time on: days ago such as 7d, a time, or a date in UTC (default: the first)")
	f.StringVar(&p.to, "to", "", "before this time, in the same forms; a date is its first moment (default: now)")
}

func (p *period) read(cmd *cobra.Command) (from, to time.Time, err error) {
	ago := func(d time.Duration) time.Time { return time.Now().Add(-d) }
	if from, err = parseMoment(cmd, "from", p.from, ago); err != nil {
		return from, to, err
	}
	if to, err = parseMoment(cmd, "to", p.to, ago); err != nil {
		return from, to, err
	}
	if !from.IsZero() && !to.IsZero() && !from.Before(to) {
		return from, to, usagef(cmd, "--from is not before --to: that period is empty")
	}
	return from, to, nil
}

// parseMoment reads a time, a date, or a number of days such as 7d, which away turns into a time.
func parseMoment(cmd *cobra.Command, flag, text string, away func(time.Duration) time.Time) (time.Time, error) {
	if d, ok := daysOf(text); ok {
		return away(d), nil
	}
	t, err := parseTime(cmd, flag, text)
	if err != nil {
		return t, usagef(cmd, "--%s %q is neither days such as 7d, a date such as 2026-09-01, nor a time such as 2026-09-01T12:00:00Z", flag, text)
	}
	return t, nil
}
