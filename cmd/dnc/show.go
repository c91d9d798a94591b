package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/dncd/dncd/client"
)

// showFlags are those of `dnc show`.
type showFlags struct {
	region  string
	scope   string
	purpose string
	place   string
	past    pastFlags
}

func (a *app) showCommand() *cobra.Command {
	var flags showFlags
	cmd := &cobra.Command{
		Use:   "show NUMBER",
		Short: "Show what holds for a number now, or held at a time: its records, the lists it is on, and whether it may be called",
		Long: `Show what holds for a number now, or held at a time: its records, the lists it is on, and whether it may be called.

After the records and the lists comes the verdict with what it rests on, as "dnc check" gives it for the
same --scope, --purpose and --place. These leave out no record and no list. The exit code is 0 whatever
the verdict. No use of a consent is recorded.`,
		Example: `  dnc show +14155550123
  dnc show 01.99.00.12.34 --region FR -o json
  dnc show +33199001234 --scope acme/telecom --purpose service --place FR-IDF
  dnc show +14155550123 --as-of 2026-09-10`,
		Args: counted(1, 1, "number"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := errors.Join(flags.past.read(cmd), oneOf(cmd, "purpose", flags.purpose, purposes)); err != nil {
				return err
			}
			return a.showNumber(cmd.Context(), args[0], flags)
		},
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	f := cmd.Flags()
	f.StringVar(&flags.region, "region", "", "how a national number is read, such as FR")
	f.StringVar(&flags.scope, "scope", "", scopeOfCall)
	f.StringVar(&flags.purpose, "purpose", "", purposeOfCall)
	f.StringVar(&flags.place, "place", "", placeOfCall)
	complete(cmd, "purpose", purposes...)
	flags.past.add(cmd)
	flags.past.addLogged(cmd)
	return cmd
}

func (a *app) showNumber(ctx context.Context, number string, flags showFlags) error {
	c, err := a.connect()
	if err != nil {
		return err
	}
	info, err := c.GetNumber(ctx, number, client.Region(flags.region), client.Scope(flags.scope),
		client.ForPurpose(client.Purpose(flags.purpose)), client.InPlace(flags.place), flags.past.logged())
	if err != nil {
		return err
	}
	a.warnOfTables(info.TablesDifference)
	return a.print(info, func() string { return describeNumber(info) + flags.past.tablesLine(info.TablesVersion) })
}

func describeNumber(n client.NumberInfo) string {
	lines := []string{fmt.Sprintf("%s  %s  revision %d", n.Number, strings.Join(n.Regions, ","), n.Revision)}
	for _, r := range n.Records {
		state := "in force"
		if !r.InForce {
			state = "expired"
		}
		what := lower(r.Kind)
		if r.ConsentKind != "" {
			what += " " + lower(r.ConsentKind)
		}
		lines = append(lines, fmt.Sprintf("  %s for %s%s%s", what, forWhom(r.Scope),
			note(append([]string{state, by(r.Channel), since(r.ReceivedAt), until(r.ExpiresAt)}, terms(r.ConsentKind, &r.ConsentTerms)...)...), storyText(r.Story)))
	}
	for _, l := range n.Lists {
		stale := ""
		if l.Stale {
			stale = "stale"
		}
		lines = append(lines, fmt.Sprintf("  on %s%s", l.List, note(lower(l.Kind), dated("snapshot", l.SnapshotDate), stale)))
	}
	if len(lines) == 1 {
		lines = append(lines, "  no records, on no list")
	}
	verdict := noVerdict
	if n.Check != nil {
		verdict = describeVerdict(*n.Check)
	}
	return strings.Join(append(lines, "  "+verdict), "\n")
}

// noVerdict stands in place of a verdict.
const noVerdict = "no verdict: it needs the role checker or officer, and --scope if the roles are bound to scopes"

// storyText is a story as text, in the order of its fields.
func storyText(s client.Story) string {
	switch s.State {
	case client.StoryMissing, client.StoryErased, client.StoryWithheld:
		return "  story " + lower(s.State)
	}
	text := ""
	for _, fact := range []struct{ name, value string }{
		{"desk", s.Desk}, {"evidence", s.Evidence}, {"note", s.Note}, {"reason", s.Reason}, {"by", s.RecordedBy},
	} {
		if fact.value != "" {
			text += fmt.Sprintf("  %s: %s", fact.name, fact.value)
		}
	}
	return text
}

func (a *app) historyCommand() *cobra.Command {
	var region string
	cmd := &cobra.Command{
		Use:   "history NUMBER",
		Short: "Show when opt-outs and consents of a number were recorded and withdrawn, oldest first; `dnc show` has its lists",
		Example: `  dnc history +14155550123
  dnc history +14155550123 -o json`,
		Args: counted(1, 1, "number"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.connect()
			if err != nil {
				return err
			}
			h, err := c.History(cmd.Context(), args[0], client.Region(region))
			if err != nil {
				return err
			}
			return a.printHistory(h)
		},
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	cmd.Flags().StringVar(&region, "region", "", "how a national number is read, such as FR")
	return cmd
}

func (a *app) printHistory(h client.History) error {
	if len(h.Events) == 0 && a.output == "text" {
		var kinds []string
		for _, kind := range h.KindsCovered {
			kinds = append(kinds, lower(kind))
		}
		fmt.Fprintf(a.stdout, "%s  no event up to revision %d, of the kinds %s\n", h.Number, h.Revision, strings.Join(kinds, ", "))
	}
	for _, e := range h.Events {
		if err := a.print(e, func() string { return describeEvent(e) }); err != nil {
			return err
		}
	}
	return nil
}

func describeEvent(e client.HistoryEvent) string {
	where := "for " + forWhom(e.Scope)
	if e.List != "" {
		where = e.List + note(dated("snapshot", e.SnapshotDate))
	}
	facts := []string{lower(e.ConsentKind), by(e.Channel), since(e.ReceivedAt), until(e.ExpiresAt)}
	facts = append(facts, terms(e.ConsentKind, &e.ConsentTerms)...)
	if e.WithdrawalReason == client.WithdrawnMistake {
		facts = append(facts, "recorded by mistake")
	}
	for _, id := range e.Used {
		facts = append(facts, fmt.Sprintf("consent %d.%d", id.Revision, id.Index))
	}
	return fmt.Sprintf("%d.%d  %s  %s  %s%s%s", e.ID.Revision, e.ID.Index, stamp(e.Time), lower(e.Kind), where, note(facts...), storyText(e.Story))
}
