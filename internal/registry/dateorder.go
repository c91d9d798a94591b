package registry

import (
	"errors"
	"fmt"
	"io"
	"time"
)

// What a file's dates may leave open. Nothing is guessed: the user says it.
var (
	errDatesFitBoth = errors.New("its dates fit day/month/year and month/day/year: use --date-order day or --date-order month")
	errDatesFitNone = errors.New("some of its dates are day/month/year and some month/day/year: " +
		"use --date-order day or --date-order month; what does not fit is then recorded without its date")
	errDatesOfPipe = errors.New("it has dates that may be day/month/year or month/day/year: use --date-order day or --date-order month, " +
		"or give a file, whose dates may tell")
)

// dates reads the dates of one file.
type dates struct {
	order DateOrder // 0: no date needed one yet
	loc   *time.Location
	seen  *datesSeen                // not nil: dates are only collected
	find  func() (DateOrder, error) // by all dates of the file
}

func newDates(in content, opts *RecordOptions) dates {
	return dates{order: opts.DateOrder, loc: opts.Location, seen: opts.seen, find: func() (DateOrder, error) {
		return findDateOrder(in, *opts)
	}}
}

// parse reads a date, or returns the reason why there is none. Its error means that the order of the date is not clear.
func (d *dates) parse(text string) (time.Time, string, error) {
	if d.seen != nil {
		d.seen.add(text)
		return time.Time{}, "", nil
	}
	when, reason := parseDate(text, d.order, d.loc)
	if reason != ReasonDateOrder || d.order != 0 {
		return when, reason, nil
	}
	order, err := d.find()
	if err != nil {
		return time.Time{}, "", err
	}
	d.order = order
	when, reason = parseDate(text, order, d.loc)
	return when, reason, nil
}

// datesSeen counts the dates that only one order fits.
type datesSeen struct{ day, month int64 }

func (s *datesSeen) add(text string) {
	switch DateOrders(text) & (DayFirst | MonthFirst) {
	case DayFirst:
		s.day++
	case MonthFirst:
		s.month++
	}
}

// findDateOrder reads a file through and returns the only order that fits all its dates.
func findDateOrder(in content, opts RecordOptions) (DateOrder, error) {
	seen := new(datesSeen)
	opts.seen, opts.KeepText = seen, false
	r, err := in.again(func(in content) (decoder, error) { return openRecords(in, opts) })
	if err != nil {
		return 0, errDatesOfPipe
	}
	defer r.Close()
	all := Records{reader: r}
	batch := make([]Record, 1000)
	for err == nil {
		_, err = all.Next(batch)
	}
	switch {
	case err != io.EOF:
		return 0, fmt.Errorf("look at its dates: %w", err)
	case seen.day > 0 && seen.month > 0:
		return 0, errDatesFitNone
	case seen.day > 0:
		return DayFirst, nil
	case seen.month > 0:
		return MonthFirst, nil
	}
	return 0, errDatesFitBoth
}
