package filter

import (
	"sync"
	"sync/atomic"
)

const (
	maxStripes = 256
	chunkLen   = 1 << 14 // numbers grouped at a time: 0.5 MB of places
)

// Builder fills a Set that nobody reads yet, from all cores. It sets bits in
// place, so it is many times faster than AddAll. Make one with NewBuilder.
type Builder struct {
	set     *Set
	shift   uint // partitions a stripe, as a power of two
	stripes []sync.Mutex
	turn    atomic.Uint64
	scratch sync.Pool // of *grouping
}

// NewBuilder returns a Builder of a Set as New makes it.
func NewBuilder(capacity uint64, fpr float64) *Builder {
	b := &Builder{set: New(capacity, fpr)}
	for (b.set.parts-1)>>b.shift >= maxStripes {
		b.shift++
	}
	b.stripes = make([]sync.Mutex, (b.set.parts-1)>>b.shift+1)
	b.scratch.New = func() any { return newGrouping() }
	return b
}

// Add adds ns, in any order. It may be called from many goroutines at once and
// is best called with thousands of numbers. It must not be called after Build.
func (b *Builder) Add(ns []uint64) {
	if b.set == nil {
		panic("filter: Builder.Add after Build")
	}
	g := b.scratch.Get().(*grouping)
	for len(ns) > 0 {
		n := min(len(ns), chunkLen)
		g.group(ns[:n], b)
		b.insert(g)
		ns = ns[n:]
	}
	b.scratch.Put(g)
}

// Build returns the Set. All calls of Add must have returned.
func (b *Builder) Build() *Set {
	s := b.set
	b.set = nil
	return s
}

// insert adds what g holds, stripe by stripe. Each call starts at another
// stripe, so that the goroutines do not queue for the same.
func (b *Builder) insert(g *grouping) {
	first := int(b.turn.Add(maxStripes/4+1)) % len(b.stripes)
	for i := range b.stripes {
		i = (first + i) % len(b.stripes)
		if places := g.stripe(i); len(places) > 0 {
			b.stripes[i].Lock()
			g.seen += b.set.touch(places)
			added := b.set.putAll(places)
			b.stripes[i].Unlock()
			b.set.n.Add(added)
		}
	}
}

// touch reads each line once, without a branch that waits for what it reads, so
// that the misses overlap; putAll then finds the lines in the cache.
func (s *Set) touch(places []place) (seen uint64) {
	for _, at := range places {
		if p := s.first.parts[at.part].Load(); p != nil {
			seen += p[at.line%partLines][0]
		}
	}
	return seen
}

// putAll sets bits in place and returns how many places were new. The caller is
// the only one who reads or writes these partitions.
func (s *Set) putAll(places []place) (added uint64) {
	limit := s.limit()
	for _, at := range places {
		if s.put(at, limit) {
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

// lockedAfter is after for those who do not hold s.mu: builders hold a stripe,
// and a level belongs to all of them.
func (s *Set) lockedAfter(l *level) *level {
	if next := l.next.Load(); next != nil {
		return next
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.after(l)
}

// grouping sorts the places of a chunk by stripe (a counting sort).
type grouping struct {
	places, sorted [chunkLen]place
	ends           [maxStripes + 1]int // of stripe i: sorted[ends[i]:ends[i+1]]
	seen           uint64              // keeps touch from being optimised away
}

func newGrouping() *grouping { return new(grouping) }

func (g *grouping) stripe(i int) []place { return g.sorted[g.ends[i]:g.ends[i+1]] }

// group sorts the places of ns, at most chunkLen, by stripe of b.
func (g *grouping) group(ns []uint64, b *Builder) {
	var next [maxStripes + 1]int
	for i, n := range ns {
		at := placeOf(n, b.set.parts)
		g.places[i] = at
		next[at.part>>b.shift+1]++
	}
	for i := range maxStripes {
		next[i+1] += next[i]
	}
	g.ends = next
	for _, at := range g.places[:len(ns)] {
		i := at.part >> b.shift
		g.sorted[next[i]] = at
		next[i]++
	}
}
