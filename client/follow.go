package client

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/dncd/dncd/internal/feed"
	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
)

// Base is a caller's own database of blocked numbers, which Follow keeps in step with the server. Follow calls its methods from
// one goroutine. An error of one ends Follow.
//
// A base holds rows, and the FollowState that they are at. Both change in one transaction: after a crash at any
// moment, Follow continues from the state that is stored, and applies each change exactly once.
//
// An *orphan* is a row that the server no longer has, because it lost data or was restored from an older copy. It counts like any
// other row, until the base has a row of the same Number, Scope and Source that does not end earlier, or a person drops it.
type Base interface {
	// Load returns the state that was stored last; the zero state for a new base.
	Load(ctx context.Context) (FollowState, error)
	// Stage stores rows of a snapshot apart from those that count. With first, whatever was staged before is dropped.
	Stage(ctx context.Context, rows iter.Seq[Row], first bool) error
	// Swap makes the staged rows those that count, as Swap says, and stores the state, in one transaction.
	Swap(ctx context.Context, s Swap) error
	// Apply makes the edits of a batch one after the other, and stores its state, in one transaction that is durable when it returns.
	Apply(ctx context.Context, b Batch) error
}

// RowReader is a Base that can read its rows back. Its first acknowledgement of a day then has a digest of them, by which
// the server finds that the base has drifted.
type RowReader interface {
	// Rows yields the rows in the order of Row.Compare, without orphans.
	Rows(ctx context.Context) iter.Seq2[Row, error]
}

// Swap says what becomes of the rows of a base when a snapshot takes their place.
type Swap struct {
	// State to be stored.
	State FollowState
	// KeepOrphans: each row that the snapshot has not, or has with an earlier end, becomes an orphan. Otherwise it
	// goes; the orphans that there are stay.
	KeepOrphans bool
	// Foreign are sources that were other lists before the server lost data: their rows become orphans, also
	// those that the snapshot has.
	Foreign []string
	// Keep are sources whose rows stay as they are: lists that the server cannot read now. With KeepOrphans there are
	// none: their rows become orphans, like others that the snapshot lacks.
	Keep []string
}

// Batch is what happened between two states.
type Batch struct {
	// State to be stored.
	State FollowState
	// Edits in order. They may be ranged over again.
	Edits iter.Seq[Edit]
}

// FollowState is how far a base is. A base stores it as one value, unchanged; its JSON is made for that.
type FollowState struct {
	// Subscriber by name, and its id, such as "5.0"; empty: not known yet.
	Subscriber   string `json:"subscriber"`
	SubscriberID string `json:"subscriber_id"`
	// Cursor up to which the rows are, with the number of changes and their hash.
	Cursor Cursor `json:"cursor"`
	// Time of the last revision that changed anything, or of the snapshot.
	Time time.Time `json:"time"`
	// Filter is the hash of the subscriber's filter, as the server signed it.
	Filter string `json:"filter"`
	// Lists of the filter.
	Lists []FollowedList `json:"lists"`
	// Checkpoint is the last one that the server signed for these rows.
	Checkpoint string `json:"checkpoint"`
	// ServerKey is the public key that signs checkpoints. The first one was taken on trust if FollowOptions.ServerKeys are empty.
	ServerKey string `json:"server_key"`
	// KeyRotations are signed notes: how that key followed from those that the base knew before.
	KeyRotations []string `json:"server_key_rotations"`
	// DigestDay is the day, YYYY-MM-DD, of the last acknowledgement with a digest.
	DigestDay string `json:"digest_day"`
	// Resync: the rows of a list have to be read again.
	Resync bool `json:"resync"`
}

// FollowedList is a list as a base knows it.
type FollowedList struct {
	ID    string `json:"id"`
	Name  string `json:"name"`
	Scope string `json:"scope" empty:"kept"`
	// InDoubt: the server cannot read it now. The base keeps the rows it has.
	InDoubt bool `json:"in_doubt"`
}

// MarshalJSON implements json.Marshaler: see the package comment.
func (s FollowState) MarshalJSON() ([]byte, error) { return encode(s) }

// UnmarshalJSON implements json.Unmarshaler: see the package comment.
func (s *FollowState) UnmarshalJSON(text []byte) error { return decode(text, s) }

// FollowOptions say what Follow does. Subscriber and Base are required.
type FollowOptions struct {
	// Subscriber by name. The caller must be its identity, or an admin.
	Subscriber string
	// Base to be kept in step.
	Base Base
	// Key signs acknowledgements: the text of the private key that `dnc key new` made. Empty: they are
	// claims, which a subscriber with keys may not make.
	Key string
	// ServerKeys verify checkpoints: texts of public keys. Empty: the key that the server sends with the first checkpoint is kept. A key
	// that follows from one of them, by a note that the key before it signed, takes its place, and that one never counts again.
	ServerKeys []string
	// Applied, if not nil, returns the cursor up to which dialers see the rows: Base.Apply returns before they do. It is called about once a
	// second, by another goroutine than that of Base. If nil, what Apply or Swap stored is applied.
	Applied func() Cursor
	// Once ends Follow when the server has no more changes.
	Once bool

	// OnTrouble, if not nil, is called with problems after which Follow continues: a stream that broke, a snapshot that begins again, an acknowledgement
	// that was refused. It is called by one goroutine at a time.
	OnTrouble func(error)
	// OnSnapshot, if not nil, is called as a snapshot is staged: how many rows are, of how many that lists hold; and
	// with done when it counts. reason is why it was needed: nil for a new base.
	OnSnapshot func(s SnapshotProgress)
}

// SnapshotProgress says how far a snapshot is.
type SnapshotProgress struct {
	// Staged rows.
	Staged uint64
	// Done: they count.
	Done bool
	// Reason why the base needs it; nil: it is new.
	Reason error
	// KeepsOrphans: the server lost data, and what the base holds beyond it stays.
	KeepsOrphans bool
}

// ErrServerKey is returned by Follow for a checkpoint that a key signed which is not the server's, as far as the base knows: nothing of
// it was applied.
var ErrServerKey = errors.New("checkpoint signed by another key")

// ErrOtherSubscriber is returned by Follow for a base that follows another subscriber.
var ErrOtherSubscriber = errors.New("the base follows another subscriber")

// Follow keeps a base in step with the feed of a subscriber. A new base gets a snapshot, which counts once it is complete; then each
// change is applied as it is committed, exactly once, also after either side was killed.
//
// Follow computes the hash of the changes, and ends with ErrFeedBroken, with nothing of it applied, when the server
// states another one. A cursor that the server no longer takes leads to another snapshot: after ErrFilterChanged or ErrHistoryGone it replaces
// the rows, which count until then; after ErrJournalForked or ErrJournalChanged the server has lost data, and rows that it lacks stay as orphans.
//
// It acknowledges each new checkpoint of the server as received when it comes, durable when Base.Apply has returned, and applied: at
// most once a second for each. When ctx ends, what was applied last is acknowledged, for at most 5 s.
//
// Follow ends like Watch: with ctx's error, with one that a retry does not fix, with one of Base, or, with
// FollowOptions.Once, with nil.
func (c *Client) Follow(ctx context.Context, o FollowOptions) error {
	f, err := c.newFollower(ctx, o)
	if err != nil {
		return err
	}
	f.acks.start(ctx)
	defer f.acks.stop()
	return f.run(ctx)
}

// follower is one call of Follow.
type follower struct {
	client *Client
	o      FollowOptions
	state  FollowState
	log    feedLog
	keys   *serverKeys
	acks   *acker
	stored time.Time // when the state was stored last
	idle   int       // messages without changes, in a row
}

const (
	// storeEvery is after how long a cursor is stored though nothing changed: the server does not keep its history forever.
	storeEvery = time.Minute
	// maxIdle bounds how many messages Once waits for a checkpoint of the last changes.
	maxIdle = 3
)

func (c *Client) newFollower(ctx context.Context, o FollowOptions) (*follower, error) {
	if o.Subscriber == "" || o.Base == nil {
		return nil, invalidField("subscriber", "following needs a subscriber and a base: set Subscriber and Base")
	}
	keys, err := newServerKeys(o.ServerKeys)
	if err != nil {
		return nil, err
	}
	acks, err := newAcker(c, &o)
	if err != nil {
		return nil, err
	}
	f := &follower{client: c, o: o, keys: keys, acks: acks}
	if f.state, err = o.Base.Load(ctx); err != nil {
		return nil, fmt.Errorf("load the state of the base: %w", err)
	}
	if f.state.Subscriber != "" && f.state.Subscriber != o.Subscriber {
		return nil, fmt.Errorf("%w, %s: use a base for each", ErrOtherSubscriber, f.state.Subscriber)
	}
	f.state.Subscriber = o.Subscriber
	cursor, err := f.state.Cursor.message()
	if err != nil {
		return nil, fmt.Errorf("the state of the base: %w", err)
	}
	return f, f.log.begin(cursor)
}

// errResync ends a stream because a snapshot is needed, for want of what the base should hold.
var errResync = errors.New("a list that was in doubt is loaded again")

// errCaughtUp ends a stream because of FollowOptions.Once. errReopen finds out whether it is so: the first message of a
// stream has changes if there are any, the next one may take seconds.
var (
	errCaughtUp = errors.New("caught up")
	errReopen   = errors.New("caught up, perhaps")
)

// run follows from snapshot to snapshot.
func (f *follower) run(ctx context.Context) error {
	var reason error
	needed, snapshots := f.state.Cursor == "", 0
	for {
		if needed {
			if snapshots++; snapshots > 1 { // the one before did not help
				if err := pauseFeed(ctx, snapshots, fromStatus(reason)); err != nil {
					return err
				}
			}
			if err := f.snapshot(ctx, reason); err != nil {
				return err
			}
		}
		before := f.state.Cursor
		reason = f.watch(ctx)
		if errors.Is(reason, errCaughtUp) {
			return nil
		}
		if needed = needsSnapshot(reason); !needed && !errors.Is(reason, errReopen) {
			return reason
		}
		if f.state.Cursor != before {
			snapshots = 0
		}
	}
}

// needsSnapshot reports whether a stream ended with what a snapshot mends.
func needsSnapshot(err error) bool {
	return losesData(err) || errors.Is(err, ErrFilterChanged) || errors.Is(err, ErrHistoryGone) || errors.Is(err, errResync)
}

// losesData reports whether the server no longer has the history in which the base read.
func losesData(err error) bool {
	return errors.Is(err, ErrJournalForked) || errors.Is(err, ErrJournalChanged)
}

// coalesced bounds how many messages are applied in one transaction.
const coalesced = 64

// watch applies changes until its stream ends.
func (f *follower) watch(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	w, err := f.client.newWatcher(f.state.Cursor, []WatchOption{Subscriber(f.o.Subscriber), OnBreak(f.trouble)})
	if err != nil {
		return err
	}
	messages, ended := make(chan *dncv1.WatchResponse, coalesced), make(chan error, 1)
	go func() {
		defer close(messages)
		ended <- w.run(ctx, func(m *dncv1.WatchResponse) error {
			select {
			case messages <- m:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
	}()
	err = f.applyAll(ctx, messages)
	cancel(err)
	for range messages { // until the goroutine has ended
	}
	if end := <-ended; err == nil {
		err = end
	}
	return err
}

// applyAll applies messages, those that wait together. It returns nil when there are no more.
func (f *follower) applyAll(ctx context.Context, messages <-chan *dncv1.WatchResponse) error {
	for first := range messages {
		if err := ctx.Err(); err != nil {
			return err
		}
		some := []*dncv1.WatchResponse{first}
		for len(some) < coalesced && len(messages) > 0 {
			some = append(some, <-messages)
		}
		if err := f.apply(ctx, some); err != nil {
			return err
		}
	}
	return nil
}

// apply verifies messages, applies them in one transaction, and acknowledges the checkpoint that covers them.
func (f *follower) apply(ctx context.Context, some []*dncv1.WatchResponse) error {
	next, log := f.state, f.log
	next.Lists = append([]FollowedList(nil), f.state.Lists...)
	b := edits{state: &next}
	for _, m := range some {
		if err := log.take(m); err != nil {
			return err
		}
		if err := b.add(m); err != nil {
			return err
		}
		next.Cursor = fromCursor(m.GetCursor())
		if err := f.takeCheckpoint(&next, m.GetCursor(), m.GetCheckpoint(), m.GetServerKey()); err != nil {
			return err
		}
	}
	last := some[len(some)-1]
	isSigned := next.Checkpoint != f.state.Checkpoint
	if isSigned {
		f.acks.reached(feed.Received, next.Checkpoint, feed.Digest{})
	}
	if !b.isEmpty() || isSigned || f.o.Once || time.Since(f.stored) > storeEvery {
		if err := f.o.Base.Apply(ctx, Batch{State: next, Edits: b.all}); err != nil {
			return fmt.Errorf("apply changes to the base: %w", err)
		}
		f.stored = time.Now()
	}
	f.state, f.log = next, log
	if isSigned || f.owesDigest(time.Now()) {
		if err := f.acknowledge(ctx); err != nil {
			return err
		}
	}
	return f.endOf(last)
}

// endOf returns why the stream ends after a message; nil: it does not.
func (f *follower) endOf(last *dncv1.WatchResponse) error {
	if f.state.Resync {
		return errResync
	}
	if !f.o.Once || last.GetCursor().GetPart() > 0 {
		return nil
	}
	if len(last.GetChanges()) == 0 {
		f.idle++
	} else {
		f.idle = 0
	}
	switch {
	case !f.isCovered() && f.idle <= maxIdle:
		return nil
	case f.idle == 0:
		return errReopen
	}
	return errCaughtUp
}

func (f *follower) trouble(err error) {
	if f.o.OnTrouble != nil {
		f.acks.reporting.Lock()
		defer f.acks.reporting.Unlock()
		f.o.OnTrouble(err)
	}
}
