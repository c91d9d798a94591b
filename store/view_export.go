package store

import (
	"cmp"
	"context"
	"errors"
	"iter"

	"github.com/dncd/dncd/internal/phone"
)

// Export yields the numbers of a list of the view, ascending, in batches that are valid until the next one. Errors:
// ErrDamaged, also at the end, when damage was met during the export; and the context's.
func (v *View) Export(ctx context.Context, l *List) iter.Seq2[[]phone.Number, error] {
	return func(yield func([]phone.Number, error) bool) {
		if err := v.whole(); err != nil {
			yield(nil, err)
			return
		}
		var batch []phone.Number
		for b, err := range v.s.listBlocks(l, l.ContentRevision) {
			if errors.Is(err, ErrDamaged) && !v.asOf {
				v.s.noteDamage(err)
			}
			if err = cmp.Or(err, ctx.Err()); err != nil {
				yield(nil, err)
				return
			}
			batch = batch[:0]
			for n := range b.bits.Numbers(b.number) {
				batch = append(batch, phone.Number(n))
			}
			if len(batch) > 0 && !yield(batch, nil) {
				return
			}
		}
		if err := v.complete(); err != nil {
			yield(nil, err)
		}
	}
}
