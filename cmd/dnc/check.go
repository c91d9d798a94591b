package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/dncd/dncd/client"
)

// checkFlags are those of `dnc check`.
type checkFlags struct {
	scope       string
	region      string
	minRevision uint64
	file        string
	column      string
	delimiter   string
	out         string
	past        pastFlags
	purpose     string
	place       string
	explain     bool
	recordUse   bool
}

func (a *app) checkCommand() *cobra.Command {
	var flags checkFlags
	cmd := &cobra.Command{
		Use:   "check NUMBER... | check --file FILE",
		Short: "Ask whether numbers may be called now",
		Long: `Ask whether numbers may be called now.

ALLOW is the only verdict that permits a call. The exit code is 0 when every number
may be called, 1 when one may not, and 2 when one is not a number or the server
could not be asked.

Each verdict is followed by what it rests on. NOT_NOW says when calls are next permitted, by the
clock of the called party. --explain names the part of the rule too, and its source; with --file it
gives the reasons of rows that may be called.

With --file, a csv or a file of numbers is read to its end and written with three
more columns: verdict, reason and revision. Rows without a valid number, including rows
of delimiters only, get the verdict INVALID; blank lines are left out. With several
columns of numbers, --column A,B, a row has the strictest verdict of its numbers, in the
order BLOCK, INVALID, UNKNOWN, NOT_NOW, ALLOW, and its reason says which number it is
about. The exit code is then 0 when every row was answered, and 2 when no row held a number.

With --as-of the answer is the one that a check would have given then, by the records, lists and
policy of that time. A time before the journal begins is an error, and permits nothing. --at and
--as-of together, with the position and the time of an answer that was logged, give that answer
again; add its clock_ahead and its tables_version if it has them. Answers rest on tables that are
built into dncd, such as the time zones of numbers: with --tables the command warns of those that
differ.

With -o json, text that is not a number has an error with its reason, and no verdict; column
names the column of the file that decided.`,
		Example: `  dnc check +14155550123
  dnc check +14155550123 +33199001234 --scope acme/telecom -o json
  dnc check 01.99.00.12.34 --region FR
  dnc check +33199001234 --place FR-IDF --purpose service
  dnc check +33199001234 --as-of 2026-09-10T14:03:00+02:00
  dnc check +33199001234 --at 41 --as-of 2026-09-10T12:03:00Z --tables "$TABLES_VERSION"
  dnc check --file leads.csv --column phone --region FR --out verdicts.csv
  cut -d, -f2 leads.csv | dnc check --file - --region FR`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := errors.Join(flags.past.read(cmd), oneOf(cmd, "purpose", flags.purpose, purposes)); err != nil {
				return err
			}
			if flags.minRevision > 0 && flags.past.isSet() {
				return usagef(cmd, "--min-revision asks about now, and --as-of and --at about the past")
			}
			if flags.recordUse && flags.past.isSet() {
				return usagef(cmd, "--record-use is for a check of now, and --as-of and --at ask about the past")
			}
			if cmd.Flags().Changed("file") && flags.recordUse {
				return usagef(cmd, "--record-use is for numbers that are called next: give them as arguments, not with --file")
			}
			if cmd.Flags().Changed("file") {
				return a.checkFile(cmd, args, flags)
			}
			return a.checkNumbers(cmd, args, flags)
		},
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	f := cmd.Flags()
	f.StringVar(&flags.scope, "scope", "", scopeOfCall)
	f.StringVar(&flags.region, "region", "", "how national numbers are read, such as FR")
	f.StringVar(&flags.purpose, "purpose", "", purposeOfCall)
	f.StringVar(&flags.place, "place", "", placeOfCall)
	f.BoolVar(&flags.explain, "explain", false, "name the rules and their sources, and with --file the reasons of ALLOW")
	flags.past.add(cmd)
	flags.past.addLogged(cmd)
	f.Uint64Var(&flags.minRevision, "min-revision", 0, "answer from this revision or a later one")
	f.BoolVar(&flags.recordUse, "record-use", false, "record that an answer ALLOW relies on a consent; if that cannot be stored, the answer is UNKNOWN")
	f.StringVar(&flags.file, "file", "", "check every row of a file; - is standard input")
	f.StringVar(&flags.column, "column", "", "with --file, the column that holds the number: its name or its position from 1; several: A,B")
	f.StringVar(&flags.delimiter, "delimiter", "", "with --file, the delimiter: one character, or tab (default: detected from the first line)")
	f.StringVar(&flags.out, "out", "", "with --file, where the rows go: an existing file keeps its permissions, a new one is readable only by its owner (default: standard output)")
	complete(cmd, "purpose", purposes...)
	return cmd
}

// Help texts of what check and show ask alike.
const (
	scopeOfCall   = "for whom the call would be, such as acme/telecom"
	purposeOfCall = "what the call is for: marketing or service (default: the purpose with the strictest rule)"
	placeOfCall   = "where the called party is known to be: a time zone such as Europe/Paris, or an ISO 3166-2 code such as FR-IDF"
)

// purposes are what calls are for, as they are typed.
var purposes = []string{"marketing", "service"}

func (f checkFlags) options() []client.CheckOption {
	opts := []client.CheckOption{client.Scope(f.scope), client.Region(f.region), client.ForPurpose(client.Purpose(f.purpose)), client.InPlace(f.place),
		f.past.logged()}
	if f.explain || f.file == "" {
		opts = append(opts, client.Explain())
	}
	if f.minRevision > 0 {
		opts = append(opts, client.AtLeast(client.Position{Revision: f.minRevision}))
	}
	if f.recordUse {
		opts = append(opts, client.RecordUse())
	}
	return opts
}

// checkNumbers answers each argument with a line, in order.
func (a *app) checkNumbers(cmd *cobra.Command, numbers []string, flags checkFlags) error {
	if len(numbers) == 0 {
		return usagef(cmd, "a number is missing")
	}
	if flags.column != "" || flags.out != "" || flags.delimiter != "" {
		return usagef(cmd, "--column, --delimiter and --out go with --file")
	}
	c, err := a.connect()
	if err != nil {
		return err
	}
	for _, number := range numbers {
		if err := a.checkNumber(cmd.Context(), c, number, flags); err != nil {
			return err
		}
	}
	return nil
}

// checkNumber answers one number. An error of the number does not end the command.
func (a *app) checkNumber(ctx context.Context, c *client.Client, number string, flags checkFlags) error {
	result, err := c.Check(ctx, number, flags.options()...)
	if errors.Is(err, client.ErrInvalidNumber) {
		return a.invalidNumber(number, err)
	}
	if err != nil {
		return err
	}
	if !result.Callable() {
		a.end(exitNo)
	}
	a.warnOfTables(result.TablesDifference)
	return a.print(checkJSON{Result: result}, func() string {
		line := result.Number + "  " + describeVerdict(result)
		if flags.explain {
			line += describeRules(result)
		}
		return line + flags.past.tablesLine(result.TablesVersion)
	})
}

// checkJSON is the JSON of one number. For text that is not a number only Number, as typed, and Error are set.
type checkJSON struct {
	client.Result
	Column *string    // of a file, the column that holds the number
	Error  *itemError // nil: the number was checked
}

// MarshalJSON implements json.Marshaler.
func (c checkJSON) MarshalJSON() ([]byte, error) {
	own, err := c.Result.MarshalJSON()
	if err != nil {
		return nil, err
	}
	if c.Error != nil { // it was not checked at any revision
		own = bytes.Replace(own, []byte(`"revision":0`), []byte(`"revision":null`), 1)
	}
	more, err := json.Marshal(struct {
		Column *string    `json:"column"`
		Error  *itemError `json:"error"`
	}{c.Column, c.Error})
	return append(append(own[:len(own)-1], ','), more[1:]...), err
}

type itemError struct {
	Reason  string `json:"reason"`
	Message string `json:"message"`
}

func (a *app) invalidNumber(number string, err error) error {
	a.end(exitError)
	var e *client.Error
	if a.output == "json" && errors.As(err, &e) {
		return a.print(checkJSON{Result: client.Result{Number: number}, Error: &itemError{e.Reason, e.Message}}, nil)
	}
	a.complain(fmt.Errorf("%q: %w", number, err))
	return nil
}
