package daemon

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"time"

	"github.com/dncd/dncd/bench/internal/process"
)

// Import is what a load of files came to.
type Import struct {
	Accepted uint64 `json:"accepted"`
	Added    uint64 `json:"added"`
	Numbers  uint64 `json:"numbers"` // on the list after

	// Started and Took are of the whole process: from before it starts, text on
	// disk, to after its end, durable and served.
	Started time.Time     `json:"-"`
	Took    time.Duration `json:"-"`
	// CPU is its processor time, RSSPeak its memory in bytes.
	CPU     time.Duration `json:"-"`
	RSSPeak float64       `json:"-"`
}

// Import loads FTC files into a list with `dnc import`.
func (p Programs) Import(ctx context.Context, addr, list string, files []string) (Import, error) {
	args := append([]string{"import", "--addr", addr, "--output", "json", "--format", "ftc", "--list", list, "--"}, files...)
	cmd := exec.CommandContext(ctx, p.dnc, args...)
	cmd.Env = environment()
	var printed bytes.Buffer
	var said process.Tail
	cmd.Stdout, cmd.Stderr = &printed, &said
	i := Import{Started: time.Now()}
	if err := cmd.Start(); err != nil {
		return Import{}, err
	}
	peak := process.WatchPeak(cmd.Process.Pid)
	err := cmd.Wait()
	i.Took, i.RSSPeak = time.Since(i.Started), peak()
	if err != nil {
		return Import{}, fmt.Errorf("dnc import: %w: %s%s", err, said.String(), printed.String())
	}
	i.CPU = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	if err := json.Unmarshal(printed.Bytes(), &i); err != nil {
		return Import{}, fmt.Errorf("read what dnc import printed: %w", err)
	}
	return i, nil
}
