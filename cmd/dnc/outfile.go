package main

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
)

// outBuffer is how much is written at once, in bytes.
const outBuffer = 64 << 10

// outFile is standard output, or a file that takes its name when it is whole.
type outFile struct {
	*bufio.Writer
	file *os.File // nil: standard output
	name string
}

func (a *app) openOut(name string) (*outFile, error) {
	if name == "" || name == "-" {
		return &outFile{Writer: bufio.NewWriterSize(a.stdout, outBuffer)}, nil
	}
	if info, err := os.Stat(name); err == nil && !info.Mode().IsRegular() {
		return nil, fmt.Errorf("--out %s is not a file", name)
	}
	file, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+".*")
	if err != nil {
		return nil, err
	}
	return &outFile{Writer: bufio.NewWriterSize(file, outBuffer), file: file, name: name}, nil
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
