package store

import (
	"archive/tar"
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/dncd/dncd/internal/phone"
	"github.com/dncd/dncd/internal/policy"
	storev1 "github.com/dncd/dncd/internal/proto/store/v1"
	"github.com/dncd/dncd/store/internal/journal"
)

// The stores of earlier builds, each as the build of that day left it, without ballast. They are never written again: a build
// that changes what is on disk adds some.
const fixtures = "testdata/*.tar.gz"

// fixture is a kind of store that is kept, by the first word of its archive's name.
type fixture struct {
	write func(t *testing.T, dir string)
	want  func(t *testing.T, s *Store)
}

var fixtureKinds = map[string]fixture{
	"store":  {writeFixture, wantFixture},             // closed, with something of everything
	"killed": {writeKilledFixture, wantKilledFixture}, // restored from a copy, then killed: what came since lies in logs alone
	"rows":   {writeRowsFixture, wantRowsFixture},     // opt-outs by file, in tables and in the logs of a store that was killed
	"grants": {writeGrantsFixture, wantGrantsFixture}, // grants and an access log, in tables and in the logs of a store that was killed
	// a policy, consents, their uses and withdrawals, and acknowledgements, in tables and in the logs of a store that was killed
	"verdicts": {writeVerdictsFixture, wantVerdictsFixture},
}

func fixtureKind(t *testing.T, archive string) fixture {
	t.Helper()
	word, _, _ := strings.Cut(filepath.Base(archive), "-")
	kind, ok := fixtureKinds[word]
	if !ok {
		t.Fatalf("%s: no such kind of store", archive)
	}
	return kind
}

// TestStoreOfAnEarlierBuild opens the store of each earlier build: it is whole, and every number, list, story, receipt and load is
// as that build wrote it. It goes on from there. DNCTEST_WRITE_FIXTURE names the archive of a new one to write.
func TestStoreOfAnEarlierBuild(t *testing.T) {
	t.Parallel()
	if path := os.Getenv("DNCTEST_WRITE_FIXTURE"); path != "" {
		dir := t.TempDir()
		fixtureKind(t, path).write(t, dir)
		must(t, pack(path, dir))
	}
	archives, err := filepath.Glob(fixtures)
	if err != nil || len(archives) < len(fixtureKinds) {
		t.Fatalf("stores of earlier builds: %q, %v; want one of each kind", archives, err)
	}
	for _, archive := range archives {
		t.Run(filepath.Base(archive), func(t *testing.T) {
			t.Parallel()
			kind, dir := fixtureKind(t, archive), t.TempDir()
			must(t, unpack(archive, dir))
			if r := mustFsck(t, dir); !r.OK() || r.Missing.Stories > 0 {
				t.Errorf("fsck before it is opened: %+v", r)
			}
			s := openFixture(t, dir)
			kind.want(t, s)
			optOut(t, s, fiction(415, 99), "acme")
			closeStore(t, s)
			if r := mustFsck(t, dir); !r.OK() || r.Missing.Stories > 0 {
				t.Errorf("fsck after it was opened: %+v", r)
			}
			kind.want(t, openFixture(t, dir))
		})
	}
}

// fixtureDay is when the fixture was written, and is read.
func fixtureDay() *testClock { return clockAt(day(9)) }

func openFixture(t *testing.T, dir string) *Store {
	t.Helper()
	s := openAt(t, dir, fixtureDay())
	if s.State().Cause != nil {
		t.Fatal("state:", s.State().Cause)
	}
	settle(t, s)
	return s
}

// fixtureOptOut is the i-th opt-out of a fixture, with its request.
func fixtureOptOut(i int) (OptOut, Request) {
	o := OptOut{
		Number: fiction(415, i), Scope: []policy.Scope{"", "acme", "acme/telecom"}[i%3], Channel: policy.Channel(1 + i%4), ReceivedAt: day(1 + i%5),
	}
	if i%7 == 0 {
		o.ExpiresAt = day(20)
	}
	return o, Request{ID: fmt.Sprintf("request-%d", i), Story: Story{Desk: "after-sales", Evidence: fmt.Sprintf("ticket %d", i), RecordedBy: "ann"}}
}

const (
	fixtureOptOuts   = 40
	fixtureWithdrawn = 4 // each of so many is withdrawn
)

func fixtureRegistry() Settings {
	s := usRegistry("1201", "1202", "1415")
	s.MaxAgeDays = 31
	return s
}

// fixtureContent is short and long blocks, and a number in the area code of the opt-outs.
func fixtureContent(generation uint64) []uint64 {
	return append(childContent(generation)[:3000], uint64(fiction(415, 50)))
}

func writeFixture(t *testing.T, dir string) {
	s := openAt(t, dir, fixtureDay())
	for i := range fixtureOptOuts {
		o, r := fixtureOptOut(i)
		_, err := s.RecordOptOut(context.Background(), o, r)
		must(t, err)
		if i%fixtureWithdrawn == 0 {
			_, err := s.WithdrawOptOut(context.Background(), o.Number, o.Scope, Request{Story: Story{Reason: "asked again"}})
			must(t, err)
		}
	}
	importRows(t, s, RecordsHeader{Story: Story{RecordedBy: "ops"}}, bulkRows(0, 100))
	createList(t, s, "registry", fixtureRegistry())
	dated := Commit{SnapshotDate: policy.DateOf(day(8))}
	for _, l := range []struct {
		mode    Mode
		numbers []uint64
	}{{Replace, fixtureContent(1)}, {Add, registryNumbers(500)}, {Replace, fixtureContent(2)}} {
		if r := load(t, s, "registry", l.mode, l.numbers, dated); r.Refused || r.AlreadyLoaded {
			t.Fatalf("load: %+v", r)
		}
	}
	_, err := s.Revert(context.Background(), header("registry", Revert), silent)
	must(t, err)
	createList(t, s, "gone", Settings{Kind: policy.ListSuppression, Scope: "other"})
	_, err = s.DeleteList(context.Background(), listOf(t, s, "gone").ID, Request{})
	must(t, err)
	createList(t, s, "taken", Settings{Kind: policy.ListSuppression, Scope: "other"})
	load(t, s, "taken", Replace, registryNumbers(1000), Commit{})
	prepareOnly(t, s, header("taken", Replace), registryNumbers(2000), Commit{})
	i := begin(t, s, header("registry", Add))
	put(t, i, 1, registryNumbers(10)...)
	must(t, errors.Join(i.Sync(), i.Close()))
	closeStore(t, s)
}

// wantFixture holds a store against what writeFixture wrote.
func wantFixture(t *testing.T, s *Store) {
	t.Helper()
	for i := range fixtureOptOuts {
		wantFixtureOptOut(t, s, i)
	}
	for _, r := range bulkRows(0, 100) {
		facts, err := s.View().Number(r.Number, s.Now())
		if err != nil || len(facts.Records) != 1 || facts.Records[0].Story != r.Story || !facts.Records[0].ReceivedAt.Equal(r.ReceivedAt) {
			t.Fatalf("an objection by file: %+v, %v; want %+v", facts.Records, err, r)
		}
	}
	imports, err := s.View().Imports(policy.EventID{}, 0, 20)
	imports = slices.DeleteFunc(imports, func(e ImportEntry) bool { return e.State != ImportRecorded })
	if err != nil || len(imports) != 1 || imports[0].Counts.Accepted != 100 {
		t.Errorf("imports of opt-outs: %+v, %v; want one of 100", imports, err)
	}
	content := slices.Compact(slices.Sorted(slices.Values(slices.Concat(fixtureContent(1), registryNumbers(500)))))
	if got := export(t, s, "registry"); !slices.Equal(got, content) {
		t.Errorf("the registry holds %d numbers, want the %d that it was reverted to", len(got), len(content))
	}
	l := listOf(t, s, "registry")
	if l.Settings.MaxAgeDays != 31 || l.SnapshotDate != policy.DateOf(day(8)) || !slices.Equal(l.Settings.Coverage, fixtureRegistry().Coverage) {
		t.Errorf("the registry: %+v", l)
	}
	entries, err := s.View().Imports(l.ID, 0, 10)
	modes := []Mode{}
	for _, e := range entries {
		modes = append(modes, e.Mode)
	}
	if err != nil || !slices.Equal(modes, []Mode{Revert, Replace, Add, Replace}) {
		t.Errorf("loads of modes %v, %v", modes, err)
	}
	if _, err := s.View().List("gone"); !errors.Is(err, ErrListNotFound) {
		t.Errorf("the list that was deleted: %v", err)
	}
	if got := export(t, s, "taken"); !slices.Equal(got, registryNumbers(2000)) {
		t.Errorf("the load that was prepared came to %d numbers, want 2000", len(got))
	}
	wantVerdict(t, s, phone.Number(content[0]), "acme", policy.Block, policy.CauseNone)
	wantVerdict(t, s, fiction(818, 1), "acme", policy.Unknown, policy.NotCovered)
}

func wantFixtureOptOut(t *testing.T, s *Store, i int) {
	t.Helper()
	o, r := fixtureOptOut(i)
	events, _, err := s.View().History(o.Number, policy.EventID{}, 10)
	if err != nil || len(events) == 0 || events[0].Story != r.Story {
		t.Fatalf("history: %+v, %v", events, err)
	}
	again, err := s.RecordOptOut(context.Background(), o, r)
	if err != nil || !again.Duplicate || again.ID != events[0].ID {
		t.Errorf("the request comes again: %+v, %v; want the receipt of %v", again, err, events[0].ID)
	}
	scope := cmp.Or(o.Scope, "any")
	if i%fixtureWithdrawn != 0 {
		wantVerdict(t, s, o.Number, scope, policy.Block, policy.CauseNone)
		return
	}
	if len(events) != 2 || events[1].Kind != EventOptOutWithdrawn || events[1].Story.Reason != "asked again" {
		t.Errorf("history: %+v, want the withdrawal", events)
	}
	wantVerdict(t, s, o.Number, scope, policy.Allow, policy.CauseNone)
}

// fixtureTold are the stories of the opt-outs of a store that was restored and killed: those before the copy was made, and
// those behind the kill.
var fixtureTold = []string{"in a table, before the copy was made", "in a log, after it was put back"}

func writeKilledFixture(t *testing.T, dir string) {
	tell := func(s *Store, i int) {
		r := Request{ID: fmt.Sprint(i), Story: Story{Note: fixtureTold[i]}}
		_, err := s.RecordOptOut(context.Background(), OptOut{Number: fiction(415, i), Scope: "acme"}, r)
		must(t, err)
	}
	s := openAt(t, dir, clockAt(day(8)))
	tell(s, 0)
	createList(t, s, "before", Settings{Kind: policy.ListSuppression})
	load(t, s, "before", Replace, registryNumbers(20), Commit{})
	closeStore(t, s)
	o := testOptions()
	o.Clock = fixtureDay().now
	_, err := Restored(context.Background(), dir, o)
	must(t, err)
	s = openFixture(t, dir)
	tell(s, 1)
	createList(t, s, "after", Settings{Kind: policy.ListSuppression})
	load(t, s, "after", Replace, registryNumbers(30), Commit{})
	settle(t, s) // it stays open: what lies there now is what a kill leaves
}

// wantKilledFixture holds a store against what writeKilledFixture wrote.
func wantKilledFixture(t *testing.T, s *Store) {
	t.Helper()
	for i, note := range fixtureTold {
		n := fiction(415, i)
		events, _, err := s.View().History(n, policy.EventID{}, 10)
		if err != nil || len(events) != 1 || events[0].Story.Note != note {
			t.Errorf("history: %+v, %v; want one event with the note %q", events, err, note)
		}
		again, err := s.RecordOptOut(context.Background(), OptOut{Number: n, Scope: "acme"}, Request{ID: fmt.Sprint(i), Story: Story{Note: note}})
		if err != nil || !again.Duplicate || again.ID != events[0].ID {
			t.Errorf("the request comes again: %+v, %v; want the receipt of %v", again, err, events[0].ID)
		}
		wantVerdict(t, s, n, "acme", policy.Block, policy.CauseNone)
	}
	wantVerdict(t, s, fiction(415, 2), "acme", policy.Allow, policy.CauseNone)
	wantContent(t, s, "before", registryNumbers(20), nil)
	wantContent(t, s, "after", registryNumbers(30), nil)
	wantRestoredEvent(t, s)
}

// wantRestoredEvent looks for the event that begins the journal: it says from where the store was restored.
func wantRestoredEvent(t *testing.T, s *Store) {
	t.Helper()
	txn := s.db.NewTransactionAt(s.View().Revision(), false)
	defer txn.Discard()
	var found []*storev1.Restored
	for e, err := range journal.Entries(txn, 1) {
		must(t, err)
		rev, err := e.Decode()
		must(t, err)
		for _, event := range rev.GetEvents() {
			if r := event.GetRestored(); r != nil {
				found = append(found, r)
			}
		}
	}
	if len(found) != 1 || JournalID(found[0].GetJournalId()) != s.View().journal || found[0].GetFromRevision() != 4 || len(found[0].GetFromJournalId()) != 16 {
		t.Errorf("restored: %+v; want once, from revision 4", found)
	}
}

// pack writes what lies in dir, without the ballast, into an archive.
func pack(archive, dir string) error {
	f, err := os.Create(archive)
	if err != nil {
		return err
	}
	defer f.Close()
	z, err := gzip.NewWriterLevel(f, gzip.BestCompression)
	if err != nil {
		return err
	}
	w := tar.NewWriter(z)
	tree, err := os.MkdirTemp("", "")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tree)
	if err := os.CopyFS(filepath.Join(tree, "d"), os.DirFS(dir)); err != nil {
		return err
	}
	os.Remove(filepath.Join(tree, "d", ballastFile))
	return errors.Join(packTree(w, filepath.Join(tree, "d")), w.Close(), z.Close())
}

// sizeRecord is how large a file is, of which the archive has no zeros at the end: logs are mostly those.
const sizeRecord = "DNCD.size"

func packTree(w *tar.Writer, tree string) error {
	return filepath.WalkDir(tree, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == tree {
			return err
		}
		name, err := filepath.Rel(tree, path)
		if err != nil {
			return err
		}
		if d.IsDir() {
			return w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: name + "/", Mode: 0o700})
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		size := strconv.Itoa(len(content))
		content = bytes.TrimRight(content, "\x00")
		h := tar.Header{Name: name, Mode: 0o600, Size: int64(len(content)), PAXRecords: map[string]string{sizeRecord: size}}
		if err := w.WriteHeader(&h); err != nil {
			return err
		}
		_, err = w.Write(content)
		return err
	})
}

// unpack is the inverse of pack.
func unpack(archive, dir string) error {
	f, err := os.Open(archive)
	if err != nil {
		return err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return err
	}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := unpackOne(filepath.Join(dir, h.Name), h, r); err != nil {
			return err
		}
	}
}

func unpackOne(path string, h *tar.Header, r io.Reader) error {
	if h.Typeflag == tar.TypeDir {
		return os.MkdirAll(path, 0o700)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, r)
	if size, packed := h.PAXRecords[sizeRecord]; packed && err == nil {
		n, _ := strconv.ParseInt(size, 10, 64)
		err = f.Truncate(n)
	}
	return errors.Join(err, f.Close())
}
