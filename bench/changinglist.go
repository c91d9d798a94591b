package main

import "github.com/dncd/dncd/client"

// changingList is a list with an old and a new content. They differ by 1 %, half of it numbers that come and half that go: of
// every changingGroup numbers that are drawn, the old content lacks one, and the new content another.
type changingList struct {
	drawn     syntheticList
	isChanged bool
}

const changingGroup = 201

// newChangingList makes the old content.
func newChangingList(numbers int, seed uint64) (c changingList, err error) {
	c.drawn, err = newSyntheticList(numbers/(changingGroup-1)*changingGroup, seed)
	return c, err
}

// groups is how many numbers come with the new content, and how many go.
func (c changingList) groups() int { return c.drawn.numbers() / changingGroup }

// numbers is how many each content has.
func (c changingList) numbers() int { return c.groups() * (changingGroup - 1) }

// changed is the new content.
func (c changingList) changed() changingList {
	c.isChanged = true
	return c
}

// lacks is the place in each group of the number that the content lacks.
func (c changingList) lacks() int {
	if c.isChanged {
		return 1
	}
	return 0
}

// leaving returns numbers of the old content that the new one lacks, at most that many.
func (c changingList) leaving(most int) []uint64 {
	var all []uint64
	batch := make([]uint64, 4096)
	for s, at := c.drawn.source(), 0; len(all) < most; {
		n, err := s.Next(batch)
		if err != nil {
			break
		}
		for _, number := range batch[:n] {
			if at++; (at-1)%changingGroup == c.changed().lacks() {
				all = append(all, number)
			}
		}
	}
	return all[:min(len(all), most)]
}

// source reads the content, rising.
func (c changingList) source() *changingSource {
	return &changingSource{from: c.drawn.source(), lacks: c.lacks()}
}

// changingSource reads a changingList. It is a client.NumberSource.
type changingSource struct {
	from      *syntheticSource
	lacks, at int
	read      uint64
}

// Next implements client.NumberSource.
func (s *changingSource) Next(batch []uint64) (int, error) {
	for {
		n, err := s.from.Next(batch)
		kept := batch[:0]
		for _, number := range batch[:n] {
			if s.at%changingGroup != s.lacks {
				kept = append(kept, number)
			}
			s.at++
		}
		s.read += uint64(len(kept))
		if len(kept) > 0 || err != nil {
			return len(kept), err
		}
	}
}

// Summary implements client.NumberSource.
func (s *changingSource) Summary() client.SourceSummary { return client.SourceSummary{Read: s.read} }
