package main

import (
	"bufio"
	"cmp"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/dncd/dncd/internal/registry"
)

// rowFile writes rows of the imported files, in their order, with their own columns and one more for the reason. It can be
// imported again as it is: an import ignores that column.
//
// What is wrong with rows comes in three streams, each in the order of rows: from the reader, from the server with its
// acks, and from the server after the commit. They are kept in files without a name until close merges them.
type rowFile struct {
	flag, name string
	file       *lateFile // of that name
	streams    [3]*rowStream
}

const (
	fromReader = iota
	fromServer
	afterCommit
)

// badRow is a row and what is wrong with it.
type badRow struct {
	Source int // the index of its file among the sources
	Line   int64
	File   string
	Reason string
	Text   string // as the file has it; empty: no longer known
}

func (r badRow) compare(other badRow) int {
	return cmp.Or(cmp.Compare(r.Source, other.Source), cmp.Compare(r.Line, other.Line))
}

// why is the reason with the row's place.
func (r badRow) why() string {
	if r.Line == 0 {
		return fmt.Sprintf("%s: %s", r.File, r.Reason) // which line it was is not known
	}
	return fmt.Sprintf("%s:%d: %s", r.File, r.Line, r.Reason)
}

// createRowFile opens the file.
func createRowFile(flag, name string) (*rowFile, error) {
	if name == "" {
		return nil, nil
	}
	file, err := openLate(flag, name)
	if err != nil {
		return nil, err
	}
	w := &rowFile{flag: flag, name: name, file: file}
	for i := range w.streams {
		if w.streams[i], err = newRowStream(file); err != nil {
			file.leave()
			return nil, fmt.Errorf("--%s: %w", flag, err)
		}
	}
	return w, nil
}

// leave ends without writing: the file is as it was.
func (w *rowFile) leave() {
	if w == nil {
		return
	}
	for _, s := range w.streams {
		s.close()
	}
	w.file.leave()
}

// add notes a row. Its error is kept until close.
func (w *rowFile) add(stream int, r badRow) { w.streams[stream].add(r) }

// close writes the rows and returns the names of the files that hold them: more than one when the columns of the
// imported files differ.
func (w *rowFile) close(choices []registry.Choice) (names []string, err error) {
	out := &rowWriter{rowFile: w, choices: choices}
	if err = w.file.empty(); err == nil && len(choices) > 0 {
		_, err = out.output(choices[0].Layout) // only a header, if there is no row
	}
	next := mergeRows(w.streams[:])
	for err == nil {
		var r badRow
		if r, err = next(); err == nil {
			err = out.write(r)
		}
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	names, ended := out.end()
	err = errors.Join(err, ended)
	for _, s := range w.streams {
		err = errors.Join(err, s.close())
	}
	if err != nil {
		return nil, fmt.Errorf("--%s: %w", w.flag, err)
	}
	return names, nil
}

// rowStream keeps rows in a file without a name.
type rowStream struct {
	file *os.File
	out  *bufio.Writer
	enc  *json.Encoder
	in   *json.Decoder
	err  error
}

func newRowStream(beside *lateFile) (*rowStream, error) {
	file, err := beside.beside()
	if err != nil {
		return nil, err
	}
	s := &rowStream{file: file, out: bufio.NewWriter(file)}
	s.enc = json.NewEncoder(s.out)
	return s, nil
}

func (s *rowStream) add(r badRow) {
	if s.err == nil {
		s.err = s.enc.Encode(&r)
	}
}

// next returns the rows one by one, io.EOF after the last.
func (s *rowStream) next() (r badRow, err error) {
	if s.in == nil {
		flushed := s.out.Flush()
		_, sought := s.file.Seek(0, io.SeekStart)
		if err := errors.Join(s.err, flushed, sought); err != nil {
			return r, err
		}
		s.in = json.NewDecoder(bufio.NewReader(s.file))
	}
	err = s.in.Decode(&r)
	return r, err
}

func (s *rowStream) close() error { return s.file.Close() }

// mergeRows returns the rows of all streams in order, one for all that is wrong with it; of rows whose line is not known,
// each by itself.
func mergeRows(streams []*rowStream) func() (badRow, error) {
	heads := make([]*badRow, len(streams))
	pull := func(i int) error {
		r, err := streams[i].next()
		if heads[i] = &r; err != nil {
			heads[i] = nil
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		return err
	}
	begun := false
	return func() (row badRow, err error) {
		for i := 0; i < len(streams) && !begun; i++ {
			err = errors.Join(err, pull(i))
		}
		begun = true
		first := firstOf(heads)
		if err != nil || first == nil {
			return row, cmp.Or(err, io.EOF)
		}
		if row = *first; row.Line == 0 {
			return row, pull(slices.Index(heads, first))
		}
		var reasons []string
		for i := range heads {
			for err == nil && heads[i] != nil && heads[i].compare(row) == 0 {
				if !slices.Contains(reasons, heads[i].Reason) {
					reasons = append(reasons, heads[i].Reason)
				}
				row.Text = cmp.Or(row.Text, heads[i].Text)
				err = pull(i)
			}
		}
		row.Reason = strings.Join(reasons, "; ")
		return row, err
	}
}

func firstOf(rows []*badRow) (first *badRow) {
	for _, r := range rows {
		if r != nil && (first == nil || r.compare(*first) < 0) {
			first = r
		}
	}
	return first
}

// rowWriter writes rows as their files do. Those of other columns go to a file of their own.
type rowWriter struct {
	*rowFile
	choices []registry.Choice
	outputs []*rowOutput
}

// rowOutput is a file of rows with the same columns.
type rowOutput struct {
	name   string
	header []string
	layout registry.Layout
	file   *os.File
	buf    *bufio.Writer
	csv    *csv.Writer
}

func (w *rowWriter) write(r badRow) error {
	if r.Source >= len(w.choices) {
		return fmt.Errorf("a row of %s, whose columns are not known", r.File)
	}
	layout := w.choices[r.Source].Layout
	out, err := w.output(layout)
	if err != nil {
		return err
	}
	if layout.Objects {
		_, err := out.buf.Write(append(withReason(r), '\n'))
		return err
	}
	return out.csv.Write(cellsOf(layout, r))
}

// output returns the file for rows of a layout.
func (w *rowWriter) output(l registry.Layout) (*rowOutput, error) {
	header := headerOf(l)
	for _, o := range w.outputs {
		if o.layout.Objects == l.Objects && o.layout.Delimiter == l.Delimiter && slices.Equal(o.header, header) {
			return o, nil
		}
	}
	o := &rowOutput{name: numbered(w.name, len(w.outputs)), header: header, layout: l, file: w.file.File}
	if len(w.outputs) > 0 {
		file, err := os.OpenFile(o.name, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
		if err != nil {
			return nil, err
		}
		o.file = file
	}
	w.outputs = append(w.outputs, o)
	o.buf = bufio.NewWriter(o.file)
	o.csv = csv.NewWriter(o.buf)
	if l.Objects {
		return o, nil
	}
	o.csv.Comma = l.Delimiter
	return o, o.csv.Write(header)
}

// numbered is the name of a further file: rejects.csv, rejects.2.csv.
func numbered(name string, at int) string {
	if at == 0 {
		return name
	}
	ext := filepath.Ext(name)
	return fmt.Sprintf("%s.%d%s", strings.TrimSuffix(name, ext), at+1, ext)
}

// end closes the files and returns their names.
func (w *rowWriter) end() (names []string, err error) {
	for _, o := range w.outputs {
		o.csv.Flush()
		err = errors.Join(err, o.csv.Error(), o.buf.Flush())
		names = append(names, o.name)
		if o.file != w.file.File {
			err = errors.Join(err, o.file.Close())
		}
	}
	return names, errors.Join(err, w.file.Close())
}

// headerOf is the file's own header with the column of the reason. A file without one gets titles by which it is read again.
func headerOf(l registry.Layout) []string {
	if l.Header != nil {
		if reasonColumn(l.Header) >= 0 {
			return l.Header
		}
		return append(l.Header[:len(l.Header):len(l.Header)], registry.ReasonTitle)
	}
	titles := make([]string, l.Width, l.Width+1)
	for i := range titles {
		if titles[i] = fmt.Sprintf("column %d", i+1); slices.Contains(l.Numbers, i) {
			titles[i] = "number"
		}
	}
	return append(titles, registry.ReasonTitle)
}

// reasonColumn is the column of reasons in a file that was written like this before; -1: none.
func reasonColumn(header []string) int { return slices.Index(header, registry.ReasonTitle) }

// cellsOf are the cells of a row with the reason in its place.
func cellsOf(l registry.Layout, r badRow) []string {
	in := csv.NewReader(strings.NewReader(r.Text))
	in.Comma, in.LazyQuotes, in.FieldsPerRecord = l.Delimiter, true, -1
	cells, err := in.Read()
	if err != nil {
		cells = []string{r.Text}
	}
	for len(cells) < l.Width {
		cells = append(cells, "")
	}
	// In a row with more cells than titles that cell may be the number.
	if at := reasonColumn(l.Header); at >= 0 && len(cells) <= len(l.Header) {
		cells[at] = r.why()
		return cells
	}
	return append(cells, r.why())
}

// withReason is an object with the reason as its last member. A line that is no object becomes the text of one.
func withReason(r badRow) []byte {
	text := strings.TrimSpace(r.Text)
	if !json.Valid([]byte(text)) || text[0] != '{' {
		line, _ := json.Marshal(map[string]string{registry.ReasonTitle: r.why(), "text": r.Text}) // strings have a form
		return line
	}
	members := map[string]json.RawMessage{}
	if json.Unmarshal([]byte(text), &members) == nil && members[registry.ReasonTitle] != nil {
		delete(members, registry.ReasonTitle)
		again, _ := json.Marshal(members) // it was valid before
		text = string(again)
	}
	reason, _ := json.Marshal(r.why()) // a string has a form
	text = strings.TrimSuffix(strings.TrimSuffix(text, "}"), " ")
	if text != "{" {
		text += ","
	}
	return fmt.Appendf(nil, `%s"%s":%s}`, text, registry.ReasonTitle, reason)
}
