package daemon

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"time"

	"github.com/dncd/dncd/bench/internal/process"
)

// Scrub is a file of leads checked with `dnc check --file`.
type Scrub struct {
	// Summary is what it said at its end.
	Summary string
	// Took is of the whole process, CPU its processor time, RSSPeak its memory in bytes.
	Took    time.Duration
	CPU     time.Duration
	RSSPeak float64
}

// Scrub checks a csv whose numbers are in the column phone, and writes it with its answers. dnc is the path of
// another dnc than the one that was built; empty: that one.
func (p Programs) Scrub(ctx context.Context, dnc, addr, file, out string) (Scrub, error) {
	if dnc == "" {
		dnc = p.dnc
	}
	cmd := exec.CommandContext(ctx, dnc, "check", "--addr", addr, "--column", "phone", "--file", file, "--out", out)
	cmd.Env = environment()
	var said process.Tail
	cmd.Stderr = &said
	start := time.Now()
	if err := cmd.Start(); err != nil {
		return Scrub{}, err
	}
	peak := process.WatchPeak(cmd.Process.Pid)
	err := cmd.Wait()
	s := Scrub{Took: time.Since(start), RSSPeak: peak(), CPU: cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()}
	if err != nil {
		return s, fmt.Errorf("dnc check --file: %w: %s", err, said.String())
	}
	lines := bytes.Split([]byte(said.String()), []byte("\n")) // the last, behind how far it was
	s.Summary = string(lines[len(lines)-1])
	return s, nil
}
