package store

import (
	"context"
	"testing"

	"github.com/dncd/dncd/internal/phone"
	"github.com/dncd/dncd/internal/policy"
)

// What an earlier version kept of a number of the French plan under another calling code still counts (guarantee 1).
func TestFormerNumbersCount(t *testing.T) {
	t.Parallel()
	tests := []struct{ kept, asked phone.Number }{
		{33692123456, 262692123456},
		{33508410013, 508410013},
		{508508410024, 508410024},
		{262801234567, 33801234567},
	}
	s := openEarlier(t, t.TempDir(), clockAt(day(8)))
	createList(t, s, "old", Settings{Kind: policy.ListSuppression, Scope: "acme"})
	var listed []uint64
	for _, tt := range tests {
		_, err := s.RecordOptOut(context.Background(), OptOut{Number: tt.kept, Scope: "acme/loans"}, Request{})
		must(t, err)
		listed = append(listed, uint64(tt.kept)+1)
	}
	load(t, s, "old", Replace, listed, Commit{})
	for _, tt := range tests {
		for _, n := range []phone.Number{tt.asked, tt.asked + 1, tt.asked + 2} {
			want := policy.Block
			if n == tt.asked+2 {
				want = policy.Allow
			}
			if met := wantManyAsLookup(t, s.View(), []phone.Number{n}, "acme/loans", s.Now(), new(Findings)); met[want] != 1 {
				t.Errorf("%s came to %v, want %v", n.E164(), met, want)
			}
		}
	}
}
