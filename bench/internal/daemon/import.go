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
	Read       uint64 `json:"read"`
	Accepted   uint64 `json:"accepted"`
	Duplicates uint64 `json:"duplicates"`
	Rejected   uint64 `json:"rejected"`
	Added      uint64 `json:"added"`
	Numbers    uint64 `json:"numbers"` // on the list after

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
	r, err := p.StartImport(ctx, addr, list, files)
	if err != nil {
		return Import{}, err
	}
	return r.Wait()
}

// Importing is a `dnc import` that runs.
type Importing struct {
	Started time.Time

	cmd     *exec.Cmd
	printed bytes.Buffer
	said    process.Tail
	peak    func() float64
	took    time.Duration
	ended   chan struct{}
	err     error // once ended
}

// ImportOptOuts records a file of opt-outs with `dnc import --opt-outs`.
func (p Programs) ImportOptOuts(ctx context.Context, addr, file string) (Import, error) {
	r, err := p.start(ctx, addr, []string{file}, "--opt-outs")
	if err != nil {
		return Import{}, err
	}
	return r.Wait()
}

// ImportConsents is ImportOptOuts of consents.
func (p Programs) ImportConsents(ctx context.Context, addr, file string) (Import, error) {
	r, err := p.start(ctx, addr, []string{file}, "--consents")
	if err != nil {
		return Import{}, err
	}
	return r.Wait()
}

// StartImport begins what Import does. Wait must be called.
func (p Programs) StartImport(ctx context.Context, addr, list string, files []string) (*Importing, error) {
	return p.start(ctx, addr, files, "--format", "ftc", "--list", list)
}

func (p Programs) start(ctx context.Context, addr string, files []string, flags ...string) (*Importing, error) {
	args := append([]string{"import", "--addr", addr, "--output", "json"}, flags...)
	args = append(append(args, "--"), files...)
	r := &Importing{cmd: exec.CommandContext(ctx, p.dnc, args...), ended: make(chan struct{})}
	r.cmd.Env = environment()
	r.cmd.Stdout, r.cmd.Stderr = &r.printed, &r.said
	r.Started = time.Now()
	if err := r.cmd.Start(); err != nil {
		return nil, err
	}
	r.peak = process.WatchPeak(r.cmd.Process.Pid)
	go func() {
		defer close(r.ended)
		r.err = r.cmd.Wait()
		r.took = time.Since(r.Started)
	}()
	return r, nil
}

// Ended is closed when the process has ended.
func (r *Importing) Ended() <-chan struct{} { return r.ended }

// Said is the end of what it wrote to stderr.
func (r *Importing) Said() string { return r.said.String() }

// Kill ends the process at once, with SIGKILL.
func (r *Importing) Kill() {
	_ = r.cmd.Process.Kill() // it may have ended
	<-r.ended
}

// Wait waits for the end. It is called once.
func (r *Importing) Wait() (Import, error) {
	<-r.ended
	i := Import{Started: r.Started, Took: r.took, RSSPeak: r.peak()}
	if r.err != nil {
		return Import{}, fmt.Errorf("dnc import: %w: %s%s", r.err, r.Said(), r.printed.String())
	}
	i.CPU = r.cmd.ProcessState.UserTime() + r.cmd.ProcessState.SystemTime()
	if err := json.Unmarshal(r.printed.Bytes(), &i); err != nil {
		return Import{}, fmt.Errorf("read what dnc import printed: %w", err)
	}
	return i, nil
}
