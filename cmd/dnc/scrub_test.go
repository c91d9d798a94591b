package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dncd/dncd/client"
	"github.com/dncd/dncd/cmd/dncd/daemon"
	"github.com/dncd/dncd/internal/registry"
)

// startDaemon runs a dncd in this process and returns its address and how to stop it.
func startDaemon(t *testing.T) (addr string, stop func()) {
	t.Helper()
	return startDaemonIn(t, t.TempDir())
}

// startDaemonIn serves the store in dir, which it makes if there is none.
func startDaemonIn(t *testing.T, dir string) (addr string, stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	read, write := io.Pipe()
	ended := make(chan struct{})
	var log bytes.Buffer // read once it has ended
	go func() {
		defer close(ended)
		defer write.Close()
		daemon.Run(ctx, []string{"--listen", "127.0.0.1:0", "--http", "", "--init", "--data", dir, "--min-free", "1MiB"}, write, &log)
	}()
	stop = func() {
		cancel()
		<-ended
	}
	line, err := bufio.NewReader(read).ReadString('\n')
	go func() { _, _ = io.Copy(io.Discard, read) }()
	addr = servingAt.FindString(line)
	if err != nil || addr == "" {
		stop()
		t.Fatalf("dncd does not serve: %v %s", err, &log)
	}
	t.Cleanup(stop)
	return addr, stop
}

// dncOf runs dnc in this process and returns its exit code and what it wrote.
func dncOf(ctx context.Context, addr string, args ...string) (code int, stdout, stderr string) {
	var out, said bytes.Buffer
	code = run(ctx, append([]string{"--addr", addr}, args...), &out, &said)
	return code, out.String(), said.String()
}

func mustDnc(t *testing.T, addr string, args ...string) string {
	t.Helper()
	code, stdout, stderr := dncOf(t.Context(), addr, args...)
	if code != exitDone {
		t.Fatalf("dnc %s: exit code %d: %s", strings.Join(args, " "), code, stderr)
	}
	return stdout
}

func writeTemp(t testing.TB, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// lead is a row of a file that is checked, with what must come of it.
type lead struct {
	fields  []string
	verdict string
	reason  string
}

// newLead is the row at a place. Each number occurs once, so that an answer that slips to another row shows.
func newLead(i int) lead {
	l := lead{fields: []string{fmt.Sprintf("name %d", i), fmt.Sprintf("+1415%07d", 2_000_000+i), "SF"}, verdict: "ALLOW"}
	var on []string
	if i%3 == 0 {
		on = append(on, "threes (listed, snapshot 2026-09-09)")
	}
	if i%7 == 0 {
		on = append(on, "sevens (listed, snapshot 2026-09-08)")
	}
	if len(on) > 0 {
		l.verdict, l.reason = "BLOCK", strings.Join(on, "; ")
	}
	switch {
	case i%11 == 0:
		l.fields[0] = fmt.Sprintf("Smith, \"%d\"\nand son", i)
	case i%13 == 0:
		l.fields[1] = fmt.Sprintf("none %c", 'a'+i%26)
		l.verdict, l.reason = "INVALID", "contains letters"
	}
	return l
}

// leadsOf is a csv of n leads, and the numbers that are on each list.
func leadsOf(t *testing.T, n int) (text string, threes, sevens string) {
	t.Helper()
	var b, three, seven strings.Builder
	w := csv.NewWriter(&b)
	_ = w.Write([]string{"name", "phone", "city"})
	for i := range n {
		_ = w.Write(newLead(i).fields)
		number := fmt.Sprintf("+1415%07d\n", 2_000_000+i)
		if i%3 == 0 {
			three.WriteString(number)
		}
		if i%7 == 0 {
			seven.WriteString(number)
		}
	}
	w.Flush()
	return b.String(), three.String(), seven.String()
}

func TestScrubAnswersEachRowInOrder(t *testing.T) {
	t.Parallel()
	const rows = 5*batchRows + 17
	addr, _ := startDaemon(t)
	text, threes, sevens := leadsOf(t, rows)
	for _, l := range []struct{ name, numbers, date string }{{"threes", threes, "2026-09-09"}, {"sevens", sevens, "2026-09-08"}} {
		mustDnc(t, addr, "list", "create", l.name, "--kind", "suppression")
		mustDnc(t, addr, "import", writeTemp(t, "numbers.txt", l.numbers), "--list", l.name, "--format", "plain", "--snapshot-date", l.date)
	}
	leads, out := writeTemp(t, "leads.csv", text), filepath.Join(t.TempDir(), "out.csv")
	code, _, stderr := dncOf(t.Context(), addr, "check", "--file", leads, "--out", out)
	if code != exitDone {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	f, err := os.Open(out)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r := csv.NewReader(f)
	if header, err := r.Read(); err != nil || !slices.Equal(header, []string{"name", "phone", "city", "verdict", "reason", "revision"}) {
		t.Fatalf("header %q, %v", header, err)
	}
	for i := range rows {
		want := newLead(i)
		got, err := r.Read()
		if err != nil {
			t.Fatalf("row %d: %v", i, err)
		}
		got[4] = inOrder(got[4]) // the order of reasons is the server's
		if diff := cmp.Diff(append(want.fields, want.verdict, inOrder(want.reason)), got[:5]); diff != "" {
			t.Fatalf("row %d: %s", i, diff)
		}
		if hasRevision := got[5] != ""; hasRevision != (want.verdict != "INVALID") {
			t.Fatalf("row %d, %s: revision %q", i, want.verdict, got[5])
		}
	}
	if _, err := r.Read(); err != io.EOF {
		t.Errorf("after the last row: %v", err)
	}
	checkCounts(t, stderr, rows)
}

func TestScrubReadsWhatProgramsWrite(t *testing.T) {
	t.Parallel()
	addr, _ := startDaemon(t)
	tests := []struct{ name, file, want, summary string }{
		{"as Excel", "\ufeffname;phone\r\nA;+14155550100\r\n", "name;phone;verdict;reason;revision\nA;+14155550100;ALLOW;;0\n", "1 row: ALLOW 1\n"},
		{"no end of the last line", "phone\n+14155550100", "phone,verdict,reason,revision\n+14155550100,ALLOW,,0\n", "1 row: ALLOW 1\n"},
		{"cut short", "phone\n+14155550100\n+1415555", "phone,verdict,reason,revision\n+14155550100,ALLOW,,0\n+1415555,INVALID,the file ends inside this line,\n",
			"2 rows: ALLOW 1, INVALID 1\n"},
		{"quotes", "phone,n\n\"+14155550100\",\"a\r\nb\"\n\n+14155550101, c\n+14155550102,\"d\"\"\"\n",
			"phone,n,verdict,reason,revision\n+14155550100,\"a\nb\",ALLOW,,0\n+14155550101,\" c\",ALLOW,,0\n+14155550102,\"d\"\"\",ALLOW,,0\n", "3 rows: ALLOW 3\n"},
		{"a quote that is not closed", "phone,n\n+14155550100,\"a\n+14155550101,b\n",
			"phone,n,verdict,reason,revision\n\"+14155550100,\"\"a\",,INVALID,quotes do not match,\n+14155550101,b,ALLOW,,0\n", "2 rows: ALLOW 1, INVALID 1\n"},
		{"Windows-1252", "phone,n\n+14155550100,Ren\xe9\n", "phone,n,verdict,reason,revision\n+14155550100,Ren\u00e9,ALLOW,,0\n", "1 row: ALLOW 1\n"},
		{"no title", "+14155550100,\n,\n+14155550101,\\.\n", "+14155550100,,ALLOW,,0\n,,INVALID,no number,\n+14155550101,\"\\.\",ALLOW,,0\n",
			"3 rows: ALLOW 2, INVALID 1\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			args := []string{"check", "--file", writeTemp(t, "leads.csv", tt.file)}
			if !strings.Contains(tt.file, "phone") {
				args = append(args, "--column", "1")
			}
			code, stdout, stderr := dncOf(t.Context(), addr, args...)
			summary := stderr
			if first, _, _ := strings.Cut(tt.file, "\n"); strings.ContainsAny(first, ",;p") { // one column without a title leaves nothing to choose
				var said string
				if said, summary, _ = strings.Cut(stderr, "\n"); !strings.HasPrefix(said, "dnc: leads.csv: number from ") {
					t.Errorf("said %q", said)
				}
			}
			if code != exitDone || stdout != tt.want || summary != tt.summary {
				t.Errorf("exit code %d\n got %q %q\nwant %q %q", code, stdout, stderr, tt.want, tt.summary)
			}
		})
	}
}

func inOrder(reasons string) string {
	parts := strings.Split(reasons, "; ")
	slices.Sort(parts)
	return strings.Join(parts, "; ")
}

func checkCounts(t *testing.T, summary string, rows int) {
	t.Helper()
	counts := map[string]int{}
	for i := range rows {
		counts[newLead(i).verdict]++
	}
	want := fmt.Sprintf("%d rows: ALLOW %d, BLOCK %d, INVALID %d\n", rows, counts["ALLOW"], counts["BLOCK"], counts["INVALID"])
	if !strings.HasSuffix("\n"+summary, "\n"+want) { // on a busy machine its progress comes before
		t.Errorf("it says %q, want %q", summary, want)
	}
}

// slowFile is a named pipe that gives the first half of a text, and the rest when asked to.
func slowFile(t *testing.T, text string) (path string, rest func()) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "leads.csv")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	pipe, err := os.OpenFile(path, os.O_RDWR, 0) // does not wait for a reader
	if err != nil {
		t.Fatal(err)
	}
	more, written := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(written)
		_, _ = pipe.WriteString(text[:len(text)/2])
		<-more
		_, _ = pipe.WriteString(text[len(text)/2:]) // until the pipe is closed
	}()
	ask := func() { close(more) }
	t.Cleanup(func() {
		pipe.Close()
		select {
		case <-more:
		default:
			ask()
		}
		<-written
	})
	return path, ask
}

// answered is how many records a text has, up to one that is not whole.
func answered(text []byte) (n int) {
	r := csv.NewReader(bytes.NewReader(text))
	for {
		if _, err := r.Read(); err != nil {
			return n
		}
		n++
	}
}

// scrubbing runs dnc check --file in the background, and returns once it has written so many rows.
func scrubbing(ctx context.Context, t *testing.T, addr, leads string, rows int) (dir string, end func() (code int, stderr string)) {
	t.Helper()
	dir = t.TempDir()
	type outcome struct {
		code   int
		stderr string
	}
	ended := make(chan outcome, 1)
	go func() {
		code, _, stderr := dncOf(ctx, addr, "check", "--file", leads, "--out", filepath.Join(dir, "out.csv"))
		ended <- outcome{code, stderr}
	}()
	for written := 0; written < rows; time.Sleep(time.Millisecond) {
		found, err := filepath.Glob(filepath.Join(dir, ".out.csv.*"))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range found {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			written = answered(text)
		}
		if len(ended) > 0 {
			t.Fatalf("it ended: %+v", <-ended)
		}
	}
	return dir, func() (int, string) {
		o := <-ended
		return o.code, o.stderr
	}
}

// nothingIn checks that a directory has been left empty.
func nothingIn(t *testing.T, dir string) {
	t.Helper()
	left, err := os.ReadDir(dir)
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestScrubLeavesNothingWhenTheServerGoes(t *testing.T) {
	t.Parallel()
	addr, stop := startDaemon(t)
	text, _, _ := leadsOf(t, 20*batchRows)
	leads, rest := slowFile(t, text)
	dir, end := scrubbing(t.Context(), t, addr, leads, 1)
	stop()
	rest()
	code, stderr := end()
	if code != exitError || !strings.Contains(stderr, "server is not reachable") || !strings.Contains(stderr, "hint: the server went away in the middle of the file") {
		t.Errorf("exit code %d: %s", code, stderr)
	}
	nothingIn(t, dir)
}

// Stopped by a signal, it ends although its input says nothing.
func TestScrubStopsWhileItWaitsForItsInput(t *testing.T) {
	t.Parallel()
	addr, _ := startDaemon(t)
	text, _, _ := leadsOf(t, 7*batchRows)
	leads, _ := slowFile(t, text)
	ctx, cancel := context.WithCancel(t.Context())
	rows := answered([]byte(text[:len(text)/2]))
	dir, end := scrubbing(ctx, t, addr, leads, rows/batchRows*batchRows) // as many as are answered before more comes
	cancel()
	code, stderr := end()
	if code != exitError || !strings.HasPrefix(stderr, "dnc: stopped before the end of the file") {
		t.Errorf("exit code %d: %s", code, stderr)
	}
	nothingIn(t, dir)
}

// Rows that cannot be read whole end the scrub after those before them are answered.
func TestScrubEndsWithWhatCannotBeRead(t *testing.T) {
	t.Parallel()
	addr, _ := startDaemon(t)
	var packed bytes.Buffer
	text, _, _ := leadsOf(t, 10_000)
	if err := gzipInto(&packed, "leads.csv", []byte(text)); err != nil {
		t.Fatal(err)
	}
	leads := writeTemp(t, "leads.csv.gz", packed.String()[:packed.Len()/2])
	code, stdout, stderr := dncOf(t.Context(), addr, "check", "--file", leads)
	if code != exitError || !strings.Contains(stderr, "damaged or cut short, fetch the file again") {
		t.Errorf("exit code %d: %s", code, stderr)
	}
	r := csv.NewReader(strings.NewReader(stdout))
	if got, err := r.ReadAll(); err != nil || len(got) < 1000 {
		t.Errorf("%d rows were answered, %v", len(got), err)
	}
	dir := t.TempDir()
	if code, _, _ := dncOf(t.Context(), addr, "check", "--file", leads, "--out", filepath.Join(dir, "out.csv")); code != exitError {
		t.Errorf("exit code %d", code)
	}
	nothingIn(t, dir)
}

// Where few rows have the same answer, no more than maxTails are kept, and all are counted.
func TestAnswersCountEveryRow(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	to := &outFile{Writer: bufio.NewWriter(&out)}
	a := (&app{output: "text"}).newScrubOutput(to, ',', nil)
	l := &rowBatch{}
	const rows = 3*maxTails + 1
	for i := range rows {
		l.text = append(l.text, 'x')
		l.ends = append(l.ends, len(l.text))
		l.cells, l.columns = append(l.cells, i+1), append(l.columns, 0)
		l.invalid = append(l.invalid, invalidCell{i, fmt.Sprintf("reason %d", i)})
	}
	if err := a.write(l); err != nil {
		t.Fatal(err)
	}
	if a.counts[invalid] != rows || a.summary() != fmt.Sprintf("%d rows: INVALID %d", rows, rows) {
		t.Errorf("counted %v: %s", a.counts, a.summary())
	}
	for i, line := range strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n") {
		if want := fmt.Sprintf("x,INVALID,reason %d,", i); line != want {
			t.Fatalf("line %d is %q, want %q", i, line, want)
		}
	}
}

func TestFindingKeyTellsAnswersApart(t *testing.T) {
	t.Parallel()
	at := time.Unix(1e9, 0)
	findings := []finding{
		{verdict: client.Allow},
		{verdict: client.Block},
		{verdict: invalid, reason: "a"},
		{verdict: invalid, reason: "b"},
		{verdict: client.Block, detail: &client.BatchDetail{Reasons: []uint32{0}}},
		{verdict: client.Block, detail: &client.BatchDetail{Reasons: []uint32{1}}},
		{verdict: client.Block, detail: &client.BatchDetail{Reasons: []uint32{0, 1}}},
		{verdict: client.Block, detail: &client.BatchDetail{Reasons: []uint32{1, 0}}},
		{verdict: client.Block, detail: &client.BatchDetail{Reasons: []uint32{256}}},
		{verdict: client.Unknown, detail: &client.BatchDetail{Cause: client.CauseStaleList, Reasons: []uint32{0}}},
		{verdict: client.Unknown, detail: &client.BatchDetail{Cause: client.CauseNotCovered, Reasons: []uint32{0}}},
		{verdict: client.NotNow, detail: &client.BatchDetail{OpensAt: at}},
		{verdict: client.NotNow, detail: &client.BatchDetail{OpensAt: at.Add(time.Second)}},
	}
	seen := map[string]int{}
	for i, f := range findings {
		key := string(f.key(nil))
		if before, ok := seen[key]; ok {
			t.Errorf("%d and %d have the same key", before, i)
		}
		seen[key] = i
	}
}

// rowsOf opens a text as rows; nil when its columns cannot be told.
func rowsOf(t testing.TB, data string, column string) *registry.Rows {
	t.Helper()
	rows, err := registry.OpenRows(writeTemp(t, "leads.csv", data), registry.Options{Format: registry.CSV, Column: column})
	if err != nil {
		return nil
	}
	t.Cleanup(func() { rows.Close() })
	return rows
}

// Whatever the rows are, their columns are written as encoding/csv writes them.
func FuzzLayout(f *testing.F) {
	for _, text := range []string{
		"name;phone\nA;+14155550100\n\"B;C\";x\n D;1\n",
		"phone,a\r\n+14155550100,\\.\n\\.x,\\.\n1,\u00a0x\r,\u2003\n,\"a\nb\"\n1,2,3\n1,2,,\n1\n",
		"\ufeffphone\tb\n\t\n1\ty\r\n\"x\ty\n\xe9\tz",
		"+14155550100,a\n+14155550101\n",
		",\n3\n,,\n",
		"sep=|\nphone|x\n1| \n2|\"\"\n",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		rows, again := rowsOf(t, text, "1"), rowsOf(t, text, "1")
		if rows == nil || again == nil {
			return
		}
		how, width := newLayout(rows, false), rows.Width()
		for {
			row, err := rows.Next()
			same, errAgain := again.Next()
			if err != nil || errAgain != nil {
				return
			}
			fields, reason := fitted(&same, &width, string(rows.Delimiter()))
			got := string(how.append(nil, &row))
			if want := encoded(t, rows.Delimiter(), fields); got != want || row.Cells[0].Reason != reason {
				t.Fatalf("row %q is written as %q (%s), want %q (%s)", fields, got, row.Cells[0].Reason, want, reason)
			}
		}
	})
}

// fitted is what layout.fit does, said otherwise.
func fitted(row *registry.Row, width *int, delim string) (fields []string, reason string) {
	fields, reason = row.Fields(), row.Cells[0].Reason
	if *width == 0 {
		*width = len(fields)
	}
	inside := min(len(fields), *width)
	wide := fields[inside:]
	fields = fields[:inside]
	for len(wide) > 0 && wide[len(wide)-1] == "" {
		wide = wide[:len(wide)-1]
	}
	if len(wide) > 0 {
		fields[*width-1] += delim + strings.Join(wide, delim)
		reason = reasonWide
	}
	for len(fields) < *width {
		fields = append(fields, "")
	}
	return fields, reason
}

func encoded(t *testing.T, delim rune, fields []string) string {
	t.Helper()
	var b strings.Builder
	w := csv.NewWriter(&b)
	w.Comma = delim
	if err := w.Write(fields); err != nil {
		t.Fatal(err)
	}
	w.Flush()
	return strings.TrimSuffix(b.String(), "\n")
}
