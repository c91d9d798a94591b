package main

import (
	"cmp"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/dncd/dncd/client"
	"github.com/dncd/dncd/internal/registry"
)

// rejectLog counts rejects, or remarks, and writes them to a file when there is one. Files and
// server report theirs from different goroutines.
type rejectLog struct {
	mu                sync.Mutex
	tallies           map[string]uint64 // of the files, by reason
	refused           map[string]uint64 // of the server
	ofFiles, ofServer uint64
	first             []string // where the first ones are
	file              *lateFile
	pending           *os.File // what file will hold
	csv               *csv.Writer
	rows              *rowFile // of opt-outs, instead of file
}

func newRejectLog() *rejectLog {
	return &rejectLog{tallies: map[string]uint64{}, refused: map[string]uint64{}}
}

// create opens the reject file.
func (l *rejectLog) create(name string) (err error) {
	if name == "" {
		return nil
	}
	if l.file, err = openLate("rejects", name); err != nil {
		return err
	}
	if l.pending, err = l.file.beside(); err != nil {
		l.file.leave()
		return fmt.Errorf("--rejects: %w", err)
	}
	l.csv = csv.NewWriter(l.pending)
	return l.csv.Write([]string{"file", "line", "reason", "text"})
}

func (l *rejectLog) fromFile(r registry.Reject) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tallies[r.Reason]++
	l.ofFiles++
	l.note(fromReader, badRow{Source: r.Source, File: r.File, Line: r.Line, Reason: r.Reason, Text: r.Text})
}

// fromServer is a reject of a list: the line of its number is not known.
func (l *rejectLog) fromServer(r client.ImportReject) {
	l.mu.Lock()
	defer l.mu.Unlock()
	why := whyRejected(r.Reason, r.Message)
	l.refused[why]++
	l.ofServer++
	l.write("", "", why, r.Number)
}

// fromServerAt is a row of opt-outs that the server rejected, or has a remark about.
func (l *rejectLog) fromServerAt(stream int, r badRow) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.refused[r.Reason]++
	l.ofServer++
	l.note(stream, r)
}

// note keeps the place of a row, and the row where there is a file.
func (l *rejectLog) note(stream int, r badRow) {
	if len(l.first) < 5 {
		l.first = append(l.first, r.why())
	}
	if l.rows != nil {
		l.rows.add(stream, r)
	}
	l.write(r.File, strconv.FormatInt(r.Line, 10), r.Reason, r.Text)
}

// counts are the rejects so far.
func (l *rejectLog) counts() (ofFiles, ofServer uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.ofFiles, l.ofServer
}

// write keeps its error in the csv writer, until close.
func (l *rejectLog) write(fields ...string) {
	if l.csv != nil {
		_ = l.csv.Write(fields)
	}
}

// close writes the file.
func (l *rejectLog) close() error {
	if l.file == nil {
		return nil
	}
	defer l.pending.Close()
	l.csv.Flush()
	_, sought := l.pending.Seek(0, io.SeekStart)
	err := errors.Join(l.csv.Error(), sought)
	if err == nil {
		err = l.file.empty()
	}
	if err == nil {
		_, err = io.Copy(l.file, l.pending)
	}
	if err := errors.Join(err, l.file.Close()); err != nil {
		return fmt.Errorf("--rejects: %w", err)
	}
	return nil
}

// leave ends without writing: the file is as it was.
func (l *rejectLog) leave() {
	if l.file != nil {
		l.pending.Close()
		l.file.leave()
	}
}

// list is the files' rejects by reason, for the server's record.
func (l *rejectLog) list() []client.RejectTally {
	l.mu.Lock()
	defer l.mu.Unlock()
	var list []client.RejectTally
	for _, reason := range slices.Sorted(maps.Keys(l.tallies)) {
		list = append(list, client.RejectTally{Reason: reason, Count: l.tallies[reason]})
	}
	return list
}

// explain says how many were rejected for what, and where the first ones are.
func (l *rejectLog) explain(w io.Writer) {
	var files []string
	if l.file != nil {
		files = []string{l.file.Name()}
	}
	l.explainAs(w, "rejected", "rejects", files)
}

// explainAs is explain in other words: what became of the rows, the flag for their file, and the files that hold them.
func (l *rejectLog) explainAs(w io.Writer, became, flag string, files []string) {
	for _, tallies := range []map[string]uint64{l.tallies, l.refused} {
		for _, reason := range slices.Sorted(maps.Keys(tallies)) {
			fmt.Fprintf(w, "%s %d: %s\n", became, tallies[reason], reason)
		}
	}
	if len(l.first) == 0 {
		return
	}
	if len(files) > 0 {
		for _, name := range files {
			fmt.Fprintf(w, "all %s: %s\n", flag, name)
		}
		return
	}
	for _, place := range l.first {
		fmt.Fprintf(w, "  %s\n", place)
	}
	fmt.Fprintf(w, "hint: --%s FILE writes each of them with its line and text\n", flag)
}

// whyRejected is why the server rejected an entry. It explains the first of each chunk; of the rest it says only the reason.
func whyRejected(reason, message string) string {
	return cmp.Or(message, strings.ToLower(strings.ReplaceAll(reason, "_", " "))+": the first ones are explained")
}
