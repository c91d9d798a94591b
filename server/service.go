package server

import (
	"context"
	"errors"
	"log/slog"
	"strconv"
	"time"

	where "github.com/dncd/dncd/internal/place"
	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
	"github.com/dncd/dncd/store"
)

// service is what all services share.
type service struct {
	store    *store.Store
	log      *slog.Logger
	metrics  *metrics
	admit    *admission
	messages *sharedRoom // the room for messages of check streams and their answers
	tokens   tokens
	draining <-chan struct{} // closed when a stop begins: waiting streams end
	stopping <-chan struct{} // closed when the grace is nearly over: working streams end
	version  string
	started  time.Time

	connectionAge time.Duration // how long a stream of checks lives
}

const defaultWait = 2 * time.Second

// view returns the view that a request asks for: the newest, one at least as fresh as a position, or one of the past.
func (s *service) view(ctx context.Context, at *dncv1.ReadAt) (*store.View, error) {
	v := s.store.View()
	if at == nil {
		return v, nil
	}
	if past := at.GetPast(); past != nil {
		return s.pastView(past)
	}
	p, err := atLeast(at)
	if err != nil {
		return nil, err
	}
	if !isOfJournal(v, p) {
		return nil, journalChanged(v)
	}
	if p.GetRevision() <= v.Revision() {
		return v, verifyTag(v, p.GetRevision(), p.GetTag())
	}
	t, err := s.admit[workWaits].enter(1)
	if err != nil {
		return nil, err
	}
	defer t.leave()
	ctx, cancel := waitTime(ctx)
	defer cancel()
	ctx, stop := until(ctx, s.draining)
	defer stop()
	if v, err = s.store.Wait(ctx, p.GetRevision()); err != nil {
		return nil, s.waitEnded(err)
	}
	if !isOfJournal(v, p) {
		return nil, journalChanged(v)
	}
	return v, verifyTag(v, p.GetRevision(), p.GetTag())
}

// pastView returns the view of a moment in the past.
func (s *service) pastView(past *dncv1.Past) (*store.View, error) {
	p, v := past.GetPosition(), s.store.View()
	switch {
	case p == nil && past.GetNow() == nil:
		return nil, invalidField("read_at.past", "needs a position, a time, or both")
	case past.GetNow() != nil && past.GetNow().CheckValid() != nil:
		return nil, invalidField("read_at.past.now", "is not a time")
	case past.GetNow() == nil && past.GetClockAhead() != nil, past.GetClockAhead().AsDuration() < 0:
		return nil, invalidField("read_at.past.clock_ahead", "belongs to the time of an answer, and is not negative")
	case p != nil && p.GetRevision() == 0:
		return nil, invalidField("read_at.past.position", "needs a revision")
	case !isTablesVersion(past.GetTablesVersion()):
		return nil, invalidField("read_at.past.tables_version", where.ErrTablesVersion.Error())
	case !isOfJournal(v, p):
		return nil, journalChanged(v)
	}
	if err := verifyTag(v, p.GetRevision(), p.GetTag()); err != nil {
		return nil, err
	}
	moment := store.Past{Revision: p.GetRevision(), Ahead: past.GetClockAhead().AsDuration()}
	if past.GetNow() != nil {
		moment.Now = past.GetNow().AsTime()
	}
	return s.store.ViewOf(moment)
}

// atLeast returns the position that a read waits for; nil: none. It refuses the forms of read_at that a later contract adds:
// the newest state would be a wrong answer to them.
func atLeast(at *dncv1.ReadAt) (*dncv1.Position, error) {
	if at != nil && at.GetAt() == nil && len(at.ProtoReflect().GetUnknown()) > 0 {
		return nil, unsupported("read_at")
	}
	return at.GetAtLeast(), nil
}

// isOfJournal reports whether p belongs to the journal of v. A position without a journal id belongs to any journal.
func isOfJournal(v *store.View, p *dncv1.Position) bool {
	return p.GetJournalId() == "" || p.GetJournalId() == v.JournalID()
}

// verifyTag refuses a position whose tag is not that of its revision in v. A position without a tag belongs to any history.
func verifyTag(v *store.View, revision uint64, tag []byte) error {
	if len(tag) == 0 {
		return nil
	}
	err := v.VerifyTag(revision, tag)
	if errors.Is(err, store.ErrForked) {
		return journalForked(v)
	}
	return err
}

// positionOf is the position of v.
func positionOf(v *store.View) *dncv1.Position {
	return &dncv1.Position{Revision: v.Revision(), JournalId: v.JournalID(), Tag: v.Tag()}
}

// positionAt is the position from which a write counts.
func positionAt(r store.Receipt) *dncv1.Position {
	return &dncv1.Position{Revision: r.ID.Revision, JournalId: r.JournalID, Tag: []byte(r.Tag)}
}

// waitEnded is the error of a wait that ended with err. A stop of the server ends all waits.
func (s *service) waitEnded(err error) error {
	select {
	case <-s.draining:
		return store.ErrClosed
	default:
		return s.notReached(err)
	}
}

// waitTime bounds a wait by the caller's deadline, less some time for the answer, and by a minute. Without a deadline
// the bound is two seconds.
func waitTime(ctx context.Context) (context.Context, context.CancelFunc) {
	wait := defaultWait
	if deadline, ok := ctx.Deadline(); ok {
		left := time.Until(deadline)
		wait = min(left-min(left/5, 100*time.Millisecond), maxWait)
	}
	return context.WithTimeout(ctx, wait)
}

func (s *service) notReached(err error) error {
	if !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, context.Canceled) {
		return err
	}
	return refuse(dncv1.ErrorReason_ERROR_REASON_REVISION_NOT_REACHED,
		"the position was not reached in time: try again, here or at another node").at(s.store.View())
}

func journalChanged(v *store.View) error {
	return refuse(dncv1.ErrorReason_ERROR_REASON_JOURNAL_CHANGED,
		"the journal is not this store's: it was restored from a copy or a loss was accepted; read again without a position").at(v)
}

func journalForked(v *store.View) error {
	return refuse(dncv1.ErrorReason_ERROR_REASON_JOURNAL_FORKED,
		"the journal holds another history at that position: an older copy of the store was put back and continued, or its secret was lost; "+
			"read again without a position").at(v)
}

// at adds the server's position to the metadata.
func (f *fault) at(v *store.View) *fault {
	return f.with("revision", strconv.FormatUint(v.Revision(), 10)).with("journal_id", v.JournalID())
}
