package daemon

import (
	"errors"
	"fmt"
)

const (
	maxOpenFiles = 1 << 20 // more than any server has connections: in effect no limit

	// leastSpare is how many files a small store and the HTTP listener open while they work: tables, logs, files of
	// loads, stages.
	leastSpare = 384

	leastConnections = 64
)

// errFiles says that the process may open too few files.
var errFiles = errors.New("too few")

// spareFiles is how many more files the store and the HTTP listener may open: a quarter of all, and at most a thousand.
func spareFiles(files int) int { return max(leastSpare, min(files/4, 1000)) }

// connectionsOf is how many connections a process may accept that may open that many files, some of which are used. 0:
// not known.
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
