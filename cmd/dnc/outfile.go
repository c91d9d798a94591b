package main

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// outBuffer is how much is written at once, in bytes.
const outBuffer = 64 << 10

// outFile is standard output, or a file that takes its name when it is whole.
type outFile struct {
	*bufio.Writer
	file *os.File // nil: standard output
	name string   // no link
}

// openOut returns what is written under a name. A file has the permissions of the one that it will replace.
func (a *app) openOut(name string) (*outFile, error) {
	if name == "" || name == "-" || a.isStdout(name) {
		return &outFile{Writer: bufio.NewWriterSize(a.stdout, outBuffer)}, nil
	}
	perm := os.FileMode(0o600) // it holds phone numbers and is for its owner alone
	if info, err := os.Stat(name); err == nil {
		if !info.Mode().IsRegular() {
			return nil, fmt.Errorf("--out %s is not a file", name)
		}
		perm = info.Mode().Perm()
	}
	target, err := behindLinks(name)
	if err != nil {
		return nil, fmt.Errorf("--out: %w", err)
	}
	file, err := os.CreateTemp(filepath.Dir(target), "."+filepath.Base(target)+".*")
	if err != nil {
		return nil, err
	}
	out := &outFile{Writer: bufio.NewWriterSize(file, outBuffer), file: file, name: target}
	if err := file.Chmod(perm); err != nil {
		out.abandon()
		return nil, err
	}
	return out, nil
}

// isStdout reports whether a name such as /dev/stdout is another one of standard output, wherever that goes.
func (a *app) isStdout(name string) bool {
	out, ok := a.stdout.(*os.File)
	if !ok {
		return false
	}
	is, err := out.Stat()
	if err != nil {
		return false
	}
	named, err := os.Stat(name)
	return err == nil && os.SameFile(is, named)
}

// maxLinks bounds a chain of links, as the system does.
const maxLinks = 40

// behindLinks is the file that a name stands for, which need not be there: it is the one to replace, never a link to it.
func behindLinks(name string) (string, error) {
	for range maxLinks {
		to, err := filepath.EvalSymlinks(name)
		if !errors.Is(err, fs.ErrNotExist) {
			return to, err
		}
		dir, err := filepath.EvalSymlinks(filepath.Dir(name))
		if err != nil {
			return "", err
		}
		name = filepath.Join(dir, filepath.Base(name))
		if _, err := os.Lstat(name); errors.Is(err, fs.ErrNotExist) {
			return name, nil // a new file
		}
		if to, err = os.Readlink(name); err != nil {
			return "", err
		}
		if name = to; !filepath.IsAbs(to) {
			name = dir + string(filepath.Separator) + to // not joined: that would take .. from the name of a link
		}
	}
	return "", fmt.Errorf("%s: too many links", name)
}

// keep gives the file its name.
func (o *outFile) keep() error {
	if err := o.Flush(); err != nil || o.file == nil {
		return err
	}
	if err := o.file.Close(); err != nil {
		return err
	}
	if err := os.Rename(o.file.Name(), o.name); err != nil {
		return err
	}
	o.file = nil
	return nil
}

// abandon removes a file that was not kept; what standard output has stays.
func (o *outFile) abandon() {
	if o.file == nil {
		o.Flush()
		return
	}
	o.file.Close()
	os.Remove(o.file.Name())
}
