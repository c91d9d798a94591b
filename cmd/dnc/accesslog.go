package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/dncd/dncd/client"
)

func (a *app) accessLogCommand() *cobra.Command {
	var p period
	var q client.AccessQuery
	cmd := &cobra.Command{
		Use:   "access-log [NUMBER]",
		Short: "Show who read personal data when, oldest first",
		Long: `Show who read personal data when, oldest first: reads of a number and of its history,
and exports. With a number, only reads of it, and exports, which may have held it.

The log holds no number: it finds one by a keyed hash. Checks are not in it.`,
		Example: `  dnc access-log --from 30d
  dnc access-log +14155550123
  dnc access-log 01.99.00.12.34 --region FR -o json`,
		Args: counted(0, 1, "one number"),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if q.From, q.To, err = p.read(cmd); err != nil {
				return err
			}
			if len(args) > 0 && strings.TrimSpace(args[0]) == "" {
				return usagef(cmd, "the number is empty: leave it out to see all reads")
			}
			q.Number = strings.Join(args, "")
			return a.accessLog(cmd, q)
		},
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	p.flags(cmd)
	cmd.Flags().StringVar(&q.Region, "region", "", "how a national number is read, such as FR")
	return cmd
}

func (a *app) accessLog(cmd *cobra.Command, q client.AccessQuery) error {
	c, err := a.connect()
	if err != nil {
		return err
	}
	shown := false
	for access, err := range c.Accesses(cmd.Context(), q) {
		if err != nil {
			return err
		}
		shown = true
		if err := a.print(access, func() string { return describeAccess(access) }); err != nil {
			return err
		}
	}
	if shown || a.output != "text" {
		return nil
	}
	since, err := c.AccessesKeptSince(cmd.Context())
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(a.stdout, "no reads; the oldest one in the access log: %s\n", stamp(since))
	return err
}

func describeAccess(r client.Access) string {
	text := fmt.Sprintf("%s  %s  %s", stamp(r.Time), callerText(r.Name, r.Kind), r.Method)
	switch {
	case r.NumberHash != "":
		return text + "  number " + r.NumberHash
	case r.List != "":
		return text + "  list " + r.List
	case r.Scope != "":
		return text + "  scope " + r.Scope
	}
	return text + "  all scopes"
}
