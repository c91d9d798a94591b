package registry

import (
	"archive/zip"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"
	"sync/atomic"

	"github.com/klauspost/compress/flate"
)

// archive is an open zip.
type archive struct {
	path string
	file *os.File
	zip  *zip.Reader
}

// openArchive reads the directory of a zip. Its bytes read are added to meter.
func openArchive(name string, meter *atomic.Int64) (*archive, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err != nil {
		file.Close()
		return nil, err
	}
	z, err := zip.NewReader(meteredAt{file, meter}, info.Size())
	if err != nil {
		file.Close()
		return nil, fmt.Errorf("%s: %w", name, damaged(err))
	}
	z.RegisterDecompressor(zip.Deflate, flate.NewReader) // a quarter faster than the standard one
	a := &archive{path: name, file: file, zip: z}
	if err := a.verify(info.Size()); err != nil {
		file.Close()
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return a, nil
}

// verify refuses archives that could not be read to their end: encrypted members, and members that share their bytes,
// as zip bombs do. It also refuses zips that are not archives of text: spreadsheets.
func (a *archive) verify(size int64) error {
	packed := uint64(0)
	for _, m := range a.zip.File {
		if m.Flags&1 != 0 {
			return errors.New("the zip is encrypted: unpack it first")
		}
		if m.Name == "[Content_Types].xml" {
			return errors.New("an office document: save it as csv")
		}
		packed += m.CompressedSize64
		if packed > uint64(size) {
			return errors.New("the zip is not sound: its members overlap")
		}
	}
	return nil
}

// members are the indexes of the list files in the archive: all files but
// those that a desktop adds.
func (a *archive) members() []int {
	var list []int
	for i, m := range a.zip.File {
		base := memberBase(m.Name)
		isDir := strings.HasSuffix(m.Name, "/") || m.FileInfo().IsDir()
		if isDir || strings.HasPrefix(base, ".") || strings.HasPrefix(m.Name, "__MACOSX/") {
			continue
		}
		list = append(list, i)
	}
	return list
}

// open starts reading a member. Its size and CRC are verified at its end.
func (a *archive) open(member int, name string) (io.ReadCloser, error) {
	if member >= len(a.zip.File) || memberBase(a.zip.File[member].Name) != name {
		return nil, fmt.Errorf("%s changed while it was read", a.path)
	}
	return a.zip.File[member].Open()
}

func (a *archive) close() error { return a.file.Close() }

func memberBase(name string) string {
	return path.Base(strings.ReplaceAll(name, `\`, "/"))
}

// damaged says what to do about an error that means a broken file.
func damaged(err error) error {
	if errors.Is(err, errUnsound) {
		return err
	}
	var corrupt flate.CorruptInputError
	if errors.Is(err, zip.ErrFormat) || errors.Is(err, zip.ErrChecksum) ||
		errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, &corrupt) {
		return fmt.Errorf("%w: %w", errUnsound, err)
	}
	return err
}

// meteredAt counts the bytes read.
type meteredAt struct {
	io.ReaderAt
	n *atomic.Int64
}

func (m meteredAt) ReadAt(p []byte, off int64) (int, error) {
	n, err := m.ReaderAt.ReadAt(p, off)
	m.n.Add(int64(n))
	return n, err
}

// metered is the same for a stream.
type metered struct {
	io.ReadCloser
	n *atomic.Int64
}

func (m metered) Read(p []byte) (int, error) {
	n, err := m.ReadCloser.Read(p)
	m.n.Add(int64(n))
	return n, err
}
