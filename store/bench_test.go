package store

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/dncd/dncd/internal/phone"
	"github.com/dncd/dncd/internal/policy"
	"github.com/dncd/dncd/store/internal/disk"
)

// The figures of docs/performance.md: go test ./store -run '^$' -bench . -store.n 10000000. TMPDIR chooses the disk.
var (
	benchNumbers   = flag.Int("store.n", 1_000_000, "numbers on the list of the benchmarks")
	benchRevisions = flag.Int("store.revisions", 20_000, "revisions of the journal of BenchmarkHistory")
)

// perArea is how many numbers the largest registry has in an area code.
const perArea = 740_000

// denseNumbers are n numbers spread as a registry's are: one area code of the US after the other, each filled to
// perArea. Those in between are on no list.
func denseNumbers(n int) []uint64 {
	r := rand.New(rand.NewPCG(1, 2))
	numbers := make([]uint64, 0, n)
	for area := uint64(201); len(numbers) < n; area++ {
		first := 10_000_000_000 + area*10_000_000 + 2_000_000
		if phone.Number(first).Regions().String() != "US" {
			continue
		}
		for at := first; len(numbers) < n && at < first+8*perArea; {
			at += 1 + r.Uint64N(15)
			numbers = append(numbers, at)
		}
	}
	return numbers
}

// fillList makes a store whose list holds the numbers.
func fillList(b *testing.B, dir string, numbers []uint64) {
	b.Helper()
	s := open(b, dir)
	createList(b, s, "us-ftc", usRegistry())
	start := time.Now()
	load(b, s, "us-ftc", Replace, numbers, Commit{})
	b.Logf("%d numbers loaded in %v", len(numbers), time.Since(start).Round(time.Millisecond))
	closeStore(b, s)
}

// shuffled are numbers in a random order that is the same each time.
func shuffled(numbers []uint64) []phone.Number {
	out := make([]phone.Number, 0, len(numbers))
	for _, n := range numbers {
		out = append(out, phone.Number(n))
	}
	rand.New(rand.NewPCG(3, 4)).Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out
}

// processorTime is what the process has used so far: on a machine that is shared it says more than the clock.
func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var used unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

func lookups(b *testing.B, s *Store, numbers []phone.Number, want bool) {
	b.ReportAllocs()
	f := &policy.Facts{}
	listed, i := 0, 0
	before := processorTime(b)
	for b.Loop() {
		f.Reset()
		f.Scope = "acme"
		s.View().Lookup(numbers[i], f)
		if f.Lists[0].Listed {
			listed++
		}
		if i++; i == len(numbers) {
			i = 0
		}
	}
	b.ReportMetric(float64(processorTime(b)-before)/float64(b.N), "cpu-ns/op")
	if (listed > 0) != want {
		b.Errorf("%d of %d listed", listed, b.N)
	}
}

func BenchmarkLookup(b *testing.B) {
	dir, numbers := b.TempDir(), denseNumbers(*benchNumbers)
	fillList(b, dir, numbers)
	var others []uint64
	for i, n := range numbers[1:] {
		if n-numbers[i] > 1 {
			others = append(others, n-1)
		}
	}
	positive, negative := shuffled(numbers), shuffled(others)
	s := open(b, dir)
	b.Run("Negative", func(b *testing.B) { lookups(b, s, negative, false) })
	for _, n := range positive {
		membershipOf(s.View(), s.View().Lists()[0], n)
	}
	b.Run("PositiveWarm", func(b *testing.B) { lookups(b, s, positive, true) })
	closeStore(b, s)
	o := testOptions()
	o.BlockCache = -1
	s = openWith(b, dir, o)
	b.Run("PositiveCold", func(b *testing.B) { lookups(b, s, positive, true) })
	closeStore(b, s)
}

// syncTime is what one fdatasync of a small write takes on the disk of dir.
func syncTime(b *testing.B, dir string) time.Duration {
	b.Helper()
	f, err := os.Create(filepath.Join(dir, "sync"))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	times := make([]time.Duration, 0, 200)
	for i := range cap(times) {
		start := time.Now()
		if _, err := f.WriteAt(make([]byte, 4096), int64(i%2)*4096); err != nil {
			b.Fatal(err)
		}
		if err := disk.SyncData(f); err != nil {
			b.Fatal(err)
		}
		times = append(times, time.Since(start))
	}
	slices.Sort(times)
	return times[len(times)/2]
}

func BenchmarkOptOuts64Writers(b *testing.B) {
	dir := b.TempDir()
	perSync := syncTime(b, dir)
	s := open(b, filepath.Join(dir, "data"))
	var next atomic.Uint64
	b.ReportAllocs()
	b.SetParallelism(max(1, 64/runtime.GOMAXPROCS(0)))
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			n := phone.Number(12_012_000_000 + next.Add(1)*97%700_000_000)
			if _, err := s.RecordOptOut(context.Background(), OptOut{Number: n, Scope: "acme", Channel: policy.ChannelCall}, Request{}); err != nil {
				b.Error(err)
				return
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "opt-outs/s")
	b.ReportMetric(float64(b.N)/float64(s.View().Revision()), "opt-outs/revision")
	b.ReportMetric(float64(perSync.Microseconds()), "us/fdatasync")
}

// BenchmarkHistory reads a number with ten events in a journal of many revisions: -store.revisions 1000000, best with
// TMPDIR on a disk in memory, since each revision is synced.
func BenchmarkHistory(b *testing.B) {
	s := open(b, b.TempDir())
	busy, quiet := fiction(415, 1), fiction(415, 2)
	start := time.Now()
	for i := range *benchRevisions {
		n := phone.Number(12_012_000_000 + uint64(i)*7)
		if i%(*benchRevisions/10) == 5 {
			n = busy
		}
		optOut(b, s, n, "acme")
	}
	b.Logf("%d revisions made in %v", s.View().Revision(), time.Since(start).Round(time.Millisecond))
	for _, c := range []struct {
		name   string
		n      phone.Number
		events int
	}{{"TenEvents", busy, 10}, {"None", quiet, 0}} {
		b.Run("ListHistory/"+c.name, func(b *testing.B) {
			for b.Loop() {
				if events, _, err := s.View().History(c.n, policy.EventID{}, 100); err != nil || len(events) != c.events {
					b.Fatalf("%d events, %v, want %d", len(events), err, c.events)
				}
			}
		})
		b.Run("GetNumber/"+c.name, func(b *testing.B) {
			for b.Loop() {
				if facts, err := s.View().Number(c.n, s.Now()); err != nil || len(facts.Records) != c.events {
					b.Fatalf("%d records, %v, want %d", len(facts.Records), err, c.events)
				}
			}
		})
	}
}

// openedDir names, for the child of BenchmarkOpen, the directory to open.
const openedDir = "DNCTEST_STORE_OPEN"

// BenchmarkOpen opens a store, in a process of its own each time, after it was closed and after it was killed, and
// tells the memory that the process then holds, checks of every kind included.
func BenchmarkOpen(b *testing.B) {
	if dir := os.Getenv(openedDir); dir != "" {
		openAndTell(b, dir)
		return
	}
	closed, killed := filepath.Join(b.TempDir(), "closed"), filepath.Join(b.TempDir(), "killed")
	fillList(b, closed, denseNumbers(*benchNumbers))
	s := open(b, closed)
	optOutAtOnce(b, s, *benchNumbers/50) // none of them saved with the filter
	copyKilled(b, closed, killed)
	closeStore(b, s)
	for _, c := range []struct{ name, dir string }{{"Closed", closed}, {"Killed", killed}} {
		b.Run(c.name, func(b *testing.B) {
			var sum openFigures
			for b.Loop() {
				b.StopTimer()
				dir := filepath.Join(b.TempDir(), "copy")
				copyKilled(b, c.dir, dir)
				sum.add(openInChild(b, dir))
				os.RemoveAll(dir)
				b.StartTimer()
			}
			n := float64(b.N)
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(sum.ms/n, "ms/open")
			b.ReportMetric(sum.rss/n, "MB-rss")
			b.ReportMetric(sum.anon/n, "MB-anon")
			b.ReportMetric(sum.heap/n, "MB-heap")
		})
	}
}

// optOutAtOnce has 64 writers record n opt-outs.
func optOutAtOnce(b *testing.B, s *Store, n int) {
	b.Helper()
	var wg sync.WaitGroup
	for writer := range 64 {
		wg.Go(func() {
			for i := writer; i < n; i += 64 {
				o := OptOut{Number: phone.Number(12_012_000_000 + uint64(i)*7), Scope: "acme"}
				if _, err := s.RecordOptOut(context.Background(), o, Request{}); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}

type openFigures struct{ ms, rss, anon, heap float64 }

func (f *openFigures) add(o openFigures) {
	f.ms, f.rss, f.anon, f.heap = f.ms+o.ms, f.rss+o.rss, f.anon+o.anon, f.heap+o.heap
}

const figuresFormat = "opened: %f ms, rss %f, anon %f, heap %f MB"

func openInChild(b *testing.B, dir string) openFigures {
	b.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^$", "-test.bench=^BenchmarkOpen$", "-test.benchtime=1x")
	cmd.Env = append(os.Environ(), openedDir+"="+dir)
	out, err := cmd.CombinedOutput()
	if err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	var f openFigures
	_, told, _ := strings.Cut(string(out), "opened:")
	if _, err := fmt.Sscanf("opened:"+told, figuresFormat, &f.ms, &f.rss, &f.anon, &f.heap); err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	return f
}

// openAndTell runs in the child.
func openAndTell(b *testing.B, dir string) {
	start := time.Now()
	s := open(b, dir)
	took := time.Since(start)
	l := s.View().Lists()[0]
	if l.filter == nil || s.View().records == nil || s.State().Cause != nil {
		b.Fatalf("not in full service: %v", s.State().Cause)
	}
	r := rand.New(rand.NewPCG(5, 6))
	f := &policy.Facts{}
	for range 200_000 {
		f.Reset()
		s.View().Lookup(phone.Number(12_012_000_000+r.Uint64N(200_000_000)), f)
	}
	debug.FreeOSMemory()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	rss, shared := residentMemory(b)
	const mb = 1 << 20
	fmt.Printf("\n"+figuresFormat+"\n", float64(took.Microseconds())/1000, rss/mb, (rss-shared)/mb, float64(m.HeapInuse)/mb)
	closeStore(b, s)
}

// residentMemory is what the process holds in bytes, and how much of it is pages of files.
func residentMemory(b *testing.B) (all, files float64) {
	b.Helper()
	text, err := os.ReadFile("/proc/self/statm")
	if errors.Is(err, os.ErrNotExist) {
		b.Skip("no /proc/self/statm here")
	}
	var size, resident, shared float64
	if _, err := fmt.Sscan(string(text), &size, &resident, &shared); err != nil {
		b.Fatal(err)
	}
	page := float64(os.Getpagesize())
	return resident * page, shared * page
}

// copyKilled copies a data directory as it lies, open or not.
func copyKilled(b *testing.B, from, to string) {
	b.Helper()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		b.Fatal(err)
	}
}

// The path of nearly every check allocates nothing.
func TestNegativeLookupAllocatesNothing(t *testing.T) {
	s := open(t, t.TempDir())
	createList(t, s, "a", usRegistry())
	createList(t, s, "b", usRegistry("1201", "1415"))
	load(t, s, "a", Replace, registryNumbers(20_000), Commit{})
	load(t, s, "b", Replace, registryNumbers(10), Commit{})
	optOut(t, s, fiction(415, 1), "acme")
	n := fiction(201, 2)
	for l := range slices.Values(s.View().Lists()) {
		for l.filter.Test(uint64(n)) || s.View().records.Test(uint64(n)) {
			n++ // a false positive reads the store
		}
	}
	f := &policy.Facts{Records: make([]policy.Record, 0, 4), Lists: make([]policy.Membership, 0, 4)}
	got := testing.AllocsPerRun(1000, func() {
		f.Reset()
		f.Scope = "acme/telecom"
		s.View().Lookup(n, f)
		if d := policy.Decide(f, nil, s.Now()); d.Verdict != policy.Allow {
			t.Error("not ALLOW")
		}
	})
	if got != 0 {
		t.Errorf("%v allocations, want none", got)
	}
}
