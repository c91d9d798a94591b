package store

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/dncd/dncd/internal/policy"
)

// asked is a request with what it asks for.
func asked(id, what string) Request {
	return Request{ID: id, Asked: []byte(what), Confirmed: true, Story: Story{RecordedBy: "ops"}}
}

// TestRepeatedListWriteIsFound asks for writes of lists again, after a restart too.
func TestRepeatedListWriteIsFound(t *testing.T) {
	t.Parallel()
	dir, ctx := t.TempDir(), context.Background()
	s := open(t, dir)
	_, created, err := s.CreateList(ctx, "a", Settings{Kind: policy.ListSuppression}, asked("c", "create"))
	must(t, err)
	load(t, s, "a", Replace, registryNumbers(100), Commit{})
	_, updated, err := s.UpdateList(ctx, listNamed(s, "a"), func(set *Settings) { set.MaxAgeDays = 31 }, asked("u", "update"))
	must(t, err)
	closeStore(t, s)
	s = open(t, dir)
	for _, tt := range []struct {
		r    Request
		want Receipt
	}{{asked("c", "create"), created}, {asked("u", "update"), updated}} {
		got, found, err := s.RepeatedListWrite(tt.r)
		if err != nil || !found || !got.Duplicate || got.ID != tt.want.ID || got.List == nil || got.List.Settings.MaxAgeDays != 31 {
			t.Errorf("request %s: got %+v, %v, %v, want %+v with the list as it is", tt.r.ID, got, found, err, tt.want)
		}
	}
	deleted, err := s.DeleteList(ctx, created.ID, asked("d", "delete"))
	must(t, err)
	got, found, err := s.RepeatedListWrite(asked("d", "delete"))
	if err != nil || !found || got.ID != deleted.ID || got.Numbers != 100 {
		t.Errorf("the deletion: got %+v, %v, %v, want %+v of 100 numbers", got, found, err, deleted)
	}
	if _, found, err := s.RepeatedListWrite(asked("c", "create")); !found || !errors.Is(err, ErrListNotFound) {
		t.Errorf("the creation of a list that is gone: got %v, %v, want ErrListNotFound", found, err)
	}
	if _, found, err := s.RepeatedListWrite(asked("new", "create")); found || err != nil {
		t.Errorf("a new request: got %v, %v, want none", found, err)
	}
	claimed := asked("d", "delete")
	claimed.Story.RecordedBy = "another"
	for _, r := range []Request{asked("d", "another"), asked("c", "delete"), claimed} {
		if _, _, err := s.RepeatedListWrite(r); !errors.Is(err, ErrRequestReused) {
			t.Errorf("request %s for something else: got %v, want ErrRequestReused", r.ID, err)
		}
	}
}

// TestRevertsOfOneRequestAreOne has many callers retry one revert at once: an even number of them would undo it.
func TestRevertsOfOneRequestAreOne(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	createList(t, s, "a", Settings{})
	load(t, s, "a", Replace, registryNumbers(20_000), Commit{})
	load(t, s, "a", Replace, registryNumbers(21_000), Commit{})
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var callers sync.WaitGroup
	for range 4 {
		callers.Go(func() {
			r, err := s.Revert(ctx, Header{List: "a", Guards: noGuards, Request: Request{ID: "r"}}, silent)
			if err != nil || r.Numbers != 20_000 {
				t.Errorf("got %+v, %v, want 20000 numbers", r.Counts, err)
			}
		})
	}
	callers.Wait()
	entries, err := s.View().Imports(listOf(t, s, "a").ID, 0, 10)
	if err != nil || len(entries) != 3 || entries[0].Mode != Revert {
		t.Errorf("got %d loads, %v, want two and one revert", len(entries), err)
	}
}
