package store

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/dncd/dncd/internal/policy"
	storev1 "github.com/dncd/dncd/internal/proto/store/v1"
	"github.com/dncd/dncd/store/internal/block"
	"github.com/dncd/dncd/store/internal/disk"
	"github.com/dncd/dncd/store/internal/filters"
	"github.com/dncd/dncd/store/internal/keys"
	"github.com/dncd/dncd/store/internal/state"
)

// traces are the lists and the loads that anything in a damaged directory names, whether or not its journal does.
type traces struct {
	names   map[policy.EventID]string // empty where only the list's id was met
	loads   map[block.LoadID]bool
	deleted map[policy.EventID]bool // by an event that is there
}

func newTraces() *traces {
	return &traces{names: map[policy.EventID]string{}, loads: map[block.LoadID]bool{}, deleted: map[policy.EventID]bool{}}
}

// ofValue notes what a sound value names.
func (t *traces) ofValue(key, value []byte) {
	switch {
	case key[0] == keys.KindList && len(key) == 1+keys.ListIDBytes:
		var l storev1.ListState
		if state.Decode(key, value, &l) == nil {
			t.names[keys.ListID(key)] = l.GetName()
		}
	case key[0] == keys.KindCommit && len(key) == 1+keys.ListIDBytes+8+4:
		t.ofLoad(block.LoadID{List: keys.ListID(key), Prepared: keys.Prepared(key[:1+keys.ListIDBytes+8])})
	}
}

func (t *traces) ofLoad(id block.LoadID) {
	t.loads[id] = true
	if _, met := t.names[id.List]; !met {
		t.names[id.List] = ""
	}
}

// ofFiles notes the loads that files of blocks and filters are named after.
func (t *traces) ofFiles(dir string) error {
	for part, parse := range map[string]func(name string) (block.LoadID, bool){
		blocksDir: block.ParseFileName, filtersDir: filters.ParseListName,
	} {
		files, err := os.ReadDir(filepath.Join(dir, part))
		if disk.IgnoreMissing(err) != nil {
			return err
		}
		for _, f := range files {
			if id, ok := parse(f.Name()); ok {
				t.ofLoad(id)
			}
		}
	}
	return nil
}

// lostLists are the lists that lost revisions created and nothing brings back, by name where one was met.
func (r *repairer) lostLists(kept []*List) []string {
	var lost []string
	for id, name := range r.traces.names {
		isKept := slices.ContainsFunc(kept, func(l *List) bool { return l.ID == id })
		if isKept || r.traces.deleted[id] || !r.isLost(id.Revision) {
			continue
		}
		lost = append(lost, cmp.Or(name, fmt.Sprintf("the list that revision %d created", id.Revision)))
	}
	slices.Sort(lost)
	return lost
}

// isOutdated reports whether a list shows an older load than it did: the one that it showed was prepared, or switched
// to, by a lost revision.
func (r *repairer) isOutdated(l *List) bool {
	for id := range r.traces.loads {
		if id.List == l.ID && id.Prepared > l.ContentRevision && id.Prepared != l.Pending && r.isLost(id.Prepared) {
			return true
		}
	}
	return l.Pending != 0 && r.lostAfter(l.Pending) && !r.isStaged(l)
}

func (r *repairer) lostAfter(revision uint64) bool {
	return slices.ContainsFunc(r.report.Lost, func(g Gap) bool { return g.To > revision })
}

// isStaged reports whether the content of a list's load is there: until the list has switched to it.
func (r *repairer) isStaged(l *List) bool {
	staged, err := filepath.Glob(filepath.Join(r.dir, stageDir, fmt.Sprintf("*-%d-%d.numbers", l.ID.Revision, l.ID.Index)))
	return err == nil && len(staged) > 0
}
