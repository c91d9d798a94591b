package client_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/dncd/dncd/client"
	"github.com/dncd/dncd/internal/feed"
	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
)

// follow follows until stop is called, which returns how it ended.
func follow(t *testing.T, addr string, o client.FollowOptions) (stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	c := connect(t, addr)
	end := make(chan error, 1)
	go func() { end <- c.Follow(ctx, withName(o)) }()
	return func() error {
		cancel()
		return <-end
	}
}

func withName(o client.FollowOptions) client.FollowOptions {
	o.Subscriber = "north"
	return o
}

// catchUp follows until the base has what the server has.
func catchUp(t *testing.T, addr string, o client.FollowOptions) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	o.Once = true
	return connect(t, addr).Follow(ctx, withName(o))
}

// inStep fails the test unless a base holds what the server held at its position, and that is the server's last.
func inStep(t *testing.T, s *feedServer, b *memoryBase) {
	t.Helper()
	at := b.loaded().Cursor.Position().Revision
	s.mu.Lock()
	tip := s.tip()
	s.mu.Unlock()
	if got, want := b.sorted(), s.rowsAt(at); !slices.Equal(got, want) || at != tip {
		t.Errorf("at revision %d of %d the base holds\n%v, want\n%v", at, tip, got, want)
	}
}

// history commits one of each kind of change.
func history(s *feedServer) {
	s.commit(one(rowSet(fiction(1), "acme"), rowSet(fiction(2), "")))
	s.commit(one(listRows(4, false, fiction(5), fiction(6))), one(listRows(4, false, fiction(7))), one(listLoaded(4, "acme", 3)))
	s.commit(one(rowRemove(fiction(2), ""), rowSetUntil(fiction(2), "", fakeTime(500)), rowSet(fiction(2), "acme/telecom")))
	s.commit(one(listRows(4, false, fiction(8)), listRows(4, true, fiction(5)), listLoaded(4, "acme", 3)))
	moved := fakeList(4, "")
	s.commit(one(&dncv1.FeedChange{Change: &dncv1.FeedChange_Moved{Moved: moved}}))
	s.commit(one(listRows(2, false, fiction(1), fiction(9)), listLoaded(2, "", 2), rowSet(fiction(3), "")))
	s.commit(one(rowSetUntil(fiction(3), "", fakeTime(9))))
}

func TestFollow(t *testing.T) {
	t.Parallel()
	s, addr := serveFeed(t, nil)
	history(s)
	b := newMemoryBase()
	if err := catchUp(t, addr, client.FollowOptions{Base: b}); err != nil { // by a snapshot
		t.Fatal(err)
	}
	inStep(t, s, b)
	s.commit(one(&dncv1.FeedChange{Change: &dncv1.FeedChange_Gone{Gone: fakeList(4, "")}}))
	history(s)
	if err := catchUp(t, addr, client.FollowOptions{Base: b}); err != nil { // by changes
		t.Fatal(err)
	}
	inStep(t, s, b)
	stop := follow(t, addr, client.FollowOptions{Base: b})
	for range 20 {
		history(s)
	}
	eventually(t, "the base is at the tip", func() bool { return b.loaded().Cursor.Position().Revision == s.tip() })
	if err := stop(); !errors.Is(err, context.Canceled) {
		t.Errorf("ended with %v, want context.Canceled", err)
	}
	inStep(t, s, b)
	if b.swaps != 1 || s.feeds != 1 {
		t.Errorf("%d snapshots, %d swaps, want one", s.feeds, b.swaps)
	}
}

// TestFollowThroughFailures holds that nothing is lost and nothing comes twice while the base dies before and after its
// transactions, and the stream breaks.
func TestFollowThroughFailures(t *testing.T) {
	t.Parallel()
	s, addr := serveFeed(t, func(s *feedServer) {
		s.cut = func() error {
			if rand.IntN(20) == 0 {
				return refused(codes.Unavailable, "SHUTTING_DOWN")
			}
			return nil
		}
		s.feedCut = func(int) error {
			if rand.IntN(30) == 0 {
				return refused(codes.Unavailable, "SHUTTING_DOWN")
			}
			return nil
		}
	})
	deaths := 0
	b := newMemoryBase()
	kills := rand.New(rand.NewPCG(8, 8))
	b.fail = func(string) error {
		if kills.IntN(6) == 0 {
			deaths++
			return errKilled
		}
		return nil
	}
	for range 30 {
		history(s)
		for {
			err := catchUp(t, addr, client.FollowOptions{Base: b})
			if err == nil {
				break
			}
			if !errors.Is(err, errKilled) {
				t.Fatal(err)
			}
		}
		inStep(t, s, b)
	}
	if deaths < 10 {
		t.Errorf("the base died %d times", deaths)
	}
}

// TestFollowNoticesForgery holds that messages which are not those of the log end Follow, with the base as it was before them.
func TestFollowNoticesForgery(t *testing.T) {
	t.Parallel()
	var other feed.SigningKey
	text, _, err := feed.NewKey("dncd-other")
	if err == nil {
		other, err = feed.ParseSigningKey(text)
	}
	if err != nil {
		t.Fatal(err)
	}
	type message = *dncv1.WatchResponse
	for name, tt := range map[string]struct {
		mangle func(s *feedServer, m message) []message
		want   error
	}{
		"repeats":         {func(_ *feedServer, m message) []message { return []message{m, m} }, client.ErrFeedBroken},
		"cuts":            {func(s *feedServer, m message) []message { m.Changes = m.GetChanges()[1:]; return []message{m} }, client.ErrFeedBroken},
		"leaves out":      {func(*feedServer, message) []message { return nil }, client.ErrFeedBroken},
		"reorders":        {func(_ *feedServer, m message) []message { slices.Reverse(m.GetChanges()); return []message{m} }, client.ErrFeedBroken},
		"another number":  {func(_ *feedServer, m message) []message { m.GetChanges()[0].GetSet().Number++; return []message{m} }, client.ErrFeedBroken},
		"another scope":   {func(_ *feedServer, m message) []message { m.GetChanges()[0].GetSet().Scope = "b"; return []message{m} }, client.ErrFeedBroken},
		"no blind":        {func(_ *feedServer, m message) []message { m.GetChanges()[0].Blind = nil; return []message{m} }, client.ErrFeedBroken},
		"another hash":    {func(_ *feedServer, m message) []message { m.GetCursor().Hash[0]++; return []message{m} }, client.ErrFeedBroken},
		"another count":   {func(_ *feedServer, m message) []message { m.GetCursor().Changes++; return []message{m} }, client.ErrFeedBroken},
		"another epoch":   {func(_ *feedServer, m message) []message { m.GetCursor().Epoch++; return []message{m} }, client.ErrFeedBroken},
		"no cursor":       {func(_ *feedServer, m message) []message { m.Cursor = nil; return []message{m} }, client.ErrFeedBroken},
		"goes back":       {func(s *feedServer, m message) []message { return []message{m, {Cursor: s.cursor(6, 0)}} }, client.ErrFeedBroken},
		"an unknown kind": {func(_ *feedServer, m message) []message { m.GetChanges()[0].Change = nil; return []message{m} }, client.ErrFeedBroken},
		"no number":       {func(_ *feedServer, m message) []message { m.GetChanges()[0].GetSet().Number = 0; return []message{m} }, client.ErrFeedBroken},
		"another's note": {func(s *feedServer, m message) []message {
			m.Checkpoint = s.checkpoint(s.cursor(6, 0))
			return []message{m}
		}, client.ErrFeedBroken},
		"no note": {func(_ *feedServer, m message) []message { m.Checkpoint = []byte("x"); return []message{m} }, client.ErrFeedBroken},
		"one byte of a note": {func(_ *feedServer, m message) []message {
			m.Checkpoint[len(m.GetCheckpoint())-9] ^= 1
			return []message{m}
		}, client.ErrFeedBroken},
		"another key": {func(s *feedServer, m message) []message {
			was := s.key
			s.key = other
			m.Checkpoint = s.checkpoint(m.GetCursor())
			s.key = was
			return []message{m}
		}, client.ErrServerKey},
		"another subscriber": {func(s *feedServer, m message) []message {
			c, _, err := feed.ReadCheckpoint(s.checkpoint(m.GetCursor()))
			if err == nil {
				c.Subscriber.Index++
				m.Checkpoint, err = c.Sign(s.key)
			}
			if err != nil {
				panic(err)
			}
			return []message{m}
		}, client.ErrFeedBroken},
		"another filter": {func(s *feedServer, m message) []message {
			was := s.filter
			s.filter = feed.Hash{1}
			m.Checkpoint = s.checkpoint(m.GetCursor())
			s.filter = was
			return []message{m}
		}, client.ErrFeedBroken},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, addr := serveFeed(t, nil)
			s.mangle = func(m message) []message {
				if len(m.GetChanges()) > 0 && m.GetCursor().GetPosition().GetRevision() == 7 {
					return tt.mangle(s, m)
				}
				return []message{m}
			}
			s.commit(one(rowSet(fiction(1), "acme")))
			b := newMemoryBase()
			o := client.FollowOptions{Base: b, ServerKeys: []string{s.key.Public().Text()}}
			if err := catchUp(t, addr, o); err != nil {
				t.Fatal(err)
			}
			before := b.sorted()
			s.commit(one(rowSet(fiction(2), "acme"), rowRemove(fiction(1), "acme")))
			s.commit(one(rowSet(fiction(3), "acme")))
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			if err := connect(t, addr).Follow(ctx, withName(o)); !errors.Is(err, tt.want) {
				t.Errorf("ended with %v, want %v", err, tt.want)
			}
			if name == "repeats" || name == "goes back" { // behind what is true
				before = s.rowsAt(7)
			}
			if got := b.sorted(); !slices.Equal(got, before) {
				t.Errorf("the base holds %v, want %v", got, before)
			}
		})
	}
}

// TestFollowAfterLoss holds that rows which the server lost stay as orphans, until it has them again.
func TestFollowAfterLoss(t *testing.T) {
	t.Parallel()
	for name, lose := range map[string]func(*feedServer){
		"forked":  func(s *feedServer) { s.tag++; s.epoch = 7 },
		"changed": func(s *feedServer) { s.journal = fakeLost; s.epoch = 7 },
		"changed, and first something else is said": func(s *feedServer) {
			s.refuse = func(at *dncv1.FeedCursor) error {
				if at.GetEpoch() != s.epoch {
					return refused(codes.FailedPrecondition, "FILTER_CHANGED")
				}
				return nil
			}
			s.journal, s.epoch = fakeLost, 7
		},
		"shorter": func(s *feedServer) {
			s.refuse = func(at *dncv1.FeedCursor) error { // a server that does not say it
				if at.GetEpoch() != s.epoch {
					return refused(codes.FailedPrecondition, "FILTER_CHANGED")
				}
				return nil
			}
			s.epoch = 4
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, addr := serveFeed(t, nil)
			s.commit(one(rowSet(fiction(1), "acme"), rowSet(fiction(2), ""), rowSet(fiction(3), ""), rowSetUntil(fiction(4), "", fakeTime(500))))
			s.commit(one(listRows(4, false, fiction(5), fiction(6)), listLoaded(4, "", 2), listRows(2, false, fiction(7)), listLoaded(2, "", 1)))
			b := newMemoryBase()
			if err := catchUp(t, addr, client.FollowOptions{Base: b}); err != nil {
				t.Fatal(err)
			}
			s.mu.Lock()
			s.revisions = nil
			lose(s)
			s.mu.Unlock()
			other := listLoaded(4, "", 1) // an id that another list has now
			other.GetList().Name = "another"
			s.commit(one(rowSet(fiction(1), "acme"), rowSetUntil(fiction(3), "", fakeTime(500)), rowSet(fiction(4), "")))
			s.commit(one(listRows(4, false, fiction(5)), other, listRows(2, false, fiction(8)), listLoaded(2, "", 1)))
			var kept bool
			err := catchUp(t, addr, client.FollowOptions{Base: b, OnSnapshot: func(p client.SnapshotProgress) { kept = p.KeepsOrphans }})
			if err != nil || !kept {
				t.Fatalf("followed on: %v; keeps orphans: %v", err, kept)
			}
			inStep(t, s, b)
			want := []client.Row{
				{Number: fiction(2), Source: "opt-out"}, // it is lost
				{Number: fiction(3), Source: "opt-out"}, // it ends earlier now
				{Number: fiction(5), Source: "4.0"},     // on another list
				{Number: fiction(6), Source: "4.0"},
				{Number: fiction(7), Source: "2.0"},
			}
			if got := b.orphaned(); !slices.Equal(got, want) {
				t.Errorf("orphans %v,\nwant %v", got, want)
			}
			s.commit(one(rowSet(fiction(2), ""), rowSetUntil(fiction(3), "", fakeTime(600))))
			s.commit(one(rowRemove(fiction(2), "")))
			if err := catchUp(t, addr, client.FollowOptions{Base: b}); err != nil {
				t.Fatal(err)
			}
			if got := b.orphaned(); !slices.Equal(got, want[1:]) {
				t.Errorf("after one of them was recorded again: orphans %v,\nwant %v", got, want[1:])
			}
		})
	}
}

// TestFollowReplaces holds that a snapshot of the same journal replaces the rows, and that those of a list in doubt stay.
func TestFollowReplaces(t *testing.T) {
	t.Parallel()
	for _, reason := range []string{"FILTER_CHANGED", "HISTORY_GONE"} {
		t.Run(reason, func(t *testing.T) {
			t.Parallel()
			s, addr := serveFeed(t, nil)
			history(s)
			b := newMemoryBase()
			if err := catchUp(t, addr, client.FollowOptions{Base: b}); err != nil {
				t.Fatal(err)
			}
			s.mu.Lock()
			s.revisions, s.epoch = nil, 20
			s.refuse = func(at *dncv1.FeedCursor) error {
				if at.GetEpoch() == s.epoch {
					return nil
				}
				return refused(codes.FailedPrecondition, reason)
			}
			s.inDoubt["4.0"] = true
			s.mu.Unlock()
			s.commit(one(rowSet(fiction(1), "b"), listLoaded(4, "", 0)))
			if err := catchUp(t, addr, client.FollowOptions{Base: b}); err != nil {
				t.Fatal(err)
			}
			want := []client.Row{
				{Number: fiction(1), Scope: "b", Source: "opt-out"},
				{Number: fiction(6), Source: "4.0"}, {Number: fiction(7), Source: "4.0"}, {Number: fiction(8), Source: "4.0"},
			}
			if got := b.sorted(); !slices.Equal(got, want) || len(b.orphaned()) > 0 {
				t.Errorf("holds %v and orphans %v, want %v and none", got, b.orphaned(), want)
			}
		})
	}
}

// TestFollowListInDoubt holds that the rows of a list in doubt stay until it is loaded again, and are then those that it has.
func TestFollowListInDoubt(t *testing.T) {
	t.Parallel()
	s, addr := serveFeed(t, nil)
	s.commit(one(listRows(4, false, fiction(5), fiction(6)), listLoaded(4, "acme", 2)))
	b := newMemoryBase()
	if err := catchUp(t, addr, client.FollowOptions{Base: b}); err != nil {
		t.Fatal(err)
	}
	before := b.sorted()
	s.commit(one(&dncv1.FeedChange{Change: &dncv1.FeedChange_Doubt{Doubt: fakeList(4, "")}}))
	if err := catchUp(t, addr, client.FollowOptions{Base: b}); err != nil {
		t.Fatal(err)
	}
	if got := b.sorted(); !slices.Equal(got, before) || !b.loaded().Lists[0].InDoubt {
		t.Errorf("in doubt: holds %v, want %v", got, before)
	}
	s.commit(one(listRows(4, false, fiction(6), fiction(7)), listLoaded(4, "acme", 2))) // the server adds to nothing
	killed := false
	b.fail = func(step string) error { // before the snapshot
		if step == "stage" && !killed {
			killed = true
			return errKilled
		}
		return nil
	}
	if err := catchUp(t, addr, client.FollowOptions{Base: b}); !errors.Is(err, errKilled) {
		t.Fatalf("ended with %v, want that it was killed", err)
	}
	if err := catchUp(t, addr, client.FollowOptions{Base: b}); err != nil {
		t.Fatal(err)
	}
	inStep(t, s, b)
}

// TestFollowSnapshotCut holds that a snapshot counts only when it is whole and is what the server says.
func TestFollowSnapshotCut(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]error{
		"broken": refused(codes.Unavailable, "SHUTTING_DOWN"),
		"cut":    errCleanEnd,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tries := 0
			s, addr := serveFeed(t, func(s *feedServer) {
				s.feedCut = func(frame int) error {
					if frame == 3 {
						tries++
					}
					if frame == 3 && tries < 3 {
						return end
					}
					return nil
				}
			})
			history(s)
			b := newMemoryBase()
			troubles := 0
			err := catchUp(t, addr, client.FollowOptions{Base: b, OnTrouble: func(error) {
				troubles++
				if len(b.sorted()) > 0 {
					t.Error("rows count before the snapshot is whole")
				}
			}})
			if err != nil || troubles != 2 {
				t.Errorf("followed with %d troubles: %v, want 2", troubles, err)
			}
			inStep(t, s, b)
		})
	}
}

// TestFollowRefusesSnapshot holds that a snapshot which is not what the server signed or counted is not swapped in.
func TestFollowRefusesSnapshot(t *testing.T) {
	t.Parallel()
	type frame = *dncv1.GetFeedResponse
	for name, mangle := range map[string]func(frame){
		"an opt-out less": func(m frame) {
			if rows := m.GetChunk().GetRows(); len(rows) > 0 && rows[0].GetNumber() == fiction(3) {
				m.GetChunk().Rows = nil
			}
		},
		"a number of a list less": func(m frame) {
			if m.GetChunk().GetListRows() != nil {
				m.GetChunk().ListRows = nil
			}
		},
		"a count":       func(m frame) { m.GetSummary().Set++ },
		"another log":   func(m frame) { m.GetHeader().GetCursor().Changes++ },
		"no checkpoint": func(m frame) { m.GetSummary().Checkpoint = nil },
		"a row that is gone": func(m frame) {
			for _, r := range m.GetChunk().GetRows() {
				r.Removed = true
			}
		},
		"changes": func(m frame) { m.GetHeader().After = m.GetHeader().GetCursor() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, addr := serveFeed(t, func(s *feedServer) {
				s.mangleFeed = func(m frame) {
					defer func() { _ = recover() }() // it is not that frame
					mangle(m)
				}
			})
			history(s)
			b := newMemoryBase()
			if err := catchUp(t, addr, client.FollowOptions{Base: b}); !errors.Is(err, client.ErrFeedBroken) || b.swaps > 0 {
				t.Errorf("got %v and %d swaps, want ErrFeedBroken and none", err, b.swaps)
			}
		})
	}
}

// TestAcknowledgements holds what a base signs: each stage, for checkpoints of the server, with a digest once a day.
func TestAcknowledgements(t *testing.T) {
	t.Parallel()
	text, public, err := feed.NewKey("north-2026")
	if err != nil {
		t.Fatal(err)
	}
	s, addr := serveFeed(t, func(s *feedServer) { s.baseKey = public })
	history(s)
	b := newMemoryBase()
	stop := follow(t, addr, client.FollowOptions{Base: b, Key: text})
	seen := func(stage feed.Stage) []feed.Acknowledgement {
		return slices.DeleteFunc(s.acknowledged(), func(a feed.Acknowledgement) bool { return a.Stage != stage })
	}
	eventually(t, "the snapshot is acknowledged", func() bool { return len(seen(feed.Applied)) > 0 })
	first := seen(feed.Applied)[0]
	want := feed.NewDigester()
	for _, r := range s.rowsAt(first.Checkpoint.Revision) {
		if r.Until.IsZero() || r.Until.After(first.Checkpoint.Time) {
			line, err := client.RowText(r)
			if err := errors.Join(err, want.Add(line)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if first.Digest != want.Digest() || first.Digest.Count == uint64(len(b.sorted())) {
		t.Errorf("digest %v, want %v, without the row that ended", first.Digest, want.Digest())
	}
	if b.loaded().DigestDay != time.Now().UTC().Format(time.DateOnly) {
		t.Errorf("the base has %q as the day of the digest", b.loaded().DigestDay)
	}
	for range 50 {
		s.commit(one(rowSet(fiction(3), "acme"), rowRemove(fiction(3), "acme")))
	}
	eventually(t, "the base is at the tip", func() bool { return b.loaded().Cursor.Position().Revision == s.tip() })
	if err := stop(); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	for _, stage := range []feed.Stage{feed.Received, feed.Durable, feed.Applied} {
		got := seen(stage)
		if last := got[len(got)-1].Checkpoint; last.Revision != s.tip() || len(got) > 10 {
			t.Errorf("%s: %d acknowledgements, the last of revision %d, want few, and %d", stage, len(got), last.Revision, s.tip())
		}
		for _, a := range got[1:] {
			if !a.Digest.IsZero() {
				t.Errorf("%s: a second digest", stage)
			}
		}
	}
}

// TestClaims holds what a base without a key says, when the caller applies later than the base.
func TestClaims(t *testing.T) {
	t.Parallel()
	s, addr := serveFeed(t, nil)
	history(s)
	b := newMemoryBase()
	var applied client.Cursor
	o := client.FollowOptions{Base: b, Applied: func() client.Cursor { return applied }}
	if err := catchUp(t, addr, o); err != nil {
		t.Fatal(err)
	}
	stagesOf := func() (stages []string) {
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, c := range s.claims {
			stages = append(stages, fmt.Sprintf("%s %d", c.GetStage(), c.GetCursor().GetPosition().GetRevision()))
		}
		return stages
	}
	if got, want := stagesOf(), []string{"STAGE_RECEIVED 12", "STAGE_DURABLE 12"}; !slices.Equal(got, want) {
		t.Errorf("claimed %v, want %v", got, want)
	}
	applied = b.loaded().Cursor
	s.commit(one(rowSet(fiction(3), "acme")))
	if err := catchUp(t, addr, o); err != nil { // applied up to before
		t.Fatal(err)
	}
	if got, want := stagesOf()[2:], []string{"STAGE_RECEIVED 13", "STAGE_DURABLE 13"}; !slices.Equal(got, want) {
		t.Errorf("claimed %v, want %v", got, want)
	}
}

// TestAcknowledgementRefused holds that a base goes on to follow when the server refuses what it signs.
func TestAcknowledgementRefused(t *testing.T) {
	t.Parallel()
	s, addr := serveFeed(t, func(s *feedServer) { s.refuseBy = refused(codes.InvalidArgument, "ACK_INVALID") })
	history(s)
	b := newMemoryBase()
	var troubles []error
	if err := catchUp(t, addr, client.FollowOptions{Base: b, OnTrouble: func(err error) { troubles = append(troubles, err) }}); err != nil {
		t.Fatal(err)
	}
	inStep(t, s, b)
	if len(troubles) == 0 || !errors.Is(troubles[0], client.ErrAcknowledgement) {
		t.Errorf("troubles %v, want ErrAcknowledgement", troubles)
	}
}

// TestServerKey holds what a base takes for the server's key.
func TestServerKey(t *testing.T) {
	t.Parallel()
	s, addr := serveFeed(t, nil)
	b := newMemoryBase()
	old := s.key.Public().Text()
	if err := catchUp(t, addr, client.FollowOptions{Base: b}); err != nil {
		t.Fatal(err)
	}
	text, public, err := feed.NewKey("dncd-new")
	if err == nil {
		s.mu.Lock()
		s.key, err = feed.ParseSigningKey(text)
		s.mu.Unlock()
	}
	if err != nil {
		t.Fatal(err)
	}
	s.commit(one(rowSet(fiction(3), "acme")))
	for name, tt := range map[string]struct {
		keys []string
		want error
	}{
		"pinned, and another one": {nil, client.ErrServerKey},
		"the old one":             {[]string{old}, client.ErrServerKey},
	} {
		if err := catchUp(t, addr, client.FollowOptions{Base: b, ServerKeys: tt.keys}); !errors.Is(err, tt.want) {
			t.Errorf("%s: got %v, want %v", name, err, tt.want)
		}
	}
	if err := catchUp(t, addr, client.FollowOptions{Base: b, ServerKeys: []string{old, public.Text()}}); err != nil {
		t.Errorf("both: %v", err)
	}
	if err := catchUp(t, addr, client.FollowOptions{Base: b}); err != nil {
		t.Errorf("the new one, pinned: %v", err)
	}
	o := client.FollowOptions{Base: b, Subscriber: "south", Once: true}
	if err := connect(t, addr).Follow(t.Context(), o); !errors.Is(err, client.ErrOtherSubscriber) {
		t.Errorf("the base of another subscriber: got %v", err)
	}
}
