package daemon_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
)

// nameArgs name a directory, without permission to make a store in it.
func nameArgs(dir string) []string { return serveArgs(dir)[1:] }

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func makeDir(t *testing.T, dir string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
}

// TestNoStoreIsMadeByMistake: a disk that is not mounted holds no store, and a new one would allow every call.
func TestNoStoreIsMadeByMistake(t *testing.T) {
	t.Parallel()
	for name, leave := range map[string]func(dir string){
		"missing":   func(string) {},
		"empty":     func(dir string) { makeDir(t, dir) },
		"ext4 root": func(dir string) { makeDir(t, filepath.Join(dir, "lost+found")) },
		"a killed first start": func(dir string) {
			write(t, filepath.Join(dir, "LOCK"), "")
			write(t, filepath.Join(dir, "ballast"), "0")
			write(t, filepath.Join(dir, "stage", "1-1-1.numbers"), "0")
			makeDir(t, filepath.Join(dir, "blocks"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "data")
			leave(dir)
			before, _ := os.ReadDir(dir)
			code, _, stderr := run(t, nameArgs(dir)...)
			if code != 2 || !strings.Contains(stderr, "no store there") || !strings.Contains(stderr, "hint: ") || !strings.Contains(stderr, "dncd init --data "+dir) {
				t.Errorf("got %d and %q", code, stderr)
			}
			if after, _ := os.ReadDir(dir); len(after) != len(before) {
				t.Errorf("the directory holds %d files, before %d", len(after), len(before))
			}
			if code, stdout, stderr := run(t, "init", "--data", dir); code != 0 || !strings.Contains(stdout, "made a store in "+dir) {
				t.Fatalf("init: got %d, %q and %q", code, stdout, stderr)
			}
			startProcess(t, nameArgs(dir)...).stop()
		})
	}
}

// A directory from the environment is a named one too.
func TestNamedInTheEnvironment(t *testing.T) {
	t.Setenv("DNCD_DATA", t.TempDir())
	if code, _, stderr := run(t, "--listen", "127.0.0.1:0", "--http", ""); code != 2 || !strings.Contains(stderr, "dncd init") {
		t.Errorf("got %d and %q", code, stderr)
	}
}

func TestEmptyVariableIsRefused(t *testing.T) {
	t.Setenv("DNCD_LISTEN", "")
	if code, _, stderr := run(t, nameArgs(t.TempDir())[:2]...); code != 2 || !strings.Contains(stderr, "DNCD_LISTEN") {
		t.Errorf("got %d and %q", code, stderr)
	}
}

// The default directory is created at the first start. If it exists without a store, it may be a disk too.
func TestDefaultDirectoryIsMade(t *testing.T) {
	t.Chdir(t.TempDir())
	args := nameArgs("")[2:]
	startProcess(t, args...).stop()
	if _, err := os.Stat(filepath.Join("dnc-data", "mark")); err != nil {
		t.Error(err)
	}
	startProcess(t, args...).stop()
	if err := os.RemoveAll("dnc-data"); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir("dnc-data", 0o700); err != nil {
		t.Fatal(err)
	}
	if code, _, stderr := run(t, args...); code != 2 || !strings.Contains(stderr, "dncd init --data ./dnc-data") {
		t.Errorf("an empty one: got %d and %q", code, stderr)
	}
}

// TestInitIsRefused where the directory is not empty.
func TestInitIsRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if code, _, _ := run(t, "init", "--data", dir); code != 0 {
		t.Fatalf("got %d", code)
	}
	if code, _, stderr := run(t, "init", "--data", dir); code != 2 || !strings.Contains(stderr, "store there already") {
		t.Errorf("over a store: got %d and %q", code, stderr)
	}
	if err := os.Remove(filepath.Join(dir, "mark")); err != nil {
		t.Fatal(err)
	}
	if code, _, stderr := run(t, "init", "--data", dir); code != 2 || !strings.Contains(stderr, "store there already") {
		t.Errorf("over a store without its mark: got %d and %q", code, stderr)
	}
	other := t.TempDir()
	write(t, filepath.Join(other, "letter.txt"), "Dear all")
	for _, args := range [][]string{{"init", "--data", other}, serveArgs(other)} {
		if code, _, stderr := run(t, args...); code != 2 || !strings.Contains(stderr, "letter.txt") {
			t.Errorf("%v: got %d and %q", args, code, stderr)
		}
	}
}

// TestRestoredBackupOfADirectory copies a stopped store, writes more, and puts the copy back.
func TestRestoredBackupOfADirectory(t *testing.T) {
	t.Parallel()
	dir, copied := filepath.Join(t.TempDir(), "data"), filepath.Join(t.TempDir(), "copy")
	optOut := func(number string) *dncv1.RecordOptOutResponse {
		p := startProcess(t, serveArgs(dir)...)
		defer p.stop()
		r, err := dncv1.NewRecordServiceClient(dial(t, p.addr)).RecordOptOut(testContext(t), &dncv1.RecordOptOutRequest{Number: number})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	optOut("+33199001234")
	if err := os.CopyFS(copied, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	late := optOut("+33199001235")
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(dir, os.DirFS(copied)); err != nil {
		t.Fatal(err)
	}
	code, stdout, stderr := run(t, "fsck", "--data", dir, "--restored")
	if code != 0 || !strings.Contains(stdout, "restored: the copy ends at revision 1 of journal "+late.GetPosition().GetJournalId()) {
		t.Fatalf("got %d, %q and %q", code, stdout, stderr)
	}
	p := startProcess(t, nameArgs(dir)...)
	defer p.stop()
	check := dncv1.NewCheckServiceClient(dial(t, p.addr))
	_, err := check.CheckNumber(testContext(t), &dncv1.CheckNumberRequest{
		Number: "+33199001235", ReadAt: &dncv1.ReadAt{At: &dncv1.ReadAt_AtLeast{AtLeast: late.GetPosition()}},
	})
	if err == nil || !strings.Contains(err.Error(), "journal") {
		t.Errorf("a check that names what was lost: got %v, want JOURNAL_CHANGED", err)
	}
	got, err := check.CheckNumber(testContext(t), &dncv1.CheckNumberRequest{Number: "+33199001234"})
	if err != nil || got.GetVerdict() != dncv1.Verdict_VERDICT_BLOCK {
		t.Errorf("got %v and %v, want BLOCK", got, err)
	}
}

// TestHalfABackupIsNotReady puts back only the journal of a copy.
func TestHalfABackupIsNotReady(t *testing.T) {
	t.Parallel()
	dir, copied := filepath.Join(t.TempDir(), "data"), filepath.Join(t.TempDir(), "copy")
	if code, _, stderr := run(t, "init", "--data", dir); code != 0 {
		t.Fatal(stderr)
	}
	if err := os.CopyFS(copied, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	p := startProcess(t, nameArgs(dir)...)
	if _, err := dncv1.NewRecordServiceClient(dial(t, p.addr)).RecordOptOut(testContext(t), &dncv1.RecordOptOutRequest{Number: "+33199001235"}); err != nil {
		t.Fatal(err)
	}
	p.stop()
	for _, part := range []string{"badger", "mark"} {
		if err := os.RemoveAll(filepath.Join(dir, part)); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(copied, part), filepath.Join(dir, part)); err != nil {
			t.Fatal(err)
		}
	}
	p = startProcess(t, nameArgs(dir)...)
	resp, err := http.Get(p.web + "/readyz")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("/readyz: got %d, want 503", resp.StatusCode)
	}
	got, err := dncv1.NewCheckServiceClient(dial(t, p.addr)).CheckNumber(testContext(t), &dncv1.CheckNumberRequest{Number: "+33199001235"})
	if err != nil || got.GetVerdict() != dncv1.Verdict_VERDICT_UNKNOWN {
		t.Errorf("got %v and %v, want UNKNOWN", got, err)
	}
	p.stop()
	if got := p.stderr.String(); !strings.Contains(got, "hint: ") || !strings.Contains(got, "dncd fsck --data "+dir+" --restored") {
		t.Errorf("stderr lacks what to do: %s", got)
	}
	code, stdout, _ := run(t, "fsck", "--data", dir)
	if code != 1 || !strings.Contains(stdout, "newer than the journal: ") || !strings.Contains(stdout, "--restored") {
		t.Errorf("fsck: got %d and %q", code, stdout)
	}
	if code, stdout, stderr := run(t, "fsck", "--data", dir, "--restored"); code != 0 {
		t.Errorf("fsck --restored: got %d, %q and %q", code, stdout, stderr)
	}
	p = startProcess(t, nameArgs(dir)...)
	p.stop()
	if strings.Contains(p.stderr.String(), "not ready") {
		t.Errorf("after it: %s", p.stderr)
	}
}

// fsck says what a lost secret means. One that is damaged is a problem, one that is not there need not be: an earlier version
// made none.
func TestFsckReportsTheSecret(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	p := startProcess(t, serveArgs(dir)...)
	if _, err := dncv1.NewRecordServiceClient(dial(t, p.addr)).RecordOptOut(testContext(t), &dncv1.RecordOptOutRequest{Number: "+33199001234"}); err != nil {
		t.Fatal(err)
	}
	p.stop()
	path := filepath.Join(dir, "secret")
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if code, stdout, _ := run(t, "fsck", "--data", dir); code != 0 || strings.Contains(stdout, "secret") {
		t.Errorf("whole: got %d and %q", code, stdout)
	}
	whole[0] ^= 1
	if err := os.WriteFile(path, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	if code, stdout, _ := run(t, "fsck", "--data", dir); code != 1 || !strings.Contains(stdout, "the file secret is damaged") {
		t.Errorf("damaged: got %d and %q", code, stdout)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if code, stdout, _ := run(t, "fsck", "--data", dir); code != 0 || !strings.Contains(stdout, "there is no file secret") {
		t.Errorf("gone: got %d and %q", code, stdout)
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("fsck made a secret")
	}
}
