package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/dncd/dncd/bench/internal/daemon"
	"github.com/dncd/dncd/bench/internal/peer"
	"github.com/dncd/dncd/bench/internal/report"
)

// The test's program stands in for bench where it is started again: by a peer, and as the server of checks.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && (os.Args[1] == peer.BadgerCommand || os.Args[1] == daemon.ServeCommand || os.Args[1] == readersName) {
		if err := run(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(2)
		}
		return
	}
	os.Exit(m.Run())
}

// runBench runs a command and returns what it printed.
func runBench(t *testing.T, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	var out, log bytes.Buffer
	cmd := command()
	cmd.SetOut(&out)
	cmd.SetErr(&log)
	cmd.SetArgs(args)
	err = cmd.ExecuteContext(t.Context())
	return out.String(), log.String(), err
}

func TestLoad(t *testing.T) {
	data := t.TempDir()
	out, log, err := runBench(t, "load", "--json", "--numbers", "30000", "--order", shuffled,
		"--peers", "badger", "--peer-numbers", "5000", "--data", data, "--settle", "0")
	if err != nil {
		t.Fatalf("%v\n%s", err, log)
	}
	rows := decodeRows[report.Load](t, out)
	if len(rows) != 4 || rows[0].Case != report.CaseMachine || rows[1].Case != report.CaseDncd {
		t.Fatalf("got rows\n%s\nwant a machine, dncd, badger and a ratio", out)
	}
	l := rows[1]
	if l.Numbers != 30_000 || l.Order != shuffled || l.Runs != 1 {
		t.Errorf("got %+v, want 1 run of 30000 numbers %s", l, shuffled)
	}
	if l.Seconds <= 0 || l.Rate <= 0 || l.BytesOnDisk <= 0 || l.ReopenSeconds <= 0 || l.PrepareSeconds <= 0 || l.WriteSeconds <= 0 {
		t.Errorf("a figure is missing: %+v", l)
	}
	if p := rows[2]; p.Case != "badger-writebatch" || p.Numbers != 5_000 || p.Seconds <= 0 || p.BytesOnDisk <= 0 {
		t.Errorf("got %+v of badger", p)
	}
	if left, err := os.ReadDir(data); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func decodeRows[R any](t *testing.T, out string) []R {
	t.Helper()
	var rows []R
	for line := range strings.Lines(out) {
		var row R
		if err := json.Unmarshal([]byte(line), &row); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		rows = append(rows, row)
	}
	return rows
}

func TestLoadRefuses(t *testing.T) {
	tests := []struct {
		name string
		args []string
		want string
	}{
		{"runs", []string{"--runs", "0"}, "--runs"},
		{"peer", []string{"--peers", "oracle"}, "oracle"},
		{"directory", []string{"--data", filepath.Join(t.TempDir(), "none")}, "--data"},
	}
	for _, tt := range tests {
		if _, _, err := runBench(t, append([]string{"load"}, tt.args...)...); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want an error about %q", tt.name, err, tt.want)
		}
	}
}

func TestSample(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "out")
	if _, err := runGen(t, "--numbers", "800000", "--out", dir); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(files) != 2 {
		t.Fatal(files, err)
	}
	got, err := sample(files, 800_000, 1000)
	if err != nil || len(got) != 1000 || !slices.IsSorted(got) || len(slices.Compact(got)) != 1000 {
		t.Fatalf("got %d numbers, %v; want 1000 that rise", len(got), err)
	}
	if last := uint64(got[999]) / 1e7 % 1000; last != 202 {
		t.Errorf("the last is of area code %d, want one of the last file's", last)
	}
	if got, err := sample(files[1:], 10, 1000); err != nil || len(got) != 10 {
		t.Errorf("of 10 numbers: got %d, %v", len(got), err)
	}
}
