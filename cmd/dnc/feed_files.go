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

// feedFiles are the files of one feed while they are written. They get their names when all of them, the note too, are whole and on the
// disk, and the note gets its name last.
type feedFiles struct {
	dir  string
	form feedForm

	blocked     *feedFile // all rows, with jsonl
	allowed     *feedFile // nil: nothing is to be freed
	notNational uint64    // lines

	made []*namedFile
	kept []string // names
	note string
}

// namedFile is a file that gets its name once it is whole.
type namedFile struct {
	*os.File
	name string // empty: not decided yet
	kept bool   // it has the name
}

func (f *feedFiles) begin(name string, frees bool) (err error) {
	if f.blocked, err = f.create(name, f.form.blocking(&f.notNational)); err != nil || !frees || f.form.format == "jsonl" {
		return err
	}
	f.allowed, err = f.create(name, f.form.freeing(&f.notNational))
	return err
}

func (f *feedFiles) create(name string, to func(io.Writer) feedRows) (*feedFile, error) {
	file, err := f.temporary(name)
	if err != nil {
		return nil, err
	}
	out := &feedFile{namedFile: file, sum: sha256.New()}
	out.out = bufio.NewWriterSize(io.MultiWriter(file, out.sum), outBuffer)
	out.rows = to(out.out)
	return out, out.rows.begin()
}

// temporary makes a file that only its owner can read.
func (f *feedFiles) temporary(name string) (*namedFile, error) {
	file, err := os.CreateTemp(f.dir, "."+name+"-*"+temporaryEnd)
	if err != nil {
		return nil, err
	}
	made := &namedFile{File: file}
	f.made = append(f.made, made)
	return made, nil
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

// keep gives the files their names. rotations say how the server's key follows from those before it, for dnc verify.
func (f *feedFiles) keep(name, stem string, lines []string, note string, rotations []string) (err error) {
	end := f.form.end()
	f.blocked.name = stem + ".block" + end
	if f.form.format == "jsonl" {
		f.blocked.name = stem + ".rows" + end
	}
	if f.allowed != nil {
		f.allowed.name = stem + ".allow" + end
	}
	for _, file := range f.rowFiles() {
		if err := file.end(); err != nil {
			return err
		}
		lines = append(lines, fmt.Sprintf("lines %d %s", file.lines, file.name))
	}
	lines = append(lines, fmt.Sprintf("as e164 %d", f.notNational))
	f.note = stem + end + noteEnd
	if len(rotations) > 0 {
		err = f.text(name, name+".server-key", strings.Join(rotations, ""))
	}
	if err == nil {
		err = f.text(name, stem+end+".files", f.manifest(lines))
	}
	if err == nil {
		err = f.text(name, f.note, note)
	}
	if err != nil {
		return err
	}
	return f.renameAll()
}

// rowFiles are the files of rows.
func (f *feedFiles) rowFiles() []*feedFile {
	if f.allowed == nil {
		return []*feedFile{f.blocked}
	}
	return []*feedFile{f.blocked, f.allowed}
}

// manifest is the text of *.files: `sha256sum -c` reads it, and takes the first lines for comments.
func (f *feedFiles) manifest(lines []string) string {
	text := "# " + strings.Join(lines, "\n# ") + "\n"
	for _, file := range f.rowFiles() {
		text += hex.EncodeToString(file.sum.Sum(nil)) + "  " + file.name + "\n"
	}
	return text
}

// text writes a file that is to have a name.
func (f *feedFiles) text(prefix, name, text string) error {
	file, err := f.temporary(prefix)
	if err != nil {
		return err
	}
	file.name = name
	_, err = file.WriteString(text)
	return errors.Join(err, file.Sync(), file.Close())
}

// renameAll gives all files their names, the note its own once those of the others are on the disk.
func (f *feedFiles) renameAll() error {
	for _, file := range f.made {
		if file.name == f.note {
			if err := syncDir(f.dir); err != nil {
				return err
			}
		}
		if err := os.Rename(file.Name(), filepath.Join(f.dir, file.name)); err != nil {
			return err
		}
		file.kept = true
		f.kept = append(f.kept, file.name)
	}
	return syncDir(f.dir)
}

// abandon removes the files that have no name of their own.
func (f *feedFiles) abandon() (err error) {
	for _, file := range f.made {
		if !file.kept {
			file.Close()
			err = errors.Join(err, os.Remove(file.Name()))
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
	*namedFile
	out   *bufio.Writer
	sum   hash.Hash
	rows  feedRows
	lines uint64
}

// end puts all rows on the disk.
func (f *feedFile) end() error {
	return errors.Join(f.rows.end(), f.out.Flush(), f.Sync(), f.Close())
}
