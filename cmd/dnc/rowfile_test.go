package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dncd/dncd/internal/registry"
)

// writeRows writes rows as an import does, and returns the files by name.
func writeRows(t *testing.T, choices []registry.Choice, streams [3][]badRow) map[string]string {
	t.Helper()
	dir := t.TempDir()
	w, err := createRowFile("rejects", filepath.Join(dir, "rejects.csv"))
	if err != nil {
		t.Fatal(err)
	}
	for stream, rows := range streams {
		for _, r := range rows {
			w.add(stream, r)
		}
	}
	names, err := w.close(choices)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		got[filepath.Base(name)] = string(text)
	}
	if left, _ := os.ReadDir(dir); len(left) != len(names) {
		t.Errorf("%d files are left, want %d", len(left), len(names))
	}
	return got
}

func layoutOf(delimiter rune, header ...string) registry.Choice {
	return registry.Choice{Layout: registry.Layout{Header: header, Width: len(header), Delimiter: delimiter}}
}

// Whoever tells first what is wrong, a row stands once, with all its reasons, in the order of lines.
func TestRowFileMergesInOrder(t *testing.T) {
	t.Parallel()
	got := writeRows(t, []registry.Choice{layoutOf(',', "phone", "note"), layoutOf(',', "phone", "note")}, [3][]badRow{
		fromReader:  {{0, 3, "a.csv", "no date", "+14155550103,x"}, {0, 9, "a.csv", "letters", "x"}, {1, 2, "b.csv", "letters", `y,"a, ""b"""`}},
		fromServer:  {{0, 2, "a.csv", "no scope", "+14155550102,"}, {0, 3, "a.csv", "no scope", "+14155550103,x"}, {0, 3, "a.csv", "no date", "+14155550103,x"}},
		afterCommit: {{0, 4, "a.csv", "too many", ""}, {1, 0, "b.csv", "too many", "+14155550104,"}, {1, 0, "b.csv", "too many", "+14155550105,"}},
	})
	want := map[string]string{"rejects.csv": "phone,note,dncd_reason\n" +
		"+14155550102,,a.csv:2: no scope\n" +
		"+14155550103,x,a.csv:3: no date; no scope\n" +
		",,a.csv:4: too many\n" +
		"x,,a.csv:9: letters\n" +
		"+14155550104,,b.csv: too many\n" +
		"+14155550105,,b.csv: too many\n" +
		"y,\"a, \"\"b\"\"\",b.csv:2: letters\n"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// Rows of other columns cannot stand under the same header.
func TestRowFilesOfDifferentColumns(t *testing.T) {
	t.Parallel()
	choices := []registry.Choice{
		layoutOf(';', "Téléphone", "Date"),
		{Layout: registry.Layout{Objects: true}},
		{Layout: registry.Layout{Width: 2, Numbers: []int{1}, Delimiter: ','}}, // no header
		layoutOf(';', "Téléphone", "Date", registry.ReasonTitle),               // was written so before
		layoutOf(',', "phone"),
	}
	got := writeRows(t, choices, [3][]badRow{fromReader: {
		{0, 2, "a.csv", "r", "1;2;3"},
		{1, 1, "b.jsonl", "r", `{"number":"x"}`}, {1, 2, "b.jsonl", "r", `{"number":"y","dncd_reason":"old"}`}, {1, 3, "b.jsonl", "r", `{"num`}, {1, 4, "b.jsonl", "r", "{ }"},
		{2, 1, "c.csv", "r", "Ann,x"},
		{3, 2, "d.csv", "r", "1;2;old"}, {3, 3, "d.csv", "r", "x;1;2;old"},
		{4, 2, "e.csv", "quotes", `"unclosed`},
	}})
	want := map[string]string{
		"rejects.csv":   "Téléphone;Date;dncd_reason\n1;2;3;a.csv:2: r\n1;2;d.csv:2: r\nx;1;2;old;d.csv:3: r\n",
		"rejects.2.csv": `{"number":"x","dncd_reason":"b.jsonl:1: r"}` + "\n" + `{"number":"y","dncd_reason":"b.jsonl:2: r"}` + "\n" + `{"dncd_reason":"b.jsonl:3: r","text":"{\"num"}` + "\n" + `{"dncd_reason":"b.jsonl:4: r"}` + "\n",
		"rejects.3.csv": "column 1,number,dncd_reason\nAnn,x,c.csv:1: r\n",
		"rejects.4.csv": "phone,dncd_reason\nunclosed,e.csv:2: quotes\n",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// A file of rejects without any is one of its header, which can be imported.
func TestRowFileWithoutRows(t *testing.T) {
	t.Parallel()
	got := writeRows(t, []registry.Choice{layoutOf(',', "phone", "note")}, [3][]badRow{})
	if diff := cmp.Diff(map[string]string{"rejects.csv": "phone,note,dncd_reason\n"}, got); diff != "" {
		t.Error(diff)
	}
}

// A row about which reader and server both have something to say is one row.
func TestRemarkedRowsAreCountedOnce(t *testing.T) {
	t.Parallel()
	var r remarkedRows
	at := func(line int64) place { return place{0, "a.csv", line} }
	r.byReader(0, at(2)) // two numbers of one row
	r.byReader(1, at(2))
	r.byReader(2, at(3))
	r.byServer(at(2))
	r.byServer(at(2))
	r.byServer(at(4))
	r.byServer(at(4))
	r.forget(4)
	r.byReader(5, at(5))
	if r.rows() != 4 || len(r.waiting) != 1 {
		t.Errorf("counted %d, %d wait", r.rows(), len(r.waiting))
	}
}

func TestAccountLeavesOutWhatSaysNothing(t *testing.T) {
	t.Parallel()
	for want, a := range map[string]account{
		"read 3 = 1 accepted + 1 duplicate + 1 rejected":                     {read: 3, accepted: 1, duplicates: 1, rejected: 1, rows: 3},
		"read 3 = 1 accepted + 0 duplicates + 0 rejected + 2 empty":          {read: 3, accepted: 1, empty: 2},
		"read 4 = 4 accepted + 0 duplicates + 0 rejected in 2 rows":          {read: 4, accepted: 4, rows: 2},
		"read 2 = 1 accepted + 0 duplicates + 0 rejected + 1 empty in 1 row": {read: 2, accepted: 1, empty: 1, rows: 1},
		"read 0 = 0 accepted + 0 duplicates + 0 rejected":                    {},
	} {
		if got := a.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
