package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/dncd/dncd/client"
)

func (a *app) importsCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "imports [LIST]",
		Short: "Show what was loaded when, by whom and from which files, newest first; without a list, opt-outs too",
		Example: `  dnc imports
  dnc imports us-ftc -o json`,
		Args: counted(0, 1, "list"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.connect()
			if err != nil {
				return err
			}
			list := strings.Join(args, "")
			for r, err := range c.ImportHistory(cmd.Context(), list) {
				if err != nil {
					return namesList(err, list)
				}
				if err := a.print(r, func() string { return loaded(r) + "  " + describeImportRecord(r) + filesOf(r) }); err != nil {
					return err
				}
			}
			return nil
		},
		ValidArgsFunction: a.completeListArg,
	}
}

// loaded is the list of an import.
func loaded(r client.ImportRecord) string {
	switch r.Mode { // the names of no lists
	case client.ModeOptOuts:
		return "(opt-outs)"
	case client.ModeConsents:
		return "(consents)"
	}
	return r.List
}

// describeImportRecord is a load, or an import of opt-outs, on one line.
func describeImportRecord(r client.ImportRecord) string {
	when := r.EndedAt
	if when.IsZero() {
		when = r.StartedAt
	}
	text := stamp(when) + "  " + lower(r.State)
	ofList := r.Mode != client.ModeOptOuts && r.Mode != client.ModeConsents
	if ofList {
		text += "  " + lower(r.Mode)
	}
	text += "  " + account{r.Read, r.Accepted, r.Duplicates, r.Rejected, r.Empty, r.Rows}.String()
	if ofList {
		text += fmt.Sprintf("  (%d added, %d removed, %d after)", r.Added, r.Removed, r.Numbers)
	}
	if r.Revision > 0 {
		text += fmt.Sprintf("  revision %d", r.Revision)
	}
	if r.SnapshotDate != "" {
		text += "  snapshot " + r.SnapshotDate
	}
	if r.RecordedBy != "" {
		text += "  by " + r.RecordedBy
	}
	return text
}

// filesShown is how many files of a load are shown: a registry has hundreds.
const filesShown = 10

// filesOf is a line for each file of a load.
func filesOf(r client.ImportRecord) string {
	var b strings.Builder
	for i, s := range r.Sources {
		if i == filesShown {
			fmt.Fprintf(&b, "\n    and %d more: -o json has them all", len(r.Sources)-i)
			break
		}
		fmt.Fprintf(&b, "\n    %s  %s  sha256 %s", s.Name, count(s.Size, "byte"), orDash(s.SHA256))
	}
	return b.String()
}
