package registry

import (
	"crypto/sha256"
	"hash"
	"io"
)

const (
	feedPiece = 256 << 10 // bytes read at a time
	feedAhead = 4         // pieces that are read in advance
)

// feed reads a file ahead in a goroutine of its own, which also unpacks and
// hashes it, so that parsing does not wait for either.
type feed struct {
	full chan []byte
	free chan []byte
	stop chan struct{}
	done chan struct{}

	current, rest []byte // the piece being read, and what is left of it

	// Set by the goroutine, to be read once full is closed.
	err  error // io.EOF after the whole file
	hash hash.Hash
	size int64
}

// newFeed takes over src and closes it.
func newFeed(src io.ReadCloser) *feed {
	f := &feed{
		full: make(chan []byte, feedAhead),
		free: make(chan []byte, feedAhead),
		stop: make(chan struct{}),
		done: make(chan struct{}),
		hash: sha256.New(),
	}
	for range feedAhead {
		f.free <- nil // made when first used: most files are small
	}
	go f.run(src)
	return f
}

func (f *feed) run(src io.ReadCloser) {
	defer close(f.done)
	defer src.Close()
	defer close(f.full)
	for f.err == nil {
		var piece []byte
		select {
		case piece = <-f.free:
		case <-f.stop:
			f.err = io.ErrClosedPipe
			return
		}
		if piece == nil {
			piece = make([]byte, feedPiece)
		}
		n, err := src.Read(piece[:feedPiece])
		f.hash.Write(piece[:n])
		f.size += int64(n)
		f.err = err
		f.full <- piece[:n] // never blocks: as many places as pieces
	}
}

// Read implements io.Reader.
func (f *feed) Read(p []byte) (int, error) {
	for len(f.rest) == 0 {
		if f.current != nil {
			f.free <- f.current
		}
		piece, ok := <-f.full
		if !ok {
			f.current = nil
			return 0, f.err
		}
		f.current, f.rest = piece, piece
	}
	n := copy(p, f.rest)
	f.rest = f.rest[n:]
	return n, nil
}

// close ends the goroutine. It waits for it unless the file is one whose reads
// may block for ever, such as a terminal.
func (f *feed) close(wait bool) {
	close(f.stop)
	if wait {
		<-f.done
	}
}
