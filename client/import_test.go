package client_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dncd/dncd/client"
)

const today = "2026-09-09"

func createRegistry(t testing.TB, c *client.Client, name string, coverage ...string) {
	t.Helper()
	_, err := c.CreateList(t.Context(), client.ListSpec{Name: name, Kind: "registry", Jurisdiction: []string{"US"}, Coverage: coverage})
	if err != nil {
		t.Fatal(err)
	}
}

// digits is a NumberSource of numbers in memory; at is called before each batch.
type digits struct {
	numbers []uint64
	next    int
	at      func(next int) error
	cut     uint32 // files
}

func (d *digits) Next(batch []uint64) (int, error) {
	if d.at != nil {
		if err := d.at(d.next); err != nil {
			return 0, err
		}
	}
	n := copy(batch[:min(len(batch), 5000)], d.numbers[d.next:])
	d.next += n
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

func (d *digits) Summary() client.SourceSummary {
	return client.SourceSummary{Read: uint64(len(d.numbers)), TruncatedFiles: d.cut}
}

// someNumbers makes n different numbers in any order.
func someNumbers(n int) []uint64 {
	numbers := make([]uint64, n)
	for i := range numbers {
		numbers[i] = 14152000000 + uint64(i)*3
	}
	rand.Shuffle(n, func(i, j int) { numbers[i], numbers[j] = numbers[j], numbers[i] })
	return numbers
}

func exported(t *testing.T, c *client.Client, list string) []string {
	t.Helper()
	var got []string
	for number, err := range c.Export(t.Context(), list) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, number)
	}
	return got
}

func wantList(t *testing.T, c *client.Client, list string, numbers []uint64) {
	t.Helper()
	var want []string
	for _, n := range slices.Sorted(slices.Values(numbers)) {
		want = append(want, fmt.Sprintf("+%d", n))
	}
	if got := exported(t, c, list); !slices.Equal(got, want) {
		t.Errorf("the list holds %d numbers, want %d", len(got), len(want))
	}
}

func TestImportAndExport(t *testing.T) {
	t.Parallel()
	c := connect(t, serve(t), client.WithUser("ops"))
	createRegistry(t, c, "us-ftc")
	numbers := someNumbers(150_000)
	phases := map[client.Phase]bool{}
	r, err := c.Import(t.Context(), client.ImportRequest{
		List: "us-ftc", SnapshotDate: today, Numbers: &digits{numbers: append(slices.Clone(numbers), numbers[:10]...)},
		OnProgress: func(p client.Progress) { phases[p.Phase] = true },
	})
	if err != nil || r.Refused || r.Read != 150_010 || r.Accepted != 150_000 || r.Duplicates != 10 || r.Added != 150_000 || r.SnapshotDate != today {
		t.Fatalf("got %+v (%v)", r, err)
	}
	if !phases[client.PhaseSending] {
		t.Errorf("no progress of sending: %v", phases)
	}
	wantList(t, c, "us-ftc", numbers)

	again, err := c.Import(t.Context(), client.ImportRequest{List: "us-ftc", SnapshotDate: "2026-09-10", Numbers: &digits{numbers: numbers}})
	if err != nil || !again.AlreadyLoaded || again.Added != 0 {
		t.Errorf("the same of another day: got %+v (%v), want already loaded", again, err)
	}
	loads := 0
	for load, err := range c.ImportHistory(t.Context(), "us-ftc") {
		if err != nil {
			t.Fatal(err)
		}
		if loads++; load.List != "us-ftc" || load.RecordedBy != "ops" {
			t.Errorf("got load %+v", load)
		}
	}
	if loads != 2 {
		t.Errorf("got %d loads, want 2", loads)
	}
}

func TestImportOfStrings(t *testing.T) {
	t.Parallel()
	c := connect(t, serve(t))
	createRegistry(t, c, "us-ftc")
	maxRejects := 0.5
	r, err := c.Import(t.Context(), client.ImportRequest{
		List: "us-ftc", MaxRejects: &maxRejects,
		Numbers: client.Numbers(slices.Values([]string{"+14155550101", "no number", "+14155550100", "+14155550100"})),
	})
	if err != nil || r.Read != 4 || r.Accepted != 2 || r.Duplicates != 1 || r.Rejected != 1 {
		t.Fatalf("got %+v (%v)", r, err)
	}
	wantList(t, c, "us-ftc", []uint64{14155550100, 14155550101})
}

func TestImportRefusedByAGuard(t *testing.T) {
	t.Parallel()
	c := connect(t, serve(t))
	createRegistry(t, c, "us-ftc")
	load := func(numbers []uint64, override bool) client.ImportResult {
		r, err := c.Import(t.Context(), client.ImportRequest{List: "us-ftc", SnapshotDate: today, Numbers: &digits{numbers: numbers}, Override: override})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	numbers := someNumbers(1000)
	load(numbers, false)
	r := load(numbers[:500], false)
	if !r.Refused || len(r.GuardFailures) == 0 || r.GuardFailures[0].Guard != client.GuardShrink || r.GuardFailures[0].Before != 1000 || r.GuardFailures[0].After != 500 {
		t.Errorf("got %+v, want a refusal", r)
	}
	wantList(t, c, "us-ftc", numbers)
	if r := load(numbers[:500], true); r.Refused || r.Removed != 500 {
		t.Errorf("overridden: got %+v", r)
	}
	wantList(t, c, "us-ftc", numbers[:500])
	cut, err := c.Import(t.Context(), client.ImportRequest{List: "us-ftc", SnapshotDate: today, Numbers: &digits{numbers: numbers, cut: 2}})
	if err != nil || !cut.Refused || len(cut.GuardFailures) != 1 || cut.GuardFailures[0].Guard != client.GuardCut || cut.GuardFailures[0].After != 2 {
		t.Errorf("files that end inside a line: got %+v, %v, want a refusal", cut, err)
	}
	wantList(t, c, "us-ftc", numbers[:500])
}

func TestImportErrors(t *testing.T) {
	t.Parallel()
	c := connect(t, serve(t))
	createRegistry(t, c, "us-ftc")
	unreadable := errors.New("unreadable")
	broken := &digits{numbers: someNumbers(200_000), at: func(next int) error {
		if next >= 150_000 {
			return unreadable
		}
		return nil
	}}
	for _, tt := range []struct {
		request client.ImportRequest
		want    error
	}{
		{client.ImportRequest{List: "none", Numbers: &digits{}}, client.ErrListNotFound},
		{client.ImportRequest{List: "us-ftc", Mode: client.ModeDelta, Numbers: &digits{}}, client.ErrInvalidArgument},
		{client.ImportRequest{List: "us-ftc", Mode: "SWAP", Numbers: &digits{}}, client.ErrInvalidArgument},
		{client.ImportRequest{List: "us-ftc", SnapshotDate: "9 September", Numbers: &digits{}}, client.ErrSnapshotDate},
		{client.ImportRequest{List: "us-ftc", Numbers: broken}, unreadable},
	} {
		if _, err := c.Import(t.Context(), tt.request); !errors.Is(err, tt.want) {
			t.Errorf("%+v: got %v, want %v", tt.request, err, tt.want)
		}
	}
	if l, err := c.GetList(t.Context(), "us-ftc"); err != nil || l.State != client.ListNotLoaded {
		t.Errorf("after failed loads the list is %+v (%v), want not loaded", l, err)
	}
}

// TestImportGoesOnAfterBreaks cuts the connection many times while a load is sent.
func TestImportGoesOnAfterBreaks(t *testing.T) {
	t.Parallel()
	p := newProxy(t, serve(t))
	c := connect(t, p.addr())
	createRegistry(t, c, "us-ftc")
	numbers := someNumbers(1_200_000)
	source := &digits{numbers: numbers, at: func(next int) error {
		if next%300_000 == 150_000 {
			p.cut()
		}
		return nil
	}}
	r, err := c.Import(t.Context(), client.ImportRequest{List: "us-ftc", SnapshotDate: today, Numbers: source})
	if err != nil || r.Accepted != uint64(len(numbers)) || r.Read != uint64(len(numbers)) || r.Duplicates != 0 {
		t.Fatalf("got %+v (%v)", r, err)
	}
	wantList(t, c, "us-ftc", numbers)
}

// TestImportsWhoseOpeningIsLost cuts the connection before the server's answer to the header of an import arrives.
func TestImportsWhoseOpeningIsLost(t *testing.T) {
	t.Parallel()
	p := newProxy(t, serve(t))
	c := connect(t, p.addr())
	createRegistry(t, c, "us-ftc")
	numbers := someNumbers(1000)
	p.cutAfter(1)
	r, err := c.Import(t.Context(), client.ImportRequest{List: "us-ftc", SnapshotDate: today, Numbers: &digits{numbers: numbers}})
	if err != nil || r.Accepted != uint64(len(numbers)) {
		t.Errorf("list: got %+v (%v)", r, err)
	}
	wantList(t, c, "us-ftc", numbers)
	if p.left.Load() > 0 {
		t.Error("list: the connection was not cut")
	}
	p.cutAfter(1)
	o, err := c.ImportOptOuts(t.Context(), client.ImportOptOutsRequest{Rows: &optOuts{rows: someOptOuts(100)}})
	if err != nil || o.Accepted == 0 || o.Duplicates != 0 {
		t.Errorf("opt-outs: got %+v (%v)", o, err)
	}
	if p.left.Load() > 0 {
		t.Error("opt-outs: the connection was not cut")
	}
}

// TestImportTakesOverOnce cuts the connection while the load is written: the client gets the result of that load, and
// does not begin a second one that takes over from the first.
func TestImportTakesOverOnce(t *testing.T) {
	t.Parallel()
	p := newProxy(t, serve(t))
	c := connect(t, p.addr())
	createRegistry(t, c, "us-ftc")
	numbers := someNumbers(1_200_000)
	cut := sync.OnceFunc(p.cut)
	var phases []client.Phase
	r, err := c.Import(t.Context(), client.ImportRequest{
		List: "us-ftc", SnapshotDate: today, Numbers: &digits{numbers: numbers}, TakeOver: true, Override: true,
		OnProgress: func(p client.Progress) {
			phases = append(phases, p.Phase)
			if p.Phase == client.PhaseWriting {
				cut()
			}
		},
	})
	if err != nil || r.Accepted != uint64(len(numbers)) || r.Added != uint64(len(numbers)) {
		t.Fatalf("got %+v (%v)", r, err)
	}
	if !slices.Contains(phases, client.PhaseWriting) {
		t.Fatal("the load was not cut: no phase WRITING among", slices.Compact(phases))
	}
	loads := 0
	for _, err := range c.ImportHistory(t.Context(), "us-ftc") {
		if err != nil {
			t.Fatal(err)
		}
		loads++
	}
	if loads != 1 {
		t.Errorf("%d loads, want 1", loads)
	}
	wantList(t, c, "us-ftc", numbers)
}

// TestImportGoesOnAfterARestart stops the server in the midst of a load and starts it again.
func TestImportGoesOnAfterARestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	addr, stop, err := start(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { stop() }()
	p := newProxy(t, addr)
	c := connect(t, p.addr())
	createRegistry(t, c, "us-ftc")
	numbers := someNumbers(400_000)
	restart := sync.OnceValue(func() error {
		stop()
		addr, stop, err = start(dir)
		p.target.Store(addr)
		return err
	})
	source := &digits{numbers: numbers, at: func(next int) error {
		if next < 200_000 {
			return nil
		}
		return restart()
	}}
	r, err := c.Import(t.Context(), client.ImportRequest{List: "us-ftc", SnapshotDate: today, Numbers: source})
	if err != nil || r.Accepted != uint64(len(numbers)) || r.Duplicates != 0 {
		t.Fatalf("got %+v (%v)", r, err)
	}
	wantList(t, c, "us-ftc", numbers)
}

func TestExportThatIsCut(t *testing.T) {
	t.Parallel()
	p := newProxy(t, serve(t))
	c := connect(t, p.addr())
	createRegistry(t, c, "us-ftc")
	if _, err := c.Import(t.Context(), client.ImportRequest{List: "us-ftc", Numbers: &digits{numbers: someNumbers(1_000_000)}}); err != nil {
		t.Fatal(err)
	}
	var last error
	got := 0
	p.cutAfter(100 << 10) // of some two megabytes
	for _, err := range c.Export(t.Context(), "us-ftc") {
		got++
		last = err
	}
	if last == nil || got > 1_000_000 {
		t.Errorf("an export that was cut ended after %d numbers with %v", got, last)
	}
	if _, err := c.GetList(t.Context(), "none"); !errors.Is(err, client.ErrListNotFound) {
		t.Errorf("got %v, want %v", err, client.ErrListNotFound)
	}
}

func TestLists(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	c := connect(t, serve(t))
	const day = 24 * time.Hour
	made, err := c.CreateList(ctx, client.ListSpec{Name: "us-ftc", Kind: "registry", Jurisdiction: []string{"US"}, Coverage: []string{"1415"}, MaxAge: 31 * day})
	if err != nil || made.List.MaxAge != 31*day || made.List.Kind != client.KindRegistry || made.List.State != client.ListNotLoaded || made.Revision != 1 {
		t.Fatalf("got %+v (%v)", made, err)
	}
	if _, err := c.CreateList(ctx, client.ListSpec{Name: "us-ftc", Kind: "suppression"}); !errors.Is(err, client.ErrListExists) {
		t.Errorf("got %v, want %v", err, client.ErrListExists)
	}
	if _, err := c.CreateList(ctx, client.ListSpec{Name: "x", Kind: "phonebook"}); !errors.Is(err, client.ErrInvalidArgument) {
		t.Errorf("got %v, want %v", err, client.ErrInvalidArgument)
	}
	coverage, anyAge := []string{"1415", "1818"}, time.Duration(0)
	changed, err := c.UpdateList(ctx, "us-ftc", client.ListChange{Coverage: &coverage, MaxAge: &anyAge})
	if err != nil || !slices.Equal(changed.List.Coverage, coverage) || changed.List.MaxAge != 0 || !slices.Equal(changed.List.Jurisdiction, []string{"US"}) {
		t.Errorf("got %+v (%v)", changed, err)
	}
	if lists, err := c.Lists(ctx); err != nil || len(lists) != 1 || lists[0].Name != "us-ftc" {
		t.Errorf("got %+v (%v)", lists, err)
	}
	if s, err := c.ServerStats(ctx); err != nil || len(s.Lists) != 1 || s.State != client.StoreReady || s.Revision != 2 {
		t.Errorf("got %+v (%v)", s, err)
	}
	if _, err := c.DeleteList(ctx, "us-ftc", false); !errors.Is(err, client.ErrConfirmationRequired) {
		t.Errorf("got %v, want %v", err, client.ErrConfirmationRequired)
	}
	if _, err := c.DeleteList(ctx, "us-ftc", true); err != nil {
		t.Error(err)
	}
}

var aFile = []client.ImportSource{{Name: "a.txt", SHA256: strings.Repeat("ab", 32)}}

// sent counts the bytes that go through a proxy to the server while f runs.
func sent(p *proxy, f func()) int64 {
	before := p.toServer.Load()
	f()
	return p.toServer.Load() - before
}

// stopped imports numbers until at least so many are staged, and leaves off as a process that is killed does. It returns
// once the server has noticed.
func stopped(t *testing.T, addr, server string, r client.ImportRequest, numbers []uint64, staged uint64) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r.OnProgress = func(p client.Progress) {
		if p.Phase == client.PhaseSending && p.Done >= staged {
			cancel()
		}
	}
	r.Numbers = &digits{numbers: numbers, at: func(next int) error {
		if next > int(staged)+40*64<<10 { // what may wait for its ack, and more, is read: now wait for the acks
			<-ctx.Done()
		}
		return ctx.Err()
	}}
	if _, err := connect(t, addr).Import(ctx, r); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v, want the end of the context", err)
	}
	noLoads(t, server)
}

// TestImportOfANewClientGoesOn leaves off in the midst of a load and runs it again from another client.
func TestImportOfANewClientGoesOn(t *testing.T) {
	t.Parallel()
	p := newProxy(t, serve(t))
	createRegistry(t, connect(t, p.addr()), "us-ftc")
	numbers := someNumbers(1_200_000)
	const chunk = 64 << 10
	request := client.ImportRequest{List: "us-ftc", SnapshotDate: today, Sources: aFile, Resume: true}
	stopped(t, p.addr(), p.target.Load().(string), request, numbers, 10*chunk)

	var resumed []uint64
	request.OnResume = func(n uint64) { resumed = append(resumed, n) }
	request.Numbers = &digits{numbers: numbers}
	var r client.ImportResult
	var err error
	again := sent(p, func() { r, err = connect(t, p.addr()).Import(t.Context(), request) })
	if err != nil || r.Accepted != uint64(len(numbers)) || r.Duplicates != 0 || r.AlreadyLoaded {
		t.Fatalf("got %+v (%v)", r, err)
	}
	atChunk := func(n uint64) bool { return n%chunk == 0 || n == uint64(len(numbers)) } // the last one is short
	if len(resumed) != 1 || resumed[0] < 10*chunk || !atChunk(resumed[0]) {
		t.Errorf("told to go on after %v numbers, want once at least %d", resumed, 10*chunk)
	}
	wantList(t, connect(t, p.addr()), "us-ftc", numbers)

	resumed = nil
	request.Resume, request.Numbers = false, &digits{numbers: numbers}
	whole := sent(p, func() { r, err = connect(t, p.addr()).Import(t.Context(), request) })
	if err != nil || !r.AlreadyLoaded || len(resumed) != 0 {
		t.Errorf("anew: got %+v (%v), resumed %v, want already loaded", r, err, resumed)
	}
	if again*2 > whole+whole/4 { // at least 10 of 19 chunks were there
		t.Errorf("%d bytes were sent to go on, %d for the whole", again, whole)
	}
}

// TestImportOfAChangedFileIsNotMixed runs a load again of which the file has changed meanwhile.
func TestImportOfAChangedFileIsNotMixed(t *testing.T) {
	t.Parallel()
	addr := serve(t)
	c := connect(t, addr)
	createRegistry(t, c, "us-ftc")
	numbers := someNumbers(1_200_000)
	const chunk = 64 << 10
	request := client.ImportRequest{List: "us-ftc", SnapshotDate: today, Sources: aFile, Resume: true}
	stopped(t, addr, addr, request, numbers, 10*chunk)
	changed := slices.Clone(numbers)
	changed[3*chunk+7] = 14151999999
	var resumed uint64
	request.OnResume = func(n uint64) { resumed = n }
	request.Numbers = &digits{numbers: changed}
	r, err := c.Import(t.Context(), request)
	if err != nil || r.Accepted != uint64(len(changed)) || r.Duplicates != 0 || resumed != 3*chunk {
		t.Fatalf("got %+v (%v) after %d numbers, want to go on after %d", r, err, resumed, 3*chunk)
	}
	wantList(t, c, "us-ftc", changed)
}

// TestImportThatGoesOnTellsItsRejectsAgain leaves off after numbers that the server rejects.
func TestImportThatGoesOnTellsItsRejectsAgain(t *testing.T) {
	t.Parallel()
	addr := serve(t)
	c := connect(t, addr)
	createRegistry(t, c, "us-ftc")
	numbers := someNumbers(1_200_000)
	numbers[100] = 12 // in chunk 1
	maxRejects := 0.5
	request := client.ImportRequest{List: "us-ftc", SnapshotDate: today, MaxRejects: &maxRejects, Resume: true}
	stopped(t, addr, addr, request, numbers, 10*64<<10)
	var rejects []string
	var resumed uint64
	request.OnReject = func(r client.ImportReject) { rejects = append(rejects, r.Number+" "+r.Reason) }
	request.OnResume = func(n uint64) { resumed = n }
	request.Numbers = &digits{numbers: numbers}
	r, err := c.Import(t.Context(), request)
	if err != nil || r.Rejected != 1 || r.Accepted != uint64(len(numbers))-1 || resumed < 10*64<<10 {
		t.Fatalf("got %+v (%v) after %d numbers", r, err, resumed)
	}
	if !slices.Equal(rejects, []string{"+12 NUMBER_LENGTH"}) {
		t.Errorf("told of the rejects %v, want +12", rejects)
	}
}

// TestImportJoinsItsLoad leaves off while the server writes the load, and runs it again: it is loaded once, and its rejects
// are told again. The load cannot end before it is joined: until then there is no place for its file.
func TestImportJoinsItsLoad(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	addr, stop, err := start(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	c := connect(t, addr)
	createRegistry(t, c, "us-ftc")
	blocks := filepath.Join(dir, "blocks")
	rename := func(from, to string) {
		if err := os.Rename(from, to); err != nil {
			t.Error(err)
		}
	}
	rename(blocks, blocks+".away")
	giveBack := sync.OnceFunc(func() { rename(blocks+".away", blocks) })
	defer giveBack()

	numbers := someNumbers(1_200_000)
	numbers[100_000] = 12 // in chunk 2
	maxRejects := 0.5
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	request := client.ImportRequest{List: "us-ftc", SnapshotDate: today, MaxRejects: &maxRejects, Resume: true}
	request.Numbers = &digits{numbers: numbers}
	request.OnProgress = func(p client.Progress) {
		if p.Phase == client.PhaseWriting {
			cancel()
		}
	}
	if _, err := connect(t, addr).Import(ctx, request); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v, want the end of the context", err)
	}
	var resumed uint64
	var phases []client.Phase
	request.OnProgress = func(p client.Progress) {
		phases = append(phases, p.Phase)
		if p.Phase != client.PhaseSending { // it has joined the load
			giveBack()
		}
	}
	var rejects []string
	request.OnReject = func(r client.ImportReject) { rejects = append(rejects, r.Number+" "+r.Reason) }
	request.OnResume = func(n uint64) { resumed = n }
	request.Numbers = &digits{numbers: numbers}
	r, err := c.Import(t.Context(), request)
	if err != nil || r.AlreadyLoaded || r.Numbers != uint64(len(numbers))-1 || r.Rejected != 1 {
		t.Fatalf("got %+v (%v)", r, err)
	}
	if resumed != uint64(len(numbers)) {
		t.Errorf("joined after %d numbers, want all of them", resumed)
	}
	if !slices.Equal(rejects, []string{"+12 NUMBER_LENGTH"}) {
		t.Errorf("told of the rejects %v, want +12", rejects)
	}
	if slices.Contains(phases, client.PhaseComparing) {
		t.Error("told that a load is compared that is being written")
	}
	loads := 0
	for _, err := range c.ImportHistory(t.Context(), "us-ftc") {
		if err != nil {
			t.Fatal(err)
		}
		loads++
	}
	if loads != 1 {
		t.Errorf("%d loads, want 1", loads)
	}
	wantList(t, c, "us-ftc", slices.Delete(numbers, 100_000, 100_001))
}
