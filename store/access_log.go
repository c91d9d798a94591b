package store

import (
	"context"
	"path/filepath"
	"time"

	"github.com/dncd/dncd/internal/phone"
	"github.com/dncd/dncd/store/internal/accesslog"
)

type (
	// AccessEntry is one read of personal data.
	AccessEntry = accesslog.Entry
	// AccessQuery asks for entries of the access log.
	AccessQuery = accesslog.Query
	// AccessPage is a part of the access log.
	AccessPage = accesslog.Page
	// AccessCursor is a place in the access log.
	AccessCursor = accesslog.Cursor
	// AccessHash stands for a number in the access log.
	AccessHash = accesslog.Hash
)

// ErrAccessLog is returned for an entry that may not be on disk: what it is about may not be shown.
var ErrAccessLog = accesslog.ErrFailed

// DefaultAccessRetention is how long the access log is kept, unless Options say otherwise: a year, and a month to ask about it.
const DefaultAccessRetention = 400 * 24 * time.Hour

// LogAccess notes that personal data of a number is about to be shown; n 0: of any number. It returns once the entry is on
// disk, even while the store is damaged or takes no writes. The log sets the entry's Time and Hash. Errors: ErrAccessLog,
// ErrClosed, and the context's.
func (s *Store) LogAccess(ctx context.Context, e AccessEntry, n phone.Number) error {
	return s.accessLog.Append(ctx, e, uint64(n))
}

// ReadAccess reads a page of the access log.
func (s *Store) ReadAccess(q AccessQuery) (AccessPage, error) { return s.accessLog.Read(q) }

// AccessKeptSince is the time of the oldest entry of the access log; zero: there is none.
func (s *Store) AccessKeptSince() (time.Time, error) { return s.accessLog.KeptSince() }

// AccessRetention is how long the access log is kept, by whole days; negative: without limit.
func (s *Store) AccessRetention() time.Duration { return s.opt.AccessRetention }

// openAccessLog opens the access log. It may use three quarters of the room on the disk that writes must leave free: reads go on
// when writes have stopped, and each must be logged.
func (s *Store) openAccessLog() *accesslog.Log {
	room := space{dir: s.dir, minFree: s.opt.MinFree}
	if room.minFree > 0 {
		room.minFree /= 4
	}
	return accesslog.Open(filepath.Join(s.dir, accessDir), accesslog.Options{
		Clock:     func() (time.Time, time.Duration) { return s.clock.Now(time.Time{}) },
		Logger:    s.log,
		Retention: s.opt.AccessRetention,
		Room:      room.check,
	})
}
