package registry

import (
	"slices"
	"strconv"
)

// Format is the format that is read: with Auto the one that was found.
func (r *Reader) Format() Format { return r.format.name }

// Totals counts what was read so far.
func (r *Reader) Totals() Totals { return r.totals }

// CutFiles counts the files read so far that end inside a line.
func (r *Reader) CutFiles() int { return r.cut }

// Sources returns the files in the order in which they are read.
func (r *Reader) Sources() []Source { return slices.Clone(r.sources) }

// SnapshotDate is the oldest date in the names of the files; unknown when one
// of them has none.
func (r *Reader) SnapshotDate() (string, bool) {
	names := make([]string, len(r.sources))
	for i, s := range r.sources {
		names[i] = s.Name
	}
	return SnapshotDate(names)
}

// Coverage returns the prefixes that the files read so far cover, sorted, such
// as "1415": the area codes that files are named for and, of the other files, those
// with at least one number, for formats whose files are made by area code. For other
// formats it returns nil.
func (r *Reader) Coverage() []string {
	return r.prefixes(func(area int) bool { return r.named[area] || r.areas[area] })
}

// Inferred returns those prefixes of Coverage that no file is named for: a number in
// them, which may be a stray, is all that speaks for them.
func (r *Reader) Inferred() []string {
	return r.prefixes(func(area int) bool { return r.areas[area] && !r.named[area] })
}

func (r *Reader) prefixes(is func(area int) bool) (list []string) {
	if !r.format.byArea {
		return nil
	}
	for area := range r.areas {
		if is(area) {
			list = append(list, strconv.Itoa(1000+area))
		}
	}
	return list
}

// BytesRead is how much was read from disk, of TotalBytes. Both may be asked for
// while another goroutine reads.
func (r *Reader) BytesRead() int64 {
	n := r.meter.Load()
	if r.total > 0 {
		return min(n, r.total)
	}
	return n
}

// TotalBytes is the size of the files on disk; 0 when one has no size, such
// as standard input.
func (r *Reader) TotalBytes() int64 { return r.total }

// sizeOf is the size of sources on disk; 0 when one has none.
func sizeOf(sources []Source) int64 {
	var total int64
	for _, s := range sources {
		if s.blocks {
			return 0
		}
		total += s.packed
	}
	return total
}
