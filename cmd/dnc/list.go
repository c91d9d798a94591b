package main

import (
	"fmt"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/dncd/dncd/client"
)

func (a *app) listCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list",
		Short: "Create, show and change lists",
		Example: `  dnc list ls
  dnc list create us-ftc --kind registry --jurisdiction US --coverage 1415 --max-age 31d
  dnc list show us-ftc`,
	}
	requireSubcommand(cmd)
	cmd.AddCommand(a.listCreateCommand(), a.listLsCommand(), a.listShowCommand(),
		a.listUpdateCommand(), a.listDeleteCommand())
	return cmd
}

// kinds are those of lists, as they are typed.
var kinds = []string{"registry", "suppression", "litigator"}

func (a *app) listCreateCommand() *cobra.Command {
	var l client.ListSpec
	var kind, maxAge string
	cmd := &cobra.Command{
		Use:   "create NAME --kind registry|suppression|litigator",
		Short: "Create an empty list",
		Long: `Create an empty list.

It takes effect immediately: until its first import, checks of numbers in its
jurisdiction answer UNKNOWN, because they have not been screened.`,
		Example: `  dnc list create us-ftc --kind registry --jurisdiction US --coverage 1415,1818 --max-age 31d
  dnc list create partner --kind suppression --scope acme`,
		Args: counted(1, 1, "name"),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if kind == "" {
				return usagef(cmd, "--kind is missing: registry, suppression or litigator")
			}
			if l.MaxAge, err = parseDays(cmd, maxAge); err != nil {
				return err
			}
			if err := oneOf(cmd, "kind", kind, kinds); err != nil {
				return err
			}
			l.Name, l.Kind = args[0], client.ListKind(kind)
			return a.listCreate(cmd, l)
		},
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	f := cmd.Flags()
	f.StringVar(&kind, "kind", "", "registry, suppression or litigator (required)")
	f.StringVar(&l.Scope, "scope", "", "the scope at which it counts, and below (default: everywhere)")
	f.StringSliceVar(&l.Jurisdiction, "jurisdiction", nil, "regions it covers, such as US,CA; required for a registry")
	f.StringSliceVar(&l.Coverage, "coverage", nil, "prefixes it covers, such as 1415,1818 (default: those of its files)")
	f.StringVar(&maxAge, "max-age", "", "days for which a snapshot may be relied on, such as 31d (default: any age)")
	complete(cmd, "kind", kinds...)
	return cmd
}

func (a *app) listCreate(cmd *cobra.Command, l client.ListSpec) error {
	c, err := a.connect()
	if err != nil {
		return err
	}
	change, err := c.CreateList(cmd.Context(), l)
	if err != nil {
		return ofJurisdiction(err)
	}
	return a.print(change, func() string {
		return fmt.Sprintf("%s created  revision %d\nchecks that it applies to answer UNKNOWN until its first import",
			change.List.Name, change.Revision)
	})
}

func (a *app) listLsCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "ls",
		Short:   "Show all lists",
		Example: "  dnc list ls\n  dnc list ls -o json",
		Args:    counted(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.connect()
			if err != nil {
				return err
			}
			lists, err := c.Lists(cmd.Context())
			if err != nil {
				return err
			}
			if a.output == "text" {
				return a.listTable(lists)
			}
			for _, l := range lists {
				if err := a.print(l, nil); err != nil {
					return err
				}
			}
			return nil
		},
		ValidArgsFunction: cobra.NoFileCompletions,
	}
}

func (a *app) listTable(lists []client.List) error {
	if len(lists) == 0 {
		fmt.Fprintln(a.stdout, "no lists")
		return nil
	}
	w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "NAME\tKIND\tJURISDICTION\tSCOPE\tSTATE\tNUMBERS\tSNAPSHOT\tMAX AGE")
	for _, l := range lists {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%d\t%s\t%s\n", l.Name, lower(l.Kind), orDash(strings.Join(l.Jurisdiction, ",")),
			forWhom(l.Scope), lower(l.State), l.Numbers, orDash(l.SnapshotDate), orDash(days(l.MaxAge)))
	}
	return w.Flush()
}

func (a *app) listShowCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "show NAME",
		Short:   "Show one list",
		Example: "  dnc list show us-ftc",
		Args:    counted(1, 1, "list"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.connect()
			if err != nil {
				return err
			}
			l, err := c.GetList(cmd.Context(), args[0])
			if err != nil {
				return namesList(err, args[0])
			}
			return a.print(l, func() string { return listDetails(l) })
		},
		ValidArgsFunction: a.completeListArg,
	}
}

// listDetails is a list as lines of name and value.
func listDetails(l client.List) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, line := range [][2]string{
		{"name", l.Name}, {"kind", lower(l.Kind)}, {"scope", forWhom(l.Scope)},
		{"jurisdiction", orDash(strings.Join(l.Jurisdiction, ","))},
		{"coverage", orDash(strings.Join(l.Coverage, ","))},
		{"effective coverage", orDash(strings.Join(l.EffectiveCoverage, ","))},
		{"max age", orDash(days(l.MaxAge))}, {"state", lower(l.State)},
		{"snapshot date", orDash(l.SnapshotDate)}, {"numbers", strconv.FormatUint(l.Numbers, 10)},
		{"updated", fmt.Sprintf("%s, revision %d", stamp(l.UpdatedAt), l.UpdatedRevision)},
	} {
		fmt.Fprintf(w, "%s\t%s\n", line[0], line[1])
	}
	for _, load := range []*client.ImportRecord{l.LastImport, l.RunningImport} {
		if load != nil {
			fmt.Fprintf(w, "import\t%s\n", describeImportRecord(*load))
		}
	}
	w.Flush()
	return strings.TrimSuffix(b.String(), "\n")
}

// describeList is a list in a few words.
func describeList(l client.List) string {
	return fmt.Sprintf("%s, %s, %s", lower(l.Kind), lower(l.State), count(l.Numbers, "number"))
}
