package main

import (
	"context"
	"fmt"
	"math"
	"math/bits"
	"math/rand/v2"
	"runtime"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
)

// The orders in which files hold the numbers.
const (
	sorted   = "sorted"
	shuffled = "shuffled"
)

// shuffle makes files of the same numbers as run does, in random order over all
// of them and so in no file by area code. It holds four bytes a number.
func (g *generator) shuffle(ctx context.Context, shares []share) (made, error) {
	capacity := shares[0].capacity()
	if len(shares)*capacity > math.MaxUint32 {
		return made{}, fmt.Errorf("--order %s: more than %d ranges", shuffled, math.MaxUint32/capacity)
	}
	places, err := g.places(ctx, shares)
	if err != nil {
		return made{}, err
	}
	rnd := rand.New(rand.NewPCG(g.seed, math.MaxUint64))
	rnd.Shuffle(len(places), func(i, j int) { places[i], places[j] = places[j], places[i] })

	parts := (len(places) + registryDensity - 1) / registryDensity
	size, err := onAllCores(ctx, parts, g.layout, func(d *drawer, i int) (int, error) {
		part := share{numberRange: numberRange{label: fmt.Sprintf("part%03d", i+1)}, index: i}
		end := min((i+1)*registryDensity, len(places))
		return g.write(part, d.lines(shares, places[i*registryDensity:end]))
	})
	return made{files: parts, numbers: len(places), bytes: size}, err
}

// places returns where each drawn number lies: its share times the shares'
// capacity, and its place in the share.
func (g *generator) places(ctx context.Context, shares []share) ([]uint32, error) {
	places := make([]uint32, g.numbers)
	starts := make([]int, len(shares))
	for i := 1; i < len(shares); i++ {
		starts[i] = starts[i-1] + shares[i-1].count
	}
	_, err := onAllCores(ctx, len(shares), g.layout, func(d *drawer, i int) (int, error) {
		s := shares[i]
		d.drawShare(s, g.seed)
		to := places[starts[i] : starts[i]+s.count]
		for w, word := range d.drawn {
			for ; word != 0; word &= word - 1 {
				group, in := w/groupWords, w%groupWords*64+bits.TrailingZeros64(word)
				to[0] = uint32(i*s.capacity() + group*groupSize + in)
				to = to[1:]
			}
		}
		return 0, nil
	})
	return places, err
}

// lines returns the file of these places, valid until the next call.
func (d *drawer) lines(shares []share, places []uint32) []byte {
	capacity := uint32(shares[0].capacity())
	d.text = append(d.text[:0], d.layout.header...)
	for _, place := range places {
		r, n := shares[place/capacity].numberRange, place%capacity
		d.text = d.layout.head(d.text, r, int(n/groupSize))
		d.text = append(append(d.text, d.digits[n%groupSize][:]...), '\n')
	}
	return d.text
}

// onAllCores does work for 0 to n-1, each goroutine with a drawer of its own, and
// returns the sum of what it returned.
func onAllCores(ctx context.Context, n int, l layout, work func(d *drawer, i int) (int, error)) (int64, error) {
	var next, sum atomic.Int64
	group, ctx := errgroup.WithContext(ctx)
	for range min(runtime.GOMAXPROCS(0), n) {
		group.Go(func() error {
			d := newDrawer(l)
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= n {
					return nil
				}
				got, err := work(d, i)
				if err != nil {
					return err
				}
				sum.Add(int64(got))
			}
			return ctx.Err()
		})
	}
	err := group.Wait()
	return sum.Load(), err
}
