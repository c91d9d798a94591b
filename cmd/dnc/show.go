package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/dncd/dncd/client"
)

func (a *app) showCommand() *cobra.Command {
	var region string
	var past pastFlags
	cmd := &cobra.Command{
		Use:   "show NUMBER",
		Short: "Show what holds for a number now, or held at a time: its records and the lists it is on",
		Example: `  dnc show +14155550123
  dnc show 01.99.00.12.34 --region FR -o json
  dnc show +14155550123 --as-of 2026-09-10`,
		Args: counted(1, 1, "number"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := past.read(cmd); err != nil {
				return err
			}
			c, err := a.connect()
			if err != nil {
				return err
			}
			info, err := c.GetNumber(cmd.Context(), args[0], client.Region(region), past.logged())
			if err != nil {
				return err
			}
			a.warnOfTables(info.TablesDifference)
			return a.print(info, func() string { return describeNumber(info) + past.tablesLine(info.TablesVersion) })
		},
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	cmd.Flags().StringVar(&region, "region", "", "how a national number is read, such as FR")
	past.add(cmd)
	past.addLogged(cmd)
	return cmd
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
	return strings.Join(lines, "\n")
}

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
