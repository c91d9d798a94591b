package registry

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// maxWindow bounds the memory for unpacking zstd, in bytes. It is the default of the zstd command.
const maxWindow = 128 << 20

var (
	gzipMagic = []byte("\x1f\x8b")
	zstdMagic = []byte("\x28\xb5\x2f\xfd")
)

// unpacked is the content of a compressed stream, closed together with it.
type unpacked struct {
	io.Reader
	close func() error
}

func (u unpacked) Close() error { return u.close() }

// plainContent is a stream that is not compressed.
type plainContent struct {
	io.Reader
	io.Closer
}

// unpack returns the content of a gzip or zstd stream, several members or frames one after the other, and any other
// stream as it is. It decides by the first bytes; a name that ends in .gz or .zst must agree with them. A stream that
// ends early is an error at its end. It takes over src.
func unpack(src io.ReadCloser, name string) (io.ReadCloser, error) {
	in := bufio.NewReaderSize(src, 64<<10)
	head, err := in.Peek(4)
	if err != nil && err != io.EOF {
		src.Close()
		return nil, err
	}
	switch {
	case bytes.HasPrefix(head, gzipMagic):
		r, err := gzip.NewReader(in)
		if err != nil {
			src.Close()
			return nil, unsound(err)
		}
		return unpacked{r, func() error { return errors.Join(r.Close(), src.Close()) }}, nil
	case bytes.HasPrefix(head, zstdMagic):
		r, err := zstd.NewReader(in, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			src.Close()
			return nil, err
		}
		return unpacked{r, func() error { r.Close(); return src.Close() }}, nil
	}
	switch path.Ext(name) {
	case ".gz", ".zst":
		src.Close()
		return nil, fmt.Errorf("%w: not what its name says", errUnsound)
	}
	return plainContent{in, src}, nil
}

// Read marks an error that is not the disk's as one of the content.
func (u unpacked) Read(p []byte) (int, error) {
	n, err := u.Reader.Read(p)
	return n, unsound(err)
}

// errUnsound comes with errors of unpacking.
var errUnsound = errors.New("damaged or cut short, fetch the file again")

func unsound(err error) error {
	var disk *fs.PathError
	if err == nil || err == io.EOF || errors.As(err, &disk) {
		return err
	}
	return fmt.Errorf("%w: %w", errUnsound, err)
}
