package server

import (
	"fmt"
	"strings"
	"testing"

	"github.com/dncd/dncd/internal/policy"
	"github.com/dncd/dncd/internal/policydoc"
	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
)

// The reasons that decided come first, however many there are and wherever they stood, and none is reported twice.
func TestDecidingReasonsComeFirst(t *testing.T) {
	t.Parallel()
	const n, l, c, s = policy.CauseNone, policy.NotLoaded, policy.NotCovered, policy.StaleList
	many := func(count int, cause policy.Cause) []policy.Cause {
		out := make([]policy.Cause, count)
		for i := range out {
			out[i] = cause
		}
		return out
	}
	for _, tt := range []struct {
		name     string
		cause    policy.Cause
		causes   []policy.Cause
		deciding int // how many of those reported are of the cause
		told     int
	}{
		{"none", n, nil, 0, 0},
		{"of a block", n, many(3, n), 3, 3},
		{"last", l, []policy.Cause{s, c, l}, 1, 3},
		{"first", l, []policy.Cause{l, s, c}, 1, 3},
		{"between", l, []policy.Cause{s, l, c, l, s}, 2, 5},
		{"behind more than are told", l, append(many(maxReasons+8, s), l, l), 2, maxReasons},
		{"more than are told", c, append(many(5, s), many(maxReasons+1, c)...), maxReasons, maxReasons},
		{"as many as are told", s, many(maxReasons, s), maxReasons, maxReasons},
	} {
		d := policy.Decision{Cause: tt.cause}
		for i, cause := range tt.causes {
			d.Reasons = append(d.Reasons, policy.Reason{List: &policy.List{Name: fmt.Sprint(i)}, Cause: cause})
		}
		got := orderedReasons(&d)
		seen := map[string]bool{}
		for i, r := range got {
			if deciding := r.Cause == tt.cause; deciding != (i < tt.deciding) {
				t.Errorf("%s: reason %d is of cause %d", tt.name, i, r.Cause)
			}
			seen[r.List.Name] = true
		}
		if len(got) != tt.told || len(seen) != tt.told {
			t.Errorf("%s: %d reasons of %d lists, want %d", tt.name, len(got), len(seen), tt.told)
		}
	}
}

// Each cause of the contract is one of a decision, and has a row in the table: a cause that is missing there would be sent as none.
func TestEachCauseIsSent(t *testing.T) {
	t.Parallel()
	sent := map[dncv1.Cause]bool{}
	for c := policy.CauseNone; c <= policy.UseUnrecorded; c++ {
		sent[causeOf(c)] = true
		if name := strings.TrimPrefix(causeOf(c).String(), "CAUSE_"); c != policy.CauseNone && c != policy.UseUnrecorded && name != policydoc.CauseWord(c) {
			t.Errorf("cause %d is sent as %s, and is %s in cases", c, name, policydoc.CauseWord(c))
		}
	}
	for c, name := range dncv1.Cause_name {
		if !sent[dncv1.Cause(c)] {
			t.Errorf("%s is never sent", name)
		}
	}
}
