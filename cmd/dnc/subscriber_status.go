package main

import (
	"context"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/dncd/dncd/client"
)

func (a *app) subscriberLsCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "ls",
		Short:   "Show how far each calling base got, the slowest first",
		Example: "  dnc subscriber ls\n  dnc subscriber ls -o json",
		Args:    counted(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			all, err := a.subscribers(cmd.Context())
			if err != nil {
				return err
			}
			if a.output == "text" {
				return a.subscriberTable(all)
			}
			for _, s := range all {
				if err := a.print(s, nil); err != nil {
					return err
				}
			}
			return nil
		},
		ValidArgsFunction: cobra.NoFileCompletions,
	}
}

// subscribers returns the server's subscribers.
func (a *app) subscribers(ctx context.Context) ([]client.SubscriberStatus, error) {
	c, err := a.connect()
	if err != nil {
		return nil, err
	}
	var all []client.SubscriberStatus
	for s, err := range c.Subscribers(ctx) {
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, nil
}

// subscriberTable shows one subscriber a line. Those that hold more than the server stand above the table.
func (a *app) subscriberTable(all []client.SubscriberStatus) error {
	if len(all) == 0 {
		fmt.Fprintln(a.stdout, "no subscribers")
		return nil
	}
	for _, s := range all {
		if s.BeyondTip > 0 {
			fmt.Fprintln(a.stdout, describeBeyond(s))
		}
	}
	w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "NAME\tKIND\tCONNECTED\tRECEIVED\tDURABLE\tAPPLIED\tLATE")
	for _, s := range all {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", s.Name, lower(s.Kind), describePresence(s), stageColumns(s), describeLate(s))
	}
	return w.Flush()
}

func describeBeyond(s client.SubscriberStatus) string {
	return fmt.Sprintf("%s signed for what this server does not hold: the server lost data, and %s may have the last copy", s.Name, s.Name)
}

// describePresence says whether a subscriber is connected, and else when it was seen since the server started.
func describePresence(s client.SubscriberStatus) string {
	switch {
	case s.Connected > 1:
		return fmt.Sprintf("yes, %d streams", s.Connected)
	case s.Connected == 1:
		return "yes"
	case !s.LastSeen.IsZero():
		return age(s.LastSeen) + " ago"
	case hasNever(s):
		return "never"
	}
	return "not since the start"
}

// hasNever reports whether a subscriber has acknowledged nothing in its epoch.
func hasNever(s client.SubscriberStatus) bool {
	for _, stage := range s.Stages {
		if !stage.AcknowledgedAt.IsZero() {
			return false
		}
	}
	return true
}

func describeLate(s client.SubscriberStatus) string {
	switch {
	case !s.Late:
		return "-"
	case s.WorstChild != "":
		return "late, see " + s.WorstChild
	}
	return "late"
}

// stageColumns are the three stages of a row.
func stageColumns(s client.SubscriberStatus) string {
	columns := make([]string, len(s.Stages))
	for i, stage := range s.Stages {
		columns[i] = describeStage(stage)
	}
	return strings.Join(columns, "\t")
}

// describeStage says what is pending and how old it is: "7, 3d", or that nothing is.
func describeStage(s client.StageStatus) string {
	text := "nothing pending"
	if s.Pending > 0 {
		text = fmt.Sprintf("%d, %s", s.Pending, age(s.OldestPending))
	}
	switch {
	case s.AcknowledgedAt.IsZero():
		text += ", never acknowledged"
	case !s.Signed:
		text += ", claimed only"
	}
	return text
}

// age is how long ago a time was, in its largest unit: "3d".
func age(t time.Time) string {
	return length(max(time.Since(t), 0))
}

// length is a length of time in its largest unit.
func length(d time.Duration) string {
	switch {
	case d >= 24*time.Hour:
		return fmt.Sprintf("%dd", d/(24*time.Hour))
	case d >= time.Hour:
		return fmt.Sprintf("%dh", d/time.Hour)
	case d >= time.Minute:
		return fmt.Sprintf("%dm", d/time.Minute)
	}
	return fmt.Sprintf("%ds", d/time.Second)
}

func (a *app) subscriberShowCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "show NAME",
		Short:   "Show a calling base: its settings, its keys, and how far it got",
		Example: "  dnc subscriber show call-centre",
		Args:    counted(1, 1, "name"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.connect()
			if err != nil {
				return err
			}
			s, err := c.Subscriber(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return a.print(s, func() string { return describeStatus(s) })
		},
		ValidArgsFunction: a.firstIsSubscriber,
	}
}

func describeStatus(s client.SubscriberStatus) string {
	lines := []string{fmt.Sprintf("%s  registered %s", s.Name, stamp(s.CreatedAt)), subscriberDetails(s.SubscriberInfo)}
	if s.BeyondTip > 0 {
		lines = append(lines, "  "+describeBeyond(s))
	}
	seen := ""
	if s.Connected == 0 && !s.LastSeen.IsZero() {
		seen = ", " + stamp(s.LastSeen)
	}
	lines = append(lines, "  connected: "+describePresence(s)+seen)
	for _, stage := range s.Stages {
		lines = append(lines, fmt.Sprintf("  %s: %s", lower(stage.Stage), describeStage(stage)))
		if stage.Pending > 0 {
			lines[len(lines)-1] += ", since " + stamp(stage.OldestPending)
		}
		if !stage.AcknowledgedAt.IsZero() {
			lines = append(lines, fmt.Sprintf("    acknowledged %s up to revision %d, %s", stamp(stage.AcknowledgedAt),
				stage.AcknowledgedRevision, count(stage.AcknowledgedChanges, "change")))
		}
	}
	lines = append(lines, "  late: "+describeLate(s), "  compared: "+describeLastComparison(s.LastComparison))
	if s.WorstChild != "" && !s.Late {
		lines = append(lines, "  furthest behind below it: "+s.WorstChild)
	}
	return strings.Join(lines, "\n")
}
