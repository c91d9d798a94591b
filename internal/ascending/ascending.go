// Package ascending codes runs of ascending numbers, for the field ascending of the contract and for the store. Each
// number is the unsigned varint of its difference from the previous one, the first of its difference from 0. Equal
// numbers may follow each other. A number of a long list takes one byte or two.
package ascending

import (
	"encoding/binary"
	"errors"
)

// ErrCorrupt is returned for bytes that are not a run: a varint that is cut short or longer than 64 bits, or a sum that
// exceeds them.
var ErrCorrupt = errors.New("not a run of ascending numbers")

// Append appends numbers to a run that ends with last, 0 for a new run. The numbers ascend from last.
func Append[N ~uint64](run []byte, last N, numbers ...N) []byte {
	for _, n := range numbers {
		run = AppendStep(run, uint64(n-last))
		last = n
	}
	return run
}

// AppendStep appends the difference of a number from the previous one. In a long list nearly every difference takes one
// byte.
func AppendStep(run []byte, step uint64) []byte {
	if step < 0x80 {
		return append(run, byte(step))
	}
	return binary.AppendUvarint(run, step)
}

// Decode appends the numbers of a run. Its error is ErrCorrupt.
func Decode(to []uint64, run []byte) ([]uint64, error) {
	last := uint64(0)
	for len(run) > 0 {
		step, n := binary.Uvarint(run)
		if n <= 0 || last+step < last {
			return to, ErrCorrupt
		}
		last += step
		to = append(to, last)
		run = run[n:]
	}
	return to, nil
}

// DecodeSome appends the first count numbers of a run, and returns the rest of the run. Its error is ErrCorrupt.
func DecodeSome(to []uint64, run []byte, count uint64) (numbers []uint64, rest []byte, err error) {
	last := uint64(0)
	for range count {
		step, n := binary.Uvarint(run)
		if n <= 0 || last+step < last {
			return to, run, ErrCorrupt
		}
		last += step
		to = append(to, last)
		run = run[n:]
	}
	return to, run, nil
}
