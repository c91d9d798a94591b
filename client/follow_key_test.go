package client_test

import (
	"encoding/json"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dncd/dncd/client"
	"github.com/dncd/dncd/internal/feed"
	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
)

// rotate has the server sign with the key that replaces its own, and returns the one before.
func (s *feedServer) rotate(t *testing.T, journal string) (old feed.SigningKey) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	old = s.key
	_, next, err := old.Rotate(journal, "dncd-next", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	s.key = next
	return old
}

func (s *feedServer) signWith(k feed.SigningKey) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.key = k
}

// commitOne commits an opt-out, so that there is something to follow.
func (s *feedServer) commitOne(i int) { s.commit(one(rowSet(fiction(i), "acme"))) }

// TestFollowRotation: a base accepts a key that follows from the one that it knows, in any number of steps, and keeps it. The key
// that was replaced never counts again.
func TestFollowRotation(t *testing.T) {
	t.Parallel()
	for name, isNamed := range map[string]bool{"the first key kept": false, "the first key named": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, addr := serveFeed(t, nil)
			b := newMemoryBase()
			o := client.FollowOptions{Base: b}
			if isNamed {
				o.ServerKeys = []string{s.key.Public().Text()}
			}
			follows := func(i int) {
				t.Helper()
				s.commitOne(i)
				if err := catchUp(t, addr, o); err != nil {
					t.Fatal(err)
				}
				inStep(t, s, b)
				if got, want := b.loaded().ServerKey, s.key.Public().Text(); got != want {
					t.Errorf("the base keeps %s, want %s", got, want)
				}
			}
			follows(1)
			first := s.rotate(t, fakeJournal)
			follows(2)
			second := s.rotate(t, fakeJournal)
			s.rotate(t, fakeJournal)
			follows(3)
			if got := b.loaded().KeyRotations; len(got) != 3 {
				t.Errorf("the base keeps %d rotations, want 3", len(got))
			}
			third := s.key
			for what, key := range map[string]feed.SigningKey{"the first": first, "the second": second} {
				s.signWith(key)
				s.commitOne(4)
				if err := catchUp(t, addr, o); !errors.Is(err, client.ErrServerKey) {
					t.Errorf("%s key, which was replaced: %v, want ErrServerKey", what, err)
				}
			}
			s.signWith(third)
			follows(5)
		})
	}
}

// TestFollowNewBaseAfterRotations: a base that begins with the first key named reaches the last one; one that begins without
// a key keeps the whole of the one that it meets.
func TestFollowNewBaseAfterRotations(t *testing.T) {
	t.Parallel()
	s, addr := serveFeed(t, nil)
	first := s.key.Public().Text()
	s.rotate(t, fakeJournal)
	s.rotate(t, fakeJournal)
	s.commitOne(1)
	for name, keys := range map[string][]string{"named": {first}, "none": nil} {
		b := newMemoryBase()
		if err := catchUp(t, addr, client.FollowOptions{Base: b, ServerKeys: keys}); err != nil {
			t.Errorf("%s: %v", name, err)
		} else if got := b.loaded().ServerKey; got != s.key.Public().Text() {
			t.Errorf("%s: the base keeps %q", name, got)
		}
	}
}

// TestFollowRefusesRotations: nothing that the old key did not say of this server leads to another key.
func TestFollowRefusesRotations(t *testing.T) {
	t.Parallel()
	text, _, err := feed.NewKey("dncd-other")
	if err != nil {
		t.Fatal(err)
	}
	other, err := feed.ParseSigningKey(text)
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(t *testing.T, s *feedServer){
		"no rotation": func(_ *testing.T, s *feedServer) { s.signWith(other) },
		"by another key": func(t *testing.T, s *feedServer) {
			s.signWith(other)
			s.rotate(t, fakeJournal)
		},
		"of another server": func(t *testing.T, s *feedServer) { s.rotate(t, fakeLost) },
		"forged": func(t *testing.T, s *feedServer) {
			s.rotate(t, fakeJournal)
			s.signWith(feed.SigningKey{PrivateKey: s.key.PrivateKey, Rotations: []string{strings.Replace(s.key.Rotations[0], "time 2", "time 3", 1)}})
		},
		"the old key's, of another text": func(t *testing.T, s *feedServer) {
			s.rotate(t, fakeJournal)
			forged := strings.Replace(s.key.Rotations[0], s.key.Public().Text(), other.Public().Text(), 1)
			s.signWith(feed.SigningKey{PrivateKey: other.PrivateKey, Rotations: []string{forged}})
		},
		"one left out": func(t *testing.T, s *feedServer) {
			s.rotate(t, fakeJournal)
			s.rotate(t, fakeJournal)
			s.signWith(feed.SigningKey{PrivateKey: s.key.PrivateKey, Rotations: s.key.Rotations[1:]})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, addr := serveFeed(t, nil)
			b, first := newMemoryBase(), s.key.Public().Text()
			s.commitOne(1)
			if err := catchUp(t, addr, client.FollowOptions{Base: b}); err != nil {
				t.Fatal(err)
			}
			before := string(b.state)
			change(t, s)
			s.commitOne(2)
			for what, keys := range map[string][]string{"kept": nil, "named": {first}} {
				err := catchUp(t, addr, client.FollowOptions{Base: b, ServerKeys: keys})
				if !errors.Is(err, client.ErrServerKey) {
					t.Errorf("the first key %s: %v, want ErrServerKey", what, err)
				}
				if string(b.state) != before || len(b.rows) != 1 {
					t.Errorf("the first key %s: the base was changed", what)
				}
			}
			s.signWith(feed.SigningKey{PrivateKey: s.key.PrivateKey}) // a forged rotation is refused whatever the base knows
			if err := catchUp(t, addr, client.FollowOptions{Base: b, ServerKeys: []string{s.key.Public().Text()}}); err != nil {
				t.Errorf("the new key, given by a person: %v", err)
			}
		})
	}
}

// TestFollowKeepsWholeKey: without a named key, the first one is kept whole, and verifies from then on. A base of an earlier
// version kept its name and hash alone.
func TestFollowKeepsWholeKey(t *testing.T) {
	t.Parallel()
	var flips atomic.Bool
	s, addr := serveFeed(t, func(s *feedServer) {
		s.mangle = func(m *dncv1.WatchResponse) []*dncv1.WatchResponse {
			if flips.Load() && len(m.GetCheckpoint()) > 0 {
				m.Checkpoint[len(m.GetCheckpoint())-9] ^= 1
			}
			return []*dncv1.WatchResponse{m}
		}
	})
	b := newMemoryBase()
	s.commitOne(1)
	if err := catchUp(t, addr, client.FollowOptions{Base: b}); err != nil {
		t.Fatal(err)
	}
	flips.Store(true)
	s.commitOne(2)
	if err := catchUp(t, addr, client.FollowOptions{Base: b}); !errors.Is(err, client.ErrFeedBroken) {
		t.Errorf("one byte of a signature: %v, want ErrFeedBroken", err)
	}
	flips.Store(false)

	state := b.loaded()
	short := strings.Join(strings.SplitN(state.ServerKey, "+", 3)[:2], "+")
	for pin, want := range map[string]error{short: nil, "dncd-test+00000000": client.ErrServerKey} {
		state.ServerKey = pin
		text, err := json.Marshal(state)
		if err != nil {
			t.Fatal(err)
		}
		b.state = text
		if err := catchUp(t, addr, client.FollowOptions{Base: b}); !errors.Is(err, want) {
			t.Errorf("kept as %s: %v, want %v", pin, err, want)
		}
		if got := b.loaded().ServerKey; want == nil && got != s.key.Public().Text() {
			t.Errorf("kept as %s, then %s", pin, got)
		}
	}
}
