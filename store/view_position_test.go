package store

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dncd/dncd/internal/policy"
	storev1 "github.com/dncd/dncd/internal/proto/store/v1"
	"github.com/dncd/dncd/store/internal/journal"
	"github.com/dncd/dncd/store/internal/secret"
)

// wantTags checks the tags of revisions in the newest view.
func wantTags(t *testing.T, s *Store, what string, tags map[uint64]string, want error) {
	t.Helper()
	for revision, tag := range tags {
		if err := s.View().VerifyTag(revision, []byte(tag)); !errors.Is(err, want) {
			t.Errorf("%s: the tag of revision %d: got %v, want %v", what, revision, err, want)
		}
	}
}

// tagsOf are the tags of a store's revisions, from 0 on.
func tagsOf(t *testing.T, s *Store) map[uint64]string {
	t.Helper()
	tags := map[uint64]string{}
	for revision := range s.View().Revision() + 1 {
		tag := s.View().TagAt(revision)
		if len(tag) != secret.TagBytes {
			t.Fatalf("revision %d has the tag %x", revision, tag)
		}
		tags[revision] = string(tag)
	}
	return tags
}

// Every position has the tag of its revision: a receipt, a view of now or of the past, also after a restart.
func TestPositionsHaveTags(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	tags, seen := map[uint64]string{0: string(s.View().Tag())}, map[string]bool{}
	for i := range 5 {
		r := optOut(t, s, fiction(415, i), "acme")
		tags[r.ID.Revision] = r.Tag
		if r.Tag != string(s.View().Tag()) {
			t.Errorf("revision %d: the receipt has the tag %x, the view %x", r.ID.Revision, r.Tag, s.View().Tag())
		}
	}
	for revision, tag := range tags {
		if len(tag) != secret.TagBytes || seen[tag] {
			t.Errorf("revision %d has the tag %x", revision, tag)
		}
		seen[tag] = true
		past, err := s.ViewAt(revision)
		if err != nil || string(past.Tag()) != tag {
			t.Errorf("revision %d of the past: got the tag %x and %v, want %x", revision, past.Tag(), err, tag)
		}
	}
	wantTags(t, s, "while it runs", tags, nil)
	s.tags = recentTags{}
	wantTags(t, s, "from the journal", tags, nil)
	closeStore(t, s)
	wantTags(t, open(t, dir), "after a restart", tags, nil)
}

// A tag that is not that of its revision is a fork, whatever is wrong with it.
func TestTagThatDoesNotFitIsAFork(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	first, second := optOut(t, s, fiction(415, 0), "acme"), optOut(t, s, fiction(415, 1), "acme")
	for name, tag := range map[string]string{
		"of another revision": second.Tag, "cut": first.Tag[:7], "longer": first.Tag + "\x00", "long": strings.Repeat("x", 64),
		"flipped": string([]byte{first.Tag[0] ^ 1}) + first.Tag[1:], "zero": string(make([]byte, secret.TagBytes)),
	} {
		wantTags(t, s, name, map[uint64]string{1: tag}, ErrForked)
	}
	if err := s.View().VerifyTag(3, []byte(first.Tag)); !errors.Is(err, ErrFutureRevision) {
		t.Errorf("a revision to come: got %v", err)
	}
}

// A write that is repeated gets the tag of the first one's revision.
func TestDuplicateHasTheFirstTag(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	repeat := func() Receipt {
		t.Helper()
		r, err := s.RecordOptOut(context.Background(), OptOut{Number: fiction(415, 0), Scope: "acme"}, Request{ID: "r1"})
		must(t, err)
		return r
	}
	first := repeat()
	create := Request{ID: "r2", Asked: []byte("asked")}
	_, made, err := s.CreateList(context.Background(), "mine", Settings{Kind: policy.ListSuppression}, create)
	must(t, err)
	optOut(t, s, fiction(415, 1), "acme")
	for _, when := range []string{"while it runs", "after a restart"} {
		if again := repeat(); !again.Duplicate || again.Tag != first.Tag || first.Tag == "" {
			t.Errorf("%s: got the tag %x, want %x", when, again.Tag, first.Tag)
		}
		if w, found, err := s.RepeatedListWrite(create); err != nil || !found || w.Tag != made.Tag || made.Tag == "" {
			t.Errorf("%s, of a list: got the tag %x, want %x (%v, %v)", when, w.Tag, made.Tag, found, err)
		}
		closeStore(t, s)
		s = open(t, dir)
	}
}

// An older copy that is put back, and goes on without anybody saying so, has the same journal id. The tags of what came after
// the copy do not fit it, and those from before it do.
func TestPositionOfAForkIsRefused(t *testing.T) {
	t.Parallel()
	a := makeTwoAges(t)
	s := open(t, a.now)
	handedOut := tagsOf(t, s)
	closeStore(t, s)
	s = open(t, a.before)
	for i := range a.late + 3 {
		tellOptOut(t, s, 50+int(i))
	}
	if s.View().JournalID() != a.journal {
		t.Fatal("the copy has another journal: nothing is tested")
	}
	common, forked := map[uint64]string{}, map[uint64]string{}
	for revision, tag := range handedOut {
		if revision <= a.known {
			common[revision] = tag
		} else {
			forked[revision] = tag
		}
	}
	if len(common) < 2 || len(forked) < 2 {
		t.Fatalf("%d revisions in common, %d forked", len(common), len(forked))
	}
	for _, when := range []string{"while it runs", "after a restart"} {
		wantTags(t, s, when+", from before the copy", common, nil)
		wantTags(t, s, when+", from after it", forked, ErrForked)
		closeStore(t, s)
		s = open(t, a.before)
	}
}

// A copy that is put back as it should be keeps the tags of what it holds, and has none for revisions that it does not have.
func TestTagsOfARestoredCopy(t *testing.T) {
	t.Parallel()
	a := makeTwoAges(t)
	s := open(t, a.now)
	handedOut := tagsOf(t, s)
	closeStore(t, s)
	mustRestore(t, a.before)
	s = open(t, a.before)
	for revision, tag := range handedOut {
		want := ErrForked
		if 0 < revision && revision <= a.known {
			want = nil
		}
		wantTags(t, s, "restored", map[uint64]string{revision: tag}, want)
	}
	if len(s.View().Tag()) != secret.TagBytes {
		t.Errorf("the newest revision has the tag %x", s.View().Tag())
	}
}

// openLogged opens a store and returns what it logs.
func openLogged(t *testing.T, dir string) (*Store, *bytes.Buffer) {
	t.Helper()
	var log bytes.Buffer
	o := testOptions()
	o.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn}))
	return openWith(t, dir, o), &log
}

// A secret that is lost or damaged is made again, which a person is told, and then no position that was handed out fits.
func TestSecretThatIsLost(t *testing.T) {
	t.Parallel()
	flipped := func(b []byte) []byte { b[7] ^= 1; return b }
	cut := func(b []byte) []byte { return b[:20] }
	for name, harm := range map[string]func([]byte) []byte{
		"gone": nil, "one flipped byte": flipped, "cut": cut, "empty": func([]byte) []byte { return nil },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			s, log := openLogged(t, dir)
			optOut(t, s, fiction(415, 0), "acme")
			handedOut := tagsOf(t, s)
			closeStore(t, s)
			if log.Len() > 0 {
				t.Errorf("a new store warns: %s", log)
			}
			path := filepath.Join(dir, secret.Name)
			before, err := os.ReadFile(path)
			must(t, err)
			if harm == nil {
				must(t, os.Remove(path))
			} else {
				before = harm(before)
				must(t, os.WriteFile(path, before, 0o600))
			}
			wantSecretReported(t, dir, harm != nil)
			s, log = openLogged(t, dir)
			if s.State().Cause != nil || !strings.Contains(log.String(), "JOURNAL_FORKED") {
				t.Errorf("opened with %v and the log %q", s.State().Cause, log)
			}
			wantTags(t, s, "under another secret", handedOut, ErrForked)
			wantKeptSecret(t, dir, before, harm != nil)
			handedOut = tagsOf(t, s)
			closeStore(t, s)
			if r := mustFsck(t, dir); !r.OK() || r.Secret != nil {
				t.Errorf("fsck, once it was made again: got %v and %q", r.Secret, r.Problems)
			}
			s, log = openLogged(t, dir)
			wantTags(t, s, "after another start", handedOut, nil)
			if log.Len() > 0 {
				t.Errorf("the next start warns: %s", log)
			}
		})
	}
}

// wantSecretReported checks that fsck says what is wrong with the secret, in a store that is whole.
func wantSecretReported(t *testing.T, dir string, damaged bool) {
	t.Helper()
	want := fs.ErrNotExist
	if damaged {
		want = ErrDamaged
	}
	if r := mustFsck(t, dir); !r.OK() || !errors.Is(r.Secret, want) {
		t.Errorf("fsck: got %v and %q, want %v", r.Secret, r.Problems, want)
	}
}

// wantKeptSecret checks that a damaged secret was set aside as it was, and one that was gone was not.
func wantKeptSecret(t *testing.T, dir string, want []byte, kept bool) {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, "secret.damaged-*"))
	must(t, err)
	if !kept && len(found) == 0 {
		return
	}
	if len(found) != 1 {
		t.Fatalf("set aside: %q", found)
	}
	if got, err := os.ReadFile(found[0]); err != nil || !bytes.Equal(got, want) {
		t.Errorf("set aside: got %x and %v, want %x", got, err, want)
	}
}

// A secret that cannot be written is not used: the store does not open, and the next start makes one or finds it.
func TestSecretThatIsNotWritten(t *testing.T) {
	t.Parallel()
	for name, w := range map[string]way{"not written": notWritten, "written and failed": writtenAndFailed} {
		dir := t.TempDir()
		o := testOptions()
		o.faults = failing(stepSecret, w)
		if s, err := Open(dir, o); !errors.Is(err, errInjected) {
			t.Errorf("%s: opened with %v", name, err)
			closeStore(t, s)
			continue
		}
		s, log := openLogged(t, dir)
		optOut(t, s, fiction(415, 0), "acme")
		if log.Len() > 0 || len(tagsOf(t, s)) != 2 {
			t.Errorf("%s: the next start warns: %s", name, log)
		}
		closeStore(t, s)
	}
}

// A first start that was killed can leave a secret and no store: a store can still be made there, which uses it.
func TestSecretIsNoStore(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	made, err := secret.Make(dir)
	must(t, err)
	if err := Find(dir); !errors.Is(err, ErrNoStore) {
		t.Errorf("find: got %v, want that there is no store", err)
	}
	must(t, Init(dir))
	if s := open(t, dir); *s.secret != *made {
		t.Error("the store has another secret")
	}
}

// Repair and its swap leave the secret where it is: positions that were handed out stay good.
func TestSecretSurvivesRepair(t *testing.T) {
	t.Parallel()
	d := makeStore(t, true)
	s := open(t, d.dir)
	handedOut := tagsOf(t, s)
	closeStore(t, s)
	before, err := os.ReadFile(filepath.Join(d.dir, secret.Name))
	must(t, err)
	flip(t, d.file(t, "badger/*.sst"), 0.5)
	r, err := Repair(context.Background(), d.dir, true, testOptions())
	if err != nil || !r.Repaired {
		t.Fatalf("repair: %+v, %v", r, err)
	}
	if after, err := os.ReadFile(filepath.Join(d.dir, secret.Name)); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the secret is another one after a repair (%v)", err)
	}
	s = open(t, d.dir)
	for revision, tag := range handedOut {
		if revision == 0 || revision > s.View().Revision() {
			continue
		}
		_, read := journalEntry(t, s, revision)
		want := ErrForked
		if read {
			want = nil
		}
		wantTags(t, s, "after a repair", map[uint64]string{revision: tag}, want)
	}
}

// journalEntry is an entry of the newest view's journal, and whether it is there.
func journalEntry(t *testing.T, s *Store, revision uint64) (journal.Entry, bool) {
	t.Helper()
	txn := s.db.NewTransactionAt(s.View().Revision(), false)
	defer txn.Discard()
	e, err := journal.Read(txn, revision)
	return e, err == nil
}

// lossOf is the event of an accepted loss, which is the newest revision.
func lossOf(t *testing.T, s *Store) *storev1.LossAccepted {
	t.Helper()
	e, ok := journalEntry(t, s, s.View().Revision())
	if !ok {
		t.Fatal("the newest revision is not there")
	}
	rev, err := e.Decode()
	must(t, err)
	return rev.GetEvents()[0].GetLossAccepted()
}

func withoutMark(dir string) error { return os.Remove(filepath.Join(dir, journal.MarkName)) }

// A store that has lost its end still knows the tags of what is there. Where no mark says which history it holds, its newest
// revision has no tag, and a position of it can be neither confirmed nor refused as a fork.
func TestTagsOfADamagedStore(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	optOut(t, s, fiction(415, 1), "acme")
	_, begin := logOf(t, dir)
	optOut(t, s, fiction(415, 2), "acme")
	_, end := logOf(t, dir)
	handedOut := tagsOf(t, s)
	cut := open(t, loseLog(t, dir, begin, end))
	wantTags(t, cut, "without its end", map[uint64]string{1: handedOut[1], 2: handedOut[2]}, nil)
	wantTags(t, cut, "without its end", map[uint64]string{1: handedOut[2]}, ErrForked)

	unmarked := loseLog(t, dir, 0, 0)
	must(t, withoutMark(unmarked))
	s = open(t, unmarked)
	if tag := s.View().Tag(); !errors.Is(s.State().Cause, ErrDamaged) || tag != nil {
		t.Errorf("without a mark: got the tag %x and %v", tag, s.State().Cause)
	}
	wantTags(t, s, "without a mark", map[uint64]string{1: handedOut[1]}, nil)
	wantTags(t, s, "without a mark", map[uint64]string{2: handedOut[2]}, ErrDamaged)
	wantTags(t, s, "without a mark", map[uint64]string{2: handedOut[1]}, ErrDamaged)
}

// An accepted loss says where the journal was last known to be: by its mark, where that is later than what is there, and else by
// its last entry. The positions of what is lost are refused.
func TestAcceptedLossNamesTheLastKnownPosition(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	optOut(t, s, fiction(415, 1), "acme")
	_, begin := logOf(t, dir)
	optOut(t, s, fiction(415, 2), "acme")
	_, middle := logOf(t, dir)
	optOut(t, s, fiction(415, 3), "acme")
	_, end := logOf(t, dir)
	id, tip, handedOut := s.View().journal, s.tip(), tagsOf(t, s)
	for _, c := range []struct {
		name     string
		from, to int
		mark     func(dir string) error // nil: it stays
		lost     []uint64
		at       uint64 // the last known revision
		marked   bool
		journal  bool // is known
	}{
		{"the end", begin, end, nil, []uint64{2, 3}, 3, true, true},
		{"the middle", begin, middle, nil, []uint64{2}, 3, false, true},
		{"the mark", 0, 0, withoutMark, nil, 3, false, false},
		{"another store's mark", 0, 0, journal.CreateMark, nil, 3, false, false},
		{"the end and the mark", middle, end, withoutMark, []uint64{3}, 2, false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := loseLog(t, dir, c.from, c.to)
			if c.mark != nil {
				must(t, c.mark(d))
			}
			_, err := Repair(context.Background(), d, true, testOptions())
			must(t, err)
			s := open(t, d)
			loss := lossOf(t, s)
			if loss.GetFromRevision() != c.at || loss.GetFromMark() != c.marked || len(loss.GetFromChain()) != len(tip.Chain) {
				t.Errorf("got %v, want revision %d, by the mark: %v", loss, c.at, c.marked)
			}
			if c.at == tip.Revision && !bytes.Equal(loss.GetFromChain(), tip.Chain[:]) {
				t.Errorf("got the chain %x, want %x", loss.GetFromChain(), tip.Chain)
			}
			if got := loss.GetFromJournalId(); c.journal != bytes.Equal(got, id[:]) || !c.journal && len(got) > 0 {
				t.Errorf("got the journal %x of %v, known: %v", got, id, c.journal)
			}
			for _, revision := range c.lost {
				wantTags(t, s, "lost", map[uint64]string{revision: handedOut[revision]}, ErrForked)
			}
			wantTags(t, s, "kept", map[uint64]string{1: handedOut[1]}, nil)
			closeStore(t, s)
			wantActInWords(t, d, c.at, c.marked)
		})
	}
}

func wantActInWords(t *testing.T, dir string, at uint64, marked bool) {
	t.Helper()
	s := open(t, dir)
	var found []string
	for _, a := range allActs(t, s.View(), ActsQuery{Limit: 100}, 100) {
		if a.Kind == ActLossAccepted {
			found = append(found, a.Detail)
		}
	}
	by := "its last entry"
	if marked {
		by = "its mark"
	}
	if want := "was last known at revision " + string(rune('0'+at)) + ", by " + by; len(found) != 1 || !strings.HasSuffix(found[0], want) {
		t.Errorf("got the acts %q, want one that ends in %q", found, want)
	}
}
