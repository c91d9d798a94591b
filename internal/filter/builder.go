package filter

import (
	"math/bits"
	"runtime"
	"sync"
	"sync/atomic"
)

const (
	groupParts = 128     // the most partitions that are filled together: 512 KiB, which fits the L2 cache
	minGroups  = 64      // unless the Set has fewer partitions; adders then seldom meet
	stageLen   = 64      // numbers that an adder passes to a group in one step
	heldPart   = 256     // numbers held for each partition: 2 KiB, half its size
	maxHeld    = 8 << 20 // numbers held in total: 64 MiB
)

// Builder fills a Set that has no readers yet, from all cores. It holds numbers back until it has some for each line of
// a group of partitions, and then sets their bits in place while the group is in the cache. Until Build, the held
// numbers take half the memory of the Set, at most 64 MiB. Make one with NewBuilder.
type Builder struct {
	set    *Set
	shift  uint // partitions of a group, as a power of two
	groups []group
	stages chan *stage   // one for each concurrent adder; nil until needed
	spare  chan []uint64 // empty, to replace a full group.held
}

// group is consecutive partitions and the scrambled numbers that wait for them.
type group struct {
	mu      sync.Mutex // guards held, and is never held for long
	held    []uint64
	filling sync.Mutex // held while bits are set in the partitions
	seen    uint64     // keeps fetch from being optimised away; guarded by filling
}

// stage is the scrambled numbers that one adder has for each group.
type stage struct {
	lens []uint32
	xs   [][stageLen]uint64
}

func (s *stage) of(group int) []uint64 { return s.xs[group][:s.lens[group]] }

// NewBuilder returns a Builder of a Set as New makes it.
func NewBuilder(capacity uint64, fpr float64) *Builder {
	b := &Builder{set: New(capacity, fpr)}
	for 1<<b.shift < groupParts && b.set.parts>>b.shift > minGroups {
		b.shift++
	}
	b.groups = make([]group, (b.set.parts-1)>>b.shift+1)
	b.allot(min(runtime.NumCPU(), runtime.GOMAXPROCS(0)))
	return b
}

// allot gives each group room for held numbers, and each adder spare room to continue with while it empties a full
// group.
func (b *Builder) allot(adders int) {
	rooms := len(b.groups) + adders
	room := max(1, min(heldPart*b.set.parts, maxHeld)/rooms/stageLen) * stageLen
	all := make([]uint64, room*rooms)
	next := func() []uint64 {
		held := all[:0:room]
		all = all[room:]
		return held
	}
	for i := range b.groups {
		b.groups[i].held = next()
	}
	b.stages, b.spare = make(chan *stage, adders), make(chan []uint64, adders)
	for range adders {
		b.stages <- nil
		b.spare <- next()
	}
}

// Add adds ns, in any order. It may be called concurrently: as many calls as there are cores work, and the others wait.
// Pass thousands of numbers in a call. It must not be called after Build.
func (b *Builder) Add(ns []uint64) {
	if b.set == nil {
		panic("filter: Builder.Add after Build")
	}
	s := <-b.stages
	if s == nil {
		s = &stage{lens: make([]uint32, len(b.groups)), xs: make([][stageLen]uint64, len(b.groups))}
	}
	b.sort(s, ns)
	b.stages <- s
}

// sort puts ns into s, and passes on the groups that are full.
func (b *Builder) sort(s *stage, ns []uint64) {
	parts, shift := uint64(b.set.parts), b.shift%64
	for _, n := range ns {
		x := scramble(n)
		part, _ := bits.Mul64(x, parts)
		i := part >> shift
		at := s.lens[i]
		s.xs[i][at%stageLen] = x
		if at++; at == stageLen {
			b.pass(int(i), s.xs[i][:])
			at = 0
		}
		s.lens[i] = at
	}
}

// pass adds xs to what the i-th group holds, and sets their bits if it is full.
func (b *Builder) pass(i int, xs []uint64) {
	g := &b.groups[i]
	g.mu.Lock()
	g.held = append(g.held, xs...)
	if len(g.held) < cap(g.held) {
		g.mu.Unlock()
		return
	}
	full := g.held
	g.held = <-b.spare
	g.mu.Unlock()
	b.fill(i, full)
	b.spare <- full[:0]
}

// fill sets the bits of xs, which belong to the i-th group.
func (b *Builder) fill(i int, xs []uint64) {
	g := &b.groups[i]
	g.filling.Lock()
	defer g.filling.Unlock()
	first, end := i<<b.shift, min((i+1)<<b.shift, b.set.parts)
	if len(xs) >= (end-first)*partLines {
		g.seen += b.set.fetch(first, end)
	}
	b.set.n.Add(b.set.putAll(xs))
}

// Build returns the Set. All calls of Add must have returned.
func (b *Builder) Build() *Set {
	var stages []*stage
	for range cap(b.stages) {
		if s := <-b.stages; s != nil {
			stages = append(stages, s)
		}
	}
	b.fillRest(stages)
	s := b.set
	*b = Builder{}
	return s
}

// fillRest sets the bits of all held numbers, on all cores.
func (b *Builder) fillRest(stages []*stage) {
	var tasks sync.WaitGroup
	var next atomic.Int64
	for range cap(b.stages) {
		tasks.Go(func() {
			for i := int(next.Add(1)) - 1; i < len(b.groups); i = int(next.Add(1)) - 1 {
				b.fill(i, b.groups[i].held)
				for _, s := range stages {
					b.fill(i, s.of(i))
				}
			}
		})
	}
	tasks.Wait()
}

// fetch reads the lines of partitions in the order of memory, which is several times faster than fetching most of them
// as they are needed.
func (s *Set) fetch(first, end int) (seen uint64) {
	for i := first; i < end; i++ {
		if p := s.first.parts[i].Load(); p != nil {
			for line := range p {
				seen += p[line][0]
			}
		}
	}
	return seen
}

// putAll sets bits in place for scrambled numbers, and returns how many were new. The caller is the only one that reads
// or writes their partitions.
func (s *Set) putAll(xs []uint64) (added uint64) {
	limit := s.limit()
	for _, x := range xs {
		if s.put(placeAt(x, s.parts), limit) {
			added++
		}
	}
	return added
}

func (s *Set) put(at place, limit uint64) bool {
	l := &s.first
	for depth := 1; l.counts[at.part] >= limit && depth < maxChain; depth++ {
		if l.parts[at.part].Load().test(at, s.k) {
			return false
		}
		l = s.lockedAfter(l)
	}
	p := l.parts[at.part].Load()
	if p == nil {
		p = new(partition)
		l.parts[at.part].Store(p)
	}
	if !p.set(at, s.k) {
		return false
	}
	l.counts[at.part]++
	return true
}

// lockedAfter is after for callers that do not hold s.mu: builders hold a group, and a level belongs to all of them.
func (s *Set) lockedAfter(l *level) *level {
	if next := l.next.Load(); next != nil {
		return next
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.after(l)
}
