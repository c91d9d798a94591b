package daemon

import (
	"context"
	"fmt"
	"os/exec"
	"syscall"

	"github.com/dncd/dncd/bench/internal/process"
)

// Dnc runs `dnc` with these arguments against a server, and returns what it printed.
func (p Programs) Dnc(ctx context.Context, addr string, args ...string) (string, error) {
	return output(p.command(ctx, addr, args))
}

func (p Programs) command(ctx context.Context, addr string, args []string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, p.dnc, args...)
	cmd.Env = append(environment(), "DNC_ADDR="+addr)
	return cmd
}

// Following is a `dnc follow` that runs.
type Following struct {
	cmd  *exec.Cmd
	said process.Tail
}

// Follow starts a `dnc follow` that keeps a file in step with a subscriber's feed. Stop must be called.
func (p Programs) Follow(ctx context.Context, addr, subscriber, db, key string) (*Following, error) {
	f := &Following{cmd: p.command(ctx, addr, []string{"follow", "--subscriber", subscriber, "--db", db, "--key", key})}
	f.cmd.Stderr = &f.said
	return f, f.cmd.Start()
}

// Stop stops it as a service manager does.
func (f *Following) Stop() error {
	err := f.cmd.Process.Signal(syscall.SIGTERM)
	if ended := f.cmd.Wait(); ended != nil {
		err = fmt.Errorf("dnc follow: %w: %s", ended, f.said.String())
	}
	return err
}
