package store

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/dncd/dncd/internal/feed"
	"github.com/dncd/dncd/internal/policy"
	storev1 "github.com/dncd/dncd/internal/proto/store/v1"
	"github.com/dncd/dncd/store/internal/apply"
	"github.com/dncd/dncd/store/internal/keys"
	"github.com/dncd/dncd/store/internal/seal"
	"github.com/dncd/dncd/store/internal/state"
)

// recordAck records an acknowledgement as it comes, without comparing it with the log.
func recordAck(t testing.TB, s *Store, name string, stage feed.Stage, revision uint64) {
	t.Helper()
	sub := s.View().Subscribers().Named(name)
	_, err := s.record(context.Background(), &storev1.Event{Change: &storev1.Event_Acknowledged{Acknowledged: &storev1.Acknowledged{
		Subscriber: state.Ref(sub.ID), Stage: uint32(stage), Epoch: sub.Epoch, Revision: revision, Hash: make([]byte, 32),
	}}}, Request{})
	must(t, err)
}

// wantUpTo compares up to where a subscriber has acknowledged each stage; 0: not at all.
func wantUpTo(t *testing.T, s *Store, name string, received, durable, applied uint64) {
	t.Helper()
	var got [3]uint64
	for stage := feed.Received; stage <= feed.Applied; stage++ {
		if a := s.View().Subscribers().Named(name).Acknowledged(stage); a != nil {
			got[stage-feed.Received] = a.Revision
		}
	}
	if want := [3]uint64{received, durable, applied}; got != want {
		t.Errorf("%s has acknowledged %v, want %v", name, got, want)
	}
}

// Who knew, and when, is one seek for each stage.
func TestFirstAndLastAcknowledgements(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	a := mustPut(t, s, "a", nothing)
	mustPut(t, s, "b", nothing)
	var at []uint64
	for i := range 6 {
		at = append(at, optOut(t, s, fiction(212, 100+i), "").ID.Revision)
	}
	recordAck(t, s, "b", feed.Applied, at[2])
	recordAck(t, s, "a", feed.Received, at[0])
	recordAck(t, s, "a", feed.Applied, at[1])
	recordAck(t, s, "a", feed.Durable, at[3])
	recordAck(t, s, "a", feed.Received, at[5])
	for _, c := range []struct {
		stage       feed.Stage
		revision    uint64
		first, last uint64 // 0: none
	}{
		{feed.Received, at[0], at[0], at[0]},
		{feed.Received, at[0] + 1, at[1], at[1]},
		{feed.Received, at[2], at[3], at[1]},
		{feed.Received, at[4], at[5], at[3]},
		{feed.Received, at[5] + 1, 0, at[5]},
		{feed.Durable, at[0], at[1], 0},
		{feed.Durable, at[4], 0, at[3]},
		{feed.Applied, at[1], at[1], at[1]},
		{feed.Applied, at[2], 0, at[1]},
		{feed.Applied, 0, at[1], 0},
	} {
		first, err := s.View().FirstAcknowledged(a.ID, c.stage, c.revision)
		must(t, err)
		last, err := s.View().LastAcknowledged(a.ID, c.stage, c.revision)
		must(t, err)
		for what, got := range map[string]struct {
			ack  *Acknowledgement
			want uint64
		}{"first": {first, c.first}, "last": {last, c.last}} {
			if (got.ack == nil) != (got.want == 0) || got.ack != nil && got.ack.Revision != got.want {
				t.Errorf("%s %v at %d: got %+v, want %d", what, c.stage, c.revision, got.ack, got.want)
			}
		}
	}
}

// Between its verification and its commit a subscriber may change: apply decides.
func TestAcknowledgementThatComesTooLateIsRefused(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	a := mustPut(t, s, "a", nothing)
	key := publicKey(t, "a-key")
	mustPut(t, s, "a", func(set *SubscriberSettings) { set.Keys = []string{key} })
	good := &storev1.Acknowledged{
		Subscriber: state.Ref(a.ID), Stage: 1, Epoch: a.Epoch, Revision: a.Epoch, Hash: make([]byte, 32), Note: []byte("note"), Key: key,
	}
	record := func(change func(*storev1.Acknowledged)) error {
		c := &storev1.Acknowledged{
			Subscriber: good.Subscriber, Stage: good.Stage, Epoch: good.Epoch, Revision: good.Revision, Hash: good.Hash, Note: good.Note, Key: good.Key,
		}
		change(c)
		_, err := s.record(context.Background(), &storev1.Event{Change: &storev1.Event_Acknowledged{Acknowledged: c}}, Request{})
		return err
	}
	must(t, record(func(*storev1.Acknowledged) {}))
	for what, c := range map[string]struct {
		change func(*storev1.Acknowledged)
		want   error
	}{
		"another epoch":     {func(c *storev1.Acknowledged) { c.Epoch-- }, ErrEpochEnded},
		"before its epoch":  {func(c *storev1.Acknowledged) { c.Revision-- }, ErrAckInvalid},
		"beyond the tip":    {func(c *storev1.Acknowledged) { c.Revision = s.View().Revision() + 1 }, ErrAckInvalid},
		"no stage":          {func(c *storev1.Acknowledged) { c.Stage = 0 }, ErrAckInvalid},
		"a stage of later":  {func(c *storev1.Acknowledged) { c.Stage = 4 }, ErrAckInvalid},
		"a key of before":   {func(c *storev1.Acknowledged) { c.Key = "another" }, ErrAckInvalid},
		"a claim":           {func(c *storev1.Acknowledged) { c.Note, c.Key = nil, "" }, ErrAckInvalid},
		"nobody":            {func(c *storev1.Acknowledged) { c.Subscriber = state.Ref(policy.EventID{Revision: 77}) }, ErrSubscriberNotFound},
		"no subscriber set": {func(c *storev1.Acknowledged) { c.Subscriber = nil }, ErrSubscriberNotFound},
	} {
		if err := record(c.change); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", what, err, c.want)
		}
	}
	mustRemove(t, s, "a")
	if err := record(func(*storev1.Acknowledged) {}); !errors.Is(err, ErrSubscriberNotFound) {
		t.Errorf("a removed one: got %v, want ErrSubscriberNotFound", err)
	}
}

// A new epoch begins with nothing acknowledged; what was acknowledged before is still there to be found.
func TestNewEpochHasNoAcknowledgements(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	a := mustPut(t, s, "a", nothing)
	at := optOut(t, s, fiction(212, 100), "").ID.Revision
	recordAck(t, s, "a", feed.Applied, at)
	rebase(t, s, "a")
	wantUpTo(t, s, "a", 0, 0, 0)
	if first, err := s.View().FirstAcknowledged(a.ID, feed.Durable, at); err != nil || first == nil || first.Epoch != a.Epoch {
		t.Errorf("got %+v, %v; want that of the epoch before", first, err)
	}
}

// Acknowledgements outlive a kill, a restored copy and a repair, and fsck holds each against the journal.
func TestAcknowledgementsOutliveTrouble(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	a := mustPut(t, s, "a", nothing)
	at := optOut(t, s, fiction(212, 100), "").ID.Revision
	recordAck(t, s, "a", feed.Durable, at)
	recordAck(t, s, "a", feed.Applied, at)
	killed := copyOf(t, dir)
	closeStore(t, s)
	harmed := copyOf(t, dir)
	must(t, os.Remove(filepath.Join(harmed, "badger", "MANIFEST")))
	r, err := Repair(context.Background(), harmed, false, testOptions())
	if err != nil || !r.Repaired {
		t.Fatalf("repair: got %+v, %v", r, err)
	}
	for name, dir := range map[string]string{"killed": killed, "repaired": harmed} {
		s := open(t, dir)
		wantUpTo(t, s, "a", at, at, at)
		if first, err := s.View().FirstAcknowledged(a.ID, feed.Applied, at); err != nil || first == nil {
			t.Errorf("%s: got %+v, %v", name, first, err)
		}
		closeStore(t, s)
		if r := mustFsck(t, dir); !r.OK() {
			t.Errorf("%s: fsck: %v", name, r.Problems)
		}
	}
}

func TestFsckHoldsAcknowledgementsAgainstTheJournal(t *testing.T) {
	t.Parallel()
	for what, harm := range map[string]func(t *testing.T, s *Store, id policy.EventID, at uint64){
		"missing": func(t *testing.T, s *Store, id policy.EventID, at uint64) { putState(t, s, keys.Ack(id, 2, at), nil) },
		"another's": func(t *testing.T, s *Store, id policy.EventID, at uint64) {
			putSealed(t, s, keys.Ack(id, 2, at), ackState(t, s, keys.Ack(id, 3, at+2)))
		},
		"of no event": func(t *testing.T, s *Store, id policy.EventID, at uint64) {
			putSealed(t, s, keys.Ack(id, 1, at), ackState(t, s, keys.Ack(id, 2, at)))
		},
		"signed, said to be": func(t *testing.T, s *Store, id policy.EventID, at uint64) {
			m := ackState(t, s, keys.Ack(id, 2, at))
			m.Signed = true
			putSealed(t, s, keys.Ack(id, 2, at), m)
		},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			s := open(t, dir)
			a := mustPut(t, s, "a", nothing)
			at := optOut(t, s, fiction(212, 100), "").ID.Revision
			recordAck(t, s, "a", feed.Durable, at)
			optOut(t, s, fiction(212, 101), "")
			recordAck(t, s, "a", feed.Applied, at+2)
			harm(t, s, a.ID, at)
			closeStore(t, s)
			if r := mustFsck(t, dir); r.OK() {
				t.Error("fsck finds nothing")
			}
			_, err := Repair(context.Background(), dir, false, testOptions())
			must(t, err)
			if r := mustFsck(t, dir); !r.OK() {
				t.Errorf("after a repair: %v", r.Problems)
			}
		})
	}
}

// A replay takes each acknowledgement as it was recorded, whatever a loss took away before it.
func TestReplayOfAnAcknowledgement(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	a := mustPut(t, s, "a", nothing)
	txn := s.db.NewTransactionAt(s.View().Revision(), true)
	defer txn.Discard()
	replay := apply.Replay(txn, 2, &storev1.Revision{Time: 1})
	for i, c := range []*storev1.Acknowledged{
		{Subscriber: state.Ref(a.ID), Stage: 3, Epoch: a.Epoch + 7, Revision: a.Epoch + 8, Note: []byte("note"), Key: "of before"},
		{Subscriber: state.Ref(policy.EventID{Revision: 77}), Stage: 1, Epoch: 77, Revision: 78},
		{Subscriber: state.Ref(a.ID), Stage: 9, Epoch: a.Epoch, Revision: a.Epoch},
	} {
		e := &storev1.Event{Change: &storev1.Event_Acknowledged{Acknowledged: c}}
		if _, err := replay.Apply(i, e); err != nil {
			t.Errorf("event %d: %v", i, err)
		}
		var kept storev1.AckState
		if found, err := state.Get(txn, apply.AckKey(c), &kept); err != nil || !found {
			t.Errorf("event %d: it is not kept: %v", i, err)
		}
	}
	var st storev1.SubscriberState
	_, err := state.Get(txn, keys.Subscriber(a.ID), &st)
	if must(t, err); st.GetReceived() != nil && st.GetReceived().GetEpoch() != st.GetEpoch() {
		t.Errorf("got %v, want nothing of another epoch", st.GetReceived())
	}
}

func ackState(t *testing.T, s *Store, key []byte) *storev1.AckState {
	t.Helper()
	txn := s.db.NewTransactionAt(s.View().Revision(), false)
	defer txn.Discard()
	m := new(storev1.AckState)
	if found, err := state.Get(txn, key, m); err != nil || !found {
		t.Fatalf("found %v, %v", found, err)
	}
	return m
}

// putSealed writes a value of the state past the journal.
func putSealed(t *testing.T, s *Store, key []byte, m proto.Message) {
	t.Helper()
	b, err := proto.Marshal(m)
	must(t, err)
	putState(t, s, key, seal.Value(key, b))
}

// fsckCopy is what fsck says of a store as it is now.
func fsckCopy(t *testing.T, s *Store) Report {
	t.Helper()
	dir := copyOf(t, s.dir)
	closeStore(t, open(t, dir))
	return mustFsck(t, dir)
}
