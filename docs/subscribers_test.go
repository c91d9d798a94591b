package docs

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const (
	subscribersPage = "docs/subscribers.md"
	vectorFiles     = "../internal/feed/testdata/vectors"
)

// blocks are the blocks of code in a page, of one language.
func blocks(t *testing.T, page, language string) []string {
	t.Helper()
	var found []string
	for _, part := range strings.Split("\n"+read(t, page), "\n```"+language+"\n")[1:] {
		block, _, ok := strings.Cut(part, "\n```")
		if !ok {
			t.Fatalf("%s: a block of %s has no end", page, language)
		}
		found = append(found, block+"\n")
	}
	if len(found) == 0 {
		t.Fatalf("%s has no block of %s", page, language)
	}
	return found
}

// copyVectors copies the vectors into a directory of the test.
func copyVectors(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(vectorFiles)); err != nil {
		t.Fatal(err)
	}
	return dir
}

// toolOrSkip is the path of a program that works with these arguments.
func toolOrSkip(t *testing.T, name string, args ...string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("%s is not installed", name)
	}
	if out, err := exec.Command(path, args...).CombinedOutput(); err != nil {
		t.Skipf("%s %s: %v: %s", name, strings.Join(args, " "), err, out)
	}
	return path
}

// opensslOrSkip skips where openssl is older than version 3, which has no -rawin for Ed25519.
func opensslOrSkip(t *testing.T) {
	t.Helper()
	openssl := toolOrSkip(t, "openssl", "version")
	if out, err := exec.Command(openssl, "version").Output(); err != nil || !strings.HasPrefix(string(out), "OpenSSL 3") {
		t.Skipf("not OpenSSL 3: %s", out)
	}
}

// replaceIn changes the first text in a file of a directory.
func replaceIn(t *testing.T, dir, name, from, to string) {
	t.Helper()
	path := filepath.Join(dir, name)
	b, err := os.ReadFile(path)
	if err != nil || !strings.Contains(string(b), from) {
		t.Fatalf("%s: %v, has no %q", name, err, from)
	}
	if err := os.WriteFile(path, []byte(strings.Replace(string(b), from, to, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
}

// The commands of the page verify the acknowledgement of the vectors, and no other text.
func TestSubscribersOpenSSL(t *testing.T) {
	t.Parallel()
	opensslOrSkip(t)
	sh := toolOrSkip(t, "sh", "-c", "printf x | base64 | base64 -d")
	commands := blocks(t, subscribersPage, "sh")
	dir := copyVectors(t)
	run := func(script string) (string, error) {
		cmd := exec.Command(sh, "-e", "-c", script)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	if out, err := run(commands[0]); err != nil || !strings.Contains(out, "Signature Verified Successfully") {
		t.Errorf("the acknowledgement: %v: %s", err, out)
	}
	if out, err := run(commands[1]); err != nil || !strings.Contains(read(t, "internal/feed/testdata/vectors/vectors.json"), `"`+strings.TrimSpace(out)+`"`) {
		t.Errorf("the fingerprint: %v: %s", err, out)
	}
	replaceIn(t, dir, "acknowledgement.note", "stage applied", "stage durable")
	if out, err := run(commands[0]); err == nil {
		t.Errorf("another stage: %s", out)
	}
}

// The program of the page computes all hashes of the vectors, verifies their signatures, and notices every change.
func TestSubscribersPython(t *testing.T) {
	t.Parallel()
	python := toolOrSkip(t, "python3", "-c", "import hmac; hmac.digest")
	for name, flags := range map[string][]string{"cryptography": nil, "openssl": {"-S", "-I"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if name == "cryptography" {
				toolOrSkip(t, python, "-c", "import cryptography")
			} else { // -S hides what is installed beside the standard library
				opensslOrSkip(t)
				if exec.Command(python, "-S", "-I", "-c", "import cryptography").Run() == nil {
					t.Skip("cryptography is part of this python3")
				}
			}
			python := append([]string{python}, flags...)
			checkPython(t, python, changedNotes)
			if name == "cryptography" { // how hashes are computed does not depend on it
				checkPython(t, python, changedHashes)
			}
		})
	}
}

// change is what a test replaces in a file of the vectors.
type change struct{ file, from, to string }

var changedHashes = map[string]change{
	"a change":              {"vectors.json", "+441632960123", "+441632960124"},
	"a row of the snapshot": {"vectors.json", `"+14155550123\t`, `"+14155550124\t`},
	"a row":                 {"vectors.json", `+441632960123\tacme\topt-out`, `+441632960124\tacme\topt-out`},
	"the filter":            {"vectors.json", `scope\tacme\n`, `scope\tbeta\n`},
	"a number of the list":  {"vectors.json", "14155550102", "14155550103"},
	"the subscriber":        {"vectors.json", `"5.0"`, `"6.0"`},
	"the secret":            {"vectors.json", `"secret": "30`, `"secret": "31`},
}

var changedNotes = map[string]change{
	"the tag of the checkpoint": {"checkpoint.note", "dead", "beef"},
	"the stage":                 {"acknowledgement.note", "stage applied", "stage durable"},
	"the signer's time":         {"acknowledgement.note", "signed 2026", "signed 2025"},
	"the key":                   {"acme-callcentre.pub", "AYE5", "AYE6"},
	"bits that no byte holds":   {"checkpoint.note", "Vg4=\n", "Vg5=\n"},
	"CR":                        {"checkpoint.note", "epoch 5\n", "epoch 5\r\n"},
}

// checkPython runs the program of the page on the vectors, and on the vectors with each change.
func checkPython(t *testing.T, python []string, changes map[string]change) {
	t.Helper()
	program := filepath.Join(t.TempDir(), "check.py")
	if err := os.WriteFile(program, []byte(blocks(t, subscribersPage, "python")[0]), 0o600); err != nil {
		t.Fatal(err)
	}
	run := func(dir string) (string, error) {
		out, err := exec.Command(python[0], append(python[1:len(python):len(python)], program, dir)...).CombinedOutput()
		return string(out), err
	}
	texts := blocks(t, subscribersPage, "text")
	if out, err := run(vectorFiles); err != nil || out != texts[len(texts)-1] {
		t.Errorf("%v, got\n%s\nwant\n%s", err, out, texts[len(texts)-1])
	}
	for name, c := range changes {
		dir := copyVectors(t)
		replaceIn(t, dir, c.file, c.from, c.to)
		if out, err := run(dir); err == nil || strings.Contains(out, "Traceback") {
			t.Errorf("%s was changed, and the program says\n%s", name, out)
		}
	}
}

// The page shows the checkpoint of the vectors.
func TestSubscribersShowsTheCheckpoint(t *testing.T) {
	t.Parallel()
	if want := read(t, "internal/feed/testdata/vectors/checkpoint.note"); blocks(t, subscribersPage, "text")[0] != want {
		t.Errorf("%s does not show\n%s", subscribersPage, want)
	}
}
