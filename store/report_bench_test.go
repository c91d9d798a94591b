package store

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/dncd/dncd/internal/feed"
	"github.com/dncd/dncd/internal/phone"
	"github.com/dncd/dncd/internal/policy"
)

// BenchmarkReport reports on a year of objections, each a revision of its own, with a desk, and three subscribers that acknowledge
// every hour: -store.revisions 1000000, best with TMPDIR on a disk in memory, since each revision is synced.
func BenchmarkReport(b *testing.B) {
	const year = 365 * 24 * time.Hour
	clock := clockAt(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	s := openAt(b, b.TempDir(), clock)
	if _, err := s.PutDesk(b.Context(), "after-sales", func(*Desk, *DeskSettings) error { return nil }, Request{}); err != nil {
		b.Fatal(err)
	}
	names := []string{"north", "south", "west"}
	for _, name := range names {
		putSubscriber(b, s, name)
	}
	each, hour := year/time.Duration(*benchRevisions), clock.now()
	for i := range *benchRevisions {
		clock.advance(each)
		recordFor(b, s, i, clock.now())
		if clock.now().Sub(hour) < time.Hour {
			continue
		}
		hour = clock.now()
		for _, name := range names {
			if _, err := claim(s, name, feed.Applied, s.View().Revision()); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.Logf("%d revisions", s.View().Revision())
	runtime.GC()
	resetPeak(b)
	before := memoryOf(b, "RssAnon")
	for b.Loop() {
		r, err := s.View().Propagation(b.Context(), ReportQuery{}, func(uint64, uint64) {})
		if err != nil || r.OptOuts != uint64(*benchRevisions) {
			b.Fatal(r, err)
		}
	}
	b.ReportMetric(float64(memoryOf(b, "VmHWM"))/1e6, "MB-peak")
	b.ReportMetric(float64(before)/1e6, "MB-anon-before")
	b.ReportMetric(float64(memoryOf(b, "RssAnon"))/1e6, "MB-anon-after")
}

func putSubscriber(b *testing.B, s *Store, name string) {
	b.Helper()
	_, err := s.PutSubscriber(b.Context(), name, func(_ *View, _ *Subscriber, set *SubscriberSettings) error {
		set.Kind, set.Filter = Internal, feed.Filter{Scopes: []policy.Scope{"acme"}}
		return nil
	}, false, Request{})
	if err != nil {
		b.Fatal(err)
	}
}

func recordFor(b *testing.B, s *Store, i int, now time.Time) {
	b.Helper()
	scopes := []policy.Scope{"acme", "", "acme/telecom"}
	o := OptOut{Number: phone.Number(12_012_000_000 + uint64(i)*7), Scope: scopes[i%len(scopes)], Channel: policy.ChannelCall, ReceivedAt: now.Add(-time.Duration(i%5000) * time.Minute)}
	if _, err := s.RecordOptOut(b.Context(), o, Request{Story: Story{Desk: "after-sales"}}); err != nil {
		b.Fatal(err)
	}
}

// resetPeak makes what the process needs now its peak.
func resetPeak(b *testing.B) {
	b.Helper()
	if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0); err != nil {
		b.Log(err) // the peak is that of the writes, too
	}
}

// memoryOf reads a line of /proc/self/status, in bytes.
func memoryOf(b *testing.B, name string) uint64 {
	b.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0 // told on Linux alone
	}
	for line := range strings.Lines(string(status)) {
		if text, ok := strings.CutPrefix(line, name+":"); ok {
			kib, err := strconv.ParseUint(strings.Fields(text)[0], 10, 64)
			if err != nil {
				b.Fatal(fmt.Errorf("%s: %w", name, err))
			}
			return kib << 10
		}
	}
	return 0
}
