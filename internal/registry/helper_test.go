package registry

import (
	"archive/zip"
	"bytes"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/dncd/dncd/internal/phone"
)

// loaded is all that a Reader gave.
type loaded struct {
	numbers []uint64
	rejects []Reject
	totals  Totals
	reader  *Reader // closed
	err     error   // other than io.EOF
}

// load reads files to their end or to the first error.
func load(t testing.TB, opts Options, paths ...string) loaded {
	t.Helper()
	var got loaded
	opts.OnReject = func(r Reject) { got.rejects = append(got.rejects, r) }
	r, err := Open(paths, opts)
	if err != nil {
		got.err = err
		return got
	}
	defer r.Close()
	got.reader = r
	batch := make([]phone.Number, 7)
	for {
		n, err := r.Next(batch)
		for _, number := range batch[:n] {
			got.numbers = append(got.numbers, uint64(number))
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			got.err = err
			break
		}
	}
	got.totals = r.Totals()
	return got
}

// loadText is load of one file that holds text.
func loadText(t testing.TB, opts Options, text string) loaded {
	t.Helper()
	return load(t, opts, writeFile(t, "list.txt", []byte(text)))
}

func writeFile(t testing.TB, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

type member struct{ name, text string }

// zipOf makes a zip of deflated members.
func zipOf(t testing.TB, members ...member) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := zip.NewWriter(&buf)
	for _, m := range members {
		f, err := w.Create(m.name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(f, m.text); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// reasonsAt lists the rejects as line and reason.
func reasonsAt(rejects []Reject) map[int64]string {
	list := map[int64]string{}
	for _, r := range rejects {
		list[r.Line] = r.Reason
	}
	return list
}

var lineEnds = regexp.MustCompile("\r\n|\r|\n")

// linesOf divides a file, not UTF-16, into lines in UTF-8.
func linesOf(data []byte) []string {
	list := lineEnds.Split(strings.TrimPrefix(string(data), "\ufeff"), -1)
	for i := range list {
		list[i] = string(new(lines).decode([]byte(list[i])))
	}
	return list
}

// reasonLetters is what phone.Reason says of a text with letters.
const reasonLetters = "contains letters"
