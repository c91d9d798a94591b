package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/dncd/dncd/client"
)

// pastFlags say which moment of the past a read is answered from.
type pastFlags struct {
	asOf, at string

	tables     string        // of the answer that is asked for again
	clockAhead time.Duration // of it

	now      time.Time       // zero: none
	position client.Position // zero: none
}

func (f *pastFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.asOf, "as-of", "", "answer as of this time: a time with its zone, or a date, which is its first moment in UTC")
	cmd.Flags().StringVar(&f.at, "at", "", "answer from exactly this position: REVISION, REVISION@JOURNALID or REVISION@JOURNALID:TAG; the time is its own, or that of --as-of")
}

// addLogged adds the flags for an answer that was kept, beside those of add.
func (f *pastFlags) addLogged(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.tables, "tables", "", "the tables_version of the answer that is asked for again: say which of the server's tables differ")
	cmd.Flags().DurationVar(&f.clockAhead, "clock-ahead", 0, "the clock_ahead of the answer that is asked for again, such as 1.5s; with --as-of")
}

// read reads the flags.
func (f *pastFlags) read(cmd *cobra.Command) (err error) {
	if f.now, err = parseTime(cmd, "as-of", f.asOf); err != nil {
		return err
	}
	if f.clockAhead != 0 && f.now.IsZero() {
		return usagef(cmd, "--clock-ahead belongs to the time of an answer: use it with --as-of")
	}
	if f.at == "" && f.tables != "" && f.now.IsZero() {
		return usagef(cmd, "--tables is of an answer of the past: use it with --as-of, --at or both")
	}
	if f.at == "" {
		return nil
	}
	if f.position, err = client.ParsePosition(f.at); err != nil {
		return usagef(cmd, "--at %q: %v", f.at, err)
	}
	if f.position.Revision == 0 {
		return usagef(cmd, "--at is the position of an answer: its revision is 1 or more")
	}
	return nil
}

// logged is the answer that is asked for again; without a moment of the past it asks for nothing.
func (f *pastFlags) logged() client.LoggedOption {
	return client.Logged(client.Result{Position: f.position, CheckedAt: f.now, ClockAhead: f.clockAhead, TablesVersion: f.tables})
}

// tablesLine is a line about the tables that an answer of the past was decided with; empty: of now.
func (f *pastFlags) tablesLine(version string) string {
	if !f.isSet() || version == "" {
		return ""
	}
	return "\n  tables " + version
}

// warnOfTables says which tables are not those of the answer that was asked for again.
func (a *app) warnOfTables(names []string) {
	if len(names) > 0 && !a.warnedOfTables {
		a.warnedOfTables = true
		a.complain(withHint(fmt.Errorf("the server has other tables than the answer that was asked for again: %s", strings.Join(names, ", ")),
			"a dncd of the version that gave it answers as it did"))
	}
}

// isSet reports whether a moment of the past is asked for.
func (f *pastFlags) isSet() bool { return !f.now.IsZero() || f.position != client.Position{} }
