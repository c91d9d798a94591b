package main

import (
	"bytes"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/dncd/dncd/internal/phone"
	"github.com/dncd/dncd/internal/registry"
)

// gen runs the command and returns the files that it made, by name.
func gen(t *testing.T, args ...string) map[string][]byte {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "out")
	if _, err := runGen(t, append(args, "--out", dir)...); err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		data, err := os.ReadFile(path)
		files[d.Name()] = data
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func runGen(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	cmd := command()
	cmd.SetOut(&out)
	cmd.SetArgs(append([]string{"gen"}, args...))
	err := cmd.ExecuteContext(t.Context())
	return out.String(), err
}

func sortedNames(files map[string][]byte) []string {
	var names []string
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// read loads the files as dnc would and returns their numbers, which it checks.
func read(t *testing.T, files map[string][]byte, f registry.Format) []phone.Number {
	t.Helper()
	dir := t.TempDir()
	var paths []string
	for _, name := range sortedNames(files) {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, files[name], 0o600); err != nil {
			t.Fatal(err)
		}
		paths = append(paths, path)
	}
	r, err := registry.Open(paths, registry.Options{Format: f})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var numbers []phone.Number
	batch := make([]phone.Number, 4096)
	for {
		n, err := r.Next(batch)
		numbers = append(numbers, batch[:n]...)
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if rejects := r.Totals().Rejects; rejects > 0 {
		t.Errorf("%d rejects", rejects)
	}
	if date, ok := r.SnapshotDate(); date != "2026-09-09" || !ok {
		t.Errorf("snapshot date %q, %v", date, ok)
	}
	for _, n := range numbers {
		if _, err := phone.FromDigits(uint64(n)); err != nil {
			t.Fatalf("a number is none: %v", err)
		}
	}
	return numbers
}

func TestGen(t *testing.T) {
	tests := []struct {
		format registry.Format
		names  string
		files  int
	}{
		{registry.FTC, `^2026-9-9_\d{3}_` + id + `\.txt$`, 2},
		{registry.Plain, `^2026-9-9_\d{2,}_` + id + `\.txt$`, 2},
		{registry.CSV, `^2026-9-9_\d{2,}_` + id + `\.csv$`, 2},
	}
	for _, tt := range tests {
		t.Run(string(tt.format), func(t *testing.T) {
			files := gen(t, "--numbers", "800123", "--format", string(tt.format), "--date", "2026-09-09")
			if len(files) != tt.files {
				t.Errorf("got %d files, want %d", len(files), tt.files)
			}
			for name := range files {
				if !regexp.MustCompile(tt.names).MatchString(name) {
					t.Errorf("unlike a registry's name: %s", name)
				}
			}
			numbers := read(t, files, tt.format)
			if len(numbers) != 800_123 {
				t.Errorf("got %d numbers, want 800123", len(numbers))
			}
			if !slices.IsSorted(numbers) {
				t.Error("files and numbers do not rise")
			}
			if unique := len(slices.Compact(numbers)); unique != 800_123 {
				t.Errorf("%d numbers are repeated", 800_123-unique)
			}
			if n := bytes.Count(files[sortedNames(files)[0]], []byte("\n")); n < registryDensity || n > registryDensity+1 {
				t.Errorf("the first file has %d lines, want %d", n, registryDensity)
			}
		})
	}
}

const id = `[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-8[0-9a-f]{3}-[0-9a-f]{12}`

func TestGenRepeats(t *testing.T) {
	args := []string{"--numbers", "750000", "--date", "2026-09-09", "--seed", "7"}
	first := gen(t, args...)
	if !equal(first, gen(t, args...)) {
		t.Error("the same seed makes other files")
	}
	if equal(first, gen(t, "--numbers", "750000", "--date", "2026-09-09", "--seed", "8")) {
		t.Error("another seed makes the same files")
	}
	// More numbers: what was there stays, as in a registry that grows.
	small := read(t, first, registry.FTC)
	large := read(t, gen(t, "--numbers", "760000", "--date", "2026-09-09", "--seed", "7"), registry.FTC)
	for _, n := range small {
		if _, found := slices.BinarySearch(large, n); !found {
			t.Fatal("a number of the smaller list is not in the larger")
		}
	}
}

func equal(a, b map[string][]byte) bool {
	if !slices.Equal(sortedNames(a), sortedNames(b)) {
		return false
	}
	for name := range a {
		if !bytes.Equal(a[name], b[name]) {
			return false
		}
	}
	return true
}

func TestGenZip(t *testing.T) {
	args := []string{"--numbers", "10000", "--date", "2026-09-09"}
	zipped := gen(t, append(args, "--zip")...)
	if !equal(zipped, gen(t, append(args, "--zip")...)) {
		t.Error("the same seed makes other zips")
	}
	for name := range zipped {
		if !strings.HasSuffix(name, ".txt.zip") {
			t.Errorf("name %s", name)
		}
	}
	if !slices.Equal(read(t, zipped, registry.FTC), read(t, gen(t, args...), registry.FTC)) {
		t.Error("zips hold other numbers than the files")
	}
}

func TestGenShuffled(t *testing.T) {
	for _, format := range []registry.Format{registry.FTC, registry.CSV} {
		args := []string{"--numbers", "750000", "--date", "2026-09-09", "--format", string(format)}
		shuffledArgs := append(slices.Clone(args), "--order", "shuffled")
		files := gen(t, shuffledArgs...)
		if len(files) != 2 {
			t.Errorf("%s: got %d files, want 2", format, len(files))
		}
		if !equal(files, gen(t, shuffledArgs...)) {
			t.Errorf("%s: the same seed makes other files", format)
		}
		got, want := read(t, files, format), read(t, gen(t, args...), format)
		if falls := countFalls(got); falls < len(got)*4/10 {
			t.Errorf("%s: only %d of %d numbers are below the one before", format, falls, len(got))
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("%s: shuffled files hold other numbers than sorted ones", format)
		}
	}
}

func countFalls(numbers []phone.Number) int {
	falls := 0
	for i := 1; i < len(numbers); i++ {
		if numbers[i] < numbers[i-1] {
			falls++
		}
	}
	return falls
}

func TestGenRefuses(t *testing.T) {
	used := t.TempDir()
	if err := os.WriteFile(filepath.Join(used, "old.txt"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		args []string
		want string
	}{
		{"files in the directory", []string{"--out", used}, "not empty"},
		{"no directory", nil, "out"},
		{"no numbers", []string{"--out", t.TempDir(), "--numbers", "0"}, "--numbers"},
		{"too many numbers", []string{"--out", t.TempDir(), "--numbers", "9000000000"}, "--numbers"},
		{"format", []string{"--out", t.TempDir(), "--format", "xls"}, "--format"},
		{"order", []string{"--out", t.TempDir(), "--order", "random"}, "--order"},
		{"date", []string{"--out", t.TempDir(), "--date", "9/9/2026"}, "--date"},
	}
	for _, tt := range tests {
		if _, err := runGen(t, tt.args...); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want an error about %q", tt.name, err, tt.want)
		}
	}
}

func TestDivide(t *testing.T) {
	for _, l := range layouts() {
		ranges := l.ranges()
		for _, numbers := range []int{1, registryDensity, registryDensity + 1, 258_500_000, 300_000_000} {
			shares, err := divide(numbers, ranges)
			if err != nil {
				t.Fatalf("%s: %d: %v", l.name, numbers, err)
			}
			sum := 0
			for i, s := range shares {
				sum += s.count
				if i < len(shares)-1 && s.count < registryDensity {
					t.Errorf("%s: %s has %d numbers and is not the last", l.name, s.label, s.count)
				}
			}
			if sum != numbers {
				t.Errorf("%s: %d numbers divided make %d", l.name, numbers, sum)
			}
		}
	}
	if shares, err := divide(258_500_000, areaCodes()); err != nil || shares[0].count != registryDensity {
		t.Errorf("the registry's size is not at the registry's density: %v", err)
	}
}

func TestRanges(t *testing.T) {
	codes := areaCodes()
	for _, want := range []string{"201", "212", "415", "818"} {
		if !slices.ContainsFunc(codes, func(r numberRange) bool { return r.label == want }) {
			t.Errorf("area code %s is missing", want)
		}
	}
	for _, r := range codes {
		if slices.Contains([]string{"416", "800", "900", "555"}, r.label) {
			t.Errorf("%s is no area code of the US", r.label)
		}
		if slices.Contains(r.groups, 555) || slices.Contains(r.groups, 911) {
			t.Errorf("%s has exchanges that are no subscriber's", r.label)
		}
	}
	labels := map[string]bool{}
	for _, r := range countries() {
		if labels[r.label] {
			t.Errorf("range %s is there twice", r.label)
		}
		labels[r.label] = true
		for _, group := range []int{0, len(r.groups) - 1} {
			text := string(e164Head(nil, r, group)) + "0000"
			if _, err := phone.Parse(text); err != nil {
				t.Errorf("range %s: %v", r.label, err)
			}
		}
	}
}

func BenchmarkDraw(b *testing.B) {
	l, err := findLayout("ftc")
	if err != nil {
		b.Fatal(err)
	}
	d := newDrawer(l)
	s := share{numberRange: areaCodes()[0], count: registryDensity}
	for b.Loop() {
		b.SetBytes(int64(len(d.file(s, 1))))
	}
	b.ReportMetric(float64(b.N)*registryDensity/1e6/b.Elapsed().Seconds(), "Mnumbers/s")
}
