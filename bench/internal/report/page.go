package report

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/dustin/go-humanize"
)

// The marks between which a page is written by WritePage.
const (
	pageBegin = "<!-- begin: written by `go run . report` in bench/, not by hand -->"
	pageEnd   = "<!-- end -->"
)

// WritePage puts tables of the results between the marks in a page of markdown, at its end when it has none, and the
// plots into the directory plots beside it.
func (r *Results) WritePage(path string) error {
	sections := r.sections()
	if len(sections) == 0 {
		return errors.New("the results hold no row that the page shows")
	}
	page, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var text bytes.Buffer
	for _, s := range sections {
		if err := s.write(&text, path); err != nil {
			return err
		}
	}
	before, rest, found := strings.Cut(string(page), pageBegin)
	_, after, closed := strings.Cut(rest, pageEnd)
	if found && !closed {
		return fmt.Errorf("%s: %q is missing: put it where the written part ends", path, pageEnd)
	}
	if !found {
		before, after = strings.TrimRight(before, "\n")+"\n\n", "\n"
	}
	return os.WriteFile(path, []byte(before+pageBegin+"\n"+text.String()+pageEnd+after), 0o644)
}

// section is a part of the page.
type section struct {
	title  string
	from   []Machine // the commands
	text   string
	charts []chart
	plot   string // file
}

func (s section) write(text *bytes.Buffer, page string) error {
	fmt.Fprintf(text, "\n## %s\n\n", s.title)
	for _, m := range s.from {
		fmt.Fprintf(text, "`cd bench && %s` on %s\n\n", m.Command, m)
	}
	text.WriteString(s.text)
	if len(s.charts) == 0 {
		return nil
	}
	dir := filepath.Join(filepath.Dir(page), "plots")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	var svg bytes.Buffer
	if err := drawCharts(&svg, s.charts); err != nil {
		return err
	}
	fmt.Fprintf(text, "\n![%s](plots/%s)\n", s.title, s.plot)
	return os.WriteFile(filepath.Join(dir, s.plot), svg.Bytes(), 0o644)
}

// String tells a machine in a line.
func (m Machine) String() string {
	return fmt.Sprintf("%d cores of %s, %s, %s, %s", m.Cores, m.CPU, m.System, m.Go, m.Date)
}

func (r *Results) sections() []section {
	var list []section
	checks := r.from[kindCheck]
	closed := r.checks(func(c Check) bool { return c.Loop == LoopClosed })
	for _, at := range loadsOf(closed, func(c Check) bool { return c.Size == 1 && c.Case != CaseStream }) {
		rows := slices.DeleteFunc(slices.Clone(closed), func(c Check) bool {
			return c.Size != 1 || c.Numbers != at.Numbers || c.Listed != at.Listed
		})
		if len(callersOf(rows)) < 2 {
			continue
		}
		list = append(list, section{
			title:  fmt.Sprintf("Checks by callers, %s stored, %g %% listed", sizeName(at.Numbers), 100*at.Listed),
			from:   checks,
			text:   "Numbers a second, and p50 / p99 of a call; the median of runs that took turns.\n\n" + callersTable(rows) + "\n" + askedTable(rows),
			charts: callerCharts(rows), plot: fmt.Sprintf("checks-%d-%g.svg", at.Numbers, at.Listed),
		})
		checks = nil // told once
	}
	if many := r.checks(func(c Check) bool { return c.Loop == LoopClosed && c.Size > 1 }); len(many) > 0 {
		list = append(list, section{title: "Many numbers a call", from: checks, text: manyTable(many)})
		checks = nil
	}
	if sizes := r.bySize(closed); len(sizes) > 0 {
		list = append(list, section{
			title: "Checks by how many numbers are stored", from: checks, text: sizeTable(sizes), charts: sizeCharts(sizes), plot: "sizes.svg",
		})
		checks = nil
	}
	if open := r.checks(func(c Check) bool { return c.Loop == LoopOpen }); len(open) > 0 {
		list = append(list, section{
			title: "Latency by load", from: checks, text: rateTable(open), charts: rateCharts(open), plot: "latency.svg",
		})
	}
	if len(r.Overloads) > 0 {
		list = append(list, section{
			title: "Overload", from: r.from[kindOverload], text: overloadTable(r.Overloads), charts: overloadCharts(r.Overloads), plot: "overload.svg",
		})
	}
	if len(r.Soaks) > 0 {
		list = append(list, section{
			title: "Soak", from: r.from[kindSoak], text: soakTable(r.Soaks), charts: soakCharts(stretches(r.Soaks)), plot: "soak.svg",
		})
	}
	if len(r.Loads) > 0 {
		list = append(list, section{
			title: "Loads by size", from: r.from[kindLoad], text: loadTable(r.Loads), charts: loadCharts(r.Loads), plot: "loads.svg",
		})
	}
	return list
}

func (r *Results) checks(keep func(Check) bool) []Check {
	return slices.DeleteFunc(slices.Clone(r.Checks), func(c Check) bool { return !keep(c) })
}

// loadsOf returns what was stored and listed in rows, each once.
func loadsOf(rows []Check, keep func(Check) bool) []Check {
	var list []Check
	for _, c := range rows {
		at := Check{Numbers: c.Numbers, Listed: c.Listed}
		if keep(c) && !slices.Contains(list, at) {
			list = append(list, at)
		}
	}
	return list
}

func callersOf(rows []Check) []int {
	var list []int
	for _, c := range rows {
		if !slices.Contains(list, c.Callers) {
			list = append(list, c.Callers)
		}
	}
	slices.Sort(list)
	return list
}

func casesOf(rows []Check) []string {
	var list []string
	for _, c := range rows {
		if !slices.Contains(list, c.Case) {
			list = append(list, c.Case)
		}
	}
	return list
}

// sizeCallers is how many callers compare what is stored, of a number a call.
const sizeCallers = 64

// bySize returns batches and unary checks at 1 % listed when there are several sizes.
func (r *Results) bySize(closed []Check) []Check {
	const listed = 0.01
	rows := slices.DeleteFunc(slices.Clone(closed), func(c Check) bool {
		return c.Listed != listed || c.Case != CaseBatch && (c.Case != CaseUnary || c.Callers != sizeCallers)
	})
	if len(loadsOf(rows, func(Check) bool { return true })) < 2 {
		return nil
	}
	slices.SortStableFunc(rows, func(a, b Check) int { return a.Numbers - b.Numbers })
	return rows
}

// markdown makes a table.
func markdown(header string, rows [][]string) string {
	columns := strings.Count(header, "|") + 1
	var b strings.Builder
	fmt.Fprintf(&b, "| %s |\n|%s\n", header, strings.Repeat("---|", columns))
	for _, row := range rows {
		fmt.Fprintf(&b, "| %s |\n", strings.Join(row, " | "))
	}
	return b.String()
}

func comma(v float64) string { return humanize.Comma(int64(v)) }

// micros is a time in microseconds.
func micros(us float64) string {
	switch {
	case us >= 1e6:
		return fmt.Sprintf("%.3g s", us/1e6)
	case us >= 1e3:
		return fmt.Sprintf("%.3g ms", us/1e3)
	}
	return fmt.Sprintf("%.0f µs", us)
}

func percent(share float64) string { return fmt.Sprintf("%g %%", 100*share) }

func callersTable(rows []Check) string {
	counts := callersOf(rows)
	header := "case"
	for _, n := range counts {
		header += fmt.Sprintf(" | %d", n)
	}
	var lines [][]string
	for _, name := range casesOf(rows) {
		cells := []string{name}
		for _, n := range counts {
			cell := ""
			for _, c := range rows {
				if c.Case == name && c.Callers == n {
					cell = fmt.Sprintf("%s (%s / %s)", comma(c.Rate), micros(c.P50), micros(c.P99))
				}
			}
			cells = append(cells, cell)
		}
		lines = append(lines, cells)
	}
	return markdown(header, lines)
}

func askedTable(rows []Check) string {
	var lines [][]string
	for _, r := range CheckRatios(rows) {
		lines = append(lines, []string{r.Of, r.Against, fmt.Sprintf("%.2f", r.Value)})
	}
	if len(lines) == 0 {
		return ""
	}
	return markdown("ratio of | to | times", lines)
}

func manyTable(rows []Check) string {
	var lines [][]string
	for _, c := range rows {
		lines = append(lines, []string{
			sizeName(c.Numbers), percent(c.Listed), c.Case, fmt.Sprint(c.Size), fmt.Sprint(c.Callers), fmt.Sprintf("%.2f", c.Rate/1e6),
			micros(c.P50), micros(c.P99), fmt.Sprintf("%.0f ns", 1000*c.ServerCPU), fmt.Sprintf("%.0f ns", 1000*c.ClientCPU), mega(c.ServerRSS),
		})
	}
	return markdown("stored | listed | case | numbers a call | callers | million numbers a second | p50 of a call | p99 | server's processor time a number | caller's | server's memory", lines)
}

func sizeTable(rows []Check) string {
	var lines [][]string
	for _, c := range rows {
		lines = append(lines, []string{
			sizeName(c.Numbers), c.Case, fmt.Sprint(c.Callers), comma(c.Rate), fmt.Sprintf("%.3g µs", c.ServerCPU), micros(c.P99), mega(c.ServerRSS),
		})
	}
	return markdown("stored | case | callers | numbers a second | server's processor time a number | p99 | server's memory", lines)
}

func rateTable(rows []Check) string {
	var lines [][]string
	for _, c := range rows {
		lines = append(lines, []string{
			c.Case, comma(c.Offered), comma(c.Rate), micros(c.P50), micros(c.P99), micros(c.P999),
		})
	}
	return markdown("case | offered a second | answered | p50 | p99 | p99.9", lines)
}

func overloadTable(rows []Overload) string {
	var lines [][]string
	for _, o := range rows {
		lines = append(lines, []string{
			fmt.Sprintf("%g", o.Times), comma(o.Offered), comma(o.Goodput), comma(o.Refused), comma(o.Expired), micros(o.P50), micros(o.P99), micros(o.P999),
		})
	}
	text := markdown("times | offered a second | answered | refused | expired | p50 of what is answered | p99 | p99.9", lines)
	for _, r := range OverloadRatios(rows) {
		text += fmt.Sprintf("\nThe least goodput is %.2f of the most.\n", r.Value)
	}
	return text
}

func soakTable(rows []Soak) string {
	var lines [][]string
	for _, s := range rows {
		if s.Case == CaseSoakTotal {
			lines = append(lines, []string{
				fmt.Sprintf("%.0f s", s.At), comma(s.Capacity), comma(s.Offered), comma(s.Rate), fmt.Sprint(s.Errors), fmt.Sprint(s.OptOuts), fmt.Sprint(s.Loads),
				micros(s.P50), micros(s.P99), micros(s.P99Max), mega(s.ServerAnon), fmt.Sprintf("%.1f MB", s.Growth/1e6),
			})
		}
	}
	return markdown("length | capacity | offered a second | answered | errors | opt-outs | loads | p50 | p99, median of stretches | p99, longest | anonymous memory | growth", lines)
}

func loadTable(rows []Load) string {
	var lines [][]string
	for _, l := range rows {
		lines = append(lines, []string{
			sizeName(l.Numbers), l.Order, fmt.Sprintf("%.2f", l.Seconds), fmt.Sprintf("%.2f", l.Rate/1e6), fmt.Sprintf("%.2f", l.BytesPerNumber),
			mega(l.ServerRSSPeak), mega(l.ServerRSS), fmt.Sprintf("%.2f s", l.ReopenSeconds),
		})
	}
	return markdown("numbers | order | seconds | million a second | bytes a number on disk | server at its peak | after | reopen", lines)
}
