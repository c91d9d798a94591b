package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/dncd/dncd/client"
)

func (a *app) exportCommand() *cobra.Command {
	var list, format string
	cmd := &cobra.Command{
		Use:   "export --list NAME",
		Short: "Write the numbers of a list, ascending, as they are at one revision",
		Long: `Write the numbers of a list to standard output, one a line in E.164, ascending, as
they are at one revision. With an exit code other than 0 what was written is not the list.`,
		Example: `  dnc export --list us-ftc > us-ftc.txt`,
		Args:    counted(0, 0, "--list NAME"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if list == "" {
				return usagef(cmd, "--list is missing")
			}
			switch format {
			case "plain":
			case "csv", "jsonl":
				return withHint(fmt.Errorf("--format %s is not built yet", format), "--format plain is")
			default:
				return usagef(cmd, "--format is plain, not %q", format)
			}
			c, err := a.connect()
			if err != nil {
				return err
			}
			return a.export(cmd.Context(), c, list)
		},
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	f := cmd.Flags()
	f.StringVar(&list, "list", "", "the list (required)")
	f.StringVar(&format, "format", "plain", "plain: a number a line")
	complete(cmd, "format", "plain")
	a.completeLists(cmd, "list")
	return cmd
}

// exported is the JSON of one number.
type exported struct {
	Number string `json:"number"`
}

func (a *app) export(ctx context.Context, c *client.Client, list string) (err error) {
	out := bufio.NewWriterSize(a.stdout, 64<<10)
	defer func() { err = errors.Join(err, out.Flush()) }()
	for number, err := range c.Export(ctx, list) {
		if err != nil {
			return err
		}
		if a.output == "json" {
			err = a.printTo(out, exported{number})
		} else {
			_, err = out.WriteString(number + "\n")
		}
		if err != nil {
			return err
		}
	}
	return nil
}
