package main

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/dncd/dncd/client"
)

// pastFlags say which moment of the past a read is answered from.
type pastFlags struct {
	asOf, at string

	now      time.Time       // zero: none
	position client.Position // zero: none
}

func (f *pastFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.asOf, "as-of", "", "answer as it would have been answered at this time: a date in UTC, or a time with its zone")
	cmd.Flags().StringVar(&f.at, "at", "", "answer from exactly this position, as an answer has it: REVISION, REVISION@JOURNALID or REVISION@JOURNALID:TAG; with --as-of, at that time")
}

// read reads the flags.
func (f *pastFlags) read(cmd *cobra.Command) (err error) {
	if f.now, err = parseTime(cmd, "as-of", f.asOf); err != nil {
		return err
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

// isSet reports whether a moment of the past is asked for.
func (f *pastFlags) isSet() bool { return !f.now.IsZero() || f.position != client.Position{} }
