package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/dncd/dncd/client"
	atlas "github.com/dncd/dncd/internal/place"
	"github.com/dncd/dncd/internal/policy"
	"github.com/dncd/dncd/internal/policydoc"
)

func (a *app) policyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "policy",
		Short: "Show and change the rules of each country by which checks are answered",
		Long: `Show and change the rules of each country by which checks are answered. A policy is a document in YAML:
docs/policies.md describes it. Until a policy is applied, checks know no rule of any country.`,
		Example: `  dnc policy show --preset US,CA > policy.yaml
  dnc policy diff policy.yaml
  dnc policy apply policy.yaml`,
	}
	requireSubcommand(cmd)
	cmd.AddCommand(a.policyShowCommand(), a.policyDiffCommand(), a.policyApplyCommand(), a.policyTestCommand(), a.policyLogCommand())
	return cmd
}

func (a *app) policyShowCommand() *cobra.Command {
	var presets []string
	var past pastFlags
	cmd := &cobra.Command{
		Use:   "show",
		Short: "Show the policy that is in force, or was in force at a time, or presets to start from",
		Long: `Show the policy that is in force, as the document that was applied. If none was applied, show the document that
changes no answer. With --as-of or --at it is the policy by which checks were answered then.

--preset shows the rules of some countries, with their sources: a policy to start from. Presets are for calls to
consumers. They are no legal advice: have them read by counsel.`,
		Example: "  dnc policy show\n  dnc policy show --preset FR,DE > policy.yaml\n  dnc policy show --as-of 2026-09-10T14:03:00+02:00",
		Args:    counted(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := past.read(cmd); err != nil {
				return err
			}
			if cmd.Flags().Changed("preset") && past.isSet() {
				return usagef(cmd, "--preset is of this version of dnc, and --as-of and --at are of the server's past")
			}
			if cmd.Flags().Changed("preset") {
				return a.showPreset(cmd, presets)
			}
			return a.showPolicy(cmd.Context(), past.logged())
		},
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	cmd.Flags().StringSliceVar(&presets, "preset", nil, "`countries` to show the preset of: "+strings.Join(policydoc.Presets(), ", "))
	complete(cmd, "preset", policydoc.Presets()...)
	past.add(cmd)
	return cmd
}

func (a *app) showPreset(cmd *cobra.Command, countries []string) error {
	for i := range countries {
		countries[i] = strings.ToUpper(strings.TrimSpace(countries[i]))
	}
	slices.Sort(countries)
	text, err := policydoc.Preset(slices.Compact(countries)...)
	if err != nil {
		return usagef(cmd, "--preset: %v", err)
	}
	return a.print(client.Policy{Document: string(text)}, func() string { return strings.TrimSuffix(string(text), "\n") })
}

func (a *app) showPolicy(ctx context.Context, when client.ReadOption) error {
	c, err := a.connect()
	if err != nil {
		return err
	}
	p, err := c.GetPolicy(ctx, when)
	if err != nil {
		return err
	}
	if p.Unreadable {
		a.complain(fmt.Errorf("a later version of dncd wrote policy %s: the server cannot read it, and permits no call", p.Version))
	}
	return a.print(p, func() string { return strings.TrimSuffix(p.Document, "\n") })
}

func (a *app) policyDiffCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "diff FILE",
		Short: "Show what a policy would change, by country, scope and section",
		Long: `Show what the policy in FILE would change, compared with the one that is in force, by country, scope and section.
Changes that permit calls which are not permitted now are listed again at the end. FILE is checked first; - is
standard input.`,
		Example: "  dnc policy diff policy.yaml",
		Args:    counted(1, 1, "file"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.policyDiff(cmd.Context(), args[0])
		},
	}
}

func (a *app) policyDiff(ctx context.Context, file string) error {
	text, doc, err := a.readPolicy(file)
	if err != nil {
		return err
	}
	c, err := a.connect()
	if err != nil {
		return err
	}
	p, err := c.GetPolicy(ctx)
	if err != nil {
		return err
	}
	before, err := policydoc.Parse([]byte(p.Document), atlas.Holidays)
	if err != nil {
		return withHint(fmt.Errorf("the policy in force, %s, cannot be read by this version of dnc", orNone(p.Version)), "use the version of dnc that belongs to the server")
	}
	changes := policydoc.Diff(before, doc)
	loosened := policydoc.Loosens(before.Compile("", atlas.Holidays), doc.Compile("", atlas.Holidays))
	if a.output == "json" {
		return a.print(client.PolicyReceipt{Policy: client.Policy{Document: string(text)}, Base: p.Version, Changes: clientChanges(changes), Loosened: clientChanges(loosened)}, nil)
	}
	if len(changes) == 0 {
		fmt.Fprintln(a.stdout, "no rule differs")
	}
	a.tellChanges(a.stdout, clientChanges(changes), clientChanges(loosened))
	return nil
}

// tellChanges writes what differs, and then what that permits.
func (a *app) tellChanges(w io.Writer, changes, loosened []client.PolicyChange) {
	for _, c := range changes {
		fmt.Fprintf(w, "%s %s\n", changeAt(c), c.What)
		for _, line := range []struct{ sign, text string }{{"-", c.Before}, {"+", c.After}} {
			if line.text != "" {
				fmt.Fprintf(w, "  %s %s\n", line.sign, line.text)
			}
		}
	}
	if len(loosened) > 0 {
		fmt.Fprintln(w, "permits calls that are not permitted now:")
	}
	for _, c := range loosened {
		fmt.Fprintf(w, "  %s: %s\n", changeAt(c), c.What)
	}
}

func changeAt(c client.PolicyChange) string {
	d := policydoc.Change{Country: c.Country, Scope: policy.Scope(c.Scope), Section: c.Section}
	return d.Where()
}

func clientChanges(changes []policydoc.Change) (all []client.PolicyChange) {
	for _, c := range changes {
		all = append(all, client.PolicyChange{
			Country: c.Country, Scope: string(c.Scope), Section: c.Section, What: c.What, Before: c.Before, After: c.After,
		})
	}
	return all
}

func (a *app) policyApplyCommand() *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use:   "apply FILE",
		Short: "Put a policy in force",
		Long: `Put the policy in FILE in force: from then on every check is answered by it. FILE is kept as it is, with its comments;
- is standard input.

If it permits calls that are not permitted now, it is not applied: the changes that permit them are listed, and the exit
code is 1. --yes applies it. If opt-outs reach beyond their scope (opt_outs.reach), the filters of subscribers are
widened, so that calling bases get all opt-outs that concern them. Their feeds begin again.`,
		Example: "  dnc policy apply policy.yaml\n  dnc policy apply policy.yaml --yes",
		Args:    counted(1, 1, "file"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.policyApply(cmd.Context(), args[0], yes)
		},
	}
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "also if it permits calls that are not permitted now")
	return cmd
}

func (a *app) policyApply(ctx context.Context, file string, yes bool) error {
	text, err := readWhole(file, policydoc.MaxBytes)
	if err != nil {
		return err
	}
	c, err := a.connect()
	if err != nil {
		return err
	}
	asked, err := c.SetPolicy(ctx, string(text), client.SetPolicyOptions{DryRun: true})
	if err != nil {
		return refusedFile(file, text, err)
	}
	if a.output == "text" {
		a.tellChanges(a.stdout, asked.Changes, asked.Loosened)
	}
	done := asked
	if !asked.Unchanged && (yes || len(asked.Loosened) == 0) {
		if done, err = c.SetPolicy(ctx, string(text), client.SetPolicyOptions{Expected: &asked.Base, Force: yes}); err != nil {
			return refusedFile(file, text, err)
		}
	} else if !asked.Unchanged {
		a.end(exitNo)
	}
	return a.print(done, func() string { return appliedText(done) })
}

func appliedText(done client.PolicyReceipt) string {
	switch {
	case done.Unchanged:
		return "nothing changed: policy " + orNone(done.Base) + " is the same"
	case done.Version == "":
		return "nothing was changed: --yes applies it"
	}
	return fmt.Sprintf("policy %s applied  revision %d", done.Version, done.Revision)
}

// readPolicy reads and checks a policy.
func (a *app) readPolicy(file string) ([]byte, *policydoc.Document, error) {
	text, err := readWhole(file, policydoc.MaxBytes)
	if err != nil {
		return nil, nil, err
	}
	doc, err := policydoc.Parse(text, atlas.Holidays)
	return text, doc, inFile(file, err)
}

// readWhole reads a file that has at most so many bytes, and a byte more of a longer one; - is standard input.
func readWhole(file string, most int64) ([]byte, error) {
	f := os.Stdin
	if file != "-" {
		var err error
		if f, err = os.Open(file); err != nil {
			return nil, err
		}
		defer f.Close()
	}
	return io.ReadAll(io.LimitReader(f, most+1))
}

// inFile names the file and the place of each problem that is in it.
func inFile(file string, err error) error {
	var problems *policydoc.Error
	if !errors.As(err, &problems) {
		return err
	}
	lines := make([]string, len(problems.Problems))
	for i, p := range problems.Problems {
		lines[i] = fmt.Sprintf("%s:%d:%d: %s", file, p.Line, p.Column, p.Text)
	}
	return errors.New(strings.Join(lines, "\n"))
}

// refusedFile names the file in the server's refusal of what is in it, and the place of each problem as inFile does. A server of
// another version may have found other problems: then its own words stay.
func refusedFile(file string, text []byte, err error) error {
	if !errors.Is(err, client.ErrPolicyInvalid) {
		return err
	}
	if _, own := policydoc.Parse(text, atlas.Holidays); own != nil && strings.Contains(err.Error(), own.Error()) {
		return &reworded{inFile(file, own).Error(), err}
	}
	return &reworded{file + ": " + err.Error(), err}
}

func (a *app) policyLogCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "log",
		Short:   "Show who set which policy when, newest first",
		Example: "  dnc policy log\n  dnc policy log -o json",
		Args:    counted(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.policyLog(cmd.Context())
		},
		ValidArgsFunction: cobra.NoFileCompletions,
	}
}

func (a *app) policyLog(ctx context.Context) error {
	c, err := a.connect()
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	first := true
	for p, err := range c.Policies(ctx) {
		if err != nil {
			return err
		}
		if a.output == "json" {
			if err := a.print(p, nil); err != nil {
				return err
			}
			continue
		}
		if first {
			fmt.Fprintln(w, "VERSION\tAPPLIED\tBY")
		}
		first = false
		fmt.Fprintf(w, "%s\t%s\t%s\n", p.Version, stamp(p.Time), orDash(p.RecordedBy))
	}
	if first && a.output == "text" {
		fmt.Fprintln(a.stdout, "no policy was applied")
	}
	return w.Flush()
}
