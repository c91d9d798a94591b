package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dncd/dncd/bench/internal/report"
)

func TestReport(t *testing.T) {
	dir := t.TempDir()
	machine := report.Machine{Case: report.CaseMachine, Cores: 2, Command: "go run . check --json"}
	var checks []report.Check
	for _, stored := range []int{1e6, 258e6} {
		for _, name := range []string{report.CaseUnary, report.CaseEmpty, report.CaseClient, report.CaseRueidis} {
			for _, callers := range []int{1, 64} {
				checks = append(checks, report.Check{
					Case: name, Loop: report.LoopClosed, Callers: callers, Size: 1, Numbers: stored, Listed: 0.01, Rate: 51234, P50: 20, P99: 1500, ServerCPU: 9,
				})
			}
		}
		checks = append(checks, report.Check{
			Case: report.CaseBatch, Loop: report.LoopClosed, Callers: 4, Size: 1000, Numbers: stored, Listed: 0.01, Rate: 5e6, P99: 900, ServerCPU: 0.1,
		})
	}
	for _, rate := range []float64{1e4, 5e4} {
		checks = append(checks, report.Check{Case: report.CaseUnary, Loop: report.LoopOpen, Callers: 1024, Size: 1, Offered: rate, Rate: rate, P50: 90, P99: 400})
	}
	later := checks[0]
	later.Rate = 61111
	writeRows(t, filepath.Join(dir, "a.jsonl"), []report.Machine{machine})
	writeRows(t, filepath.Join(dir, "a.jsonl"), checks)
	writeRows(t, filepath.Join(dir, "b.jsonl"), []report.Check{later})
	writeRows(t, filepath.Join(dir, "c.jsonl"), []report.Overload{
		{Case: report.CaseOverload, Times: 1, Offered: 5000, Goodput: 4900, P99: 30_000},
		{Case: report.CaseOverload, Times: 5, Offered: 25000, Goodput: 4500, Refused: 20_000, P99: 90_000},
	})
	writeRows(t, filepath.Join(dir, "d.jsonl"), []report.Soak{
		{Case: report.CaseSoak, At: 5, Rate: 100, P99: 10, ServerRSS: 1e8, ServerAnon: 5e7},
		{Case: report.CaseSoak, At: 10, Rate: 100, P99: 20, ServerRSS: 1e8, ServerAnon: 5e7},
		{Case: report.CaseSoakTotal, At: 10, Rate: 100, P99: 15, P99Max: 20, Errors: 0},
	})
	writeRows(t, filepath.Join(dir, "e.jsonl"), []report.Load{
		{Case: report.CaseDncd, Order: sorted, Numbers: 1e6, Seconds: 1, Rate: 1e6, BytesPerNumber: 4},
		{Case: report.CaseDncd, Order: shuffled, Numbers: 258e6, Seconds: 1, Rate: 1e6, BytesPerNumber: 4},
	})
	page := filepath.Join(dir, "page.md")
	if err := os.WriteFile(page, []byte("# Performance\n\nby hand\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	first := reported(t, dir, page)
	for _, want := range []string{
		"# Performance\n\nby hand\n", "go run . check --json", "| unary | 61,111 (20 µs / 1.5 ms) | 51,234", "| ratio of | to | times |",
		"| 258 M | 1 % | batch | 1000 | 4 | 5.00 |", "## Latency by load", "The least goodput is 0.92 of the most.",
		"## Soak", "## Loads by size", "![Overload](plots/overload.svg)",
	} {
		if !strings.Contains(first, want) {
			t.Errorf("the page has no %q:\n%s", want, first)
		}
	}
	for _, plot := range []string{"checks-1000000-0.01.svg", "sizes.svg", "latency.svg", "overload.svg", "soak.svg", "loads.svg"} {
		drawn, err := os.ReadFile(filepath.Join(dir, "plots", plot))
		if err != nil || !strings.Contains(string(drawn), "</svg>") || !strings.Contains(first, "plots/"+plot) {
			t.Errorf("%s: %v", plot, err)
		}
	}
	if err := os.WriteFile(page, []byte(first+"\nafter\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if again := reported(t, dir, page); again != first+"\nafter\n" {
		t.Errorf("written again it is\n%s\nwant what it was", again)
	}
}

func TestReportWithoutResults(t *testing.T) {
	dir := t.TempDir()
	page := filepath.Join(dir, "page.md")
	if _, _, err := runBench(t, "report", "--results", dir, "--page", page); err == nil {
		t.Error("no results make a page")
	}
	writeRows(t, filepath.Join(dir, "a.jsonl"), []report.Machine{{Case: report.CaseMachine}})
	if _, _, err := runBench(t, "report", "--results", dir, "--page", page); err == nil {
		t.Error("results without a row make a page")
	}
}

// reported runs report and returns the page.
func reported(t *testing.T, results, page string) string {
	t.Helper()
	if _, _, err := runBench(t, "report", "--results", results, "--page", page); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// writeRows appends rows to a file.
func writeRows[R any](t *testing.T, path string, rows []R) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := report.JSON(f, rows...); err != nil {
		t.Fatal(err)
	}
}
