package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/dncd/dncd/client"
)

// exportFlags are those of `dnc export`.
type exportFlags struct {
	list, format string
	optOuts      bool
	consents     bool
}

func (a *app) exportCommand() *cobra.Command {
	var flags exportFlags
	cmd := &cobra.Command{
		Use:   "export --list NAME | --opt-outs | --consents",
		Short: "Write the numbers of a list, or the opt-outs or consents in force, as they are at one revision",
		Long: `Write the numbers of a list, or the opt-outs or consents in force with their stories, to standard
output, by ascending number, as they are at one revision. With an exit code other
than 0 the output is incomplete.

A list that is loaded again from its export is the same list, and opt-outs and consents
that are imported again from their csv or jsonl are all duplicates. A consent that may
lift an opt-out is one only with --lift-opt-outs.`,
		Example: `  dnc export --list us-ftc > us-ftc.txt
  dnc export --opt-outs > opt-outs.csv
  dnc export --opt-outs --format jsonl
  dnc export --consents > consents.csv`,
		Args: counted(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			format, err := flags.check(cmd, a.output)
			if err != nil {
				return err
			}
			c, err := a.connect()
			if err != nil {
				return err
			}
			return a.export(cmd.Context(), c, flags, format)
		},
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	f := cmd.Flags()
	f.StringVar(&flags.list, "list", "", "the list")
	f.BoolVar(&flags.optOuts, "opt-outs", false, "the opt-outs in force")
	f.BoolVar(&flags.consents, "consents", false, "the consents in force: those that have not expired")
	f.StringVar(&flags.format, "format", "", "plain: a number a line, csv, or jsonl: an object a line (default: plain for a list, csv for opt-outs and consents, jsonl with -o json)")
	complete(cmd, "format", "plain", "csv", "jsonl")
	a.completeLists(cmd, "list")
	return cmd
}

// check returns the format that the flags mean.
func (f *exportFlags) check(cmd *cobra.Command, output string) (string, error) {
	switch {
	case f.list == "" && !f.optOuts && !f.consents:
		return "", usagef(cmd, "--list is missing, or --opt-outs, or --consents")
	case f.list != "" && (f.optOuts || f.consents), f.optOuts && f.consents:
		return "", usagef(cmd, "--list, --opt-outs and --consents are three exports: give one")
	}
	switch format := strings.ToLower(f.format); {
	case format == "plain", format == "csv", format == "jsonl":
		return format, nil
	case format != "":
		return "", usagef(cmd, "--format is plain, csv or jsonl, not %q", f.format)
	case output == "json":
		return "jsonl", nil
	case f.optOuts, f.consents:
		return "csv", nil
	}
	return "plain", nil
}

func (a *app) export(ctx context.Context, c *client.Client, flags exportFlags, format string) (err error) {
	out := bufio.NewWriterSize(a.stdout, 64<<10)
	defer func() { err = errors.Join(err, out.Flush()) }()
	if flags.optOuts {
		return a.exportOptOuts(ctx, c, format, out)
	}
	if flags.consents {
		return a.exportConsents(ctx, c, format, out)
	}
	return a.exportList(ctx, c, flags.list, format, out)
}

// exportList writes the numbers of a list.
func (a *app) exportList(ctx context.Context, c *client.Client, list, format string, out *bufio.Writer) error {
	write := map[string]func(io.Writer, string) error{
		"plain": writeNumber,
		"csv":   writeNumber,
		"jsonl": func(w io.Writer, number string) error {
			_, err := fmt.Fprintf(w, "{\"number\":%q}\n", number)
			return err
		},
	}[format]
	if err := refuseUnloaded(ctx, c, list); err != nil {
		return namesList(err, list)
	}
	begun := false
	for number, err := range c.Export(ctx, list) {
		if err != nil {
			return namesList(err, list)
		}
		if !begun && format == "csv" {
			err = writeNumber(out, "number")
		}
		begun = true
		if err := errors.Join(err, write(out, number)); err != nil {
			return err
		}
	}
	if !begun && format == "csv" {
		return writeNumber(out, "number")
	}
	return nil
}

// refuseUnloaded refuses to export a list that was never loaded: the output would look like an empty list.
func refuseUnloaded(ctx context.Context, c *client.Client, list string) error {
	l, err := c.GetList(ctx, list)
	if err == nil && l.State == client.ListNotLoaded {
		return withHint(fmt.Errorf("%s was never loaded: there is nothing to export", l.Name),
			fmt.Sprintf("`dnc import FILE... --list %s` loads it", l.Name))
	}
	return err
}

func writeNumber(w io.Writer, number string) error {
	_, err := io.WriteString(w, number+"\n")
	return err
}
