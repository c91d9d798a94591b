package server_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"github.com/dncd/dncd/internal/feed"
	"github.com/dncd/dncd/internal/phone"
	"github.com/dncd/dncd/internal/policy"
	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
	"github.com/dncd/dncd/server"
	"github.com/dncd/dncd/store"
)

// signingKey makes a key, and an option of the server that has it sign.
func signingKey(t testing.TB) (feed.PublicKey, func(*server.Options)) {
	t.Helper()
	text, public, err := feed.NewKey("dncd-test")
	if err != nil {
		t.Fatal(err)
	}
	private, err := feed.ParsePrivateKey(text)
	if err != nil {
		t.Fatal(err)
	}
	return public, func(o *server.Options) { o.SigningKey = feed.SigningKey{PrivateKey: private} }
}

// subscribe registers a base.
func (n *node) subscribe(name string, scopes, lists []string) {
	n.t.Helper()
	var f feed.Filter
	for _, s := range scopes {
		f.Scopes = append(f.Scopes, policy.Scope(s))
	}
	for _, name := range lists {
		l, err := n.store.View().List(name)
		if err != nil {
			n.t.Fatal(err)
		}
		f.Lists = append(f.Lists, l.ID)
	}
	_, err := n.store.PutSubscriber(testContext(n.t), name, func(_ *store.View, _ *store.Subscriber, s *store.SubscriberSettings) error {
		s.Kind, s.Filter = store.Internal, f
		return nil
	}, false, store.Request{})
	if err != nil {
		n.t.Fatal(err)
	}
}

// TestWatchCarriesEachChange: opt-outs, withdrawals, and a list that is loaded, replaced and deleted reach a base, and nothing
// that does not concern it.
func TestWatchCarriesEachChange(t *testing.T) {
	t.Parallel()
	key, signing := signingKey(t)
	n := start(t, signing)
	n.createList(&dncv1.CreateListRequest{Name: "dnc", Kind: dncv1.ListKind_LIST_KIND_SUPPRESSION, Scope: "acme"})
	n.subscribe("south", []string{"acme/telecom"}, []string{"dnc"})
	n.optOut("+14155550101", "acme")
	b := newBase("south", key)
	b.begin(t, propagation(n))
	if len(b.rows) != 1 {
		t.Fatalf("the snapshot holds %d rows, want 1", len(b.rows))
	}
	n.optOut("+14155550102", "acme/telecom/winter")
	n.optOut("+14155550103", "acme/energy")
	n.optOut("+14155550104", "")
	if _, err := n.record.WithdrawOptOut(testContext(t), &dncv1.WithdrawOptOutRequest{Number: "+14155550101", Scope: "acme", Reason: "a test"}); err != nil {
		t.Fatal(err)
	}
	n.replace("dnc", "", numbers(20_000)...)
	n.replace("dnc", "", numbers(19_000)[100:]...)
	b.watch(t, propagation(n), n.store.View().Revision())
	b.wantSame(t, propagation(n))
	if got, want := len(b.rows), 2+18_900; got != want {
		t.Errorf("got %d rows, want %d", got, want)
	}
	if got, want := b.count, uint64(6); got != want {
		t.Errorf("got %d changes in the log, want %d", got, want)
	}
	if len(b.notes) == 0 {
		t.Error("got no checkpoint, want one after changes")
	}
	if _, err := n.list.DeleteList(testContext(t), &dncv1.DeleteListRequest{Name: "dnc", Force: true}); err != nil {
		t.Fatal(err)
	}
	b.watch(t, propagation(n), n.store.View().Revision())
	b.wantSame(t, propagation(n))
	if len(b.rows) != 2 {
		t.Errorf("after the list was deleted: got %d rows, want 2", len(b.rows))
	}
}

// TestWatchResumesWithinAChange: a base that is cut while a list comes goes on at the part that it has not got.
func TestWatchResumesWithinAChange(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("a campaign: -short leaves it out")
	}
	n := start(t)
	n.createList(&dncv1.CreateListRequest{Name: "dnc", Kind: dncv1.ListKind_LIST_KIND_SUPPRESSION})
	n.subscribe("south", nil, []string{"dnc"})
	b := newBase("south")
	b.begin(t, propagation(n))
	spread := make([]uint64, 300_000)
	for i := range spread {
		spread[i] = 14155550000 + uint64(i)*200
	}
	got, err := n.load(upload{
		header: &dncv1.ImportHeader{List: "dnc"},
		chunks: inChunks(spread, 50_000),
		commit: commitOf(6, len(spread)),
	})
	if err != nil || got.result.GetRefused() {
		t.Fatal(got.result, err)
	}
	within, until := 0, n.store.View().Revision()
	for b.cursor.GetPosition().GetRevision() < until || b.cursor.GetPart() > 0 {
		messages := 0
		if err := b.follow(testContext(t), propagation(n), func() bool { messages++; return messages > 2 }); err != nil {
			t.Fatal(err)
		}
		if b.cursor.GetPart() > 0 {
			within++
		}
	}
	b.wantSame(t, propagation(n))
	if within == 0 {
		t.Error("no cut was within a change")
	}
}

func inChunks(numbers []uint64, size int) (chunks [][]uint64) {
	for len(numbers) > 0 {
		n := min(size, len(numbers))
		chunks = append(chunks, numbers[:n])
		numbers = numbers[n:]
	}
	return chunks
}

// TestCursorsOfAnother are refused: of another subscriber, epoch, journal, history, or forged.
func TestCursorsOfAnother(t *testing.T) {
	t.Parallel()
	n := start(t)
	n.subscribe("south", []string{"acme"}, nil)
	n.subscribe("north", []string{"acme"}, nil)
	n.optOut("+14155550101", "acme")
	good := newBase("south")
	good.begin(t, propagation(n))
	for name, c := range map[string]struct {
		base   string
		change func(*dncv1.FeedCursor)
		code   codes.Code
		reason string
	}{
		"another subscriber": {"north", func(*dncv1.FeedCursor) {}, codes.FailedPrecondition, "FILTER_CHANGED"},
		"another epoch":      {"south", func(c *dncv1.FeedCursor) { c.Epoch++ }, codes.FailedPrecondition, "FILTER_CHANGED"},
		"another journal": {"south", func(c *dncv1.FeedCursor) { c.Position.JournalId = "00112233445566778899aabbccddeeff" },
			codes.FailedPrecondition, "JOURNAL_CHANGED"},
		"another history": {"south", func(c *dncv1.FeedCursor) { c.Position.Tag[0] ^= 1 }, codes.FailedPrecondition, "JOURNAL_FORKED"},
		"what was lost":   {"south", func(c *dncv1.FeedCursor) { c.Position.Revision += 100 }, codes.FailedPrecondition, "JOURNAL_FORKED"},
		"no tag":          {"south", func(c *dncv1.FeedCursor) { c.Position.Tag = nil }, codes.InvalidArgument, "FIELD_INVALID"},
		"another count":   {"south", func(c *dncv1.FeedCursor) { c.Changes++ }, codes.InvalidArgument, "FIELD_INVALID"},
		"another hash":    {"south", func(c *dncv1.FeedCursor) { c.Hash[0] ^= 1 }, codes.InvalidArgument, "FIELD_INVALID"},
		"another part":    {"south", func(c *dncv1.FeedCursor) { c.Part++ }, codes.InvalidArgument, "FIELD_INVALID"},
		"no proof":        {"south", func(c *dncv1.FeedCursor) { c.Mac = nil }, codes.InvalidArgument, "FIELD_INVALID"},
		"no subscriber":   {"west", func(*dncv1.FeedCursor) {}, codes.NotFound, "SUBSCRIBER_NOT_FOUND"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBase(c.base)
			b.cursor = proto.CloneOf(good.cursor)
			c.change(b.cursor)
			err := b.follow(testContext(t), propagation(n), func() bool { return false })
			wantReason(t, err, c.code, c.reason)
			stream, err := propagation(n).GetFeed(testContext(t), b.request(b.cursor))
			if err == nil {
				_, err = stream.Recv()
			}
			wantReason(t, err, c.code, c.reason)
		})
	}
	b := newBase("south")
	wantReason(t, b.follow(testContext(t), propagation(n), func() bool { return false }), codes.InvalidArgument, "FIELD_INVALID")
}

// TestFeedOfAChangedFilterIsBegunAgain: the stream ends, its cursors are refused, and a snapshot has what the filter says now.
func TestFeedOfAChangedFilterIsBegunAgain(t *testing.T) {
	t.Parallel()
	n := start(t)
	n.subscribe("south", []string{"acme"}, nil)
	n.optOut("+14155550101", "acme")
	n.optOut("+14155550102", "other")
	b := newBase("south")
	b.begin(t, propagation(n))
	ended := make(chan error, 1)
	open := make(chan struct{})
	go func() {
		messages := 0
		ended <- b.follow(testContext(t), propagation(n), func() bool {
			if messages++; messages == 2 {
				close(open)
			}
			return false
		})
	}()
	<-open
	n.subscribe("south", []string{"other"}, nil)
	n.optOut("+14155550103", "acme") // wakes the stream
	wantReason(t, <-ended, codes.FailedPrecondition, "FILTER_CHANGED")
	b.begin(t, propagation(n))
	if _, found := b.rows[rowKey{number: 14155550102, scope: "other"}]; !found || len(b.rows) != 1 {
		t.Errorf("got %d rows, want that of the other scope alone", len(b.rows))
	}
}

// TestHeartbeatsCarryACursor: a stream without changes says that it is there.
func TestHeartbeatsCarryACursor(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("waits for heartbeats")
	}
	n := start(t)
	n.subscribe("south", []string{"acme"}, nil)
	b := newBase("south")
	b.begin(t, propagation(n))
	n.optOut("+14155550101", "other")
	revision := n.store.View().Revision()
	var times []time.Time
	err := b.follow(testContext(t), propagation(n), func() bool { times = append(times, time.Now()); return len(times) > 3 })
	if err != nil {
		t.Fatal(err)
	}
	for i := range times[1:] {
		if wait := times[i+1].Sub(times[i]); wait > 10*time.Second {
			t.Errorf("message %d came after %v, want at most 10 s", i, wait)
		}
	}
	if got := b.cursor.GetPosition().GetRevision(); got != revision || b.count != 0 {
		t.Errorf("the cursor is at %d after %d changes, want %d after none", got, b.count, revision)
	}
	if got := n.store.View().Revision(); got != revision {
		t.Errorf("the store is at revision %d, want %d: a stream writes nothing", got, revision)
	}
}

// histories is how many random histories the validators look at.
func histories(t *testing.T) int {
	t.Helper()
	switch text := os.Getenv("DNCTEST_FEED_HISTORIES"); {
	case text != "":
		count, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		return count
	case testing.Short():
		return 8
	}
	return 200
}

// TestWatchKeepsItsGuarantees holds random histories with faults to what the contract guarantees: bases that are cut, that are slow, and
// a server that is stopped and started again.
func TestWatchKeepsItsGuarantees(t *testing.T) {
	t.Parallel()
	const stores = 8
	each := (histories(t) + stores - 1) / stores
	for seed := range uint64(stores) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			h := newFeedHistory(t, seed)
			for i := range each {
				h.begin(i)
				for range 2 {
					h.round()
				}
			}
		})
	}
}

// feedHistory is a random history and the bases that follow it.
type feedHistory struct {
	t      *testing.T
	random *rand.Rand
	dir    string
	n      *node
	key    feed.PublicKey
	option func(*server.Options)

	brand string // all scopes of the history but one are at it and below
	bases []*base
}

var historyScopes = []string{"", "/telecom", "/telecom/winter", "/energy"}

// scope is one of the history's, or that of everyone.
func (h *feedHistory) scope() policy.Scope {
	if h.random.IntN(6) == 0 {
		return ""
	}
	return policy.Scope(h.brand + historyScopes[h.random.IntN(len(historyScopes))])
}

func newFeedHistory(t *testing.T, seed uint64) *feedHistory {
	key, signing := signingKey(t)
	h := &feedHistory{t: t, random: rand.New(rand.NewPCG(seed, 7)), dir: t.TempDir(), key: key, option: signing}
	h.serve()
	return h
}

// begin begins another history on the same server.
func (h *feedHistory) begin(i int) {
	h.t.Helper()
	h.brand, h.bases = fmt.Sprint("brand-", i), nil
	h.n.createList(&dncv1.CreateListRequest{Name: h.brand, Kind: dncv1.ListKind_LIST_KIND_SUPPRESSION, Scope: h.brand})
	h.writes()
	h.n.subscribe(h.brand+"-all", nil, []string{h.brand})
	h.n.subscribe(h.brand+"-telecom", []string{h.brand + "/telecom"}, nil)
	h.n.subscribe(h.brand+"-energy", []string{h.brand + "/energy", "other"}, []string{h.brand})
	for _, name := range []string{h.brand + "-all", h.brand + "-telecom", h.brand + "-energy", ""} {
		b := newBase(name, h.key)
		b.filter = &dncv1.FeedFilter{Scopes: []string{h.brand}}
		b.begin(h.t, propagation(h.n))
		h.bases = append(h.bases, b)
	}
}

// serve starts the server, again if it is running.
func (h *feedHistory) serve() {
	if h.n != nil {
		if err := errors.Join(h.n.stop(), h.n.store.Close()); err != nil {
			h.t.Fatal(err)
		}
		h.n.store = nil
	}
	h.n = startIn(h.t, h.dir, store.Options{MinFree: -1}, h.option)
}

// round writes while bases follow, and compares each with a snapshot at the end.
func (h *feedHistory) round() {
	h.t.Helper()
	if h.random.IntN(3) == 0 {
		h.serve()
	}
	done := make(chan error, len(h.bases))
	for _, b := range h.bases {
		seed := h.random.Uint64()
		go func() { done <- h.followInPieces(b, rand.New(rand.NewPCG(seed, 1))) }()
	}
	h.writes()
	for range h.bases {
		if err := <-done; err != nil {
			h.t.Fatal(err)
		}
	}
	until := h.n.store.View().Revision()
	for _, b := range h.bases {
		b.watch(h.t, propagation(h.n), until)
		b.wantSame(h.t, propagation(h.n))
	}
}

// followInPieces opens streams one after the other, each for a few messages.
func (h *feedHistory) followInPieces(b *base, random *rand.Rand) error {
	for range random.IntN(4) {
		left := random.IntN(4)
		ctx, cancel := context.WithCancel(testContext(h.t))
		cut := time.AfterFunc(time.Duration(random.IntN(100))*time.Millisecond, cancel)
		err := b.follow(ctx, propagation(h.n), func() bool {
			if random.IntN(5) == 0 {
				time.Sleep(time.Duration(random.IntN(10)) * time.Millisecond) // a slow reader
			}
			left--
			return left < 0
		})
		isCut := !cut.Stop()
		cancel()
		if err != nil && !isCut {
			return fmt.Errorf("%q: %w", b.name, err)
		}
	}
	return nil
}

// writes changes something, some twenty times.
func (h *feedHistory) writes() {
	ctx := testContext(h.t)
	for range 10 + h.random.IntN(20) {
		n, scope := phone.Number(14155550100+h.random.Uint64N(30)), h.scope()
		var err error
		switch h.random.IntN(12) {
		case 0, 1, 2, 3, 4:
			_, err = h.n.store.RecordOptOut(ctx, store.OptOut{Number: n, Scope: scope}, store.Request{})
		case 5, 6:
			end := h.n.store.Now().Add(time.Duration(1+h.random.IntN(48)) * time.Hour)
			_, err = h.n.store.RecordOptOut(ctx, store.OptOut{Number: n, Scope: scope, ExpiresAt: end}, store.Request{})
		case 7, 8:
			if _, err = h.n.store.WithdrawOptOut(ctx, n, scope, store.Request{}); errors.Is(err, store.ErrNothingToWithdraw) {
				err = nil
			}
		case 9:
			h.n.clock.add(time.Duration(h.random.IntN(12)) * time.Hour)
		case 10:
			h.rows(ctx)
		default:
			h.load()
		}
		if err != nil {
			h.t.Fatal(err)
		}
	}
}

// rows records many rows in one revision.
func (h *feedHistory) rows(ctx context.Context) {
	rows := make([]store.RecordRow, 1+h.random.IntN(40))
	for i := range rows {
		rows[i].Number = phone.Number(14155550100 + h.random.Uint64N(60))
		rows[i].Scope = h.scope()
		if h.random.IntN(4) == 0 {
			rows[i].ExpiresAt = h.n.store.Now().Add(time.Duration(1+h.random.IntN(48)) * time.Hour)
		}
	}
	if _, err := h.n.store.RecordOptOuts(ctx, rows); err != nil {
		h.t.Fatal(err)
	}
}

// load replaces the list, with other numbers or more of them.
func (h *feedHistory) load() {
	some := numbers(1 + h.random.IntN(20_000))
	some = some[h.random.IntN(len(some)):]
	got, err := h.n.load(upload{
		header: &dncv1.ImportHeader{List: h.brand, Guards: &dncv1.ImportGuards{Override: true}},
		chunks: [][]uint64{some},
		commit: commitOf(1, len(some)),
	})
	if err != nil || got.result.GetRefused() {
		h.t.Fatal(got.result, err)
	}
}
