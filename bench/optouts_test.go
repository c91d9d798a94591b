package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dncd/dncd/bench/internal/report"
)

func TestOptOuts(t *testing.T) {
	out, log, err := runBench(t, "optouts", "--json", "--rows", "3000", "--rate", "50", "--idle", "200ms", "--data", t.TempDir())
	if err != nil {
		t.Fatalf("%v\n%s", err, log)
	}
	rows := decodeRows[report.OptOuts](t, out)
	const machine, passes, latencies, ratios = 1, 2, 4, 2
	if len(rows) != machine+passes+latencies+ratios {
		t.Fatalf("got %d rows\n%s", len(rows), out)
	}
	first, again := rows[1], rows[2]
	if first.Pass != report.PassNew || first.Read != 3000 || first.Accepted != 3000 || first.Duplicates+first.Rejected != 0 {
		t.Errorf("the first pass: %+v, want 3000 accepted", first)
	}
	if again.Pass != report.PassAgain || again.Read != 3000 || again.Duplicates != 3000 || again.Accepted+again.Rejected != 0 {
		t.Errorf("the second pass: %+v, want 3000 duplicates", again)
	}
	if first.ServerRSSPeak <= 0 || first.ServerAnon <= 0 || again.BytesOnDisk <= 0 || again.BytesPerRow <= 0 {
		t.Errorf("memory or disk is missing: %+v, %+v", first, again)
	}
	if first.Seconds <= 0 || first.Rate <= 0 || first.ServerCPUSeconds <= 0 || first.ClientCPUSeconds <= 0 {
		t.Errorf("a figure is missing: %+v", first)
	}
}

func TestOptOutsFileIsMadeFromItsSeed(t *testing.T) {
	file := func(seed uint64) []byte {
		b := optOutsBench{rows: 50, seed: seed, space: &workspace{dir: t.TempDir()}, codes: areaCodes()}
		if err := b.write(); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(filepath.Join(b.space.dir, "opt-outs.csv"))
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	one := file(1)
	if !bytes.Equal(one, file(1)) || bytes.Equal(one, file(2)) {
		t.Error("want the same file of the same seed, and another of another")
	}
	if n := bytes.Count(one, []byte("\n")); n != 51 {
		t.Errorf("%d lines, want a header and 50 rows", n)
	}
}

func TestOptOutsRefuses(t *testing.T) {
	for _, args := range [][]string{{"--rows", "0"}, {"--runs", "0"}, {"--rate", "-1"}} {
		if _, _, err := runBench(t, append([]string{"optouts"}, args...)...); err == nil || !strings.Contains(err.Error(), "at least") {
			t.Errorf("%v: got %v, want it refused", args, err)
		}
	}
}
