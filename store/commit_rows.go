package store

import (
	"crypto/sha256"
	"fmt"
	"runtime/debug"

	"google.golang.org/protobuf/proto"

	storev1 "github.com/dncd/dncd/internal/proto/store/v1"
	"github.com/dncd/dncd/store/internal/apply"
	"github.com/dncd/dncd/store/internal/badgerdir"
	"github.com/dncd/dncd/store/internal/journal"
	"github.com/dncd/dncd/store/internal/keys"
	"github.com/dncd/dncd/store/internal/state"
	"github.com/dncd/dncd/store/internal/stories"
)

// takenRows is what a group took of a batch: the rows up to one. The first of them may be in earlier groups.
type takenRows struct {
	batch *batch
	upTo  int
}

// isTaken reports whether the committer is through with a batch.
func (b *batch) isTaken() bool { return b.over || b.next == len(b.rows) }

// rowBytes is more than a row adds to the state, or to its revision, beside its texts and its number's other records. It is
// also more than a key of history, which each row needs whose record is found to have expired.
const rowBytes = 192

// rowTaker takes the rows of one batch into a group. Rows are judged first and applied together, since the stories of
// several share a hash; a row whose number is among those that wait has them applied before.
type rowTaker struct {
	g       *group
	b       *batch
	columns *optOutColumns
	stories *stories.Packer
	judged  []judgedRow     // and not applied
	numbers map[uint64]bool // theirs
	state   int             // bytes that they will add to the state, about
	bytes   int             // of all rows and their stories in the revision, about
}

// judgedRow is a row that will be recorded.
type judgedRow struct {
	row    int
	set    apply.NumberSet // of its number, with record at its end
	record *storev1.Record
	story  stories.Ref
}

// takeRows takes the rows of a batch, until all are taken or the group has no more room. Duplicates and refused rows leave
// no trace. An error ends the group.
func (g *group) takeRows(w *pendingEvent) (err error) {
	if w.batch.over || w.isAbandoned() {
		return nil
	}
	if w.batch.isOfConsents() {
		return g.takeConsents(w.batch)
	}
	left := len(w.batch.rows) - w.batch.next
	t := rowTaker{
		g: g, b: w.batch, columns: newOptOutColumns(left), stories: stories.NewPacker(),
		judged: make([]judgedRow, 0, left), numbers: make(map[uint64]bool, left),
	}
	if err = t.take(); err != nil {
		g.s.noteDamage(err)
	}
	g.parts = append(g.parts, takenRows{t.b, t.b.next})
	return err
}

func (t *rowTaker) take() (err error) {
	defer badgerdir.CatchDamage(debug.SetPanicOnFault(true), &err)
	for b := t.b; b.next < len(b.rows) && t.hasRoom(); b.next++ {
		if !b.outcomes[b.next].isOpen() {
			continue
		}
		if t.numbers[uint64(b.rows[b.next].Number)] {
			if err := t.apply(); err != nil {
				return err
			}
		}
		if err := t.judge(b.next); err != nil {
			return err
		}
	}
	if err := t.apply(); err != nil {
		return err
	}
	return t.end()
}

func (t *rowTaker) hasRoom() bool {
	return t.g.a.Bytes+t.state < maxGroupBytes && t.g.bytes+t.bytes < maxRevision
}

// judge finds out what becomes of a row.
func (t *rowTaker) judge(row int) error {
	r := &t.b.rows[row]
	set, err := t.g.a.Records(uint64(r.Number))
	if err != nil {
		return err
	}
	m := r.message()
	if held := state.HeldBy(set.RecordSet, m); held != nil {
		t.b.outcomes[row] = Outcome{ID: state.RecordID(held), Duplicate: true}
		return nil
	}
	id := state.EventID(t.g.a.Revision, t.g.events+len(t.judged))
	record := t.g.a.Record(id, m, apply.StoryRef{Hash: noHash[:], Place: stories.PackStories, OfRow: true})
	set.Records = append(set.Records, record)
	size := len(r.Scope) + rowBytes
	if set.Stored > 0 || size > apply.MaxRecordSetBytes {
		size = proto.Size(set.RecordSet)
	}
	if size > apply.MaxRecordSetBytes {
		t.b.outcomes[row].Err = ErrTooManyRecords
		return nil
	}
	story := t.stories.Add(r.Story)
	t.columns.add(&r.OptOut, story)
	t.judged = append(t.judged, judgedRow{row: row, set: set, record: record, story: story})
	t.numbers[uint64(r.Number)] = true
	t.state += size + (1+len(set.Gone))*rowBytes
	t.bytes += len(r.Scope) + stories.Size(r.Story) + rowBytes
	return nil
}

// noHash has the size of a hash that is not known yet.
var noHash [sha256.Size]byte

// apply applies the rows that were judged.
func (t *rowTaker) apply() error {
	t.stories.End()
	a := t.g.a
	for i := range t.judged {
		j := &t.judged[i]
		j.record.StoryHash, j.record.Story = j.story.Sealed.Hash(), j.story.Place
		if err := a.PutNew(state.RecordID(j.record), uint64(t.b.rows[j.row].Number), j.set); err != nil {
			return fmt.Errorf("apply a row: %w", err)
		}
		a.Touch(keys.ScopeTopic(t.b.rows[j.row].Scope))
		t.b.outcomes[j.row] = Outcome{ID: state.RecordID(j.record)}
		t.g.events++
	}
	t.judged, t.state = t.judged[:0], 0
	clear(t.numbers)
	return nil
}

// end adds the rows to the revision.
func (t *rowTaker) end() error {
	if len(t.columns.m.Numbers) == 0 {
		return nil
	}
	event, err := proto.Marshal(t.columns.event())
	if err != nil {
		return fmt.Errorf("encode event: %w", err)
	}
	t.g.body = journal.AppendEvent(t.g.body, event)
	t.g.bytes += len(event)
	t.g.stories = append(t.g.stories, t.stories.Sealed()...)
	for _, story := range t.stories.Sealed() {
		t.g.bytes += story.Size()
	}
	return nil
}
