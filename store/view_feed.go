package store

import (
	"context"
	"errors"
	"iter"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/dgraph-io/badger/v4"

	"github.com/dncd/dncd/internal/feed"
	"github.com/dncd/dncd/internal/filter"
	"github.com/dncd/dncd/internal/phone"
	"github.com/dncd/dncd/internal/policy"
	storev1 "github.com/dncd/dncd/internal/proto/store/v1"
	"github.com/dncd/dncd/store/internal/badgerdir"
	"github.com/dncd/dncd/store/internal/clock"
	"github.com/dncd/dncd/store/internal/keys"
	"github.com/dncd/dncd/store/internal/state"
)

// FeedRows yields the rows of opt-outs that concern a filter, by ascending number, then scope. Rows that ended long ago are left
// out: see endedBy. Errors: ErrDamaged, and the context's.
func (v *View) FeedRows(ctx context.Context, f feed.Filter) iter.Seq2[feed.Row, error] {
	return func(yield func(feed.Row, error) bool) {
		endedBy := v.endedBy()
		err := v.eachRecordSet(ctx, func(n phone.Number, set *storev1.RecordSet) bool {
			for _, r := range optOutRows(n, set, f, endedBy) {
				if !yield(r, nil) {
					return false
				}
			}
			return true
		})
		if err != nil {
			yield(feed.Row{}, err)
		}
	}
}

// endedBy is the time by which a row has ended for so long that bases need not be told of it: a day before the view's last event. A view
// has the same rows whenever they are read. A base compares ends with its own clock, and an end makes no change: what is left out by a clock
// that is ahead, and counts again once that is corrected, would never come back. So a jump that the store believes leaves out nothing, and
// where the last event is ahead of the true time by more, the true time counts, as for checks.
func (v *View) endedBy() time.Time {
	now, ahead := v.Clock()
	if now = now.Add(-ahead); now.After(v.time) {
		now = v.time
	}
	return now.Add(-clock.MaxJump)
}

// eachRecordSet calls f with the records of each number, ascending, until it returns false.
func (v *View) eachRecordSet(ctx context.Context, f func(phone.Number, *storev1.RecordSet) bool) (err error) {
	defer badgerdir.CatchDamage(debug.SetPanicOnFault(true), &err)
	txn := v.s.db.NewTransactionAt(v.revision, false)
	defer txn.Discard()
	it := txn.NewIterator(badger.IteratorOptions{Prefix: []byte{keys.KindRecords}})
	defer it.Close()
	for it.Rewind(); it.Valid(); it.Next() {
		if err := errors.Join(v.whole(), ctx.Err()); err != nil {
			return err
		}
		item, set := it.Item(), new(storev1.RecordSet)
		if err := item.Value(func(b []byte) error { return state.Decode(item.Key(), b, set) }); err != nil {
			v.s.noteDamage(err)
			return err
		}
		if !f(phone.Number(keys.Number(item.Key())), set) {
			return nil
		}
	}
	return v.complete()
}

// optOutRows are the rows of one number that concern a filter and had not ended at a time, by scope.
func optOutRows(n phone.Number, set *storev1.RecordSet, f feed.Filter, at time.Time) (rows []feed.Row) {
	for _, m := range set.GetRecords() {
		r := state.Record(m)
		if r.Kind != policy.RecordOptOut || !f.Concerns(r.Scope) || hasEnded(r.ExpiresAt, at) {
			continue
		}
		i := slices.IndexFunc(rows, func(row feed.Row) bool { return row.Scope == r.Scope })
		if i < 0 {
			rows = append(rows, feed.Row{Number: n, Scope: r.Scope, Until: r.ExpiresAt})
			continue
		}
		rows[i].Until = laterEnd(rows[i].Until, r.ExpiresAt)
	}
	slices.SortFunc(rows, func(a, b feed.Row) int { return strings.Compare(string(a.Scope), string(b.Scope)) })
	return rows
}

// hasEnded reports whether what lasts until an end, or for ever if that is zero, has ended at a time.
func hasEnded(end, at time.Time) bool { return !end.IsZero() && !at.Before(end) }

// laterEnd is the later of two ends. None is later than any.
func laterEnd(a, b time.Time) time.Time {
	switch {
	case a.IsZero() || b.IsZero():
		return time.Time{}
	case a.Before(b):
		return b
	}
	return a
}

// FeedRowsOf returns the rows of opt-outs of one number that concern a filter, by scope, as FeedRows does. Errors: ErrDamaged.
func (v *View) FeedRowsOf(n phone.Number, f feed.Filter) ([]feed.Row, error) {
	if err := v.whole(); err != nil {
		return nil, err
	}
	set, err := v.recordSet(n)
	if err != nil {
		return nil, err
	}
	return optOutRows(n, set, f, v.endedBy()), v.complete()
}

// FeedHolds reports whether a list of a filter holds a number. Errors: ErrDamaged.
func (v *View) FeedHolds(n phone.Number, f feed.Filter) (bool, error) {
	key := filter.KeyOf(uint64(n))
	for _, id := range f.Lists {
		l := v.listByID(id)
		if l == nil {
			continue
		}
		listed, unread := v.holds(l, n, key)
		if listed || unread {
			return listed, errors.Join(v.whole(), unreadList(unread))
		}
	}
	return false, v.complete()
}

func unreadList(unread bool) error {
	if unread {
		return ErrDamaged
	}
	return nil
}

// listRows yields the rows of a list, by ascending number.
func (v *View) listRows(ctx context.Context, l *List) iter.Seq2[feed.Row, error] {
	return func(yield func(feed.Row, error) bool) {
		for numbers, err := range v.Export(ctx, l) {
			if err != nil {
				yield(feed.Row{}, err)
				return
			}
			for _, n := range numbers {
				if !yield(feed.Row{Number: n, Scope: l.Scope, Source: feed.Source{List: l.ID}}, nil) {
					return
				}
			}
		}
	}
}

// FeedDigest returns the digest of all rows that concern a filter, opt-outs and lists, without those that had ended by the
// time of the view's last event. It reads all of them. Errors: ErrDamaged, and the context's.
func (v *View) FeedDigest(ctx context.Context, f feed.Filter) (feed.Digest, error) {
	sources := []iter.Seq2[feed.Row, error]{v.FeedRows(ctx, f)}
	for _, id := range f.Lists {
		if l := v.listByID(id); l != nil {
			sources = append(sources, v.listRows(ctx, l))
		}
	}
	d := feed.NewDigester()
	var line []byte
	for row, err := range mergeRows(sources) {
		if err != nil {
			return feed.Digest{}, err
		}
		if hasEnded(row.Until, v.time) {
			continue
		}
		line = row.AppendText(line[:0])
		if err := d.Add(line); err != nil {
			return feed.Digest{}, err
		}
	}
	return d.Digest(), nil
}

// mergeRows yields the rows of sources that are in order each, in order.
func mergeRows(sources []iter.Seq2[feed.Row, error]) iter.Seq2[feed.Row, error] {
	return func(yield func(feed.Row, error) bool) {
		var heads []*rowHead
		var stops []func()
		defer func() {
			for _, stop := range stops {
				stop()
			}
		}()
		for _, source := range sources {
			next, stop := iter.Pull2(source)
			stops = append(stops, stop)
			if h := (&rowHead{next: next}); h.advance() {
				heads = append(heads, h)
			}
		}
		for len(heads) > 0 {
			h := slices.MinFunc(heads, func(a, b *rowHead) int { return a.row.Compare(b.row) })
			if !yield(h.row, h.err) || h.err != nil {
				return
			}
			if !h.advance() {
				heads = slices.DeleteFunc(heads, func(o *rowHead) bool { return o == h })
			}
		}
	}
}

// rowHead is the next row of a source, or what ended it: that is before every row.
type rowHead struct {
	next func() (feed.Row, error, bool)
	row  feed.Row
	err  error
}

func (h *rowHead) advance() (more bool) {
	h.row, h.err, more = h.next()
	return more
}
