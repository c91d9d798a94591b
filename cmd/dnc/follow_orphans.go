package main

import (
	"bufio"
	"encoding/csv"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/dncd/dncd/client"
	"github.com/dncd/dncd/cmd/dnc/internal/sqlitebase"
	"github.com/dncd/dncd/internal/phone"
)

func (a *app) orphansCommand() *cobra.Command {
	var db string
	var drop, yes bool
	cmd := &cobra.Command{
		Use:   "orphans --db FILE",
		Short: "Show the rows that the server lost and this base still has, or drop them",
		Long: `Show the orphans of a file: rows that the server lost, because it was repaired or restored, and that this
base still blocks. It may hold the last copy of a person's objection.

They are written as csv that dnc import --opt-outs takes: record them on the server, and they are orphans no
longer once this base has followed. Those of lists are counted on standard error: load the lists again. With -o
json, each orphan is one object a line, also those of lists.

--drop deletes all orphans, those of lists too: the numbers may be called again.`,
		Example: `  dnc follow orphans --db blocked.sqlite > orphans.csv && dnc import orphans.csv --opt-outs --channel other
  dnc follow orphans --db blocked.sqlite --drop --yes`,
		Args: counted(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if strings.TrimSpace(db) == "" {
				return usagef(cmd, "--db is missing")
			}
			if yes && !drop {
				return usagef(cmd, "--yes confirms --drop, which is missing")
			}
			return a.orphans(cmd, db, drop, yes)
		},
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	f := cmd.Flags()
	f.StringVar(&db, "db", "", "`file` of dnc follow (required)")
	f.BoolVar(&drop, "drop", false, "delete them")
	f.BoolVar(&yes, "yes", false, "confirm that the numbers may be called again")
	return cmd
}

func (a *app) orphans(cmd *cobra.Command, db string, drop, yes bool) error {
	base, err := sqlitebase.OpenExisting(cmd.Context(), db, !drop || !yes)
	if err != nil {
		return withHint(err, "--db names the file of `dnc follow`")
	}
	defer base.Close()
	if !drop {
		return a.printOrphans(cmd, base)
	}
	if !yes {
		_, n, err := base.Counts(cmd.Context())
		if err != nil {
			return err
		}
		a.end(exitNo)
		_, err = fmt.Fprintf(a.stderr, "dnc: %s would be dropped, and the numbers may be called again unless another row blocks them\nhint: add --yes to confirm\n", count(n, "orphan"))
		return err
	}
	n, err := base.DropOrphans(cmd.Context())
	if err != nil {
		return err
	}
	return a.print(struct {
		Dropped int64 `json:"dropped"`
	}{n}, func() string { return "dropped " + count(uint64(n), "orphan") })
}

// orphanObject is an orphan as json.
type orphanObject struct {
	Number string  `json:"number"`
	Scope  string  `json:"scope"`
	Source string  `json:"source"`
	Until  *string `json:"until"`
}

func (a *app) printOrphans(cmd *cobra.Command, base *sqlitebase.Base) error {
	out := bufio.NewWriterSize(a.stdout, outBuffer)
	var err error
	if a.output == "json" {
		err = a.jsonOrphans(cmd, base, out)
	} else {
		err = a.csvOrphans(cmd, base, out)
	}
	if err != nil {
		return err
	}
	return out.Flush()
}

func (a *app) jsonOrphans(cmd *cobra.Command, base *sqlitebase.Base, out io.Writer) error {
	for r, err := range base.Orphans(cmd.Context()) {
		if err != nil {
			return err
		}
		o := orphanObject{Number: phone.Number(r.Number).E164(), Scope: r.Scope, Source: r.Source, Until: unlessZero(csvTime(r.Until))}
		if err := a.printTo(out, o); err != nil {
			return err
		}
	}
	return nil
}

// csvOrphans writes those of opt-outs, and counts those of lists on standard error.
func (a *app) csvOrphans(cmd *cobra.Command, base *sqlitebase.Base, out io.Writer) error {
	w := csv.NewWriter(out)
	if err := w.Write([]string{"number", "scope", "expires_at"}); err != nil {
		return err
	}
	ofLists := map[string]uint64{}
	for r, err := range base.Orphans(cmd.Context()) {
		if err != nil {
			return err
		}
		if r.Source != client.SourceOptOut {
			ofLists[r.Source]++
			continue
		}
		if err := w.Write([]string{phone.Number(r.Number).E164(), r.Scope, csvTime(r.Until)}); err != nil {
			return err
		}
	}
	for _, id := range slices.Sorted(maps.Keys(ofLists)) {
		fmt.Fprintf(a.stderr, "dnc: %s of list %s not written: load the list again on the server\n", count(ofLists[id], "orphan"), id)
	}
	w.Flush()
	return w.Error()
}
