package filter

import (
	"cmp"
	"math"
	"slices"
)

// Add adds n. When it returns, every Test of n that starts is true. Adders wait for each other, never for a Test. On a
// nil or zero Set it does nothing, since that answers "perhaps" to everything already.
func (s *Set) Add(n uint64) {
	if s.Test(n) { // bits are never cleared, so a true result stays true
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.addTo([]place{placeOf(n, s.parts)})
}

// AddAll adds ns like Add, but copies each partition that they touch only once. All of ns are visible when it returns;
// some may be visible earlier.
func (s *Set) AddAll(ns []uint64) {
	if s.empty() {
		return
	}
	places := make([]place, 0, len(ns))
	for _, n := range ns {
		if at := placeOf(n, s.parts); !s.has(at) {
			places = append(places, at)
		}
	}
	slices.SortFunc(places, func(a, b place) int { return cmp.Compare(a.part, b.part) })
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(places) > 0 {
		n := 1
		for n < len(places) && places[n].part == places[0].part {
			n++
		}
		s.addTo(places[:n])
		places = places[n:]
	}
}

// addTo adds places of one partition, and may change their order. The caller holds s.mu.
func (s *Set) addTo(places []place) {
	l, limit := &s.first, s.limit()
	for depth := 1; ; depth++ {
		// Again at each level: the previous level may cover more by now.
		places = slices.DeleteFunc(places, s.has)
		if len(places) == 0 {
			return
		}
		if depth > 1 {
			l = s.after(l)
		}
		if depth == maxChain {
			limit = math.MaxUint64
		}
		places = s.publish(l, places, limit)
	}
}

// publish replaces l's partition with one that has places in it, and returns the places for which it had no room.
func (s *Set) publish(l *level, places []place, limit uint64) (rest []place) {
	i := places[0].part
	if l.counts[i] >= limit {
		return places
	}
	fresh := new(partition)
	if old := l.parts[i].Load(); old != nil {
		*fresh = *old
	}
	for len(places) > 0 && l.counts[i] < limit {
		if fresh.set(places[0], s.k) {
			l.counts[i]++
			s.n.Add(1)
		}
		places = places[1:]
	}
	l.parts[i].Store(fresh)
	return places
}

// after returns the level behind l and makes it if there is none. The caller holds s.mu.
func (s *Set) after(l *level) *level {
	if next := l.next.Load(); next != nil {
		return next
	}
	next := new(level)
	next.init(s.parts)
	l.next.Store(next)
	return next
}

// Clone returns an independent Set with the same numbers. The two share partitions, which are copied when one Set adds
// to them, so a clone takes little time and memory.
func (s *Set) Clone() *Set {
	if s.empty() {
		return new(Set)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	c := newSet(s.shape)
	c.n.Store(s.n.Load())
	to := &c.first
	for from := &s.first; ; to, from = c.after(to), from.next.Load() {
		copy(to.counts, from.counts)
		for i := range from.parts {
			to.parts[i].Store(from.parts[i].Load())
		}
		if from.next.Load() == nil {
			return c
		}
	}
}
