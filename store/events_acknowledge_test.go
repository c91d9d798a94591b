package store

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dncd/dncd/internal/feed"
	"github.com/dncd/dncd/store/internal/journal"
)

// signer makes a key, and has a subscriber listed with it.
func signer(t *testing.T, s *Store, name string) feed.PrivateKey {
	t.Helper()
	text, public, err := feed.NewKey(name + "-key")
	must(t, err)
	key, err := feed.ParsePrivateKey(text)
	must(t, err)
	mustPut(t, s, name, func(set *SubscriberSettings) { set.Keys = []string{public.Text()} })
	return key
}

// checkpointAt is what the server would sign for a subscriber at a revision.
func checkpointAt(t *testing.T, s *Store, name string, revision uint64) feed.Checkpoint {
	t.Helper()
	sub := s.View().Subscribers().Named(name)
	log, err := s.FeedLog(context.Background(), sub, revision)
	must(t, err)
	c, err := s.View().Checkpoint(sub, log)
	must(t, err)
	return c
}

func signed(t *testing.T, key feed.PrivateKey, c feed.Checkpoint, stage feed.Stage) []byte {
	t.Helper()
	note, err := feed.Acknowledgement{Checkpoint: c, Stage: stage, Signed: day(20)}.Sign(key)
	must(t, err)
	return note
}

func acknowledgeNote(s *Store, name string, note []byte) (AckWrite, error) {
	return s.AcknowledgeNote(context.Background(), s.View().Subscribers().Named(name).ID, note, Request{})
}

func claim(s *Store, name string, stage feed.Stage, revision uint64) (AckWrite, error) {
	return s.AcknowledgeClaim(context.Background(), s.View().Subscribers().Named(name).ID, AckClaim{Stage: stage, Revision: revision}, Request{})
}

func mustClaim(t *testing.T, s *Store, name string, stage feed.Stage, revision uint64) AckWrite {
	t.Helper()
	w, err := claim(s, name, stage, revision)
	must(t, err)
	return w
}

// Only what adds a change at its stage is written, or the first in an hour; each stage includes those before it.
func TestAcknowledgementsAreRecordedWhenTheyAddAChange(t *testing.T) {
	t.Parallel()
	dir, clock := t.TempDir(), clockAt(day(8))
	s := openAt(t, dir, clock)
	mustPut(t, s, "a", atScopes("acme"))
	one := optOut(t, s, fiction(212, 100), "acme").ID.Revision
	optOut(t, s, fiction(212, 101), "other")
	two := optOut(t, s, fiction(212, 102), "acme/telecom").ID.Revision
	beside := optOut(t, s, fiction(212, 103), "other").ID.Revision
	steps := []struct {
		what     string
		stage    feed.Stage
		revision uint64
		recorded bool
		want     [3]uint64
	}{
		{"the first", feed.Received, one, true, [3]uint64{one, 0, 0}},
		{"it again", feed.Received, one, false, [3]uint64{one, 0, 0}},
		{"a revision that does not concern it", feed.Received, one + 1, false, [3]uint64{one, 0, 0}},
		{"another stage", feed.Durable, one, true, [3]uint64{one, one, 0}},
		{"a stage that includes all", feed.Applied, two, true, [3]uint64{two, two, two}},
		{"an earlier stage, which that includes", feed.Received, two, false, [3]uint64{two, two, two}},
		{"an older position", feed.Received, one, false, [3]uint64{two, two, two}},
		{"a later position without a change", feed.Applied, beside, false, [3]uint64{two, two, two}},
	}
	for _, step := range steps {
		before := s.View().Revision()
		w := mustClaim(t, s, "a", step.stage, step.revision)
		if wrote := s.View().Revision() > before; w.Recorded != step.recorded || wrote != step.recorded {
			t.Errorf("%s: recorded %v, written %v, want %v", step.what, w.Recorded, wrote, step.recorded)
		}
		wantUpTo(t, s, "a", step.want[0], step.want[1], step.want[2])
	}
	newest := s.View().Subscribers().Named("a").Acknowledged(feed.Applied)
	if w := mustClaim(t, s, "a", feed.Applied, two); w.ID != newest.ID || w.Tag != string(s.View().TagAt(newest.ID.Revision)) {
		t.Errorf("what adds nothing answers with %v, want the one before, %v", w.ID, newest.ID)
	}
	clock.advance(ackInterval - 1)
	if w := mustClaim(t, s, "a", feed.Applied, two); w.Recorded {
		t.Error("it is recorded again before an hour has passed")
	}
	clock.advance(1)
	if w := mustClaim(t, s, "a", feed.Applied, beside); !w.Recorded {
		t.Error("it is not recorded after an hour")
	}
	wantUpTo(t, s, "a", beside, beside, beside)
	if w := mustClaim(t, s, "a", feed.Durable, two); w.Recorded {
		t.Error("an older position is recorded after an hour")
	}
	closeStore(t, s)
	s = openAt(t, dir, clock)
	wantUpTo(t, s, "a", beside, beside, beside)
}

// A subscriber that has a key, or had one, is believed by its signature first: a signed position counts, also behind a claim.
func TestSignatureCountsForMoreThanClaims(t *testing.T) {
	t.Parallel()
	clock := clockAt(day(8))
	s := openAt(t, t.TempDir(), clock)
	mustPut(t, s, "a", nothing)
	one := optOut(t, s, fiction(212, 100), "").ID.Revision
	two := optOut(t, s, fiction(212, 101), "").ID.Revision
	mustClaim(t, s, "a", feed.Applied, two)
	clock.advance(time.Minute)
	key := signer(t, s, "a")
	note := signed(t, key, checkpointAt(t, s, "a", one), feed.Received)
	w, err := acknowledgeNote(s, "a", note)
	if err != nil || !w.Recorded {
		t.Fatalf("got %+v, %v; want it recorded", w, err)
	}
	wantUpTo(t, s, "a", one, two, two)
	a := s.View().Subscribers().Named("a")
	if !a.Acknowledged(feed.Received).Signed || a.Acknowledged(feed.Applied).Signed {
		t.Error("received must be signed, and applied claimed")
	}
	if _, err := claim(s, "a", feed.Received, two); !errors.Is(err, ErrAckInvalid) {
		t.Errorf("a claim beside a key: got %v, want ErrAckInvalid", err)
	}
	// The same position, signed, takes the place of the claim; signed again it stays as it was.
	for range 2 {
		if _, err := acknowledgeNote(s, "a", signed(t, key, checkpointAt(t, s, "a", two), feed.Applied)); err != nil {
			t.Fatal(err)
		}
		clock.advance(2 * ackInterval)
	}
	first, err := s.View().FirstAcknowledged(a.ID, feed.Applied, two)
	if must(t, err); !first.Signed || !first.Time.Equal(day(8).Add(time.Minute)) {
		t.Errorf("got %+v, want the first signature", first)
	}
	mustPut(t, s, "a", func(set *SubscriberSettings) { set.Keys = nil })
	if w := mustClaim(t, s, "a", feed.Applied, s.View().Revision()); w.Recorded {
		t.Error("a claim that adds no change takes the place of a signature")
	}
	three := optOut(t, s, fiction(212, 102), "").ID.Revision
	mustClaim(t, s, "a", feed.Applied, three)
	wantUpTo(t, s, "a", three, three, three)
	if r := fsckCopy(t, s); !r.OK() {
		t.Errorf("fsck: %v", r.Problems)
	}
}

// A note counts for exactly one place of one log, at one stage, under a key that is listed.
func TestAcknowledgementThatIsNotTrueIsRefused(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	mustPut(t, s, "a", nothing)
	mustPut(t, s, "b", nothing)
	mustPut(t, s, "unsigned", nothing)
	key, foreign := signer(t, s, "a"), signer(t, s, "b")
	for i := range 3 {
		optOut(t, s, fiction(212, 100+i), "")
	}
	at := s.View().Revision()
	good := checkpointAt(t, s, "a", at)
	with := func(change func(*feed.Checkpoint)) []byte {
		c := good
		change(&c)
		return signed(t, key, c, feed.Applied)
	}
	note := signed(t, key, good, feed.Applied)
	for what, c := range map[string]struct {
		note []byte
		want error
		says string
	}{
		"a forged hash":              {with(func(c *feed.Checkpoint) { c.Hash[0] ^= 1 }), ErrAckInvalid, "hash of changes"},
		"another count of changes":   {with(func(c *feed.Checkpoint) { c.Changes++ }), ErrAckInvalid, "number of changes"},
		"another filter":             {with(func(c *feed.Checkpoint) { c.Filter[0] ^= 1 }), ErrAckInvalid, "filter"},
		"another time":               {with(func(c *feed.Checkpoint) { c.Time = c.Time.Add(1) }), ErrAckInvalid, "time"},
		"an earlier position":        {with(func(c *feed.Checkpoint) { c.Revision, c.Tag = at-1, feed.Tag(s.View().TagAt(at-1)) }), ErrAckInvalid, "number of changes"},
		"another subscriber's":       {with(func(c *feed.Checkpoint) { c.Subscriber = s.View().Subscribers().Named("b").ID }), ErrAckInvalid, "another subscriber"},
		"another epoch":              {with(func(c *feed.Checkpoint) { c.Epoch++ }), ErrEpochEnded, "epoch"},
		"another tag":                {with(func(c *feed.Checkpoint) { c.Tag[0] ^= 1 }), ErrForked, "does not hold"},
		"a later position":           {with(func(c *feed.Checkpoint) { c.Revision++ }), ErrForked, "does not hold"},
		"another journal, same data": {with(func(c *feed.Checkpoint) { c.Journal = strings.Repeat("0", 32) }), ErrOtherJournal, "another journal"},
		"a foreign key":              {signed(t, foreign, good, feed.Applied), ErrAckInvalid, "not one of the keys"},
		"truncated":                  {note[:len(note)-2], ErrAckInvalid, ""},
		"of another stage":           {[]byte(strings.Replace(string(note), "stage applied", "stage durable", 1)), ErrAckInvalid, "not what"},
		"a checkpoint":               {[]byte(good.Text()), ErrAckInvalid, ""},
	} {
		before := s.View()
		_, err := acknowledgeNote(s, "a", c.note)
		if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: got %v, want %v that says %q", what, err, c.want, c.says)
		}
		if s.View() != before {
			t.Errorf("%s: it was recorded", what)
		}
	}
	if _, err := acknowledgeNote(s, "unsigned", note); !errors.Is(err, ErrAckInvalid) {
		t.Errorf("for a subscriber without a key: got %v, want ErrAckInvalid", err)
	}
	mustPut(t, s, "a", func(set *SubscriberSettings) { set.Keys = []string{foreign.Public().Text()} })
	if _, err := acknowledgeNote(s, "a", note); !errors.Is(err, ErrAckInvalid) {
		t.Errorf("under a key that is not listed any more: got %v, want ErrAckInvalid", err)
	}
}

// What a claim states beside its position must be true.
func TestClaimThatIsNotTrueIsRefused(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	optOut(t, s, fiction(212, 100), "")
	a := mustPut(t, s, "a", nothing)
	at := optOut(t, s, fiction(212, 101), "").ID.Revision
	good := checkpointAt(t, s, "a", at)
	for what, c := range map[string]struct {
		claim AckClaim
		want  error
	}{
		"changes":     {AckClaim{Revision: at, Changes: 2}, ErrAckInvalid},
		"hash":        {AckClaim{Revision: at, Hash: feed.Hash{1}}, ErrAckInvalid},
		"epoch":       {AckClaim{Revision: at, Epoch: a.Epoch + 1}, ErrEpochEnded},
		"before it":   {AckClaim{Revision: a.Epoch - 1}, ErrEpochEnded},
		"beyond":      {AckClaim{Revision: at + 100}, ErrFutureRevision},
		"all is true": {AckClaim{Revision: at, Epoch: a.Epoch, Changes: 1, Hash: good.Hash}, nil},
	} {
		c.claim.Stage = feed.Durable
		if _, err := s.AcknowledgeClaim(context.Background(), a.ID, c.claim, Request{}); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", what, err, c.want)
		}
	}
}

func TestAcknowledgementIsWrittenOncePerRequest(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	a := mustPut(t, s, "a", nothing)
	r := Request{ID: "1", Asked: []byte("ack")}
	c := AckClaim{Stage: feed.Applied, Revision: a.Epoch}
	first, err := s.AcknowledgeClaim(context.Background(), a.ID, c, r)
	must(t, err)
	again, err := s.AcknowledgeClaim(context.Background(), a.ID, c, r)
	if err != nil || !again.Recorded || !again.Duplicate || again.ID != first.ID {
		t.Errorf("a repeat: got %+v, %v; want the first receipt", again, err)
	}
	if _, err := s.AcknowledgeClaim(context.Background(), a.ID, c, Request{ID: "1", Asked: []byte("another")}); !errors.Is(err, ErrRequestReused) {
		t.Errorf("another under the same id: got %v, want ErrRequestReused", err)
	}
}

// spoilJournal makes every revision from first to last unreadable: what succeeds then has read none of them.
func spoilJournal(t *testing.T, s *Store, first, last uint64) {
	t.Helper()
	s.feeds.recent.begin(s.View().Revision()) // which forgets what was read
	for revision := first; revision <= last; revision++ {
		txn := s.db.NewTransactionAt(revision, true)
		must(t, txn.Set(journal.Key(revision), []byte("not to be read")))
		must(t, txn.CommitAt(revision, nil))
	}
}

// A forged note costs the reading of the log once, however often it comes, and at whatever later position.
func TestForgedAcknowledgementsAreCheapToRefuse(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	mustPut(t, s, "a", nothing)
	key := signer(t, s, "a")
	first := optOut(t, s, fiction(212, 100), "").ID.Revision
	for i := range 50 {
		optOut(t, s, fiction(212+i, 101), "")
	}
	at := s.View().Revision()
	forged := checkpointAt(t, s, "a", at)
	forged.Hash[0] ^= 1
	note := signed(t, key, forged, feed.Applied)
	if _, err := acknowledgeNote(s, "a", note); !errors.Is(err, ErrAckInvalid) {
		t.Fatalf("got %v, want ErrAckInvalid", err)
	}
	spoilJournal(t, s, first, at-1)
	for range 3 {
		if _, err := acknowledgeNote(s, "a", note); !errors.Is(err, ErrAckInvalid) || errors.Is(err, ErrDamaged) {
			t.Errorf("again: got %v, want ErrAckInvalid", err)
		}
	}
	if cause := s.State().Cause; cause != nil {
		t.Errorf("the log was read again: %v", cause)
	}
}

// An old position adds nothing. Where the log would have to be read from far before it, it is not.
func TestOldAcknowledgementsAreNotReadAgain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	mustPut(t, s, "a", nothing)
	key := signer(t, s, "a")
	first := optOut(t, s, fiction(212, 100), "").ID.Revision
	for i := range 30 {
		optOut(t, s, fiction(212+i, 101), "")
	}
	old, at := first+10, s.View().Revision()
	before, newest := signed(t, key, checkpointAt(t, s, "a", old), feed.Applied), signed(t, key, checkpointAt(t, s, "a", at), feed.Applied)
	w, err := acknowledgeNote(s, "a", newest)
	must(t, err)
	closeStore(t, s)
	s = open(t, dir)
	spoilJournal(t, s, first, old-1)
	spoilJournal(t, s, old+1, at-1)
	read := s.feeds.read.Load()
	for range 3 {
		again, err := acknowledgeNote(s, "a", before)
		if err != nil || again.Recorded || again.ID != w.ID {
			t.Errorf("got %+v, %v; want that it adds nothing to %v", again, err, w.ID)
		}
	}
	if n := s.feeds.read.Load() - read; n > 0 {
		t.Errorf("%d revisions of the log were read", n)
	}
}

// Of a log few places are remembered, spread over all of it, whatever the order in which they come.
func TestPlacesOfALogStayFew(t *testing.T) {
	t.Parallel()
	const changes = 1_000_000
	var p logPlaces
	at := func(n uint64) FeedCursor { return FeedCursor{Revision: n + 7, Changes: n} }
	for n := uint64(0); n <= changes; n += 500 {
		p.add(at(n))
		p.add(at(n * 7919 % (n + 1)))
	}
	widest := uint64(0)
	for i := 1; i < len(p.all); i++ {
		if p.all[i].Revision <= p.all[i-1].Revision {
			t.Fatalf("places are not in order: %v", p.all)
		}
		widest = max(widest, p.all[i].Changes-p.all[i-1].Changes)
	}
	if len(p.all) > maxPlaces || len(p.all) < maxPlaces/4 || widest > 8*changes/maxPlaces || p.all[0] != at(0) || p.all[len(p.all)-1] != at(changes) {
		t.Errorf("%d places, at most %d changes apart, from %v to %v", len(p.all), widest, p.all[0], p.all[len(p.all)-1])
	}
	for _, n := range []uint64{0, 1, 31_337, changes - 1, changes, 2 * changes} {
		if c, known := p.before(at(n).Revision); !known || c.Changes > n || n <= changes && n-c.Changes > widest {
			t.Errorf("before %d: got %v, %v", n, c, known)
		}
	}
	var within logPlaces
	for _, part := range []uint32{0, 9_000, 3_000, 6_000} {
		within.add(FeedCursor{Revision: 7, Part: part, Changes: uint64(part)})
	}
	if !slices.IsSortedFunc(within.all, comparePlaces) || len(within.all) != 4 {
		t.Errorf("within a revision: got %v, want all of them in order", within.all)
	}
	if _, known := p.before(6); known {
		t.Error("before the first: got a place, want none")
	}
}

// A log has one hash at a position, from whichever place it is worked out.
func TestLogIsTheSameFromEveryPlace(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("a campaign: -short leaves it out")
	}
	s := open(t, t.TempDir())
	mustPut(t, s, "a", atScopes("acme"))
	const count, each = 40_000, 1_000
	for i := 0; i < count; i += each {
		rows := make([]RecordRow, each)
		for k := range rows {
			rows[k].OptOut = OptOut{Number: writersNumber(1, uint64(i+k)), Scope: "acme", ReceivedAt: day(1)}
		}
		recordAll(t, s, rows)
	}
	a, last := s.View().Subscribers().Named("a"), s.View().Revision()
	at := func(revision uint64) FeedCursor {
		t.Helper()
		c, err := s.FeedLog(context.Background(), a, revision)
		must(t, err)
		return c
	}
	if c := at(last); c.Changes != count || c.Revision != last || c.Part != 0 {
		t.Fatalf("got %+v", c)
	}
	places := slices.Clone(s.logs.of(a).places.all)
	within := slices.IndexFunc(places, func(c FeedCursor) bool { return c.Part > 0 })
	if within < 0 || len(places) < 3 {
		t.Fatalf("got places %v, want some within a revision", places)
	}
	for _, revision := range []uint64{a.Epoch, a.Epoch + 1, places[within].Revision, places[within].Revision + 1, last - 1, last} {
		got := at(revision)
		s.logs = feedLogs{}
		if want := at(revision); got != want {
			t.Errorf("revision %d: got %+v, want %+v", revision, got, want)
		}
		for _, c := range places {
			s.logs.of(a).places.add(c)
		}
	}
}

// The log of an epoch begins with it, whatever was acknowledged in an earlier one, also after a restart.
func TestLogBeginsWithItsEpoch(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	mustPut(t, s, "a", atScopes("acme"))
	for i := range 5 {
		optOut(t, s, fiction(212+i, 100), "acme")
	}
	_, err := acknowledgeNote(s, "a", signed(t, signer(t, s, "a"), checkpointAt(t, s, "a", s.View().Revision()), feed.Received))
	must(t, err)
	mustPut(t, s, "a", atScopes("other"))
	for i := range 3 {
		optOut(t, s, fiction(212+i, 101), "other")
	}
	at := s.View().Revision()
	closeStore(t, s)
	if c := checkpointAt(t, open(t, dir), "a", at); c.Changes != 3 {
		t.Errorf("the log has %d changes, want 3", c.Changes)
	}
}
