package store

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/dncd/dncd/internal/policy"
)

// tendRecordsEvery is how often imports of opt-outs are looked for that stopped, or that nobody continued.
const tendRecordsEvery = 10 * time.Second

// tendRecords goes on with committed imports that a crash or a full disk stopped, and drops what nobody continued.
func (s *Store) tendRecords() {
	tick := time.NewTicker(tendRecordsEvery)
	defer tick.Stop()
	for {
		s.tendRecordStages()
		select {
		case <-s.closing:
			return
		case <-tick.C:
		}
	}
}

func (s *Store) tendRecordStages() {
	stages, err := os.ReadDir(filepath.Join(s.dir, recordStageDir))
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			s.log.Warn("imports of opt-outs stay as they are", "err", err)
		}
		return
	}
	for _, d := range stages {
		if strings.HasSuffix(d.Name(), damagedSuffix) {
			continue
		}
		s.warnIf("continue an import of opt-outs", s.tendRecordStage(d))
	}
}

func (s *Store) tendRecordStage(d fs.DirEntry) error {
	dir := s.recordStage(d.Name())
	if _, err := os.Stat(filepath.Join(dir, commitFile)); err == nil {
		if !s.State().Writable() {
			return nil
		}
		_, err := s.recordJob(d.Name())
		return err
	}
	s.dropUnused(recordStageDir, d.Name(), s.opt.StageTTL)
	return nil
}

// rehearse counts the staged rows that are duplicates, of records in the view and of one another, without recording
// any. Its memory is bounded: it passes over the rows as often as it takes to keep rehearseRows of them in mind.
func (i *RecordImport) rehearse(ctx context.Context, v *View) (duplicates uint64, err error) {
	passes := 1 + i.log.entries/rehearseRows
	now, ahead := v.Clock()
	for pass := range passes {
		r := rehearsal{view: v, now: now.Add(-ahead), seen: map[said]int64{}}
		err := i.log.eachChunk(func(c RowChunk) error {
			for n := range c.Rows {
				if uint64(c.Rows[n].Number)%passes == pass {
					r.take(&c.Rows[n].OptOut)
				}
			}
			return errors.Join(r.failed, ctx.Err())
		})
		if err != nil {
			return 0, err
		}
		duplicates += r.duplicates
	}
	return duplicates, nil
}

const rehearseRows = 1 << 20

type rehearsal struct {
	view       *View
	now        time.Time      // by the clock
	seen       map[said]int64 // the latest end of those; math.MaxInt64: they never end
	duplicates uint64
	failed     error
}

// said is what makes two objections the same; without a time, whatever its time.
type said struct {
	number   uint64
	scope    policy.Scope
	channel  policy.Channel
	received int64
}

func (r *rehearsal) take(o *OptOut) {
	at := said{uint64(o.Number), o.Scope, o.Channel, timeNano(o.ReceivedAt)}
	end := cmp.Or(timeNano(o.ExpiresAt), math.MaxInt64)
	if r.seen[at] >= end || r.holds(o) {
		r.duplicates++
		return
	}
	whenever := said{at.number, at.scope, at.channel, 0}
	r.seen[at], r.seen[whenever] = end, max(r.seen[whenever], end)
}

// holds reports whether the view holds the objection, in force.
func (r *rehearsal) holds(o *OptOut) bool {
	if !r.view.records.Test(uint64(o.Number)) {
		return false
	}
	set, err := r.view.recordSet(o.Number)
	if err != nil {
		r.failed = err
		return false
	}
	m := o.message()
	for _, held := range set.GetRecords() {
		if record := recordOf(held); record.InForce(r.now) && sameOptOut(held, m) {
			return true
		}
	}
	return false
}
