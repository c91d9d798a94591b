package main

import (
	"context"
	"io"
	"math/bits"
	"math/rand/v2"
	"strconv"

	"github.com/dncd/dncd/client"
)

// syntheticList is the numbers of a list. They are drawn from a seed whenever they are needed, an area code at a time, and
// never held all.
type syntheticList struct {
	shares []share
	layout layout
	seed   uint64
	// turned exchanges, the odd ones, hold other numbers, as many: 9999 less each line.
	turned bool
}

func newSyntheticList(numbers int, seed uint64) (syntheticList, error) {
	l, err := findLayout("ftc")
	if err != nil {
		return syntheticList{}, err
	}
	shares, err := divide(numbers, l.ranges())
	return syntheticList{shares: shares, layout: l, seed: seed}, err
}

// numbers is how many there are.
func (c syntheticList) numbers() int {
	sum := 0
	for _, s := range c.shares {
		sum += s.count
	}
	return sum
}

// firstOf is the first number of a group, as E.164 digits.
func (r numberRange) firstOf(group int) uint64 {
	const country, national, line = 1, 1e10, groupSize
	code, err := strconv.ParseUint(r.label, 10, 64)
	if err != nil {
		panic(err) // a label is digits
	}
	return country*national + (code*1000+uint64(r.groups[group]))*line
}

// isOdd tells exchanges that may be turned from those that hold the same numbers always.
func isOdd(exchange int) bool { return exchange%2 == 1 }

// appendShare appends the numbers of a share, rising.
func (c syntheticList) appendShare(to []uint64, d *drawer, s share) []uint64 {
	d.drawShare(s, c.seed)
	for g := range s.groups {
		first, words := s.firstOf(g), d.drawn[g*groupWords:(g+1)*groupWords]
		if c.turned && isOdd(s.groups[g]) {
			to = appendTurned(to, first, words)
			continue
		}
		for i, word := range words {
			for ; word != 0; word &= word - 1 {
				to = append(to, first+uint64(i*64+bits.TrailingZeros64(word)))
			}
		}
	}
	return to
}

func appendTurned(to []uint64, first uint64, words []uint64) []uint64 {
	for i := len(words) - 1; i >= 0; i-- {
		for word := words[i]; word != 0; {
			bit := bits.Len64(word) - 1
			to = append(to, first+groupSize-1-uint64(i*64+bit))
			word &^= 1 << bit
		}
	}
	return to
}

// syntheticSource reads a syntheticList, rising. It is a client.NumberSource.
type syntheticSource struct {
	syntheticList
	drawer *drawer
	next   int // share
	drawn  []uint64
	left   []uint64 // of drawn
	read   uint64
}

func (c syntheticList) source() *syntheticSource {
	return &syntheticSource{syntheticList: c, drawer: newDrawer(c.layout)}
}

// Next implements client.NumberSource.
func (s *syntheticSource) Next(batch []uint64) (int, error) {
	if len(s.left) == 0 {
		if s.next == len(s.shares) {
			return 0, io.EOF
		}
		s.drawn = s.appendShare(s.drawn[:0], s.drawer, s.shares[s.next])
		s.left = s.drawn
		s.next++
	}
	n := copy(batch, s.left)
	s.left = s.left[n:]
	s.read += uint64(n)
	return n, nil
}

// Summary implements client.NumberSource. The area codes are told to be whole, as files a code are.
func (s *syntheticSource) Summary() client.SourceSummary {
	sum := client.SourceSummary{Read: s.read}
	for _, share := range s.shares {
		sum.Coverage = append(sum.Coverage, "1"+share.label)
	}
	return sum
}

// probe is a number to check, its E.164 digits, and in its highest bit whether it is listed.
type probe uint64

const listedBit = 1 << 63

func (p probe) digits() uint64 { return uint64(p &^ listedBit) }

func (p probe) isListed() bool { return p&listedBit != 0 }

// text is the digits without a plus.
func (p probe) text() string { return strconv.FormatUint(p.digits(), 10) }

func (p probe) e164() string {
	var buf [16]byte
	return string(strconv.AppendUint(append(buf[:0], '+'), p.digits(), 10))
}

// probes draws numbers at random from the area codes that the list covers, so many of a hundred of them listed, in
// random order. Steady ones are the same whether the list is turned or not.
func (c syntheticList) probes(ctx context.Context, count int, listed float64, steady bool) ([]probe, error) {
	all := make([]probe, count)
	ends := make([]int, len(c.shares)) // of each share's part of all
	for i, sum := 0, 0; i < len(ends); i++ {
		sum += c.shares[i].count
		ends[i] = int(float64(count) * float64(sum) / float64(c.numbers()))
	}
	_, err := onAllCores(ctx, len(c.shares), c.layout, func(d *drawer, i int) (int, error) {
		begin := 0
		if i > 0 {
			begin = ends[i-1]
		}
		c.drawProbes(all[begin:ends[i]], d, c.shares[i], listed, steady)
		return 0, nil
	})
	rnd := rand.New(rand.NewPCG(c.seed, 1<<32))
	rnd.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all, err
}

// drawProbes fills to with numbers of a share.
func (c syntheticList) drawProbes(to []probe, d *drawer, s share, listed float64, steady bool) {
	numbers := c.appendShare(make([]uint64, 0, s.count), d, s)
	rnd := rand.New(rand.NewPCG(c.seed, 2<<32+uint64(s.index)))
	usable := func(number uint64) bool { return !steady || !isOdd(int(number/groupSize%1000)) }
	for i := range to {
		if rnd.Float64() < listed {
			number := numbers[rnd.IntN(len(numbers))]
			for !usable(number) {
				number = numbers[rnd.IntN(len(numbers))]
			}
			to[i] = probe(number) | listedBit
			continue
		}
		to[i] = probe(c.unlisted(d, s, rnd, usable))
	}
}

// unlisted draws a number of a share, which d has drawn, that is not listed.
func (c syntheticList) unlisted(d *drawer, s share, rnd *rand.Rand, usable func(uint64) bool) uint64 {
	for {
		n := int(rnd.Uint32N(uint32(s.capacity())))
		group, in := n/groupSize, n%groupSize
		number := s.firstOf(group) + uint64(in)
		if c.turned && isOdd(s.groups[group]) {
			in = groupSize - 1 - in
		}
		if d.drawn[group*groupWords+in/64]&(1<<(in%64)) == 0 && usable(number) {
			return number
		}
	}
}
