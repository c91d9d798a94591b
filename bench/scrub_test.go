package main

import (
	"slices"
	"testing"

	"github.com/dncd/dncd/bench/internal/report"
)

func TestScrub(t *testing.T) {
	args := slices.Concat([]string{"scrub", "--json", "--lines", "5000", "--listed", "0.2", "--runs", "2", "--data", t.TempDir()}, tiny)
	out, log, err := runBench(t, args...)
	if err != nil {
		t.Fatalf("%v\n%s", err, log)
	}
	rows := decodeRows[report.Scrub](t, out)[1:] // behind the machine
	if len(rows) != len(leadLayouts) {
		t.Fatalf("got %d rows, want one a layout:\n%s", len(rows), out)
	}
	for i, row := range rows {
		if row.Case != report.CaseScrub || row.Layout != leadLayouts[i].name || row.Lines != 5000 || row.Runs != 2 || row.Rate <= 0 {
			t.Errorf("got %+v", row)
		}
		if row.Listed < 800 || row.Listed > 1200 {
			t.Errorf("%d of 5000 leads are listed, want a fifth", row.Listed)
		}
	}
}
