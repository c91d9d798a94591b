package main

import (
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/dncd/dncd/client"
)

func (a *app) statsCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "stats",
		Short:   "Show the revision, the lists and records in numbers, filters and disk",
		Example: "  dnc stats\n  dnc stats -o json",
		Args:    counted(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.connect()
			if err != nil {
				return err
			}
			s, err := c.ServerStats(cmd.Context())
			if err != nil {
				return err
			}
			return a.print(s, func() string { return describeStats(s) })
		},
		ValidArgsFunction: cobra.NoFileCompletions,
	}
}

func describeStats(s client.ServerStats) string {
	var b strings.Builder
	fmt.Fprintf(&b, "revision  %d of journal %s, %s\n", s.Revision, s.JournalID, stamp(s.RevisionTime))
	fmt.Fprintf(&b, "store     %s", lower(s.State))
	if s.StateMessage != "" {
		fmt.Fprintf(&b, ": %s", s.StateMessage)
	}
	if s.ClockAhead > 0 {
		fmt.Fprintf(&b, "\nclock     %s ahead of what the time should be", days(s.ClockAhead))
	}
	fmt.Fprintf(&b, "\nrecords   %s on %s, filter %s\n", count(s.Records, "record"), count(s.RecordNumbers, "number"), describeFilter(s.RecordsFilter))
	fmt.Fprintf(&b, "disk      %s used, %s free, writes stop below %s\n", size(s.DiskBytes), size(s.DiskFreeBytes), size(s.MinFreeBytes))
	fmt.Fprintf(&b, "memory    %s of decoded blocks\n", size(s.BlockCacheBytes))
	fmt.Fprintf(&b, "policy    %s\n", orNone(s.PolicyVersion))
	fmt.Fprintf(&b, "oldest    %s\n", orNone(strings.TrimSpace(s.OldestList+" "+s.OldestSnapshotDate)))
	fmt.Fprintf(&b, "server    dncd %s, up %s, opened in %s", s.Version, s.Uptime.Round(1e9), s.OpenDuration.Round(1e6))
	if len(s.Lists) > 0 {
		b.WriteString("\n")
	}
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, l := range s.Lists {
		fmt.Fprintf(w, "\nlist %s\t%s\t%s\tsnapshot %s\tblocks %s\tfilter %s", l.Name, lower(l.State),
			count(l.Numbers, "number"), orDash(l.SnapshotDate), knownSize(l.Bytes), describeFilter(l.Filter))
	}
	w.Flush()
	return b.String()
}

func describeFilter(f *client.FilterStats) string {
	if f == nil {
		return "none"
	}
	text := fmt.Sprintf("%s, %.0f %% full, %.3f %% false positives", size(f.Bytes), 100*f.FillRatio, 100*f.FalsePositiveRate)
	if f.Rebuilding {
		text += ", being rebuilt"
	}
	return text
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

// knownSize is size; 0 is not known.
func knownSize(bytes uint64) string {
	if bytes == 0 {
		return "-"
	}
	return size(bytes)
}

// size is bytes for people, in powers of 1024.
func size(bytes uint64) string {
	value, unit := float64(bytes), "B"
	for _, next := range []string{"KiB", "MiB", "GiB", "TiB"} {
		if value < 1024 {
			break
		}
		value, unit = value/1024, next
	}
	if unit == "B" {
		return fmt.Sprintf("%d B", bytes)
	}
	return fmt.Sprintf("%.1f %s", value, unit)
}
