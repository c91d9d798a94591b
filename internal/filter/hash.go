package filter

import "math/bits"

// hashID names mix and place in a file: a change to either needs another.
const hashID = 1

// place is where a number is: a line of a partition, and up to maxK positions of posBits bits each inside that line.
type place struct {
	part, line uint32
	pos        uint64
}

// mix turns n into two words. Numbers are dense and consecutive, so each bit of
// n has to reach each bit of both.
func mix(n uint64) (line, pos uint64) {
	x := scramble(n)
	return x, fold(x)
}

// scramble is the first word, another one for each n: its high bits choose the
// partition and the line.
func scramble(n uint64) uint64 {
	x := n + 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// fold is the second word, from a 128-bit product of the first, so that among
// the numbers of one line it depends on all that is left of the first once the
// line is known.
func fold(x uint64) (pos uint64) {
	hi, lo := bits.Mul64(x, 0xd6e8feb86659fd93)
	return hi ^ lo
}

// Key is the hash of a number, computed once for however many Sets.
type Key struct {
	line, pos uint64
}

// KeyOf returns the key of n.
func KeyOf(n uint64) Key {
	line, pos := mix(n)
	return Key{line, pos}
}

// AppendKeys appends the keys of the numbers.
func AppendKeys(to []Key, ns []uint64) []Key {
	for _, n := range ns {
		to = append(to, KeyOf(n))
	}
	return to
}

// place finds the key among parts partitions, evenly for any count.
func (k Key) place(parts int) place {
	i, _ := bits.Mul64(k.line, uint64(parts)*partLines)
	return place{part: uint32(i / partLines), line: uint32(i % partLines), pos: k.pos}
}

// placeOf is the place of n.
func placeOf(n uint64, parts int) place { return KeyOf(n).place(parts) }

// placeAt is placeOf for a scrambled number.
func placeAt(x uint64, parts int) place { return Key{x, fold(x)}.place(parts) }
