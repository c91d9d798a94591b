package main

import (
	"slices"
	"testing"

	"github.com/dncd/dncd/bench/internal/report"
)

func TestOverload(t *testing.T) {
	args := slices.Concat([]string{"overload", "--capacity", "500", "--times", "1,4", "--duration", "400ms", "--runs", "1",
		"--callers", "400", "--connections", "2", "--data", t.TempDir()}, tiny)
	out, log, err := runBench(t, args...)
	if err != nil {
		t.Fatalf("%v\n%s", err, log)
	}
	rows := decodeRows[report.Overload](t, out)
	if len(rows) != 4 || rows[0].Case != report.CaseMachine || rows[3].Case != report.CaseRatio {
		t.Fatalf("got\n%s\nwant a machine, two rows and a ratio", out)
	}
	for i, offered := range []float64{500, 2000} {
		row := rows[1+i]
		if row.Case != report.CaseOverload || row.Offered != offered || row.Goodput <= 0 || row.P99 < row.P50 {
			t.Errorf("got %+v", row)
		}
		// The server's capacity is cut: it answers no more, whatever is offered.
		if row.Goodput > 750 {
			t.Errorf("%.0f answers a second of a server cut to 500", row.Goodput)
		}
	}
}
