package peer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"

	"github.com/dncd/dncd/bench/internal/process"
	"github.com/dncd/dncd/internal/phone"
)

// redisLoad is how numbers are sent: pipelines of commands over connections, so
// that the server never waits for the client.
type redisLoad struct {
	members int // of a command
	file    bool
	fsync   string // of the file; empty: every second
	port    int    // of TCP on loopback, beside the socket; 0: none
}

const (
	redisKey         = "listed"
	redisPipeline    = 10_000 // numbers
	redisConnections = 2
)

func redisPeers() []Peer {
	missing := redisMissing
	return []Peer{
		{"redis-sadd", "redis", "pipelined SADD, 1 number a command, in memory alone", redisLoad{members: 1}.run, missing},
		{"redis-sadd-1000", "redis", "pipelined SADD, 1,000 numbers a command, in memory alone", redisLoad{members: 1000}.run, missing},
		{"redis-aof", "redis", "as redis-sadd-1000, append-only file synced every second", redisLoad{members: 1000, file: true}.run, missing},
	}
}

func redisMissing() string {
	if _, err := exec.LookPath("redis-server"); err != nil {
		return "redis-server is not installed"
	}
	return ""
}

func (l redisLoad) run(ctx context.Context, in Input) (Result, error) {
	server, err := l.start(ctx, in.Dir)
	if err != nil {
		return Result{}, err
	}
	defer server.end()
	start := time.Now()
	if err := l.send(ctx, server.client, in); err != nil {
		return Result{}, err
	}
	r := Result{Seconds: time.Since(start).Seconds()}
	held, err := server.client.SCard(ctx, redisKey).Result()
	if err != nil {
		return Result{}, err
	}
	memory, err := process.MemoryOf(server.cmd.Process.Pid)
	if err != nil {
		return Result{}, err
	}
	cpu, err := process.CPUOf(server.cmd.Process.Pid)
	if err != nil {
		return Result{}, err
	}
	r.Held, r.Memory, r.MemoryPeak, r.CPU = int(held), memory.RSS, memory.RSSPeak, cpu.Seconds()
	if err := server.stop(); err != nil {
		return Result{}, err
	}
	disk, err := process.DiskOf(in.Dir)
	r.Disk = disk.Bytes
	return r, err
}

func (l redisLoad) send(ctx context.Context, client *redis.Client, in Input) error {
	numbers, err := OpenNumbers(in.Files, in.Count)
	if err != nil {
		return err
	}
	defer numbers.Close()
	group, ctx := errgroup.WithContext(ctx)
	for range redisConnections {
		group.Go(func() error { return l.pipelines(ctx, client, numbers) })
	}
	return group.Wait()
}

func (l redisLoad) pipelines(ctx context.Context, client *redis.Client, numbers NumberReader) error {
	batch := make([]phone.Number, redisPipeline)
	for {
		n, err := numbers.Next(batch)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		pipe := client.Pipeline()
		for from := 0; from < n; from += l.members {
			part := batch[from:min(from+l.members, n)]
			members := make([]any, len(part))
			for i, number := range part {
				members[i] = strconv.FormatUint(uint64(number), 10)
			}
			pipe.SAdd(ctx, redisKey, members...)
		}
		if _, err := pipe.Exec(ctx); err != nil {
			return err
		}
	}
}

// redisServer is an instance of its own, on a unix socket.
type redisServer struct {
	cmd    *exec.Cmd
	client *redis.Client
	socket string // directory
	said   process.Tail
	ended  chan error
}

func (l redisLoad) start(ctx context.Context, dir string) (*redisServer, error) {
	// A socket's path must be short, which dir may not be.
	socket, err := os.MkdirTemp("", "redis")
	if err != nil {
		return nil, err
	}
	s := &redisServer{socket: socket, ended: make(chan error, 1)}
	path := filepath.Join(socket, "s")
	args := []string{"--port", strconv.Itoa(l.port), "--bind", "127.0.0.1", "--unixsocket", path, "--dir", dir, "--save", "", "--appendonly", "no"}
	if l.file {
		args = append(args, "--appendonly", "yes", "--appendfsync", cmp.Or(l.fsync, "everysec"))
	}
	s.cmd = exec.CommandContext(ctx, "redis-server", args...)
	s.cmd.Stdout, s.cmd.Stderr = &s.said, &s.said
	if err := s.cmd.Start(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(socket))
	}
	go func() { s.ended <- s.cmd.Wait() }()
	s.client = redis.NewClient(&redis.Options{
		Network: "unix", Addr: path, PoolSize: redisConnections, ReadTimeout: time.Minute, WriteTimeout: time.Minute,
	})
	ready := func() error {
		if _, err := os.Stat(path); err != nil {
			return err
		}
		return s.client.Ping(ctx).Err()
	}
	if err := waitFor(ctx, ready, s.ended); err != nil {
		s.end()
		return nil, fmt.Errorf("start redis-server: %w: %s", err, s.said.String())
	}
	return s, nil
}

// stop ends the instance cleanly.
func (s *redisServer) stop() error {
	if err := errors.Join(s.client.Close(), s.cmd.Process.Signal(syscall.SIGTERM)); err != nil {
		return err
	}
	err := <-s.ended
	s.ended <- err
	return err
}

// end ends the instance however it is.
func (s *redisServer) end() {
	_ = s.client.Close()     // it may be closed
	_ = s.cmd.Process.Kill() // it may have ended
	s.ended <- <-s.ended
	_ = os.RemoveAll(s.socket)
}
