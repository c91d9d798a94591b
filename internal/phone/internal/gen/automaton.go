package main

import (
	"encoding/binary"
	"fmt"
	"regexp/syntax"
	"slices"
	"strings"
)

// pattern is one metadata expression, anchored at both ends, with the lengths it is limited to.
type pattern struct {
	prog    *syntax.Prog
	lengths uint32 // bit i: i digits; 0: as the expression says
}

func compile(expr string, lengths []int32) (pattern, error) {
	re, err := syntax.Parse("(?:"+expr+")", syntax.Perl)
	if err != nil {
		return pattern{}, fmt.Errorf("parse metadata pattern: %w", err)
	}
	prog, err := syntax.Compile(re.Simplify())
	if err != nil {
		return pattern{}, fmt.Errorf("compile metadata pattern: %w", err)
	}
	p := pattern{prog: prog}
	for _, l := range lengths {
		if l >= 0 {
			p.lengths |= 1 << l
		}
	}
	return p, nil
}

// state holds, for each pattern of an automaton, the instructions that the digits read so far lead to.
type state [][]uint32

func (s state) dead() bool {
	for _, pcs := range s {
		if len(pcs) > 0 {
			return false
		}
	}
	return true
}

func (s state) key() string {
	var b strings.Builder
	var word [4]byte
	for _, pcs := range s {
		for _, pc := range pcs {
			binary.LittleEndian.PutUint32(word[:], pc)
			b.Write(word[:])
		}
		b.WriteString("\xff\xff\xff\xff")
	}
	return b.String()
}

// automaton matches many patterns concurrently against the same digits. Regions share patterns: an expression that
// several regions have is matched once.
type automaton struct {
	patterns []pattern
	index    map[string]int
}

// add returns the number of the pattern, to be asked with matches.
func (a *automaton) add(expr string, lengths []int32) (int, error) {
	key := fmt.Sprint(expr, lengths)
	if i, ok := a.index[key]; ok {
		return i, nil
	}
	p, err := compile(expr, lengths)
	if err != nil {
		return 0, err
	}
	if a.index == nil {
		a.index = map[string]int{}
	}
	a.index[key] = len(a.patterns)
	a.patterns = append(a.patterns, p)
	return len(a.patterns) - 1, nil
}

func (a *automaton) start() state {
	s := make(state, len(a.patterns))
	for i, p := range a.patterns {
		s[i] = closure(p.prog, nil, uint32(p.prog.Start))
	}
	return s
}

func (a *automaton) step(s state, digit int) state {
	next := make(state, len(s))
	for i, p := range a.patterns {
		var pcs []uint32
		for _, pc := range s[i] {
			inst := &p.prog.Inst[pc]
			if inst.Op != syntax.InstMatch && inst.MatchRune(rune('0'+digit)) {
				pcs = closure(p.prog, pcs, inst.Out)
			}
		}
		slices.Sort(pcs)
		next[i] = pcs
	}
	return next
}

// matches says whether the digits that led to s are, as a whole, a match of pattern i.
func (a *automaton) matches(s state, i, digits int) bool {
	p := a.patterns[i]
	if p.lengths != 0 && p.lengths>>digits&1 == 0 {
		return false
	}
	return slices.ContainsFunc(s[i], func(pc uint32) bool { return p.prog.Inst[pc].Op == syntax.InstMatch })
}

// closure adds pc, and what it reaches without reading a digit, to pcs.
func closure(prog *syntax.Prog, pcs []uint32, pc uint32) []uint32 {
	inst := &prog.Inst[pc]
	switch inst.Op {
	case syntax.InstAlt, syntax.InstAltMatch:
		return closure(prog, closure(prog, pcs, inst.Out), inst.Arg)
	case syntax.InstCapture, syntax.InstNop, syntax.InstEmptyWidth:
		return closure(prog, pcs, inst.Out)
	case syntax.InstFail:
		return pcs
	}
	if slices.Contains(pcs, pc) {
		return pcs
	}
	return append(pcs, pc)
}
