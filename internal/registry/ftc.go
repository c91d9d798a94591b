package registry

import (
	"encoding/binary"
	"errors"
	"io"

	"github.com/dncd/dncd/internal/phone"
)

// ftc reads the text of the US registry, and of the Canadian one, which has
// the same layout: `AAA,NNNNNNN` or `AAANNNNNNN` a line and nothing else.
type ftc struct {
	content
	last uint32 // the area code read last, as its three bytes
	area int    // the same as a number
	base uint64 // its numbers start here
}

func openFTC(in content) (decoder, error) {
	return &ftc{content: in, last: 1 << 31}, nil // no three bytes are that
}

func (d *ftc) next(batch []phone.Number) (int, error) {
	n := 0
	for {
		n += d.fast(batch[n:])
		if n == len(batch) {
			return n, nil
		}
		number, err := d.slow()
		switch {
		case err == nil:
			batch[n] = number
			n++
		case !errors.Is(err, errRejected):
			if n > 0 && err == io.EOF {
				return n, nil
			}
			return 0, err
		}
	}
}

// The longest line is AAA,NNNNNNN CR LF; its number and the byte after it can
// be read as one word.
const ftcLine = 13

// fast reads whole lines from the window until one is anything but regular.
func (d *ftc) fast(batch []phone.Number) int {
	w := d.lines.window()
	p, n := 0, 0
	for n < len(batch) && len(w)-p >= ftcLine {
		line := w[p : p+ftcLine : p+ftcLine]
		area := uint32(line[0]) | uint32(line[1])<<8 | uint32(line[2])<<16
		if area != d.last && !d.enter(line[:3]) {
			break
		}
		size := 10
		word := binary.LittleEndian.Uint64(line[3:])
		if line[3] == ',' {
			size = 11
			word = binary.LittleEndian.Uint64(line[4:])
		}
		if line[size] == '\r' {
			size++
		}
		if line[size] != '\n' {
			break
		}
		local, ok := sevenDigits(word)
		if !ok {
			break
		}
		d.areas[d.area] = true
		batch[n] = phone.Number(d.base + local)
		n++
		p += size + 1
	}
	d.lines.skip(p, int64(n))
	return n
}

// slow reads one line: irregular, at the edge of the window, or the last.
func (d *ftc) slow() (phone.Number, error) {
	line, err := d.lines.filled()
	if errors.Is(err, errLongLine) {
		return 0, d.refuse(ReasonTooLong, line)
	}
	if err != nil {
		return 0, err
	}
	digits, ok := ftcDigits(line)
	if !ok && d.lines.cut {
		return 0, d.refuse(ReasonCut, line)
	}
	if !ok {
		return 0, d.refuse(ReasonNotFTC, line)
	}
	number, err := phone.FromDigits(1e10 + digits)
	if err != nil {
		return 0, d.refuse(phone.Reason(err), line)
	}
	d.areas[digits/1e7] = true
	return number, nil
}

// enter makes an area code the current one and reports whether it has numbers.
func (d *ftc) enter(code []byte) bool {
	area, ok := allDigits(code)
	base, known := areaBase(int(area))
	if !ok || !known {
		return false
	}
	d.last = uint32(code[0]) | uint32(code[1])<<8 | uint32(code[2])<<16
	d.area = int(area)
	d.base = base
	return true
}

// areaBase returns the number with seven zeros behind an area code of +1, and whether the area code has numbers.
// Nothing else decides that, so it is evaluated once, at both ends, instead of for each number. FuzzFTC compares the
// two.
func areaBase(area int) (uint64, bool) {
	base := 1e10 + uint64(area)*1e7
	_, low := phone.FromDigits(base)
	_, high := phone.FromDigits(base + 9_999_999)
	return base, low == nil && high == nil
}

func isArea(area int) bool {
	_, known := areaBase(area)
	return known
}

// ftcDigits returns the ten digits of a line in either layout.
func ftcDigits(line []byte) (uint64, bool) {
	if len(line) == 11 && line[3] == ',' {
		line = append(append(make([]byte, 0, 10), line[:3]...), line[4:]...)
	}
	if len(line) != 10 {
		return 0, false
	}
	return allDigits(line)
}

// allDigits returns the value of at most 19 digits.
func allDigits(text []byte) (uint64, bool) {
	v := uint64(0)
	for _, c := range text {
		if c < '0' || c > '9' {
			return 0, false
		}
		v = v*10 + uint64(c-'0')
	}
	return v, true
}

// sevenDigits returns the value of the first seven bytes of a little-endian
// word, all eight at a time: pairs, then fours, then the whole.
func sevenDigits(word uint64) (uint64, bool) {
	const (
		zeros = 0x0030303030303030
		mask  = 0x00ffffffffffffff
		over9 = 0x0076767676767676
		high  = 0x0080808080808080
	)
	x := word&mask ^ zeros
	if (x|(x+over9))&high != 0 {
		return 0, false
	}
	x <<= 8
	x = x * (1 + 10<<8) >> 8 & 0x00ff00ff00ff00ff
	x = x * (1 + 100<<16) >> 16 & 0x0000ffff0000ffff
	return x * (1 + 10000<<32) >> 32, true
}
