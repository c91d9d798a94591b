package daemon

import (
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
	started := time.Now()
	out, err := output(cmd)
	took := time.Since(started)
	if err != nil {
		return Import{}, err
	}
	i := Import{
		Started: started, Took: took,
		CPU:     cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(),
		RSSPeak: process.PeakOf(cmd.ProcessState),
	}
	if err := json.Unmarshal([]byte(out), &i); err != nil {
		return Import{}, fmt.Errorf("read what dnc import printed: %w", err)
	}
	return i, nil
}
