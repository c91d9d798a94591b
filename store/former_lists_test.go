package store

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/dncd/dncd/internal/phone"
	"github.com/dncd/dncd/internal/policy"
)

// A list that held a number and does not any more is found with the contents from and until which it did, also when the list was deleted.
func TestFormerListings(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	n, other := fiction(415, 1), fiction(415, 2)
	for _, name := range []string{"kept", "left", "back", "gone", "never"} {
		createList(t, s, name, Settings{Kind: policy.ListSuppression, Scope: "acme"})
	}
	switched := map[string]uint64{}
	step := func(name, list string, numbers ...phone.Number) {
		t.Helper()
		content := registryNumbers(100) // so that no guard stops the load
		for _, number := range numbers {
			content = append(content, uint64(number))
		}
		slices.Sort(content)
		load(t, s, list, Replace, slices.Compact(content), Commit{})
		switched[name] = s.View().Revision()
	}
	step("kept", "kept", n)
	step("left", "left", n, other)
	step("back", "back", n)
	step("gone", "gone", n)
	step("never", "never", other)
	step("left again", "left", other, n) // another content that holds it
	step("left for good", "left", other)
	step("back out", "back", other)
	step("back in", "back", n, other)
	gone, err := s.View().List("gone")
	must(t, err)
	_, err = s.DeleteList(context.Background(), gone.ID, Request{Confirmed: true})
	must(t, err)
	deleted := s.View().Revision()
	want := []string{
		fmt.Sprintf("left %d true %d true", switched["left"], switched["left for good"]),
		fmt.Sprintf("back %d true %d true", switched["back"], switched["back out"]),
		fmt.Sprintf("gone %d true %d true", switched["gone"], deleted),
	}
	for _, when := range []string{"now", "opened again"} {
		former, complete, err := s.View().FormerListings(n)
		must(t, err)
		var got []string
		for _, f := range former {
			got = append(got, fmt.Sprintf("%s %d %v %d %v", f.List.Name, f.Since.Event.Revision, f.Since.Known, f.Until.Event.Revision, f.Until.Known))
			if f.Since.Time.IsZero() || f.Until.Time.Before(f.Since.Time) {
				t.Errorf("%s: %s from %v to %v", when, f.List.Name, f.Since.Time, f.Until.Time)
			}
		}
		if !slices.Equal(got, want) || !complete {
			t.Errorf("%s: %q, complete: %v, want %q", when, got, complete, want)
		}
		if when == "now" {
			closeStore(t, s)
			s = open(t, dir)
		}
	}
}
