package daemon

import (
	"errors"
	"fmt"
)

const (
	maxOpenFiles = 1 << 20 // more than any server has connections: as good as no limit

	// leastSpare is what a small store opens while it works, and the HTTP listener with it: tables, logs, files of loads,
	// stages.
	leastSpare = 384

	leastConnections = 64
)

// errFiles says that the process may open too few files.
var errFiles = errors.New("too few")

// spareFiles is how many files stay for the store and the HTTP listener to open, besides those that are open: a quarter
// of all, and at most a thousand.
func spareFiles(files int) int { return max(leastSpare, min(files/4, 1000)) }

// connectionsOf is how many connections a process may take that may have so many files open, of which some are used; 0:
// nobody knows.
func connectionsOf(files, used int) int {
	if files == 0 {
		return 0
	}
	return files - used - spareFiles(files)
}

// enoughFiles refuses a limit at which connections could take the files that the store needs.
func enoughFiles(files, used int) error {
	if files == 0 || connectionsOf(files, used) >= leastConnections {
		return nil
	}
	return fmt.Errorf("this process may open %d files, which is %w: the store needs at least %d", files, errFiles, used+leastSpare+leastConnections)
}
