package client

import (
	"errors"
	"fmt"
	"iter"
	"testing"
)

func TestImportsOfBothKindsAreNewestFirst(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	// sequence yields imports that began at these revisions; 0 is an error.
	sequence := func(at ...uint64) iter.Seq2[ImportRecord, error] {
		return func(yield func(ImportRecord, error) bool) {
			for i, revision := range at {
				r := ImportRecord{Revision: revision}
				if i%2 == 0 { // a load that was switched later
					r = ImportRecord{PreparedRevision: revision, Revision: revision + 100}
				}
				var err error
				if revision == 0 {
					r, err = ImportRecord{}, broken
				}
				if !yield(r, err) {
					return
				}
			}
		}
	}
	for _, tt := range []struct {
		lists, records []uint64
		most           int
		want           string
	}{
		{nil, nil, 9, "[]"},
		{[]uint64{5, 3}, nil, 9, "[5 3]"},
		{nil, []uint64{5, 3}, 9, "[5 3]"},
		{[]uint64{9, 4, 2}, []uint64{8, 7, 3, 1}, 9, "[9 8 7 4 3 2 1]"},
		{[]uint64{9, 4, 2}, []uint64{8, 7, 3, 1}, 3, "[9 8 7]"},
		{[]uint64{9, 4}, []uint64{8, 0}, 9, "[9 8 broken]"},
		{[]uint64{9, 0}, []uint64{8, 7}, 9, "[9 broken]"},
		{[]uint64{0}, []uint64{8}, 9, "[broken]"},
		{[]uint64{5}, []uint64{0}, 9, "[broken]"},
	} {
		var got []any
		for r, err := range newestFirst(sequence(tt.lists...), sequence(tt.records...)) {
			if err != nil {
				got = append(got, err)
			} else {
				got = append(got, r.began())
			}
			if len(got) == tt.most {
				break
			}
		}
		if fmt.Sprint(got) != tt.want {
			t.Errorf("lists %v, records %v: got %v, want %s", tt.lists, tt.records, got, tt.want)
		}
	}
}
