// Package ascending codes runs of ascending numbers as the contract's field ascending, and as the store keeps them: each
// number as the unsigned varint of its difference from the one before, the first from 0. Equal numbers may follow each
// other. A number of a long list takes one byte or two.
package ascending

import (
	"encoding/binary"
	"errors"
)

// ErrCorrupt is returned for bytes that are no run: a varint that is cut or longer than 64 bits, or a sum beyond them.
var ErrCorrupt = errors.New("not a run of ascending numbers")

// Append appends numbers to a run that ends with last, 0 for a new one. The numbers ascend from last.
func Append[N ~uint64](run []byte, last N, numbers ...N) []byte {
	for _, n := range numbers {
		run = AppendStep(run, uint64(n-last))
		last = n
	}
	return run
}

// AppendStep appends the difference of a number from the one before. In a long list nearly every one is a byte.
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

// DecodeSome appends the first count numbers of a run, and returns what is behind them. Its error is ErrCorrupt.
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
