package main

import (
	"bytes"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/dncd/dncd/bench/internal/daemon"
	"github.com/dncd/dncd/bench/internal/report"
	"github.com/dncd/dncd/client"
)

// A short form of the campaign; `go run . kill` is the long one.
func TestKill(t *testing.T) {
	const rounds = 2
	data := t.TempDir()
	out, log, err := runBench(t, "kill", "--json", "--rounds", "2", "--numbers", "200000", "--data", data)
	if err != nil {
		t.Fatalf("%v\n%s", err, log)
	}
	rows := decodeRows[report.Kill](t, out)
	if len(rows) != 3 || rows[1].Victim != victimServer || rows[2].Victim != victimClient {
		t.Fatalf("got rows\n%s\nwant a machine, the server and the client", out)
	}
	for _, k := range rows[1:] {
		hits := 0
		for _, n := range k.Phases {
			hits += n
		}
		if k.Rounds != rounds || hits != rounds || k.SameProcess+k.NewProcess != rounds {
			t.Errorf("got %+v, want %d rounds in each count", k, rounds)
		}
		if k.Checks == 0 || k.OptOuts == 0 || k.LoadSeconds <= 0 || k.Seconds <= k.LoadSeconds {
			t.Errorf("a figure is missing: %+v", k)
		}
	}
	if left, err := os.ReadDir(data); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestKillRefuses(t *testing.T) {
	for _, args := range [][]string{{"--rounds", "0"}, {"--numbers", "0"}} {
		if _, _, err := runBench(t, append([]string{"kill"}, args...)...); err == nil || !strings.Contains(err.Error(), args[0]) {
			t.Errorf("%v: got %v, want an error about it", args, err)
		}
	}
}

func TestWatchJudges(t *testing.T) {
	const blocked, free = client.Block, client.Allow
	of := func(verdicts ...client.Verdict) (v view) {
		for _, verdict := range verdicts {
			v.add(verdict)
		}
		return v
	}
	tests := []struct {
		name                             string
		optedOut, both, onlyOld, onlyNew view
		switched                         bool
		want                             string // the fault; empty: none
	}{
		{"old", of(blocked), of(blocked), of(blocked, blocked), of(free, free), false, ""},
		{"new", of(blocked), of(blocked), of(free), of(blocked), true, ""},
		{"a number of both", of(blocked), of(blocked, free), of(blocked), of(free), false, "before and after"},
		{"not loaded", of(blocked), of(client.Unknown), of(client.Unknown), of(client.Unknown), false, "before and after"},
		{"an opt-out", of(blocked, free), of(blocked), of(blocked), of(free), false, "opted out"},
		{"half", of(blocked), of(blocked), of(blocked, free), of(free, blocked), false, "neither"},
		{"neither", of(blocked), of(blocked), of(free), of(free), false, "neither"},
		{"back", of(blocked), of(blocked), of(blocked), of(free), true, "is back"},
	}
	for _, tt := range tests {
		w := &watch{switched: tt.switched}
		w.judge(tt.optedOut, tt.both, tt.onlyOld, tt.onlyNew)
		if tt.want == "" && w.fault != nil || tt.want != "" && (w.fault == nil || !strings.Contains(w.fault.Error(), tt.want)) {
			t.Errorf("%s: got %v, want %q", tt.name, w.fault, tt.want)
		}
	}
	w := new(watch)
	if w.back(7); w.fault != nil {
		t.Error(w.fault)
	}
	if w.back(6); w.fault == nil {
		t.Error("an older revision is taken")
	}
}

func TestComparison(t *testing.T) {
	c, err := newContent(800_000, 3) // of two area codes
	if err != nil {
		t.Fatal(err)
	}
	var all bytes.Buffer
	for _, s := range c.shares {
		all.Write(newDrawer(exported()).file(s, c.seed))
	}
	text := all.Bytes()
	if lines := bytes.Count(text, []byte("\n")); lines != 800_000 {
		t.Fatalf("the content has %d numbers", lines)
	}
	changed := bytes.Clone(text)
	changed[len(changed)-2] ^= 1
	tests := map[string]struct {
		exported []byte
		want     string
	}{
		"same":    {text, ""},
		"changed": {changed, "differs"},
		"short":   {text[:len(text)-13], "goes on"},
		"empty":   {nil, "goes on"},
		"long":    {append(bytes.Clone(text), text[:13]...), "more than"},
	}
	for name, tt := range tests {
		with := compareWith(c)
		var err error
		for rest := tt.exported; len(rest) > 0 && err == nil; rest = rest[min(len(rest), 4096):] {
			_, err = with.Write(rest[:min(len(rest), 4096)])
		}
		if err == nil {
			err = with.end()
		}
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: got %v, want %q", name, err, tt.want)
		}
	}
}

func TestCompareContents(t *testing.T) {
	const numbers = 300_000
	before, err1 := newContent(numbers, 1)
	after, err2 := newContent(numbers, 2)
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	holds := func(c content) map[string]bool {
		set := map[string]bool{}
		for _, s := range c.shares {
			for line := range strings.Lines(string(newDrawer(exported()).file(s, c.seed))) {
				set[strings.TrimSpace(line)] = true
			}
		}
		return set
	}
	older, newer := holds(before), holds(after)
	s := compareContents(before, after, rand.New(rand.NewPCG(1, 1)))
	for _, tt := range []struct {
		name             string
		pool             pool
		inOlder, inNewer bool
	}{{"both", s.both, true, true}, {"only old", s.onlyOld, true, false}, {"only new", s.onlyNew, false, true}} {
		if len(tt.pool.numbers) != tt.pool.size {
			t.Errorf("%s: %d numbers, want %d", tt.name, len(tt.pool.numbers), tt.pool.size)
		}
		for _, n := range tt.pool.numbers {
			if older[n] != tt.inOlder || newer[n] != tt.inNewer {
				t.Fatalf("%s: a number that is in the old %t, in the new %t", tt.name, older[n], newer[n])
			}
		}
	}
}

func TestAccount(t *testing.T) {
	s := &site{bench: &killBench{numbers: 10}, loads: 2}
	whole := daemon.Record{State: "SWITCHED", Read: 10, Accepted: 10, Numbers: 10}
	given := daemon.Record{State: "ABANDONED", Read: 10, Accepted: 10, Numbers: 10}
	lost := daemon.Record{State: "SWITCHED", Read: 10, Accepted: 9, Numbers: 9}
	short := daemon.Record{State: "SWITCHED", Read: 9, Accepted: 9, Numbers: 9}
	for name, tt := range map[string]struct {
		records []daemon.Record
		ok      bool
	}{
		"all":     {[]daemon.Record{whole, given, whole}, true},
		"twice":   {[]daemon.Record{whole, whole, whole}, false},
		"missing": {[]daemon.Record{whole}, false},
		"lost":    {[]daemon.Record{whole, lost}, false},
		"short":   {[]daemon.Record{short, whole}, false},
	} {
		if err := s.account(tt.records); (err == nil) != tt.ok {
			t.Errorf("%s: got %v", name, err)
		}
	}
}
