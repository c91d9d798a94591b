package main

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dncd/dncd/internal/phone"
	"github.com/dncd/dncd/internal/policy"
	"github.com/dncd/dncd/internal/policydoc"
	"github.com/dncd/dncd/store"
)

const (
	registryLoads = 12
	loadEvery     = 30 * 24 * time.Hour // the preset's list is stale on day 32
	policyOn      = 100 * 24 * time.Hour
)

// registryYear is a year with a registry that is loaded again each month, the preset of the United States from some day on, and
// opt-outs and consents that are spread over the year.
type registryYear struct {
	begin   time.Time
	entries int // on the registry, about
	each    time.Duration
	optOut  map[phone.Number]time.Time // when it was recorded
	consent map[phone.Number]time.Time
	now     atomic.Pointer[time.Time]
}

// inHours are area codes where it is day from 17 to 24 o'clock UTC, and night at 7.
var inHours = []int{212, 312, 415, 617, 303, 404, 602, 206}

// number is the i-th that may be on the registry. A block has some 800 of them.
func (y *registryYear) number(i int) phone.Number {
	return phone.Number(10_000_000_000 + inHours[i%len(inHours)]*10_000_000 + 2_000_000 + i/len(inHours)*5)
}

// isListed reports whether a number is in a load of the registry: each load leaves out others, in every block.
func (y *registryYear) isListed(i, load int) bool { return i < y.entries && i%50 != load }

func (y *registryYear) set(now time.Time) { y.now.Store(&now) }

// write makes the store: each event at a moment of its own.
func (y *registryYear) write(t *testing.T, dir string, r *rand.Rand, events int) {
	t.Helper()
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	y.set(y.begin)
	s, err := store.Open(dir, store.Options{MinFree: -1, Ballast: -1, Clock: func() time.Time { return *y.now.Load() }})
	if err != nil {
		t.Fatal(err)
	}
	settings := store.Settings{Kind: policy.ListRegistry, Jurisdiction: []string{"US"}}
	if _, _, err := s.CreateList(t.Context(), "us-ftc", settings, store.Request{}); err != nil {
		t.Fatal(err)
	}
	loads, ruled := 0, false
	for i := range events {
		now := y.begin.Add(time.Duration(i) * y.each)
		for loads < registryLoads && !now.Before(y.begin.Add(time.Duration(loads)*loadEvery)) {
			y.set(y.begin.Add(time.Duration(loads) * loadEvery))
			y.load(t, s, loads)
			loads++
		}
		if !ruled && !now.Before(y.begin.Add(policyOn)) {
			y.set(y.begin.Add(policyOn))
			y.rule(t, s)
			ruled = true
		}
		y.set(now)
		y.record(t, s, r, i, now)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// record records an opt-out or a consent of a number that has neither.
func (y *registryYear) record(t *testing.T, s *store.Store, r *rand.Rand, i int, now time.Time) {
	t.Helper()
	n := y.number(r.IntN(y.entries))
	for y.optOut[n] != (time.Time{}) || y.consent[n] != (time.Time{}) {
		n = y.number(r.IntN(y.entries))
	}
	var err error
	if i%2 == 0 {
		y.optOut[n] = now
		_, err = s.RecordOptOut(t.Context(), store.OptOut{Number: n, Scope: "acme"}, store.Request{})
	} else {
		y.consent[n] = now
		_, err = s.RecordConsent(t.Context(), store.Consent{
			Number: n, Scope: "acme", Consent: policy.Consent{Kind: policy.Permission, Form: policy.Written},
		}, store.Request{})
	}
	if err != nil {
		t.Fatal(err)
	}
}

// load replaces the registry by another month's.
func (y *registryYear) load(t *testing.T, s *store.Store, load int) {
	t.Helper()
	date := policy.DateOf(y.begin.Add(time.Duration(load) * loadEvery))
	i, err := s.BeginImport(store.Header{List: "us-ftc", Mode: store.Replace, SnapshotDate: date})
	if err != nil {
		t.Fatal(err)
	}
	defer i.Close()
	c := store.Commit{SnapshotDate: date}
	chunk := make([]uint64, 0, 1<<16)
	put := func() {
		c.Chunks++
		c.Read += uint64(len(chunk))
		if err := i.Put(store.Chunk{Seq: c.Chunks, Numbers: chunk}); err != nil {
			t.Fatal(err)
		}
		chunk = make([]uint64, 0, 1<<16)
	}
	for place := range y.entries {
		if y.isListed(place, load) {
			chunk = append(chunk, uint64(y.number(place)))
		}
		if len(chunk) == cap(chunk) {
			put()
		}
	}
	put()
	if r, err := i.Commit(t.Context(), c, func(store.Progress) {}); err != nil || r.Refused {
		t.Fatalf("load %d: %+v, %v", load, r, err)
	}
}

func (y *registryYear) rule(t *testing.T, s *store.Store) {
	t.Helper()
	document, err := policydoc.Preset("US", "CA", "GB", "FR", "DE")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.SetPolicy(t.Context(), store.PolicyChange{Document: document}, store.Request{Confirmed: true}); err != nil {
		t.Fatal(err)
	}
}

// call is a call at random, and what the audit must find of it.
func (y *registryYear) call(r *rand.Rand) (n phone.Number, at time.Time, verdict string) {
	i := r.IntN(y.entries + y.entries/4)
	n = y.number(i)
	day := y.begin.Truncate(24 * time.Hour).Add(time.Duration(1+r.IntN(358)) * 24 * time.Hour)
	at = day.Add(17*time.Hour + time.Duration(r.IntN(7*3600))*time.Second)
	isNight := r.IntN(10) == 0
	if isNight {
		at = day.Add(7 * time.Hour)
	}
	return n, at, y.verdict(n, i, at, isNight)
}

func (y *registryYear) verdict(n phone.Number, i int, at time.Time, isNight bool) string {
	since := at.Sub(y.begin)
	isRuled := since >= policyOn
	isListed := y.isListed(i, min(int(since/loadEvery), registryLoads-1))
	optedOut, hasOptedOut := y.optOut[n]
	consented, hasConsented := y.consent[n]
	permits := isRuled && hasConsented && !consented.After(at)
	switch {
	case hasOptedOut && !optedOut.After(at), isListed && !permits:
		return "BLOCK"
	case isRuled && isNight:
		return "NOT_NOW"
	}
	return "ALLOW"
}

// fromEnv is a count that a variable of the environment names.
func fromEnv(t *testing.T, name string, otherwise int) (n int, isSet bool) {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise, false
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return n, true
}

// TestAuditAgainstARegistry audits calls in no order against a registry of a past month each, under a policy that came within the
// year, and compares all counts with what was made, and a sample with single checks. DNCTEST_AUDIT is how many calls there are,
// DNCTEST_AUDIT_REGISTRY how many numbers the registry has.
func TestAuditAgainstARegistry(t *testing.T) {
	calls, isLarge := fromEnv(t, "DNCTEST_AUDIT", 2000)
	entries, isLong := fromEnv(t, "DNCTEST_AUDIT_REGISTRY", 10_000)
	if !isLarge && !isLong {
		t.Parallel()
	}
	r := rand.New(rand.NewPCG(4, 0))
	dir := t.TempDir()
	events := calls / 10
	y := &registryYear{
		begin: time.Now().UTC().AddDate(0, 0, -366).Truncate(time.Second), entries: entries, each: 365 * 24 * time.Hour / time.Duration(events),
		optOut: map[phone.Number]time.Time{}, consent: map[phone.Number]time.Time{},
	}
	y.write(t, filepath.Join(dir, "data"), r, events)
	path := filepath.Join(dir, "calls.csv")
	verdicts := y.writeCalls(t, path, r, calls)
	debug.FreeOSMemory()
	addr, _ := startDaemonIn(t, filepath.Join(dir, "data"))
	out := filepath.Join(dir, "audited.csv")
	begun := time.Now()
	peak := watchMemory(t)
	code, _, stderr := dncOf(t.Context(), addr, "audit", path, "--scope", "acme/telecom", "--out", out)
	took := time.Since(begun)
	want := fmt.Sprintf("%d rows: ALLOW %d, BLOCK %d, NOT_NOW %d", calls, verdicts["ALLOW"], verdicts["BLOCK"], verdicts["NOT_NOW"])
	if code != exitNo || !strings.Contains(stderr, want) {
		t.Fatalf("exit code %d: %s; want %s", code, stderr, want)
	}
	t.Logf("%d calls against %d events and a registry of %d in %v; at most %s MiB, client and server together", calls, events, entries, took.Round(time.Millisecond), peak())
	wantAsSingleChecks(t, addr, out, r, calls)
}

func (y *registryYear) writeCalls(t *testing.T, path string, r *rand.Rand, calls int) (verdicts map[string]int) {
	t.Helper()
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	w := bufio.NewWriter(file)
	fmt.Fprintln(w, "name,phone,time")
	verdicts = map[string]int{}
	for i := range calls {
		n, at, verdict := y.call(r)
		fmt.Fprintf(w, "%d,%s,%s\n", i, n.E164(), at.Format(time.RFC3339))
		verdicts[verdict]++
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	return verdicts
}

// watchMemory looks at the memory of this process until peak is called: what is resident, without and with the pages of files.
func watchMemory(t *testing.T) (peak func() string) {
	t.Helper()
	quit, ended := make(chan struct{}), make(chan struct{})
	most := map[string]int{}
	go func() {
		defer close(ended)
		for {
			text, _ := os.ReadFile("/proc/self/status") // elsewhere than on Linux it is not known
			for line := range strings.Lines(string(text)) {
				name, value, _ := strings.Cut(line, ":")
				if kib, err := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(value), " kB")); err == nil {
					most[name] = max(most[name], kib)
				}
			}
			select {
			case <-quit:
				return
			case <-time.After(50 * time.Millisecond):
			}
		}
	}()
	return func() string {
		close(quit)
		<-ended
		return fmt.Sprintf("%d (with files %d)", most["RssAnon"]>>10, most["VmRSS"]>>10)
	}
}
