package filter

import "math"

const (
	defaultFPR  = 0.001
	minFPR      = 1e-6
	maxFPR      = 0.5
	maxCapacity = 1 << 34 // more than twice the telephone numbers of the world
)

// shape is the size of a set and what it was sized for.
type shape struct {
	k       uint   // bits a number
	perPart uint64 // numbers a partition holds on average at capacity
	parts   int
}

// shapeFor sizes a set for capacity numbers.
func shapeFor(capacity uint64, fpr float64) shape {
	s := shapeOf(fpr)
	capacity = max(1, min(capacity, maxCapacity))
	s.parts = int((capacity + s.perPart - 1) / s.perPart)
	return s
}

// shapeOf finds the k with which a partition holds the most numbers at fpr.
func shapeOf(fpr float64) shape {
	switch {
	case math.IsNaN(fpr):
		fpr = defaultFPR
	case fpr < minFPR:
		fpr = minFPR
	case fpr > maxFPR:
		fpr = maxFPR
	}
	var best shape
	for k := uint(1); k <= maxK; k++ {
		if n := mostAt(fpr, k); n > best.perPart {
			best = shape{k: k, perPart: n}
		}
	}
	return best
}

// mostAt returns how many numbers a partition may hold at fpr with k bits each.
func mostAt(fpr float64, k uint) uint64 {
	lo, hi := uint64(0), uint64(partLines*lineBits)
	for lo < hi {
		mid := (lo + hi + 1) / 2
		if lineFPR(float64(mid)/partLines, k) <= fpr {
			lo = mid
		} else {
			hi = mid - 1
		}
	}
	return lo
}

// lineFPR predicts the false-positive rate of lines that hold perLine numbers on average. Chance gives some lines more
// (a Poisson spread), and those answer yes more often. That is why lines need 16 bits a number for 0.1 %, and one large
// Bloom filter needs 14.4.
// large Bloom filter needs 14.4.
func lineFPR(perLine float64, k uint) float64 {
	clear := 1.0 // chance that a bit of a line with i numbers is not set
	chance := math.Exp(-perLine)
	sum := 0.0
	for i := 1.0; i < perLine+12*math.Sqrt(perLine)+24; i++ {
		chance *= perLine / i
		clear *= math.Pow(1-1.0/lineBits, float64(k))
		sum += chance * math.Pow(1-clear, float64(k))
	}
	return sum
}

// limit is how many numbers a partition takes before a second one is put behind it: the average and six standard
// deviations, so that a set at its capacity has no second one.
func (s shape) limit() uint64 {
	return s.perPart + uint64(6*math.Sqrt(float64(s.perPart)))
}

// capacity is what the set was sized for, rounded up to whole partitions.
func (s shape) capacity() uint64 { return uint64(s.parts) * s.perPart }
