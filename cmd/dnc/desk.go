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

func (a *app) deskCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "desk",
		Short: "Register the desks where objections come in",
		Long: `Register the desks where objections come in. An opt-out whose desk is registered carries the desk's id,
whatever the case and the spaces around its name; reports count by it. Any other desk stays a text.`,
		Example: `  dnc desk put "After-sales Lyon" --kind after-sales --owner "Jane Doe"
  dnc desk ls`,
	}
	requireSubcommand(cmd)
	cmd.AddCommand(a.deskPutCommand(), a.deskLsCommand(), a.deskRmCommand())
	return cmd
}

// deskKinds are those of the contract, as they are typed.
var deskKinds = []string{"directorate", "after-sales", "dpo", "subcontractor", "web", "other"}

func (a *app) deskPutCommand() *cobra.Command {
	var kind, owner, contact string
	cmd := &cobra.Command{
		Use:     "put NAME",
		Short:   "Register a desk, or change one: what no flag names stays as it is",
		Example: "  dnc desk put \"After-sales Lyon\" --kind after-sales\n  dnc desk put dpo --kind dpo --owner \"Jane Doe\" --contact dpo@acme.example",
		Args:    counted(1, 1, "name"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := oneOf(cmd, "kind", kind, deskKinds); err != nil {
				return err
			}
			f := cmd.Flags()
			change := client.DeskChange{Owner: given(f, "owner", &owner), Contact: given(f, "contact", &contact)}
			if f.Changed("kind") {
				k := client.DeskKind(kind)
				change.Kind = &k
			}
			return a.deskPut(cmd, args[0], change)
		},
		ValidArgsFunction: a.firstIsDesk,
	}
	f := cmd.Flags()
	f.StringVar(&kind, "kind", "", strings.Join(deskKinds[:len(deskKinds)-1], ", ")+" or other")
	f.StringVar(&owner, "owner", "", "who answers for it")
	f.StringVar(&contact, "contact", "", "whom to ask")
	complete(cmd, "kind", deskKinds...)
	return cmd
}

func (a *app) deskPut(cmd *cobra.Command, name string, change client.DeskChange) error {
	c, err := a.connect()
	if err != nil {
		return err
	}
	done, err := c.PutDesk(cmd.Context(), name, change)
	if err != nil {
		return err
	}
	return a.print(done, func() string {
		what := "changed"
		if done.Created {
			what = "registered"
		}
		return fmt.Sprintf("%s %s  revision %d", done.Name, what, done.Revision)
	})
}

func (a *app) deskLsCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "ls",
		Short:   "Show the desks that are registered",
		Example: "  dnc desk ls\n  dnc desk ls -o json",
		Args:    counted(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			desks, err := a.desks(cmd.Context())
			if err != nil {
				return err
			}
			if a.output == "text" {
				return a.deskTable(desks)
			}
			for _, d := range desks {
				if err := a.print(d, nil); err != nil {
					return err
				}
			}
			return nil
		},
		ValidArgsFunction: cobra.NoFileCompletions,
	}
}

// desks returns the server's desks.
func (a *app) desks(ctx context.Context) ([]client.Desk, error) {
	c, err := a.connect()
	if err != nil {
		return nil, err
	}
	var desks []client.Desk
	for d, err := range c.Desks(ctx) {
		if err != nil {
			return nil, err
		}
		desks = append(desks, d)
	}
	return desks, nil
}

func (a *app) deskTable(desks []client.Desk) error {
	if len(desks) == 0 {
		fmt.Fprintln(a.stdout, "no desks")
		return nil
	}
	w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "NAME\tKIND\tOWNER\tCONTACT\tREGISTERED")
	for _, d := range desks {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", d.Name, orDash(lower(d.Kind)), orDash(d.Owner), orDash(d.Contact), stamp(d.CreatedAt))
	}
	return w.Flush()
}

func (a *app) deskRmCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "rm NAME",
		Short: "Remove a desk; what came in there stays",
		Long: `Remove a desk. What came in there keeps its id, and past reports name it. Opt-outs that name it from now on
have it as a text only.`,
		Example: "  dnc desk rm \"After-sales Lyon\"",
		Args:    counted(1, 1, "name"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.connect()
			if err != nil {
				return err
			}
			gone, err := c.DeleteDesk(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return a.print(gone, func() string { return fmt.Sprintf("%s removed  revision %d", args[0], gone.Revision) })
		},
		ValidArgsFunction: a.firstIsDesk,
	}
}

// firstIsDesk completes the first argument to a desk, as firstIsSubscriber.
func (a *app) firstIsDesk(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return a.deskNames(cmd, nil, "")
}

// deskNames completes a flag to a desk.
func (a *app) deskNames(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	if a.readSettings(cmd) != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), 500*time.Millisecond)
	defer cancel()
	desks, _ := a.desks(ctx)
	var names []string
	for _, d := range desks {
		names = append(names, cobra.CompletionWithDesc(d.Name, lower(d.Kind)))
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
