package main

import (
	"strings"
	"testing"
	"time"

	"github.com/dncd/dncd/client"
	"github.com/dncd/dncd/internal/registry"
)

func TestDescribeProgress(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		state progressState
		did   int64
		took  time.Duration
		want  string
	}{
		{"bytes of a file", progressState{what: "reading", done: 1_000_000_000, total: 3_100_000_000, isBytes: true, counts: true, accepted: 83_000_000, rejected: 2},
			1_000_000_000, 10 * time.Second, "reading 32 % of 3.1 GB, 100.0 MB/s, 21s left, 83000000 accepted, 2 rejected"},
		{"bytes of a pipe", progressState{what: "reading", done: 50_000_000, isBytes: true, counts: true, accepted: 4},
			20_000_000, 5 * time.Second, "reading 50.0 MB, 4.0 MB/s, 4 accepted, 0 rejected"},
		{"numbers", progressState{what: "writing", done: 300, total: 1000}, 200, 2 * time.Second, "writing 30 % of 1000, 100/s, 7s left"},
		{"at its end", progressState{what: "writing", done: 1000, total: 1000}, 1000, 2 * time.Second, "writing 100 % of 1000, 500/s"},
		{"hardly goes on", progressState{what: "writing", done: 3, total: 10_000}, 3, time.Minute, "writing 0 % of 10000"},
		{"just begun", progressState{what: "checking", done: 5_000, total: 10_000, isBytes: true}, 5_000, time.Millisecond, "checking 50 % of 10 kB"},
		{"stands still", progressState{what: "checking", done: 5_000, total: 10_000, isBytes: true}, 0, time.Minute, "checking 50 % of 10 kB"},
		{"waits", progressState{what: "waiting for the server", counts: true, accepted: 7, rejected: 1}, 0, time.Minute, "waiting for the server, 7 accepted, 1 rejected"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := describeProgress(tt.state, tt.did, tt.took, plain); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestShort(t *testing.T) {
	t.Parallel()
	for n, want := range map[uint64]string{0: "0", 99_999: "99999", 100_000: "100k", 198_220: "198k", 999_999: "999k", 1_999_999: "1.9M", 258_499_999: "258M"} {
		if got := short(n); got != want {
			t.Errorf("%d: got %s, want %s", n, got, want)
		}
	}
}

// The bar on a terminal shows what became of the entries, and stays on its line whatever the phase and the width.
func TestBarStaysOnItsLine(t *testing.T) {
	t.Parallel()
	states := []progressState{
		{what: "reading", done: 400_000, total: 1_000_000, isBytes: true, counts: true, accepted: 12, rejected: 3},
		{what: "reading", done: 2_999_000_000, total: 3_100_000_000, isBytes: true, counts: true, accepted: 258_499_999, rejected: 12_345_678},
		{what: "waiting for the server", counts: true, accepted: 258_499_999, rejected: 12_345_678},
		{what: "comparing", done: 198_220_000, total: 258_499_999, counts: true, accepted: 258_499_999, rejected: 12_345_678},
		{what: "recording", done: 1, total: 4},
	}
	for _, width := range []int{20, 40, 80, 200} {
		for _, s := range states {
			var out strings.Builder
			p := &progress{state: func() progressState { return s }, out: &out, width: func() int { return width }}
			p.draw()
			p.since, p.from = time.Now().Add(-time.Hour), 0
			p.draw()
			for _, line := range strings.Split(out.String(), clearLine) {
				if len(line) >= width || strings.Contains(line, "\n") {
					t.Errorf("%d columns: %q has %d", width, line, len(line))
				}
			}
		}
	}
	var out strings.Builder
	p := &progress{state: func() progressState { return states[0] }, out: &out, width: func() int { return 80 }}
	p.draw()
	if got, want := out.String(), clearLine+"[###########------------------] reading 40 % of 1.0 MB, 12 accepted, 3 rejected"; got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

type fakeFiles struct{ read, total int64 }

func (f fakeFiles) BytesRead() int64  { return f.read }
func (f fakeFiles) TotalBytes() int64 { return f.total }

// What the server rejects was sent, and is not accepted.
func TestImportMeterAddsUp(t *testing.T) {
	t.Parallel()
	rejects := newRejectLog()
	m := &importMeter{files: fakeFiles{10, 20}, rejects: rejects}
	rejects.fromFile(registry.Reject{Reason: registry.ReasonSyntax})
	rejects.fromServer(client.ImportReject{Message: "no"})
	m.take(client.Progress{Phase: client.PhaseSending, Done: 5})
	want := progressState{what: "reading", done: 10, total: 20, isBytes: true, counts: true, accepted: 4, rejected: 2}
	if got := m.state(); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	m.files = fakeFiles{20, 20}
	want = progressState{what: "waiting for the server", counts: true, accepted: 4, rejected: 2}
	if got := m.state(); got != want {
		t.Errorf("all read: got %+v, want %+v", got, want)
	}
	m.take(client.Progress{Phase: client.PhaseComparing, Done: 2, Total: 9})
	want = progressState{what: "comparing", done: 2, total: 9, counts: true, accepted: 4, rejected: 2}
	if got := m.state(); got != want {
		t.Errorf("comparing: got %+v, want %+v", got, want)
	}
}
