package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/dncd/dncd/bench/internal/damage"
	"github.com/dncd/dncd/client"
)

// The stores that trials harm copies of.
const (
	olderStore  = "older"  // before the last loads and opt-outs
	closedStore = "closed" // stopped
	killedStore = "killed" // the same, started and killed
)

// tablesToCompact is how many tables of the first level wake the database's compactors.
const tablesToCompact = 5

// suppressionList is the second list of the stores.
const suppressionList = "litigators"

// truth is what a store holds.
type truth struct {
	optOuts map[uint64]optedOut // by number, as digits of E.164
	listed  map[string][]uint64 // by list, a sample, ascending
}

// optedOut is one acknowledged opt-out.
type optedOut struct {
	revision uint64
	evidence string // its story
}

// makeStores makes the stores, and returns what the closed one and the killed one hold.
func (b *damageBench) makeStores(ctx context.Context) (*truth, error) {
	d := b.drawNumbers(rand.New(rand.NewPCG(b.seed, 1)))
	dir := b.path(closedStore)
	if err := b.whileServed(ctx, dir, func(c *client.Client, addr string) error { return b.fill(ctx, c, addr, d) }); err != nil {
		return nil, err
	}
	if err := damage.CopyTree(dir, b.path(olderStore)); err != nil {
		return nil, err
	}
	if err := b.whileServed(ctx, dir, func(c *client.Client, _ string) error {
		return errors.Join(reload(ctx, c, d), b.consents.newer(ctx, c), b.base.follow(ctx, c), b.base.know(ctx, c))
	}); err != nil {
		return nil, err
	}
	var t *truth
	if err := b.whileServed(ctx, dir, func(c *client.Client, _ string) (err error) {
		if t, err = readTruth(ctx, c, d); err != nil {
			return err
		}
		return b.consents.read(ctx, c)
	}); err != nil {
		return nil, err
	}
	for range tablesToCompact { // each stop leaves a table behind, which nothing may read before the trials
		if err := b.whileServed(ctx, dir, func(c *client.Client, _ string) error { return optOutOne(ctx, c) }); err != nil {
			return nil, err
		}
	}
	return t, b.makeKilled(ctx)
}

// makeKilled kills a server that has opened a copy of the closed store and taken one opt-out more.
func (b *damageBench) makeKilled(ctx context.Context) error {
	if err := damage.CopyTree(b.path(closedStore), b.path(killedStore)); err != nil {
		return err
	}
	server, c, err := b.space.start(ctx, b.path(killedStore))
	if err != nil {
		return err
	}
	defer c.Close()
	defer server.Kill()
	return optOutOne(ctx, c)
}

// whileServed runs work on a directory that a server has open, and stops the server.
func (b *damageBench) whileServed(ctx context.Context, dir string, work func(c *client.Client, addr string) error) error {
	server, c, err := b.space.start(ctx, dir)
	if err != nil {
		return err
	}
	defer server.Kill()
	defer c.Close()
	if err := work(c, server.Addr); err != nil {
		return err
	}
	_, err = server.Stop()
	return err
}

// drawn are numbers of which none is in two places.
type drawn struct {
	optOuts    []uint64
	registry   []uint64 // rising
	suppressed []uint64
}

func (b *damageBench) drawNumbers(rnd *rand.Rand) drawn {
	codes := areaCodes()
	dense := codes[:min(len(codes), b.numbers/registryDensity+1)]
	seen := map[uint64]bool{}
	draw := func(count int, codes []numberRange) (all []uint64) {
		for len(all) < count {
			code := codes[rnd.IntN(len(codes))]
			n, _ := strconv.ParseUint(fmt.Sprintf("1%s%d%04d", code.label, code.groups[rnd.IntN(len(code.groups))], rnd.IntN(groupSize)), 10, 64)
			if !seen[n] {
				seen[n] = true
				all = append(all, n)
			}
		}
		return all
	}
	d := drawn{optOuts: draw(b.optOuts, codes), registry: draw(b.numbers, dense), suppressed: draw(b.numbers/10+1, codes)}
	slices.Sort(d.registry)
	return d
}

// fill records the opt-outs, and loads half of each list.
func (b *damageBench) fill(ctx context.Context, c *client.Client, addr string, d drawn) error {
	file := b.path("opt-outs.csv")
	if err := writeOptOuts(file, d.optOuts); err != nil {
		return err
	}
	if _, err := b.space.programs.ImportOptOuts(ctx, addr, file); err != nil {
		return err
	}
	registry, err := createList(ctx, c)
	if err != nil {
		return err
	}
	suppression, err := c.CreateList(ctx, client.ListSpec{Name: suppressionList, Kind: client.KindSuppression})
	if err != nil {
		return err
	}
	b.created = map[string]uint64{listName: registry.Revision, suppressionList: suppression.Revision}
	if err := load(ctx, c, listName, client.ModeReplace, d.registry[:len(d.registry)/2+1]); err != nil {
		return err
	}
	if err := load(ctx, c, suppressionList, client.ModeReplace, d.suppressed[:len(d.suppressed)/2+1]); err != nil {
		return err
	}
	if err := b.consents.older(ctx, c); err != nil {
		return err
	}
	return b.registerBase(ctx, c)
}

// reload makes both lists whole: the registry by a load that replaces it and one that
// adds a number, the other by one that adds its second half.
func reload(ctx context.Context, c *client.Client, d drawn) error {
	last := len(d.registry) - 1
	if err := load(ctx, c, listName, client.ModeReplace, d.registry[:last]); err != nil {
		return err
	}
	if err := load(ctx, c, listName, client.ModeAdd, d.registry[last:]); err != nil {
		return err
	}
	return load(ctx, c, suppressionList, client.ModeAdd, d.suppressed[len(d.suppressed)/2:])
}

// optOutOne opts out a number that is reserved for fiction.
func optOutOne(ctx context.Context, c *client.Client) error {
	_, err := c.RecordOptOut(ctx, client.OptOut{Number: "+14155550199", Channel: client.ChannelCall, Evidence: "one more"})
	return err
}

func writeOptOuts(path string, numbers []uint64) (err error) {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	w := bufio.NewWriter(f)
	first := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	fmt.Fprintln(w, "phone,channel,desk,received_at,evidence")
	for i, n := range numbers {
		received := first.Add(-time.Duration(i) * time.Second).Format(time.RFC3339)
		fmt.Fprintf(w, "+%d,call,after-sales,%s,a letter that is kept in drawer %d of the archive\n", n, received, i)
	}
	return w.Flush()
}

func load(ctx context.Context, c *client.Client, list string, mode client.ImportMode, numbers []uint64) error {
	r, err := c.Import(ctx, client.ImportRequest{
		List: list, Mode: mode, Numbers: &numberSlice{left: numbers}, Override: true,
		SnapshotDate: time.Now().UTC().Format(time.DateOnly),
	})
	if err == nil && r.Accepted != uint64(len(numbers)) {
		err = fmt.Errorf("load %s: accepted %d of %d", list, r.Accepted, len(numbers))
	}
	return err
}

// numberSlice is a client.NumberSource.
type numberSlice struct {
	left []uint64
	read uint64
}

func (s *numberSlice) Next(batch []uint64) (int, error) {
	if len(s.left) == 0 {
		return 0, io.EOF
	}
	n := copy(batch, s.left)
	s.left, s.read = s.left[n:], s.read+uint64(n)
	return n, nil
}

func (s *numberSlice) Summary() client.SourceSummary { return client.SourceSummary{Read: s.read} }

// readTruth reads what a healthy store holds, and looks that it is what was written.
func readTruth(ctx context.Context, c *client.Client, d drawn) (*truth, error) {
	t := &truth{optOuts: map[uint64]optedOut{}, listed: map[string][]uint64{}}
	for r, err := range c.ExportOptOuts(ctx) {
		if err != nil {
			return nil, err
		}
		n, err := strconv.ParseUint(r.Number[1:], 10, 64)
		if err != nil {
			return nil, err
		}
		t.optOuts[n] = optedOut{r.ID.Revision, r.Evidence}
	}
	if len(t.optOuts) != len(d.optOuts) {
		return nil, fmt.Errorf("the export has %d numbers, want %d", len(t.optOuts), len(d.optOuts))
	}
	t.listed[listName] = some(d.registry)
	t.listed[suppressionList] = some(d.suppressed)
	v, err := checkVerdicts(ctx, c, slices.Collect(t.all()))
	if err == nil && len(v.allowed)+len(v.unknown) > 0 {
		err = fmt.Errorf("%d numbers are ALLOW and %d UNKNOWN", len(v.allowed), len(v.unknown))
	}
	return t, err
}

// some returns every tenth number, and the last, ascending.
func some(numbers []uint64) (all []uint64) {
	for i := 0; i < len(numbers); i += 10 {
		all = append(all, numbers[i])
	}
	all = append(all, numbers[len(numbers)-1])
	slices.Sort(all)
	return all
}

// all yields every number that a store must block.
func (t *truth) all() func(yield func(uint64) bool) {
	return func(yield func(uint64) bool) {
		for _, n := range slices.Sorted(maps.Keys(t.optOuts)) {
			if !yield(n) {
				return
			}
		}
		for _, name := range []string{listName, suppressionList} {
			for _, n := range t.listed[name] {
				if !yield(n) {
					return
				}
			}
		}
	}
}

// verdicts are the numbers that were not blocked.
type verdicts struct{ allowed, unknown []uint64 }

// checkVerdicts checks numbers, without a scope.
func checkVerdicts(ctx context.Context, c *client.Client, numbers []uint64) (verdicts, error) {
	var v verdicts
	for batch := range slices.Chunk(numbers, client.MaxBatch) {
		r, err := c.CheckBatch(ctx, batch)
		if err != nil {
			return v, err
		}
		for i, n := range batch {
			switch r.Verdict(i) {
			case client.Allow:
				v.allowed = append(v.allowed, n)
			case client.Block:
			default:
				v.unknown = append(v.unknown, n)
			}
		}
	}
	return v, nil
}
