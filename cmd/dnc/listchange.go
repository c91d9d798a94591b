package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/dncd/dncd/client"
)

func (a *app) listUpdateCommand() *cobra.Command {
	var jurisdiction, coverage []string
	var maxAge string
	var yes bool
	cmd := &cobra.Command{
		Use:   "update NAME",
		Short: "Change a list's jurisdiction, coverage or max age",
		Example: `  dnc list update us-ftc --coverage 1415,1818,1212
  dnc list update partner --max-age none`,
		Args: counted(1, 1, "list"),
		RunE: func(cmd *cobra.Command, args []string) error {
			var change client.ListChange
			if cmd.Flags().Changed("jurisdiction") {
				change.Jurisdiction = &jurisdiction
			}
			if cmd.Flags().Changed("coverage") {
				change.Coverage = &coverage
			}
			if cmd.Flags().Changed("max-age") {
				age, err := parseDays(cmd, maxAge)
				if err != nil {
					return err
				}
				change.MaxAge = &age
			}
			if change == (client.ListChange{}) {
				return usagef(cmd, "nothing to change: give --jurisdiction, --coverage or --max-age")
			}
			change.Force = yes
			return a.listUpdate(cmd, args[0], change)
		},
		ValidArgsFunction: a.completeListArg,
	}
	f := cmd.Flags()
	f.StringSliceVar(&jurisdiction, "jurisdiction", nil, `regions it covers; "" is all of them`)
	f.StringSliceVar(&coverage, "coverage", nil, `prefixes it covers; "" leaves it to its files`)
	f.StringVar(&maxAge, "max-age", "", "days for which a snapshot may be relied on, such as 31d; none is any age")
	f.BoolVar(&yes, "yes", false, "yes, numbers become callable: it gives up a region, covers more, or is stale and would no longer be")
	return cmd
}

func (a *app) listUpdate(cmd *cobra.Command, name string, change client.ListChange) error {
	c, err := a.connect()
	if err != nil {
		return err
	}
	done, err := c.UpdateList(cmd.Context(), name, change)
	if errors.Is(err, client.ErrConfirmationRequired) {
		return explainConfirmation(err)
	}
	if err != nil {
		return ofJurisdiction(namesList(err, name))
	}
	return a.print(done, func() string {
		return fmt.Sprintf("%s updated  revision %d\n%s", done.List.Name, done.Revision, listDetails(done.List))
	})
}

// ofJurisdiction hints at --jurisdiction for a wrong region: a list has regions in no other flag.
func ofJurisdiction(err error) error {
	var e *client.Error
	if errors.As(err, &e) && e.Reason == "REGION_INVALID" {
		return withHint(err, "regions are two-letter ISO codes, such as --jurisdiction US,CA")
	}
	return err
}

func (a *app) listDeleteCommand() *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use:   "delete NAME",
		Short: "Delete a list: its numbers become callable as far as it goes",
		Long: `Delete a list. Its numbers become callable as far as it goes: other lists and
opt-outs still count. Deleting a registry, or a list that was loaded, requires --yes.`,
		Example: "  dnc list delete us-ftc --yes",
		Args:    counted(1, 1, "list"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.listDelete(cmd, args[0], yes)
		},
		ValidArgsFunction: a.completeListArg,
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "yes, the numbers of this list become callable")
	return cmd
}

func (a *app) listDelete(cmd *cobra.Command, name string, yes bool) error {
	c, err := a.connect()
	if err != nil {
		return err
	}
	gone, err := c.DeleteList(cmd.Context(), name, yes)
	if errors.Is(err, client.ErrConfirmationRequired) {
		return explainConfirmation(err)
	}
	if err != nil {
		return namesList(err, name)
	}
	return a.print(gone, func() string {
		return fmt.Sprintf("%s deleted  revision %d\n%s that it held: callable as far as this list goes", name, gone.Revision, count(gone.Numbers, "number"))
	})
}

// explainConfirmation says what a change would do that must be confirmed; --yes is the hint for that.
func explainConfirmation(refusal error) error {
	var e *client.Error
	if !errors.As(refusal, &e) {
		return refusal
	}
	return &reworded{strings.TrimSuffix(e.Message, ": set force if that is intended"), refusal}
}

// parseDays reads whole days: 31d. Empty and "none" are no limit.
func parseDays(cmd *cobra.Command, text string) (time.Duration, error) {
	if text == "" || text == "none" {
		return 0, nil
	}
	d, ok := daysOf(text)
	if !ok {
		return 0, usagef(cmd, "--max-age %q is not a number of days such as 31d", text)
	}
	if d == 0 {
		return 0, usagef(cmd, "--max-age %s would make every snapshot too old: %s", text, anyAge(cmd))
	}
	return d, nil
}

// daysOf reads whole days, such as 31d.
func daysOf(text string) (time.Duration, bool) {
	number, ok := strings.CutSuffix(text, "d")
	n, err := strconv.ParseUint(number, 10, 16)
	return time.Duration(n) * 24 * time.Hour, ok && err == nil
}

// anyAge says how a command sets no max age.
func anyAge(cmd *cobra.Command) string {
	if cmd.Name() == "create" {
		return "leave --max-age out for any age"
	}
	return "--max-age none is any age"
}

// days is a max age as it is typed.
func days(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return strconv.Itoa(int(d/(24*time.Hour))) + "d"
}
