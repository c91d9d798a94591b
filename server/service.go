package server

import (
	"context"
	"errors"
	"log/slog"
	"strconv"
	"time"

	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
	"github.com/dncd/dncd/store"
)

// service is what every service stands on.
type service struct {
	store    *store.Store
	log      *slog.Logger
	metrics  *metrics
	admit    *admission
	messages *sharedRoom // that streams of checks have for messages and their answers
	capacity *capacity   // nil outside tests
	tokens   tokens
	draining <-chan struct{} // closed when a stop begins: streams that wait end
	stopping <-chan struct{} // closed when the grace is nearly over: streams that work end
	version  string
	started  time.Time

	connectionAge time.Duration // how long a stream of checks lives
}

const defaultWait = 2 * time.Second

// view returns the view that a request asks for: the newest, or, with min, one at least as fresh as that.
func (s *service) view(ctx context.Context, journal string, min uint64) (*store.View, error) {
	v := s.store.View()
	if journal != "" && journal != v.JournalID() {
		return nil, journalChanged(v)
	}
	if min <= v.Revision() {
		return v, nil
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
	if v, err = s.store.Wait(ctx, min); err != nil {
		return nil, s.waitEnded(err)
	}
	if journal != "" && journal != v.JournalID() {
		return nil, journalChanged(v)
	}
	return v, nil
}

// waitEnded is the error of a wait that ended with err. A stop ends all waits.
func (s *service) waitEnded(err error) error {
	select {
	case <-s.draining:
		return store.ErrClosed
	default:
		return s.notReached(err)
	}
}

// waitTime bounds a wait by the caller's deadline, a little earlier so that the answer arrives, and a minute, else by two
// seconds.
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
		"min_revision was not reached in time: try again, here or at another node").at(s.store.View())
}

func journalChanged(v *store.View) error {
	return refuse(dncv1.ErrorReason_ERROR_REASON_JOURNAL_CHANGED,
		"journal_id is not this store's: a backup was restored or a loss accepted; read again without it").at(v)
}

// at adds where the server stands.
func (f *fault) at(v *store.View) *fault {
	return f.with("revision", strconv.FormatUint(v.Revision(), 10)).with("journal_id", v.JournalID())
}
