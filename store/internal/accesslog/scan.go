package accesslog

import (
	"errors"
	"io"
)

// scanner reads the frames of a part of a file. It skips bytes that are no frame, and counts them.
type scanner struct {
	f   io.ReaderAt
	at  int64 // where the last frame ends
	end int64

	buf  []byte // of the file from at on
	more int64  // where the file continues after buf

	torn bool // the part ends with what a crash leaves
}

// scanBytes is how many bytes one read takes from a file.
const scanBytes = 64 << 10

func newScanner(f io.ReaderAt, from, to int64) *scanner {
	return &scanner{f: f, at: from, end: to, more: from}
}

// next returns the entry of the next frame, valid until the next call, and how many bytes before it are no frame. Not found:
// there is no further frame, and skipped counts the bytes that are left.
func (s *scanner) next() (entry []byte, skipped int64, found bool, err error) {
	for ; ; skipped++ {
		if err := s.fill(); err != nil {
			return nil, 0, false, err
		}
		if len(s.buf) == 0 {
			return nil, skipped, false, nil
		}
		if entry, ok := frameAt(s.buf); ok {
			s.drop(headBytes + len(entry))
			return entry, skipped, true, nil
		}
		if s.more == s.end && skipped == 0 && isTorn(s.buf) && !s.frameBehind() {
			s.torn = true
			return nil, 0, false, nil
		}
		s.drop(1)
	}
}

// frameBehind reports whether any frame follows. The whole rest of the part is in the buffer.
func (s *scanner) frameBehind() bool {
	for i := range s.buf {
		if _, ok := frameAt(s.buf[i:]); ok {
			return true
		}
	}
	return false
}

func (s *scanner) drop(n int) { s.buf, s.at = s.buf[n:], s.at+int64(n) }

// fill makes the buffer hold the longest frame, or all that is left.
func (s *scanner) fill() error {
	if len(s.buf) >= headBytes+maxEntryBytes || s.more == s.end {
		return nil
	}
	room := make([]byte, len(s.buf)+int(min(scanBytes, s.end-s.more)))
	kept := copy(room, s.buf)
	n, err := s.f.ReadAt(room[kept:], s.more)
	if n < len(room)-kept {
		if err == nil || errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return err
	}
	s.buf, s.more = room, s.more+int64(n)
	return nil
}
