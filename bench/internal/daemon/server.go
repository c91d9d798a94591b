package daemon

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/dncd/dncd/bench/internal/process"
)

// stopLimit is how long a server may take to close its store.
const stopLimit = 5 * time.Minute

// Server is a dncd that runs.
type Server struct {
	// Addr is where it answers.
	Addr string
	// PID of the process.
	PID int

	cmd   *exec.Cmd
	log   *process.Tail
	ended chan error
}

// Start starts a dncd on a directory and a free port, and returns once it serves.
// The end of ctx kills it.
func (p Programs) Start(ctx context.Context, data string) (*Server, error) {
	return p.StartAt(ctx, data, "127.0.0.1:0")
}

// StartAt is Start at an address.
func (p Programs) StartAt(ctx context.Context, data, listen string) (*Server, error) {
	return start(ctx, p.dncd, "--data", data, "--init", "--listen", listen, "--http", "", "--min-free", "256MiB")
}

// ServeCommand is the command of this program that serves a store as dncd does, with what measuring adds to it.
const ServeCommand = "serve"

// StartSelf starts this program again as ServeCommand on a directory, with these options.
func StartSelf(ctx context.Context, data string, options ...string) (*Server, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return start(ctx, self, append([]string{ServeCommand, "--data", data}, options...)...)
}

func start(ctx context.Context, program string, args ...string) (*Server, error) {
	s := &Server{log: new(process.Tail), ended: make(chan error, 1)}
	s.cmd = exec.CommandContext(ctx, program, args...)
	s.cmd.Env = environment()
	s.cmd.Stderr = s.log
	stdout, err := s.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := s.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start dncd: %w", err)
	}
	s.PID = s.cmd.Process.Pid
	line, err := bufio.NewReader(stdout).ReadString('\n')
	go func() {
		_, _ = io.Copy(io.Discard, stdout)
		s.ended <- s.cmd.Wait()
	}()
	var found bool
	if s.Addr, found = addressIn(line); err != nil || !found {
		s.Kill()
		return nil, fmt.Errorf("start dncd: it does not serve: %s", s.log)
	}
	return s, nil
}

// Said is the end of what it wrote to its log.
func (s *Server) Said() string { return s.log.String() }

// addressIn finds the address in the line that tells that dncd serves.
func addressIn(line string) (string, bool) {
	rest, ok := strings.CutPrefix(line, "dncd serves ")
	address, _, more := strings.Cut(rest, " ")
	return address, ok && more
}

// Stop stops the server as an operator does, and returns how long it took.
func (s *Server) Stop() (time.Duration, error) {
	start := time.Now()
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return 0, fmt.Errorf("stop dncd: %w: %s", err, s.log)
	}
	select {
	case err := <-s.ended:
		s.ended <- err
		if err != nil {
			return 0, fmt.Errorf("stop dncd: %w: %s", err, s.log)
		}
		return time.Since(start), nil
	case <-time.After(stopLimit):
		return 0, errors.New("stop dncd: it goes on")
	}
}

// End stops the server, or finds that it has ended. It fails only if the server still
// runs after the limit, and kills it then.
func (s *Server) End(limit time.Duration) error {
	_ = s.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	select {
	case err := <-s.ended:
		s.ended <- err
		return nil
	case <-time.After(limit):
		s.Kill()
		return fmt.Errorf("stop dncd: it still ran after %v: %s", limit, s.log)
	}
}

// Running reports whether the process has not ended.
func (s *Server) Running() bool {
	select {
	case err := <-s.ended:
		s.ended <- err
		return false
	default:
		return true
	}
}

// Kill ends the server if it runs, at once.
func (s *Server) Kill() {
	_ = s.cmd.Process.Kill() // it may have ended
	s.ended <- <-s.ended
}

// environment is that of the process without what would change a program's flags.
func environment() []string { return process.Environment(os.Environ(), "DNCD_", "DNC_") }
