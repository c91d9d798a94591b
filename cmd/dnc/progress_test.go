package main

import (
	"strings"
	"testing"
	"time"

	"github.com/dncd/dncd/client"
	"github.com/dncd/dncd/internal/registry"
)

func TestDescribeProgress(t *testing.T) {
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
		{"just begun", progressState{what: "checking", done: 5_000, total: 10_000, isBytes: true}, 5_000, time.Millisecond, "checking 50 % of 10 kB"},
		{"stands still", progressState{what: "checking", done: 5_000, total: 10_000, isBytes: true}, 0, time.Minute, "checking 50 % of 10 kB"},
		{"waits", progressState{what: "waiting for the server", counts: true, accepted: 7, rejected: 1}, 0, time.Minute, "waiting for the server, 7 accepted, 1 rejected"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := describeProgress(tt.state, tt.did, tt.took); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestShort(t *testing.T) {
	for n, want := range map[uint64]string{0: "0", 99_999: "99999", 100_000: "0.1M", 1_999_999: "1.9M", 258_499_999: "258M"} {
		if got := short(n); got != want {
			t.Errorf("%d: got %s, want %s", n, got, want)
		}
	}
}

// The bar on a terminal shows what became of the entries, and a new one begins with each phase.
func TestBarShowsCounts(t *testing.T) {
	var out strings.Builder
	s := progressState{what: "reading", done: 400_000, total: 1_000_000, isBytes: true, counts: true, accepted: 12, rejected: 3}
	p := &progress{state: func() progressState { return s }, out: &out}
	p.draw()
	for _, want := range []string{"reading 12 accepted, 3 rejected", "40%", "(400 kB/1.0 MB, ", "B/s) ["} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in %q", want, out.String())
		}
	}
	out.Reset()
	s = progressState{what: "writing", done: 1, total: 4}
	p.draw()
	if got := out.String(); !strings.Contains(got, "writing  25%") || strings.Contains(got[strings.LastIndexByte(got, '\r'):], "accepted") {
		t.Errorf("second phase: %q", got)
	}
}

type fakeFiles struct{ read, total int64 }

func (f fakeFiles) BytesRead() int64  { return f.read }
func (f fakeFiles) TotalBytes() int64 { return f.total }

// What the server rejects was sent, and is not accepted.
func TestImportMeterAddsUp(t *testing.T) {
	rejects := newRejectLog()
	m := &importMeter{files: fakeFiles{10, 20}, rejects: rejects}
	rejects.fromFile(registry.Reject{Reason: registry.ReasonSyntax})
	rejects.fromServer(client.ImportReject{Message: "no"})
	m.take(client.Progress{Phase: "SENDING", Done: 5})
	want := progressState{what: "reading", done: 10, total: 20, isBytes: true, counts: true, accepted: 4, rejected: 2}
	if got := m.state(); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	m.files = fakeFiles{20, 20}
	want = progressState{what: "waiting for the server", counts: true, accepted: 4, rejected: 2}
	if got := m.state(); got != want {
		t.Errorf("all read: got %+v, want %+v", got, want)
	}
	m.take(client.Progress{Phase: "COMPARING", Done: 2, Total: 9})
	want = progressState{what: "comparing", done: 2, total: 9, counts: true, accepted: 4, rejected: 2}
	if got := m.state(); got != want {
		t.Errorf("comparing: got %+v, want %+v", got, want)
	}
}
