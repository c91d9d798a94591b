package store

import (
	"math/bits"
	"slices"
	"time"

	"github.com/dncd/dncd/internal/filter"
	"github.com/dncd/dncd/internal/phone"
	"github.com/dncd/dncd/internal/place"
	"github.com/dncd/dncd/internal/policy"
	"github.com/dncd/dncd/store/internal/block"
)

// Findings is what a view knows of many numbers, for a caller at one scope. The zero value is ready. Using it again
// saves allocations. It is not for concurrent use.
type Findings struct {
	// Facts are what is known. Numbers about which the same is known share one.
	Facts []policy.Facts
	// At has for each number its place in Facts; NoFacts for the zero Number.
	At []uint32

	view     *View
	call     Call
	ifIntact bool                // the facts are right only if the tables were whole while they were read
	lists    []*List             // those whose scope applies to the caller's
	zones    [phone.Zones]uint16 // place in cohorts, plus one; 0: not met yet
	cohorts  []cohort
}

// NoFacts is the place of a number that is none.
const NoFacts = ^uint32(0)

// Call is what is known of calls before their numbers are looked up.
type Call struct {
	Scope   policy.Scope // the caller's; empty: none named
	Purpose policy.Purpose
	Place   policy.Place  // where the caller says that the called party is; empty: as each number says
	Ahead   time.Duration // of the time that is decided at: see policy.Facts
}

// LookupMany gathers in f what Lookup gathers for each of the numbers, and passes over the zero Number. Damage that it meets is
// doubt about all of them. It allocates for numbers that have records and for what it has not yet found of another number.
func (v *View) LookupMany(numbers []phone.Number, call Call, f *Findings) {
	f.Reset()
	f.view, f.call = v, call
	for _, l := range v.lists {
		if l.Scope.Blocks(call.Scope) {
			f.lists = append(f.lists, l)
		}
	}
	f.At = slices.Grow(f.At, len(numbers))[:len(numbers)]
	for i, n := range numbers {
		if n == 0 {
			f.At[i] = NoFacts
			continue
		}
		if n.Former() != nil {
			f.At[i] = f.lookup(n)
			continue
		}
		if c := f.cohortOf(n.Zone()); c.put(n, i) {
			f.find(c)
		}
	}
	for i := range f.cohorts {
		f.find(&f.cohorts[i])
	}
	hurt := f.ifIntact && v.s.watch.intact() != nil // asked once: it takes a look at each table
	hurt = hurt || v.s.damageSeen.Load()            // it is never undone while the store is open
	for i := range f.Facts {
		f.Facts[i].Damaged = hurt || f.Facts[i].Damaged
	}
}

// Reset forgets what was found, so that f holds on to no view, and keeps its room.
func (f *Findings) Reset() {
	for i := range f.Facts {
		clear(f.Facts[i].Lists)
		f.Facts[i].Reset()
	}
	for i := range f.cohorts {
		f.cohorts[i].reset()
	}
	clear(f.lists)
	f.Facts, f.At, f.lists, f.cohorts = f.Facts[:0], f.At[:0], f.lists[:0], f.cohorts[:0]
	f.view, f.call, f.ifIntact, f.zones = nil, Call{}, false, [phone.Zones]uint16{}
}

// Large reports that an unusual lookup made f hold much memory. Each number with records has facts of its own, a kilobyte: a part of a batch may be
// all such numbers, as where a policy requires consents.
func (f *Findings) Large() bool { return cap(f.Facts) > 2048 || cap(f.cohorts) > 64 }

// cohort is numbers for which the same lists speak, and the same rules. They wait until there are enough to look up together.
type cohort struct {
	outside uint64          // bit i: lists[i] does not speak for their regions
	covered uint64          // bit i: lists[i] covers all of them
	regions phone.RegionSet // of its numbers; of the first, where no policy tells them apart
	clocks  bool            // the policy asks for the clocks of each number
	known   []known
	latest  [64]uint8 // by clocks: the place in known, plus one, of what was last found of such numbers; 0: nothing
	waiting int
	numbers [filter.MaxMany]uint64
	at      [filter.MaxMany]uint32 // where they are among those asked for
}

// known is what was found of numbers of a cohort.
type known struct {
	finding
	facts uint32 // its place
}

// finding is what tells the numbers of a cohort apart: bit i is of lists[i].
type finding struct {
	covered, listed uint64
	clocks          place.Clocks
}

const (
	// maxShared is how many lists there may be in scope for numbers to be looked up together: the bits of a word.
	maxShared = 64
	// maxKnown is how many different findings of a cohort are compared with. Beyond, each number has facts of its own.
	maxKnown = 32
)

func (c *cohort) reset() {
	c.known, c.outside, c.covered, c.clocks, c.waiting, c.latest = c.known[:0], 0, 0, false, 0, [64]uint8{}
}

// put adds a number and reports whether the cohort is full.
func (c *cohort) put(n phone.Number, at int) bool {
	c.numbers[c.waiting%filter.MaxMany], c.at[c.waiting%filter.MaxMany] = uint64(n), uint32(at)
	c.waiting++
	return c.waiting == filter.MaxMany
}

func (f *Findings) cohortOf(z phone.Zone) *cohort {
	if f.zones[z] == 0 {
		f.zones[z] = f.newZone(z.Regions())
	}
	return &f.cohorts[f.zones[z]-1]
}

// newZone returns the place, plus one, of the cohort for whose numbers the lists speak as they do for these regions.
func (f *Findings) newZone(regions phone.RegionSet) uint16 {
	var outside, covered uint64
	for i, l := range f.lists[:min(len(f.lists), maxShared)] {
		if !l.SpeaksFor(regions) {
			outside |= 1 << i
		} else if l.CoversAll {
			covered |= 1 << i
		}
	}
	for i := range f.cohorts {
		if c := &f.cohorts[i]; c.outside == outside && (f.view.Policy() == nil || c.regions == regions) {
			return uint16(i + 1)
		}
	}
	c := f.newCohort()
	c.outside, c.covered, c.regions = outside, covered, regions
	c.clocks = len(f.call.Place.Zones) == 0 && f.view.Policy().AsksPlace(regions)
	return uint16(len(f.cohorts))
}

func (f *Findings) newCohort() *cohort {
	if len(f.cohorts) == cap(f.cohorts) {
		f.cohorts = append(f.cohorts, cohort{})
	} else {
		f.cohorts = f.cohorts[:len(f.cohorts)+1]
	}
	return &f.cohorts[len(f.cohorts)-1]
}

// find looks up the numbers that wait in c. Those that may have records, or whose entry cannot be read, are looked up like a
// single number.
func (f *Findings) find(c *cohort) {
	numbers := c.numbers[:c.waiting]
	c.waiting = 0
	if len(f.lists) > maxShared {
		f.findEach(c, numbers, ^uint64(0))
		return
	}
	var room [filter.MaxMany]filter.Key
	keys := filter.AppendKeys(room[:0], numbers)
	alone := f.view.records.TestMany(keys)
	var covered, listed [filter.MaxMany]uint64
	for i, l := range f.lists {
		if (c.covered|c.outside)>>i&1 == 0 {
			l.coversMany(numbers, &covered, i)
		}
		on, unread := f.view.listedMany(l, numbers, keys, alone)
		alone |= unread
		for ; on != 0; on &= on - 1 {
			listed[bits.TrailingZeros64(on)] |= 1 << i
		}
	}
	for i := range numbers {
		if alone>>i&1 == 0 {
			found := finding{covered: c.covered | covered[i], listed: listed[i]}
			if c.clocks {
				found.clocks = place.ClocksOf(phone.Number(numbers[i]))
			}
			f.At[c.at[i]] = f.share(c, found)
		}
	}
	f.findEach(c, numbers, alone)
}

// findEach looks up separately each number of c that has a bit in alone.
func (f *Findings) findEach(c *cohort, numbers []uint64, alone uint64) {
	for i, n := range numbers {
		if alone>>i&1 == 1 {
			f.At[c.at[i]] = f.lookup(phone.Number(n))
		}
	}
}

// lookup returns the place of the facts about a number that shares none.
func (f *Findings) lookup(n phone.Number) uint32 {
	at, facts := f.newFacts()
	f.ifIntact = f.view.lookup(n, facts) || f.ifIntact
	return at
}

// share returns the place of the facts about a number without records.
func (f *Findings) share(c *cohort, found finding) uint32 {
	latest := &c.latest[found.clocks%place.Clocks(len(c.latest))]
	if *latest > 0 && c.known[*latest-1].finding == found {
		return c.known[*latest-1].facts
	}
	for i := range c.known {
		if k := &c.known[i]; k.finding == found {
			*latest = uint8(i + 1)
			return k.facts
		}
	}
	at, facts := f.newFacts()
	facts.Regions = c.regions
	if c.clocks {
		facts.Place = found.clocks.Place()
	}
	for i, l := range f.lists {
		facts.Lists = append(facts.Lists, policy.Membership{
			List: &l.List, Outside: c.outside>>i&1 == 1, Covered: found.covered>>i&1 == 1, Listed: found.listed>>i&1 == 1,
		})
	}
	if len(c.known) < maxKnown {
		c.known = append(c.known, known{found, at})
	}
	return at
}

// newFacts returns empty facts, valid until the next, and their place.
func (f *Findings) newFacts() (uint32, *policy.Facts) {
	at := len(f.Facts)
	if at == cap(f.Facts) {
		f.Facts = append(f.Facts, policy.Facts{})
	} else {
		f.Facts = f.Facts[:at+1]
	}
	facts := &f.Facts[at]
	facts.Scope, facts.Purpose, facts.Place, facts.Ahead = f.call.Scope, f.call.Purpose, f.call.Place, f.call.Ahead
	return uint32(at), facts
}

// coversMany sets the bit of l in covered[i] for each number that it covers.
func (l *List) coversMany(numbers []uint64, covered *[filter.MaxMany]uint64, bit int) {
	for i, n := range numbers {
		if l.covers(phone.Number(n)) {
			covered[i%filter.MaxMany] |= 1 << bit
		}
	}
}

// listedMany reports which of the numbers are on l, except those in skip, and which could not be read.
func (v *View) listedMany(l *List, numbers []uint64, keys []filter.Key, skip uint64) (on, unread uint64) {
	if l.ContentRevision == 0 {
		return 0, 0
	}
	perhaps := l.filter.TestMany(keys) &^ skip
	if perhaps == 0 {
		return 0, 0
	}
	return v.s.listedMany(l, numbers, perhaps, v.asOf)
}

// listedMany is listed for the numbers that have a bit in wanted. Blocks are fetched first and read then, so that the
// cache misses of their bytes overlap; a block is fetched once for numbers that follow each other.
func (s *Store) listedMany(l *List, numbers []uint64, wanted uint64, past bool) (on, unread uint64) {
	var blocks [filter.MaxMany]block.Packed
	var last block.Packed
	held := ^uint64(0) // no number's block
	for left := wanted; left != 0; left &= left - 1 {
		i := bits.TrailingZeros64(left)
		if at := numbers[i] >> block.Bits; at != held {
			p, err := s.block(l, at, past)
			if err != nil {
				unread |= 1 << i
				continue
			}
			last, held = p, at
		}
		blocks[i] = last
	}
	for left := wanted &^ unread; left != 0; left &= left - 1 {
		if i := bits.TrailingZeros64(left); blocks[i].Contains(numbers[i]) {
			on |= 1 << i
		}
	}
	return on, unread
}
