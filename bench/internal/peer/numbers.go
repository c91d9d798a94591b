package peer

import (
	"io"
	"sync"

	"github.com/dncd/dncd/internal/phone"
	"github.com/dncd/dncd/internal/registry"
)

// Numbers reads the first numbers of FTC files, with the reader of `dnc import`.
// Safe for concurrent use.
type Numbers struct {
	mu     sync.Mutex
	reader *registry.Reader
	left   int
}

// OpenNumbers prepares to read at most so many numbers. Close it.
func OpenNumbers(files []string, most int) (*Numbers, error) {
	r, err := registry.Open(files, registry.Options{Format: registry.FTC})
	if err != nil {
		return nil, err
	}
	return &Numbers{reader: r, left: most}, nil
}

// Next fills batch and returns how many; 0 and io.EOF after the last.
func (n *Numbers) Next(batch []phone.Number) (int, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.left == 0 {
		return 0, io.EOF
	}
	got, err := n.reader.Next(batch[:min(len(batch), n.left)])
	n.left -= got
	return got, err
}

// Close ends reading.
func (n *Numbers) Close() error { return n.reader.Close() }
