package store

import (
	"maps"
	"math"
	"math/bits"
	"slices"
	"time"
)

// Spread is how long many things took. It keeps them in buckets: lengths of time that differ by less than one part in 128 may
// share one. Its quantiles are lengths that occurred, at most 1/128 longer than the exact ones and never shorter; while no two
// lengths share a bucket they are exact. So a year of objections takes as little memory as a day.
type Spread struct {
	count   uint64
	buckets map[uint32]spreadBucket
}

// spreadBucket is lengths with the same leading bits.
type spreadBucket struct {
	count   uint64
	longest time.Duration
}

// spreadBits is how many leading bits of a length in nanoseconds choose its bucket.
const spreadBits = 8

func bucketOf(d time.Duration) uint32 {
	shift := max(bits.Len64(uint64(d))-spreadBits, 0)
	return uint32(shift)<<spreadBits | uint32(d>>shift) // ascending, as d is
}

// add adds n things that took as long. What ended before it began took no time.
func (s *Spread) add(d time.Duration, n uint64) {
	if s.buckets == nil {
		s.buckets = map[uint32]spreadBucket{}
	}
	d = max(d, 0)
	at := bucketOf(d)
	b := s.buckets[at]
	s.buckets[at] = spreadBucket{b.count + n, max(b.longest, d)}
	s.count += n
}

// Count is how many things were measured.
func (s *Spread) Count() uint64 { return s.count }

// Quantile is the length that a share of all did not exceed; 1 is the longest, which is exact. 0 if none was measured.
func (s *Spread) Quantile(share float64) time.Duration {
	rank := uint64(math.Ceil(share * float64(s.count)))
	for _, at := range slices.Sorted(maps.Keys(s.buckets)) {
		b := s.buckets[at]
		if b.count >= rank {
			return b.longest
		}
		rank -= b.count
	}
	return 0
}
