package main

import (
	"testing"

	"github.com/dncd/dncd/bench/internal/report"
)

func TestFollowed(t *testing.T) {
	t.Parallel()
	out, log, err := runBench(t, "followed", "--json", "--numbers", "20000", "--probes", "20000", "--subscribers", "3", "--checks", "200", "--opt-outs", "200",
		"--runs", "1", "--duration", "300ms", "--data", t.TempDir())
	if err != nil {
		t.Fatalf("%v\n%s", err, log)
	}
	rows := decodeRows[report.Latency](t, out)
	if len(rows) != 4 || rows[1].State != "alone" || rows[2].State != "followed" || rows[1].P99 <= 0 || rows[2].P99 <= 0 {
		t.Errorf("got rows\n%s\nwant a machine, two states and a ratio", out)
	}
}
