package accesslog

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/dncd/dncd/internal/policy"
)

// Query asks for entries.
type Query struct {
	From   time.Time // from this time on; zero: from the oldest
	To     time.Time // before this time; zero: to the newest
	Number uint64    // only those of this number, and those that may have held any; 0: all
	At     Cursor    // Next of the page before; zero: the first page
	Limit  int       // at most this many
}

// Cursor is a place in the log: a byte of the file of a day.
type Cursor struct {
	Day    policy.Date
	Offset int64
}

// Page is a part of the log. It may be empty and have a next one: it reads at most 64 MiB.
type Page struct {
	Entries    []Entry // by day, and within a day as they were appended
	Next       Cursor  // where the next page begins; zero: this was the last
	Unreadable int64   // bytes that cannot be read, and were passed over
}

const maxPageBytes = 64 << 20

// Read reads a page of entries.
func (l *Log) Read(q Query) (Page, error) {
	return l.read(q, maxPageBytes)
}

func (l *Log) read(q Query, most int64) (p Page, err error) {
	days, err := daysIn(l.dir)
	if err != nil {
		return p, err
	}
	r := reader{l: l, q: q, left: most}
	if q.Number != 0 && len(days) > 0 {
		k, err := readKey(l.dir)
		if err != nil {
			return p, err
		}
		r.hash = k.hash(q.Number)
	}
	for _, day := range days {
		if !r.concerns(day) {
			continue
		}
		if more, err := r.readDay(day); err != nil || !more {
			return r.page, err
		}
	}
	return r.page, nil
}

// KeptSince returns the time of the oldest entry; zero: there is none.
func (l *Log) KeptSince() (time.Time, error) {
	p, err := l.Read(Query{Limit: 1})
	for err == nil && len(p.Entries) == 0 && p.Next != (Cursor{}) {
		p, err = l.Read(Query{Limit: 1, At: p.Next})
	}
	if err != nil || len(p.Entries) == 0 {
		return time.Time{}, err
	}
	return p.Entries[0].Time, nil
}

// reader reads one page.
type reader struct {
	l    *Log
	q    Query
	hash Hash
	left int64 // bytes to read still
	page Page
}

// concerns reports whether a day may hold what is asked for.
func (r *reader) concerns(day policy.Date) bool {
	switch {
	case day < r.q.At.Day:
		return false
	case !r.q.From.IsZero() && day < policy.DateOf(r.q.From):
		return false
	}
	return r.q.To.IsZero() || day.Time().Before(r.q.To)
}

// readDay reads a day, and reports whether the page continues after it. A day that was swept in the meantime is empty.
func (r *reader) readDay(day policy.Date) (more bool, err error) {
	f, err := os.Open(r.l.path(day))
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	end, err := r.l.endOf(day, f)
	if err != nil {
		return false, err
	}
	from := int64(0)
	if day == r.q.At.Day {
		from = min(r.q.At.Offset, end)
	}
	return r.scan(day, newScanner(f, from, end))
}

func (r *reader) scan(day policy.Date, s *scanner) (more bool, err error) {
	start := s.at
	for {
		at := s.at
		if len(r.page.Entries) == r.q.Limit || at-start >= r.left {
			r.page.Next = Cursor{day, at}
			return false, nil
		}
		b, skipped, found, err := s.next()
		if err != nil {
			return false, err
		}
		r.noteSkipped(day, at, skipped)
		if !found {
			r.left -= s.at - start
			return true, nil
		}
		e, err := decodeEntry(b)
		if err != nil {
			r.noteSkipped(day, at, int64(len(b)))
			continue
		}
		if r.asksFor(&e) {
			r.page.Entries = append(r.page.Entries, e)
		}
	}
}

func (r *reader) noteSkipped(day policy.Date, at, bytes int64) {
	if bytes > 0 {
		r.page.Unreadable += bytes
		r.l.opt.Logger.Error("a part of the access log is damaged: it was passed over", "day", day.String(), "offset", at, "bytes", bytes)
	}
}

func (r *reader) asksFor(e *Entry) bool {
	return (r.q.From.IsZero() || !e.Time.Before(r.q.From)) && (r.q.To.IsZero() || e.Time.Before(r.q.To)) &&
		(r.q.Number == 0 || e.mayHold(r.hash))
}

// endOf returns where the readable part of a day ends: what follows is being written.
func (l *Log) endOf(day policy.Date, f *os.File) (int64, error) {
	if end, known := l.knownTail(day); known {
		return end, nil
	}
	return f.Seek(0, io.SeekEnd)
}
