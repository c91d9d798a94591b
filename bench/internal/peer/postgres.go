package peer

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/dncd/dncd/bench/internal/process"
	"github.com/dncd/dncd/internal/phone"
)

const (
	postgresUser   = "postgres"
	postgresTable  = "CREATE TABLE listed (number bigint PRIMARY KEY)"
	postgresCopy   = "COPY listed FROM STDIN"
	postgresCounts = "SELECT count(*), pg_total_relation_size('listed') FROM listed"
)

func postgresPeers() []Peer {
	return []Peer{{
		Name: "postgres-copy", Store: "postgres",
		Note: "COPY into a table with a primary key; defaults but shared_buffers 1GB, max_wal_size 8GB",
		load: loadPostgres,
		missing: func() string {
			if _, err := postgresBin(); err != nil {
				return err.Error()
			}
			return ""
		},
	}}
}

// postgresBin returns the directory of the newest whole installation: it is not on
// the PATH of every system.
func postgresBin() (string, error) {
	dirs, err := filepath.Glob("/usr/lib/postgresql/*/bin")
	if err != nil {
		return "", err
	}
	version := func(dir string) int {
		n, _ := strconv.Atoi(filepath.Base(filepath.Dir(dir)))
		return n
	}
	slices.SortFunc(dirs, func(a, b string) int { return version(b) - version(a) })
	if path, err := exec.LookPath("initdb"); err == nil {
		dirs = append(dirs, filepath.Dir(path))
	}
	for _, dir := range dirs {
		whole := true
		for _, program := range []string{"initdb", "postgres", "psql"} {
			_, err := os.Stat(filepath.Join(dir, program))
			whole = whole && err == nil
		}
		if whole {
			return dir, nil
		}
	}
	return "", errors.New("postgresql is not installed")
}

func loadPostgres(ctx context.Context, in Input) (Result, error) {
	s, err := startPostgres(ctx, in.Dir)
	if err != nil {
		return Result{}, err
	}
	defer s.end()
	if _, err := s.query(ctx, postgresTable, nil); err != nil {
		return Result{}, err
	}
	numbers, err := OpenNumbers(in.Files, in.Count)
	if err != nil {
		return Result{}, err
	}
	defer numbers.Close()
	start := time.Now()
	if _, err := s.query(ctx, postgresCopy, numbers); err != nil {
		return Result{}, err
	}
	r := Result{Seconds: time.Since(start).Seconds()}
	counts, err := s.query(ctx, postgresCounts, nil)
	if err != nil {
		return Result{}, err
	}
	if _, err := fmt.Sscanf(counts, "%d|%g", &r.Held, &r.Disk); err != nil {
		return Result{}, fmt.Errorf("read counts %q: %w", counts, err)
	}
	return r, s.stop()
}

// postgresServer is an instance of its own, on a unix socket.
type postgresServer struct {
	bin    string
	socket string // directory
	as     func(*exec.Cmd)
	cmd    *exec.Cmd
	said   process.Tail
	ended  chan error
}

func startPostgres(ctx context.Context, dir string) (_ *postgresServer, err error) {
	s := &postgresServer{ended: make(chan error, 1)}
	if s.bin, err = postgresBin(); err != nil {
		return nil, err
	}
	as, give, err := process.AsUser(postgresUser)
	if err != nil {
		return nil, err
	}
	s.as = as
	if s.socket, err = os.MkdirTemp("", "pg"); err != nil {
		return nil, err
	}
	if err := errors.Join(give(s.socket), give(dir), s.launch(ctx, dir)); err != nil {
		return nil, errors.Join(err, os.RemoveAll(s.socket))
	}
	ready := func() error {
		_, err := s.query(ctx, "SELECT 1", nil)
		return err
	}
	if err := waitFor(ctx, ready, s.ended); err != nil {
		s.end()
		return nil, fmt.Errorf("start postgres: %w: %s", err, s.said.String())
	}
	return s, nil
}

// launch makes the instance and starts it.
func (s *postgresServer) launch(ctx context.Context, dir string) error {
	data := filepath.Join(dir, "data")
	initdb := s.command(ctx, "initdb", "-D", data, "-U", postgresUser, "-A", "trust", "-E", "UTF8", "--locale", "C", "-N")
	if out, err := initdb.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w: %s", err, out)
	}
	s.cmd = s.command(ctx, "postgres", "-D", data, "-k", s.socket, "-c", "listen_addresses=",
		"-c", "shared_buffers=1GB", "-c", "max_wal_size=8GB")
	s.cmd.Cancel = func() error { return s.cmd.Process.Signal(syscall.SIGQUIT) } // with its children
	s.cmd.Stderr = &s.said
	if err := s.cmd.Start(); err != nil {
		return err
	}
	go func() { s.ended <- s.cmd.Wait() }()
	return nil
}

func (s *postgresServer) command(ctx context.Context, program string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(s.bin, program), args...)
	cmd.Dir = "/" // the user may not enter the working directory
	cmd.Env = process.Environment(os.Environ(), "PG")
	s.as(cmd)
	return cmd
}

// query runs a statement with psql, which is given numbers as lines unless nil, and
// returns what it prints.
func (s *postgresServer) query(ctx context.Context, sql string, numbers *Numbers) (string, error) {
	cmd := s.command(ctx, "psql", "-h", s.socket, "-U", postgresUser, "-qtAX", "-v", "ON_ERROR_STOP=1", "-c", sql)
	var said process.Tail
	cmd.Stderr = &said
	var feeding error
	fed := make(chan struct{})
	close(fed)
	if numbers != nil {
		stdin, err := cmd.StdinPipe()
		if err != nil {
			return "", err
		}
		fed = make(chan struct{})
		go func() {
			defer close(fed)
			feeding = errors.Join(writeLines(stdin, numbers), stdin.Close())
		}()
	}
	out, err := cmd.Output()
	<-fed
	if err := errors.Join(err, feeding); err != nil {
		return "", fmt.Errorf("psql: %w: %s", err, said.String())
	}
	return strings.TrimSpace(string(out)), nil
}

func writeLines(w io.Writer, numbers *Numbers) error {
	buffered := bufio.NewWriterSize(w, 64<<10)
	batch := make([]phone.Number, 4096)
	var line []byte
	for {
		n, err := numbers.Next(batch)
		if err == io.EOF {
			return buffered.Flush()
		}
		if err != nil {
			return err
		}
		for _, number := range batch[:n] {
			line = append(strconv.AppendUint(line[:0], uint64(number), 10), '\n')
			if _, err := buffered.Write(line); err != nil {
				return err
			}
		}
	}
}

// stop ends the instance cleanly.
func (s *postgresServer) stop() error {
	if runtime.GOOS == "windows" {
		return errors.New("stop postgres: there are no signals here")
	}
	if err := s.cmd.Process.Signal(syscall.SIGINT); err != nil {
		return err
	}
	err := <-s.ended
	s.ended <- err
	return err
}

// end ends the instance however it is.
func (s *postgresServer) end() {
	_ = s.cmd.Process.Signal(syscall.SIGQUIT) // it may have ended
	s.ended <- <-s.ended
	_ = os.RemoveAll(s.socket)
}
