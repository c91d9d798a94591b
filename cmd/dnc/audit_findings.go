package main

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/dncd/dncd/client"
)

// callColumns are what `dnc audit --out` adds to a row. Seconds are those from then to the call; negative: it was after the call.
var callColumns = append(slices.Clone(answerColumns),
	"opt_out_received_at", "opt_out_recorded_at", "opt_out_applied_at", "seconds_since_received", "seconds_since_recorded", "seconds_since_applied")

// notKnown is the verdict of a call that has no answer. It is no permission.
const notKnown client.Verdict = "NOT_KNOWN"

// recordedLater is the reason of an ALLOW for whom an opt-out had been received, and was recorded only after the call.
const recordedLater = "OPT_OUT_RECORDED_LATER"

// How long an opt-out had been known when a call was made.
const (
	notApplied = "NOT_APPLIED" // the base had not acknowledged it as applied
	underHour  = "UNDER_1_HOUR"
	underDay   = "UNDER_1_DAY"
	aDayOrMore = "1_DAY_OR_MORE"
)

// findingKey is what calls are counted by, beside day and scope.
type findingKey struct {
	verdict client.Verdict
	reason  string
	after   string // with an opt-out: how long it had been known
}

// callFinding is what was found about a call.
type callFinding struct {
	findingKey
	text string // the reason in full
}

func (f *callFinding) key() findingKey { return f.findingKey }

// findingOf is what an answer found. By base: the opt-out counts as known from when the base had applied it.
func findingOf(a *client.CallAnswer, byBase bool) callFinding {
	var f callFinding
	if a.Err != nil {
		f.verdict, f.reason, f.text = notKnown, "ERROR", a.Err.Error()
		var e *client.Error
		if errors.As(a.Err, &e) {
			f.reason = e.Reason
		}
		return f
	}
	f.verdict = a.Verdict
	f.text = describeResult(client.Result{Verdict: a.Verdict, Cause: a.Cause, Reasons: a.Reasons})
	switch {
	case a.Callable() && a.RecordedLater():
		f.reason = recordedLater
	case a.Cause != "":
		f.reason = string(a.Cause)
	case len(a.Reasons) > 0:
		f.reason = string(a.Reasons[0].Kind)
	}
	if a.OptOut != nil && !a.RecordedLater() {
		f.after = knownFor(a, byBase)
	}
	return f
}

func knownFor(a *client.CallAnswer, byBase bool) string {
	since := a.OptOut.RecordedAt
	if byBase {
		since = a.OptOut.AppliedAt
	}
	switch known := a.Time.Sub(since); {
	case since.IsZero() || known < 0:
		return notApplied
	case known < time.Hour:
		return underHour
	case known < 24*time.Hour:
		return underDay
	}
	return aDayOrMore
}

// columns are what is added to a row.
func (f *callFinding) columns(a *client.CallAnswer) []string {
	revision := ""
	if a.Revision > 0 {
		revision = strconv.FormatUint(a.Revision, 10)
	}
	columns := []string{string(f.verdict), f.text, revision}
	o := a.OptOut
	if o == nil {
		o = new(client.CallOptOut)
	}
	moments := []time.Time{o.ReceivedAt, o.RecordedAt, o.AppliedAt}
	for _, t := range moments {
		moment := ""
		if !t.IsZero() {
			moment = t.UTC().Format(time.RFC3339Nano)
		}
		columns = append(columns, moment)
	}
	for _, t := range moments {
		seconds := ""
		if !t.IsZero() {
			seconds = strconv.FormatFloat(a.Time.Sub(t).Seconds(), 'f', 3, 64)
		}
		columns = append(columns, seconds)
	}
	return columns
}

// invalidColumns are what is added to a row that is no call.
func invalidColumns(reason string) []string {
	columns := make([]string, len(callColumns))
	columns[0], columns[1] = string(invalid), reason
	return columns
}

// callCount is a line of the counts.
type callCount struct {
	day, scope string
	findingKey
}

func (c callCount) compare(o callCount) int {
	return cmp.Or(cmp.Compare(c.day, o.day), cmp.Compare(c.scope, o.scope), cmp.Compare(c.verdict, o.verdict), cmp.Compare(c.reason, o.reason), cmp.Compare(c.after, o.after))
}

// callCounts counts rows.
type callCounts struct {
	lines    map[callCount]uint64
	verdicts map[client.Verdict]uint64
	total    uint64
	late     uint64 // opt-outs that were recorded later
}

// maxCounts bounds the lines, and so the memory.
const maxCounts = 200_000

func newCallCounts() *callCounts {
	return &callCounts{lines: map[callCount]uint64{}, verdicts: map[client.Verdict]uint64{}}
}

func (c *callCounts) add(day, scope string, key findingKey) error {
	line := callCount{day, scope, key}
	c.lines[line]++
	if len(c.lines) > maxCounts {
		return withHint(fmt.Errorf("more than %d different days, scopes and reasons to count", maxCounts), "look at the scopes: is --scope-column the right column?")
	}
	c.verdicts[key.verdict]++
	c.total++
	if key.reason == recordedLater {
		c.late++
	}
	return nil
}

// found reports whether a row was not permitted, or an opt-out came late.
func (c *callCounts) found() bool { return c.verdicts[client.Allow] != c.total || c.late > 0 }

func (c *callCounts) summary() string {
	var parts []string
	for _, verdict := range []client.Verdict{client.Allow, client.Block, client.NotNow, client.Unknown, notKnown, invalid} {
		if n := c.verdicts[verdict]; n > 0 {
			parts = append(parts, fmt.Sprintf("%s %d", verdict, n))
		}
	}
	text := count(c.total, "row")
	if len(parts) > 0 {
		text += ": " + strings.Join(parts, ", ")
	}
	if c.late > 0 {
		text += fmt.Sprintf("; for %s an opt-out had been received, and was recorded only later", count(c.late, "permitted call"))
	}
	return text
}

// countJSON is a line of the counts.
type countJSON struct {
	Day     *string `json:"day"`
	Scope   string  `json:"scope"`
	Verdict string  `json:"verdict"`
	Reason  *string `json:"reason"`
	After   *string `json:"after"`
	Calls   uint64  `json:"calls"`
}

func orNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// printCounts prints the counts, as a table or as an object a line.
func (a *app) printCounts(c *callCounts) error {
	lines := slices.SortedFunc(maps.Keys(c.lines), callCount.compare)
	if a.output == "json" {
		for _, l := range lines {
			if err := a.printTo(a.stdout, countJSON{orNull(l.day), l.scope, string(l.verdict), orNull(l.reason), orNull(l.after), c.lines[l]}); err != nil {
				return err
			}
		}
		return nil
	}
	t := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "DAY\tSCOPE\tVERDICT\tREASON\tKNOWN FOR\tCALLS")
	for _, l := range lines {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%d\n", orDash(l.day), orDash(oneLine(l.scope)), l.verdict, orDash(l.reason), orDash(l.after), c.lines[l])
	}
	return t.Flush()
}
