package accesslog

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/dncd/dncd/internal/policy"
	"github.com/dncd/dncd/store/internal/disk"
)

const suffix = ".log"

func (l *Log) path(day policy.Date) string { return filepath.Join(l.dir, day.String()+suffix) }

// daysIn returns the days of which a directory has a file, oldest first.
func daysIn(dir string) (days []policy.Date, err error) {
	files, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	for _, f := range files {
		name, isLog := strings.CutSuffix(f.Name(), suffix)
		if day, err := policy.ParseDate(name); isLog && err == nil {
			days = append(days, day)
		}
	}
	slices.Sort(days)
	return days, err
}

// openDay opens the file that entries of a day are appended to, and finds where its acknowledged part ends.
func (l *Log) openDay(day policy.Date) error {
	if l.file != nil && l.day == day {
		return l.stillThere()
	}
	if err := l.closeDay(); err != nil {
		return err
	}
	var f *os.File
	err := l.do(stepOpen, func() (err error) {
		if f, err = os.OpenFile(l.path(day), os.O_RDWR|os.O_CREATE, 0o600); err != nil {
			return err
		}
		return disk.SyncDir(l.dir)
	})
	if err == nil {
		err = l.cut(day, f)
	}
	if err != nil {
		if f != nil {
			f.Close() // nothing was written to it
		}
		return err
	}
	l.day, l.file = day, f
	return nil
}

// stillThere fails, once, when the file of the day was deleted or replaced while it was open.
func (l *Log) stillThere() error {
	err := disk.CheckName(l.file)
	if err != nil {
		l.forgetTail(l.day)
		err = errors.Join(err, l.closeDay())
	}
	return err
}

func (l *Log) closeDay() error {
	if l.file == nil {
		return nil
	}
	f := l.file
	l.file = nil
	return f.Close()
}

// cut truncates the file of a day to its acknowledged part. For a day that this process wrote that part is known. For any other
// day, only what a crash tore is cut off.
func (l *Log) cut(day policy.Date, f *os.File) error {
	end, known := l.knownTail(day)
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	if !known {
		if end, err = endOfWhole(f, size); err != nil {
			return err
		}
	}
	if end > size {
		l.forgetTail(day)
		return errors.New("the file was truncated by another process: acknowledged entries are gone")
	}
	if end < size {
		l.opt.Logger.Warn("the access log ends with an entry that was never acknowledged: it is cut off", "day", day.String(), "bytes", size-end)
		if err := l.do(stepCut, func() error { return errors.Join(f.Truncate(end), f.Sync()) }); err != nil {
			return err
		}
	}
	l.setTail(day, end)
	return nil
}

func (l *Log) knownTail(day policy.Date) (end int64, known bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	end, known = l.tail[day]
	return end, known
}

func (l *Log) forgetTail(day policy.Date) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.tail, day)
}

// endOfWhole returns where the last frame of a file ends, if what follows it was torn by a crash, else the end of the file.
func endOfWhole(f *os.File, size int64) (end int64, err error) {
	r := newScanner(f, 0, size)
	for {
		_, _, found, err := r.next()
		if err != nil {
			return 0, err
		}
		if !found {
			break
		}
		end = r.at
	}
	if r.torn {
		return end, nil
	}
	return size, nil
}

// Sweep deletes the days that are older than the retention.
func (l *Log) Sweep() error {
	if l.opt.Retention <= 0 {
		return nil
	}
	days, err := daysIn(l.dir)
	now, ahead := l.opt.Clock()
	oldest := now.Add(-ahead - l.opt.Retention)
	swept := 0
	for _, day := range days {
		if day.Time().Add(24 * time.Hour).After(oldest) {
			break
		}
		if gone := os.Remove(l.path(day)); gone != nil {
			err = errors.Join(err, gone)
			continue
		}
		swept++
	}
	if swept > 0 {
		l.opt.Logger.Info("days of the access log were deleted: they are older than its retention", "days", swept)
		err = errors.Join(err, disk.SyncDir(l.dir))
	}
	return err
}
