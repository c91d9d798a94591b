package sqlitebase

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"iter"
	"time"

	"github.com/dncd/dncd/client"
)

// sameRow and notEarlier say that a row s of the snapshot covers a row r.
const (
	sameRow    = `s.number = r.number AND s.scope = r.scope AND s.source = r.source`
	notEarlier = `(s.until IS NULL OR s.until >= r.until)`
)

// later is the later one of two ends of the same row.
const later = `CASE WHEN rows.until IS NULL OR excluded.until IS NULL THEN NULL ELSE max(rows.until, excluded.until) END`

// in says that a source is one of those in a parameter, a JSON array.
const in = `IN (SELECT value FROM json_each(?))`

const (
	stageRow = `INSERT INTO staged VALUES (?, ?, ?, ?)`

	// keepLost makes orphans of what the snapshot lacks. The first two parameters are sources that stay and that are other lists now.
	keepLost = `INSERT INTO rows SELECT number, scope, source, until, 1 FROM rows AS r
		WHERE orphan = 0 AND source NOT ` + in + ` AND
			(source ` + in + ` OR NOT EXISTS (SELECT 1 FROM staged AS s WHERE ` + sameRow + ` AND ` + notEarlier + `))
		ON CONFLICT DO UPDATE SET until = ` + later
	// deleteGone deletes what the snapshot lacks, except what stays.
	deleteGone = `DELETE FROM rows AS r WHERE orphan = 0 AND source NOT ` + in + ` AND NOT EXISTS (SELECT 1 FROM staged AS s WHERE ` + sameRow + `)`
	// putStaged writes only what differs.
	putStaged = `INSERT INTO rows SELECT number, scope, source, until, 0 FROM staged AS s
		WHERE NOT EXISTS (SELECT 1 FROM rows AS r WHERE ` + sameRow + ` AND r.orphan = 0 AND r.until IS s.until)
		ON CONFLICT DO UPDATE SET until = excluded.until`
	// endCovered ends orphans that the server has again, except those of another list.
	endCovered = `DELETE FROM rows AS r WHERE orphan = 1 AND source NOT ` + in + `
		AND EXISTS (SELECT 1 FROM staged AS s WHERE ` + sameRow + ` AND ` + notEarlier + `)`
)

// Stage implements client.Base.
func (b *Base) Stage(ctx context.Context, rows iter.Seq[client.Row], first bool) error {
	return b.follow(ctx, func(t *transaction) error {
		if first {
			t.run(`DELETE FROM staged`)
		}
		insert := t.prepare(stageRow)
		for r := range rows {
			insert(r.Number, r.Scope, r.Source, nanoseconds(r.Until))
		}
		return t.err
	})
}

// Swap implements client.Base.
func (b *Base) Swap(ctx context.Context, s client.Swap) error {
	keep, foreign := array(s.Keep), array(s.Foreign)
	return b.follow(ctx, func(t *transaction) error {
		if s.KeepOrphans {
			t.run(keepLost, keep, foreign)
		}
		t.run(deleteGone, keep)
		t.run(putStaged)
		t.run(endCovered, foreign)
		t.run(`DELETE FROM staged`)
		t.setState(s.State)
		return t.err
	})
}

// Apply implements client.Base.
func (b *Base) Apply(ctx context.Context, batch client.Batch) error {
	return b.follow(ctx, func(t *transaction) error {
		put := t.prepare(`INSERT INTO rows VALUES (?, ?, ?, ?, 0) ON CONFLICT DO UPDATE SET until = excluded.until`)
		cover := t.prepare(`DELETE FROM rows WHERE number = ? AND scope = ? AND source = ? AND orphan = 1
			AND (?4 IS NULL OR ?4 >= until)`)
		remove := t.prepare(`DELETE FROM rows WHERE number = ? AND scope = ? AND source = ? AND orphan = 0`)
		for e := range batch.Edits {
			switch e.Kind {
			case client.EditPut:
				put(e.Number, e.Scope, e.Source, nanoseconds(e.Until))
				cover(e.Number, e.Scope, e.Source, nanoseconds(e.Until))
			case client.EditDelete:
				remove(e.Number, e.Scope, e.Source)
			case client.EditMove:
				t.run(`UPDATE OR REPLACE rows SET scope = ? WHERE source = ? AND orphan = 0 AND scope <> ?1`, e.Scope, e.Source)
			case client.EditDrop:
				t.run(`DELETE FROM rows WHERE source = ? AND orphan = 0`, e.Source)
			default:
				return fmt.Errorf("an edit of kind %d, which this version does not know", e.Kind)
			}
		}
		t.setState(batch.State)
		return t.err
	})
}

// prepare returns what runs a statement, as run does.
func (t *transaction) prepare(statement string) func(args ...any) {
	if t.err != nil {
		return func(...any) {}
	}
	var s *sql.Stmt
	s, t.err = t.PrepareContext(t.ctx, statement) // closed with the transaction
	return func(args ...any) {
		if t.err == nil {
			_, t.err = s.ExecContext(t.ctx, args...)
		}
	}
}

// nanoseconds is an end as the file has it.
func nanoseconds(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UnixNano()
}

// array is a JSON array of texts.
func array(texts []string) string {
	if len(texts) == 0 {
		return "[]"
	}
	b, _ := json.Marshal(texts) // of strings it never fails
	return string(b)
}
