// Package accesslog records who read which personal data, and when. It promises:
//   - Append returns once the entry is on disk and synced. With an error nothing may be shown.
//   - An entry that was acknowledged is read again, in the order in which it was appended to its day, until its day is swept.
//   - What cannot be read is counted and logged, and hides nothing else.
//   - It holds no number: see Hash.
//
// The directory holds a key and a file for each day (UTC), of frames with a checksum. Nothing else of a store is needed: the
// log works while the store is damaged or takes no writes.
package accesslog

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/dncd/dncd/internal/policy"
	"github.com/dncd/dncd/store/internal/disk"
	"github.com/dncd/dncd/store/internal/fault"
)

// ErrFailed is returned for an entry that may not be on disk.
var ErrFailed = errors.New("the access log cannot be written, and without an entry nothing is shown")

// Options of a log. The zero value is good.
type Options struct {
	// Clock returns the time, and how far it may be ahead of the true time. Days are kept longer by as much. nil: time.Now.
	Clock     func() (now time.Time, ahead time.Duration)
	Logger    *slog.Logger            // nil: silent
	Retention time.Duration           // how long entries are kept, by whole days; 0: for ever
	Room      func(bytes int64) error // whether the disk has room for that many bytes; nil: not asked

	faults func(at step, write func() error) error // of tests
}

// step is a kind of write that a promise rests on.
type step string

const (
	stepPrepare step = "directory and key"
	stepOpen    step = "open a day"
	stepCut     step = "cut what was not acknowledged"
	stepWrite   step = "write"
	stepSync    step = "sync"
)

// Log is an access log that is open. Its methods may be called from any goroutine.
type Log struct {
	dir   string
	opt   Options
	queue chan *waiting
	done  chan struct{} // closed when the writer has ended
	end   func()        // ends the writer

	mu   sync.Mutex
	key  key                   // nil: not prepared yet
	tail map[policy.Date]int64 // of days that were appended to: where the acknowledged part ends

	// Of the writer alone.
	day  policy.Date
	file *os.File // of day; nil: none is open
}

// waiting is an entry that waits to be written.
type waiting struct {
	day   policy.Date
	frame []byte
	reply chan error // holds one
}

const queueLen = 4096

// Open opens the log in a directory, which is made with the first entry. A directory that cannot be written is an error of
// Append, and the next Append tries again.
func Open(dir string, o Options) *Log {
	if o.Clock == nil {
		o.Clock = func() (time.Time, time.Duration) { return time.Now(), 0 }
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Room == nil {
		o.Room = func(int64) error { return nil }
	}
	ctx, cancel := context.WithCancel(context.Background())
	l := &Log{
		dir: dir, opt: o, queue: make(chan *waiting, queueLen), done: make(chan struct{}), end: cancel,
		tail: map[policy.Date]int64{},
	}
	go l.run(ctx)
	return l
}

// Close waits for the entries that are being written. Entries in the queue fail with fault.ErrClosed.
func (l *Log) Close() error {
	l.end()
	<-l.done
	return l.closeDay()
}

// Append writes an entry about a number, with the time of the log's clock; number 0: what was read may have held any number. It
// returns once the entry is on disk. Errors: ErrFailed, fault.ErrClosed, and the context's, after which the entry may be there.
func (l *Log) Append(ctx context.Context, e Entry, number uint64) error {
	k, err := l.prepare()
	if err != nil {
		return err
	}
	now, _ := l.opt.Clock()
	e.Time = now.UTC()
	if number != 0 {
		e.Hash = k.hash(number)
	}
	w := &waiting{day: policy.DateOf(e.Time), reply: make(chan error, 1)}
	if w.frame, err = e.encode(); err != nil {
		return err
	}
	select {
	case l.queue <- w:
	case <-ctx.Done():
		return ctx.Err()
	case <-l.done:
		return fault.ErrClosed
	}
	select {
	case err = <-w.reply:
	case <-ctx.Done():
		return ctx.Err()
	case <-l.done:
		return l.lastReply(w)
	}
	return err
}

// lastReply is the answer to an entry that waited when the writer ended.
func (l *Log) lastReply(w *waiting) error {
	select {
	case err := <-w.reply:
		return err
	default:
		return fault.ErrClosed
	}
}

// prepare makes the directory and its key, once.
func (l *Log) prepare() (key, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.key != nil {
		return l.key, nil
	}
	var k key
	err := l.do(stepPrepare, func() (err error) {
		if err = os.MkdirAll(l.dir, 0o700); err == nil {
			k, err = readOrMakeKey(l.dir)
		}
		return errors.Join(err, disk.SyncDir(filepath.Dir(l.dir)))
	})
	if err != nil {
		return nil, failed("prepare", err)
	}
	l.key = k
	return k, nil
}

func (l *Log) do(at step, write func() error) error {
	if l.opt.faults == nil {
		return write()
	}
	return l.opt.faults(at, write)
}

func failed(what string, err error) error {
	return fmt.Errorf("%w: %s: %w", ErrFailed, what, err)
}

// sweepEvery is how often old days are deleted, first that long after the start: a clock that was wrong at boot has mostly been
// corrected by then.
const sweepEvery = time.Hour

// run is the writer. All entries that wait are written together and share a sync.
func (l *Log) run(ctx context.Context) {
	defer close(l.done)
	sweep := time.NewTicker(sweepEvery)
	defer sweep.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-sweep.C:
			if err := l.Sweep(); err != nil {
				l.opt.Logger.Error("old days of the access log could not be deleted", "err", err)
			}
		case first := <-l.queue:
			l.writeAll(l.collect(first))
		}
	}
}

// maxBatch bounds the entries that are written together.
const maxBatch = 1024

// collect returns first and the entries that wait after it.
func (l *Log) collect(first *waiting) []*waiting {
	batch := []*waiting{first}
	for len(batch) < maxBatch {
		select {
		case w := <-l.queue:
			batch = append(batch, w)
		default:
			return batch
		}
	}
	return batch
}

// writeAll writes a batch, day by day: at midnight it may hold two.
func (l *Log) writeAll(batch []*waiting) {
	for len(batch) > 0 {
		n := 1
		for n < len(batch) && batch[n].day == batch[0].day {
			n++
		}
		err := l.write(batch[0].day, batch[:n])
		if err != nil {
			l.opt.Logger.Error("the access log cannot be written: personal data is not shown", "err", err)
		}
		for _, w := range batch[:n] {
			w.reply <- err
		}
		batch = batch[n:]
	}
}

// write makes entries of one day durable. After a failure the day's file is opened again, and any part of them that was written
// is cut off: none of them was acknowledged.
func (l *Log) write(day policy.Date, entries []*waiting) error {
	var b []byte
	for _, w := range entries {
		b = append(b, w.frame...)
	}
	err := l.opt.Room(int64(len(b)))
	if err == nil {
		err = l.openDay(day)
	}
	if err != nil {
		return failed("open", err)
	}
	end := l.tailOf(day)
	err = l.do(stepWrite, func() error { _, err := l.file.WriteAt(b, end); return err })
	if err == nil {
		err = l.do(stepSync, func() error { return disk.SyncData(l.file) })
	}
	if err != nil {
		_ = l.closeDay() // it failed already
		return failed("write", err)
	}
	l.setTail(day, end+int64(len(b)))
	return nil
}

func (l *Log) tailOf(day policy.Date) int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.tail[day]
}

func (l *Log) setTail(day policy.Date, end int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tail[day] = end
}
