package main

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"
	"sync"

	"github.com/dncd/dncd/client"
	"github.com/dncd/dncd/internal/registry"
)

// rejectLog counts rejects, and writes them to a file when there is one. Files and
// server report theirs from different goroutines.
type rejectLog struct {
	mu                sync.Mutex
	tallies           map[string]uint64 // of the files, by reason
	refused           map[string]uint64 // of the server
	ofFiles, ofServer uint64
	first             []string // where the first ones are
	file              *os.File
	csv               *csv.Writer
}

// create opens the reject file; it holds phone numbers and is for its owner alone.
func (l *rejectLog) create(name string) error {
	if name == "" {
		return nil
	}
	file, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("--rejects: %w", err)
	}
	l.file, l.csv = file, csv.NewWriter(file)
	return l.csv.Write([]string{"file", "line", "reason", "text"})
}

func (l *rejectLog) fromFile(r registry.Reject) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tallies[r.Reason]++
	l.ofFiles++
	if len(l.first) < 5 {
		l.first = append(l.first, fmt.Sprintf("%s:%d: %s", r.File, r.Line, r.Reason))
	}
	l.write(r.File, strconv.FormatInt(r.Line, 10), r.Reason, r.Text)
}

func (l *rejectLog) fromServer(r client.ImportReject) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.refused == nil {
		l.refused = map[string]uint64{}
	}
	l.refused[r.Message]++
	l.ofServer++
	l.write("", "", r.Message, r.Number)
}

// fromServerAt is fromServer for a row whose place is known; line 0: it is not.
func (l *rejectLog) fromServerAt(file string, line int64, reason, text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.refused == nil {
		l.refused = map[string]uint64{}
	}
	l.refused[reason]++
	l.ofServer++
	if len(l.first) < 5 {
		l.first = append(l.first, fmt.Sprintf("%s:%d: %s", file, line, reason))
	}
	l.write(file, strconv.FormatInt(line, 10), reason, text)
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

func (l *rejectLog) close() error {
	if l.file == nil {
		return nil
	}
	l.csv.Flush()
	if err := errors.Join(l.csv.Error(), l.file.Close()); err != nil {
		return fmt.Errorf("--rejects: %w", err)
	}
	return nil
}

// list is what the files' rejects come to, for the server's record.
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
	for _, tallies := range []map[string]uint64{l.tallies, l.refused} {
		for _, reason := range slices.Sorted(maps.Keys(tallies)) {
			fmt.Fprintf(w, "rejected %d: %s\n", tallies[reason], reason)
		}
	}
	if l.file != nil && len(l.first) > 0 {
		fmt.Fprintf(w, "all rejects: %s\n", l.file.Name())
		return
	}
	for _, place := range l.first {
		fmt.Fprintf(w, "  %s\n", place)
	}
	if len(l.first) > 0 {
		fmt.Fprintln(w, "hint: --rejects FILE writes every reject with its line and text")
	}
}
