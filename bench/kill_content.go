package main

import (
	"bytes"
	"fmt"
	"math/bits"
	"math/rand/v2"
	"strconv"
)

// content is the numbers of the files that a seed makes.
type content struct {
	shares []share
	seed   uint64
}

func newContent(numbers int, seed uint64) (content, error) {
	shares, err := divide(numbers, areaCodes())
	return content{shares, seed}, err
}

// exported is how an export writes the number: rising, a line each.
func exported() layout {
	return layout{head: func(buf []byte, r numberRange, group int) []byte {
		return strconv.AppendInt(append(append(buf, "+1"...), r.label...), int64(r.groups[group]), 10)
	}}
}

// comparison is written an export and fails at the first byte that is not the
// content's.
type comparison struct {
	content content
	drawer  *drawer
	share   int    // the next
	left    []byte // of the one before
	read    int
	fault   error // of Write: the program that writes tells only that it could not
}

func compareWith(c content) *comparison {
	return &comparison{content: c, drawer: newDrawer(exported())}
}

// Write implements io.Writer.
func (c *comparison) Write(p []byte) (n int, err error) {
	n, c.fault = c.compare(p)
	return n, c.fault
}

func (c *comparison) compare(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		if len(c.left) == 0 && !c.next() {
			return 0, fmt.Errorf("the list holds more than the %d bytes of the loaded content", c.read)
		}
		n := min(len(rest), len(c.left))
		if !bytes.Equal(rest[:n], c.left[:n]) {
			return 0, fmt.Errorf("the list differs from the loaded content within %d bytes after byte %d of the export", n, c.read)
		}
		rest, c.left = rest[n:], c.left[n:]
		c.read += n
	}
	return len(p), nil
}

func (c *comparison) next() bool {
	if c.share == len(c.content.shares) {
		return false
	}
	c.left = c.drawer.file(c.content.shares[c.share], c.content.seed)
	c.share++
	return true
}

// end fails when content is left over.
func (c *comparison) end() error {
	if len(c.left) > 0 || c.next() {
		return fmt.Errorf("the list ends after %d bytes of the export, the loaded content goes on", c.read)
	}
	return nil
}

// sampled are some numbers of two contents, in E.164.
type sampled struct {
	both, onlyOld, onlyNew pool
}

// compareContents draws numbers of two contents that have the same shares.
func compareContents(before, after content, rnd *rand.Rand) sampled {
	const each = 5000
	s := sampled{pool{size: each}, pool{size: each}, pool{size: each}}
	older, newer := newDrawer(exported()), newDrawer(exported())
	for _, sh := range before.shares {
		older.drawShare(sh, before.seed)
		newer.drawShare(sh, after.seed)
		for w := range older.drawn {
			o, n := older.drawn[w], newer.drawn[w]
			s.both.take(sh, w, o&n, rnd)
			s.onlyOld.take(sh, w, o&^n, rnd)
			s.onlyNew.take(sh, w, n&^o, rnd)
		}
	}
	return s
}

// pool keeps size of the numbers that it is given, each with the same chance.
type pool struct {
	size    int
	given   int
	numbers []string
}

// take gives it the numbers whose bits are set in a word of a share.
func (p *pool) take(s share, word int, set uint64, rnd *rand.Rand) {
	for ; set != 0; set &= set - 1 {
		p.given++
		at := len(p.numbers)
		if at == p.size {
			if at = rnd.IntN(p.given); at >= p.size {
				continue
			}
		} else {
			p.numbers = append(p.numbers, "")
		}
		in := word%groupWords*64 + bits.TrailingZeros64(set)
		p.numbers[at] = fmt.Sprintf("+1%s%d%04d", s.label, s.groups[word/groupWords], in)
	}
}

// some returns at most n numbers, from a place drawn at random.
func (p *pool) some(n int, rnd *rand.Rand) []string {
	n = min(n, len(p.numbers))
	at := rnd.IntN(len(p.numbers) - n + 1)
	return p.numbers[at : at+n]
}
