package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/dncd/dncd/client"
)

// sayUncovered says which declared prefixes of a list hold no number after a load. That is no error, but its effect
// on checks is unexpected.
func (a *app) sayUncovered(ctx context.Context, c *client.Client, list string) {
	l, err := c.GetList(ctx, list)
	if err != nil { // the load has succeeded anyway
		return
	}
	empty := slices.DeleteFunc(slices.Clone(l.Coverage), func(p string) bool { return slices.Contains(l.EffectiveCoverage, p) })
	if len(empty) == 0 {
		return
	}
	const shown = 10
	text := strings.Join(empty[:min(shown, len(empty))], ", ")
	if more := len(empty) - shown; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	fmt.Fprintf(a.stderr, "dnc: %s declares %s and holds no number there: checks of such numbers answer UNKNOWN\n", l.Name, text)
	fmt.Fprintf(a.stderr, "hint: load the file of %s too, or leave it out with `dnc list update %s --coverage`\n", empty[0], l.Name)
}
