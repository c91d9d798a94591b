package daemon

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
)

// Exit codes of dncd fsck.
const (
	FsckWhole    = 0 // whole, or repaired
	FsckProblems = 1
	FsckFailed   = 2 // it could not look
)

// Fsck is what dncd fsck said.
type Fsck struct {
	Code int
	Said string
}

// Fsck verifies the store of a stopped server with `dncd fsck`.
func (p Programs) Fsck(ctx context.Context, data string) error {
	f, err := p.RunFsck(ctx, data)
	if err == nil && f.Code != FsckWhole {
		err = fmt.Errorf("dncd fsck: exit code %d: %s", f.Code, f.Said)
	}
	return err
}

// RunFsck runs `dncd fsck` with these flags besides --data. An error means that it did
// not run to its end.
func (p Programs) RunFsck(ctx context.Context, data string, flags ...string) (Fsck, error) {
	cmd := exec.CommandContext(ctx, p.dncd, append([]string{"fsck", "--data", data}, flags...)...)
	cmd.Env = environment()
	out, err := cmd.CombinedOutput()
	f := Fsck{Code: cmd.ProcessState.ExitCode(), Said: string(bytes.TrimSpace(out))}
	var ended *exec.ExitError
	if errors.As(err, &ended) && ended.Exited() {
		err = nil
	}
	if err != nil {
		err = fmt.Errorf("dncd fsck: %w: %s", err, f.Said)
	}
	return f, err
}

// Whole reports that every check is answered in full: older content, which only as-of reads need, may be damaged.
func (f Fsck) Whole() bool {
	return f.Code == FsckWhole || f.Code == FsckProblems && !f.Names("problem:", "") && strings.Contains(f.Said, " is whole: ")
}

var lostLine = regexp.MustCompile(`(?m)^lost: acknowledged revisions? (\d+)(?: to (\d+))?$`)

// Lost reports whether it named the revision as gone.
func (f Fsck) Lost(revision uint64) bool {
	for _, m := range lostLine.FindAllStringSubmatch(f.Said, -1) {
		from, _ := strconv.ParseUint(m[1], 10, 64)
		to, err := strconv.ParseUint(m[2], 10, 64)
		if err != nil {
			to = from
		}
		if from <= revision && revision <= to {
			return true
		}
	}
	return false
}

// Names reports whether a line that begins with prefix holds the word.
func (f Fsck) Names(prefix, word string) bool {
	for line := range strings.Lines(f.Said) {
		if strings.HasPrefix(line, prefix) && strings.Contains(line, word) {
			return true
		}
	}
	return false
}
