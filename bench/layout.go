package main

import (
	"fmt"
	"strconv"
	"strings"
)

// layout is how a format writes numbers.
type layout struct {
	name   string
	ext    string
	header string
	ranges func() []numberRange
	// head writes a line up to its last four digits.
	head func(buf []byte, r numberRange, group int) []byte
}

func layouts() []layout {
	return []layout{
		{name: "ftc", ext: ".txt", ranges: areaCodes, head: ftcHead},
		{name: "plain", ext: ".txt", ranges: countries, head: e164Head},
		{name: "csv", ext: ".csv", header: "phone\n", ranges: countries, head: e164Head},
	}
}

func layoutNames() []string {
	var names []string
	for _, l := range layouts() {
		names = append(names, l.name)
	}
	return names
}

func findLayout(name string) (layout, error) {
	for _, l := range layouts() {
		if l.name == name {
			return l, nil
		}
	}
	return layout{}, fmt.Errorf("--format: unknown format %q, use %s", name, strings.Join(layoutNames(), ", "))
}

// ftcHead writes the area code, a comma and the exchange.
func ftcHead(buf []byte, r numberRange, group int) []byte {
	buf = append(append(buf, r.label...), ',')
	return strconv.AppendInt(buf, int64(r.groups[group]), 10)
}

func e164Head(buf []byte, r numberRange, group int) []byte {
	buf = append(append(buf, '+'), r.label...)
	return append(buf, fmt.Sprintf("%03d", r.groups[group])...)
}

// size of a line in bytes, with its end.
func (l layout) size(r numberRange) int { return len(l.head(nil, r, 0)) + len("0123\n") }
