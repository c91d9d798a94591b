// Package damage harms the files of a directory in the ways that disks, file
// systems and people do, one at a time, and says what it did so that it can be
// done again.
package damage

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Kinds of damage to one file.
const (
	Delete = "delete" // the file is gone
	Empty  = "empty"  // its length is 0
	Half   = "half"   // the second half is cut off
	Cut    = "cut"    // the last byte that is not zero is cut off, and what follows
	Append = "append" // one byte is added at the end
	Head   = "head"   // a bit is flipped in the first 64 bytes
	Middle = "middle" // a bit is flipped between head and tail
	Tail   = "tail"   // a bit is flipped in the last 4 KiB before the footer
	Footer = "footer" // a bit is flipped in the last 8 bytes
	Older  = "older"  // an older copy takes its place
)

// Flips are the kinds that leave the length of a file as it is.
var flips = []string{Head, Middle, Tail, Footer}

// Harm is one kind of damage to one file.
type Harm struct {
	File string // relative to the directory, with slashes
	Kind string
	At   int64 // of a flip: the byte; of half and cut: the new length
	Bit  int   // of a flip
}

func (h Harm) String() string {
	if slices.Contains(flips, h.Kind) {
		return fmt.Sprintf("%s of %s (bit %d of byte %d)", h.Kind, h.File, h.Bit, h.At)
	}
	return h.Kind + " of " + h.File
}

// Part is the kind of file that is harmed, such as "badger/*.sst".
func (h Harm) Part() string {
	dir, name := filepath.Split(h.File)
	if ext := filepath.Ext(name); ext != "" {
		name = "*" + ext
	}
	if top, _, nested := strings.Cut(dir, "/"); nested {
		return top + "/" + name
	}
	return name
}

// Harms lists every kind of damage to every file below dir whose name skip does not
// refuse, a random place for each flip. Files that an older copy of dir has with
// another content can be swapped for it. A file that vanishes meanwhile is left out.
func Harms(rnd *rand.Rand, dir, older string, skip func(file string) bool) ([]Harm, error) {
	var all []Harm
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || e.IsDir() {
			return err
		}
		file := filepath.ToSlash(strings.TrimPrefix(path, dir+string(filepath.Separator)))
		if skip(file) {
			return nil
		}
		content, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		all = append(all, harmsOf(rnd, file, content)...)
		if differs(filepath.Join(older, file), content) {
			all = append(all, Harm{File: file, Kind: Older})
		}
		return nil
	})
	return all, err
}

// harmsOf lists the damage to one file. Zeros at its end are room that it does not
// use yet: flips fall before them.
func harmsOf(rnd *rand.Rand, file string, content []byte) []Harm {
	all := []Harm{{File: file, Kind: Delete}, {File: file, Kind: Append}}
	used := int64(len(strings.TrimRight(string(content), "\x00")))
	if used == 0 {
		return all
	}
	all = append(all, Harm{File: file, Kind: Empty}, Harm{File: file, Kind: Half, At: used / 2}, Harm{File: file, Kind: Cut, At: used - 1})
	footer := max(used-8, 0)
	tail := max(footer-4096, min(64, footer))
	for _, place := range []struct {
		kind     string
		from, to int64
	}{{Head, 0, min(64, used)}, {Middle, min(64, tail), tail}, {Tail, tail, footer}, {Footer, footer, used}} {
		if place.from < place.to {
			all = append(all, Harm{file, place.kind, place.from + rnd.Int64N(place.to-place.from), rnd.IntN(8)})
		}
	}
	return all
}

func differs(path string, content []byte) bool {
	other, err := os.ReadFile(path)
	return err == nil && string(other) != string(content)
}

// Do harms the file in dir. Older copies are taken from the directory older.
func (h Harm) Do(dir, older string) error {
	path := filepath.Join(dir, filepath.FromSlash(h.File))
	switch h.Kind {
	case Delete:
		return os.Remove(path)
	case Empty:
		return os.Truncate(path, 0)
	case Half, Cut:
		return os.Truncate(path, h.At)
	case Append:
		return appendByte(path)
	case Older:
		content, err := os.ReadFile(filepath.Join(older, filepath.FromSlash(h.File)))
		return errors.Join(err, os.WriteFile(path, content, 0o600))
	}
	return flip(path, h.At, h.Bit)
}

func appendByte(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	_, err = f.Write([]byte{0xa5})
	return errors.Join(err, f.Close())
}

func flip(path string, at int64, bit int) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	b := make([]byte, 1)
	if _, err := f.ReadAt(b, at); err != nil {
		return errors.Join(err, f.Close())
	}
	b[0] ^= 1 << bit
	_, err = f.WriteAt(b, at)
	return errors.Join(err, f.Close())
}
