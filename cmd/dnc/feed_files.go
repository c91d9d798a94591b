package main

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/dncd/dncd/client"
)

// feedFiles are the files of one feed while they are written. They get their names when all of them are whole and on the disk,
// and the note gets its name last.
type feedFiles struct {
	dir  string
	form feedForm

	blocked     *feedFile // all rows, with jsonl
	allowed     *feedFile // nil: nothing is to be freed
	notNational uint64    // lines

	kept []string // names
	note string
}

func (f *feedFiles) begin(name string, frees bool) (err error) {
	if f.blocked, err = f.create(name, f.form.blocking(&f.notNational)); err != nil || !frees || f.form.format == "jsonl" {
		return err
	}
	f.allowed, err = f.create(name, f.form.freeing(&f.notNational))
	return err
}

func (f *feedFiles) create(name string, to func(io.Writer) feedRows) (*feedFile, error) {
	file, err := os.CreateTemp(f.dir, "."+name+"-*"+temporaryEnd) // 0600
	if err != nil {
		return nil, err
	}
	out := &feedFile{file: file, sum: sha256.New()}
	out.out = bufio.NewWriterSize(io.MultiWriter(file, out.sum), outBuffer)
	out.rows = to(out.out)
	return out, out.rows.begin()
}

func (f *feedFiles) allowedLines() uint64 {
	if f.allowed == nil {
		return 0
	}
	return f.allowed.lines
}

// write writes rows. Where lines are numbers, one is freed when no row blocks it any more.
func (f *feedFiles) write(rows []client.FeedRow) error {
	for _, row := range rows {
		to := f.blocked
		if row.Removed && f.form.format != "jsonl" {
			if to = f.allowed; row.StillBlocked || to == nil {
				continue
			}
		}
		wrote, err := to.rows.write(row)
		if err != nil {
			return err
		}
		if wrote {
			to.lines++
		}
	}
	return nil
}

// keep gives the files their names.
func (f *feedFiles) keep(stem string, lines []string, note string) error {
	end := f.form.end()
	name := stem + ".block" + end
	if f.form.format == "jsonl" {
		name = stem + ".rows" + end
	}
	if err := f.keepRows(f.blocked, name, &lines); err != nil {
		return err
	}
	if f.allowed != nil {
		if err := f.keepRows(f.allowed, stem+".allow"+end, &lines); err != nil {
			return err
		}
	}
	lines = append(lines, fmt.Sprintf("as e164 %d", f.notNational))
	if err := f.keepText(stem+end+".files", f.manifest(lines)); err != nil {
		return err
	}
	if err := syncDir(f.dir); err != nil {
		return err
	}
	f.note = stem + end + noteEnd
	if err := f.keepText(f.note, note); err != nil {
		return err
	}
	return syncDir(f.dir)
}

// keepRotations writes how the server's key follows from those before it, for dnc verify.
func (f *feedFiles) keepRotations(name string, notes []string) error {
	if len(notes) == 0 {
		return nil
	}
	return f.keepText(name+".server-key", strings.Join(notes, ""))
}

// manifest is the text of *.files: `sha256sum -c` reads it, and takes the first lines for comments.
func (f *feedFiles) manifest(lines []string) string {
	text := "# " + strings.Join(lines, "\n# ") + "\n"
	for _, file := range []*feedFile{f.blocked, f.allowed} {
		if file != nil {
			text += hex.EncodeToString(file.sum.Sum(nil)) + "  " + file.name + "\n"
		}
	}
	return text
}

func (f *feedFiles) keepRows(file *feedFile, name string, lines *[]string) error {
	if err := errors.Join(file.rows.end(), file.out.Flush()); err != nil {
		return err
	}
	if err := f.rename(file.file, name); err != nil {
		return err
	}
	file.name = name
	*lines = append(*lines, fmt.Sprintf("lines %d %s", file.lines, name))
	return nil
}

func (f *feedFiles) keepText(name, text string) error {
	file, err := os.CreateTemp(f.dir, "."+name+".*"+temporaryEnd)
	if err != nil {
		return err
	}
	_, err = file.WriteString(text)
	if err == nil {
		err = f.rename(file, name)
	}
	if err != nil {
		file.Close()
		os.Remove(file.Name())
	}
	return err
}

// rename gives a file its name once it is on the disk.
func (f *feedFiles) rename(file *os.File, name string) error {
	if err := errors.Join(file.Sync(), file.Close()); err != nil {
		return err
	}
	if err := os.Rename(file.Name(), filepath.Join(f.dir, name)); err != nil {
		return err
	}
	f.kept = append(f.kept, name)
	return nil
}

// abandon removes the files that have no name of their own.
func (f *feedFiles) abandon() (err error) {
	for _, file := range []*feedFile{f.blocked, f.allowed} {
		if file != nil && file.name == "" {
			file.file.Close()
			err = errors.Join(err, os.Remove(file.file.Name()))
		}
	}
	return err
}

// syncDir makes names in a directory durable, where the system can.
func syncDir(path string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// feedFile is one file of rows.
type feedFile struct {
	file  *os.File
	out   *bufio.Writer
	sum   hash.Hash
	rows  feedRows
	lines uint64
	name  string // empty: it has none yet
}
