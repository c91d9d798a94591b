package peer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/dncd/dncd/internal/phone"
)

// RedisSet is a redis-server of its own that holds a set of numbers, in memory alone.
type RedisSet struct {
	// Addr is where it answers, on loopback.
	Addr string
	// Key of the set, whose members are E.164 digits without a plus.
	Key string
	// PID of the process.
	PID int

	server *redisServer
}

// RedisMissing says why no redis-server can be started here, or nothing.
func RedisMissing() string { return redisMissing() }

// StartRedisSet starts a redis-server with an empty directory and fills it, by pipelined SADD.
func StartRedisSet(ctx context.Context, dir string, numbers NumberReader) (*RedisSet, error) {
	port, err := freePort(ctx)
	if err != nil {
		return nil, err
	}
	load := redisLoad{members: 1000, port: port}
	server, err := load.start(ctx, dir)
	if err != nil {
		return nil, err
	}
	if err := load.pipelines(ctx, server.client, numbers); err != nil {
		server.end()
		return nil, fmt.Errorf("fill redis-server: %w", err)
	}
	return &RedisSet{
		Addr: fmt.Sprintf("127.0.0.1:%d", port), Key: redisKey, PID: server.cmd.Process.Pid, server: server,
	}, nil
}

// End ends the process.
func (r *RedisSet) End() { r.server.end() }

// freePort finds one that nobody uses. Redis cannot be asked to take any.
func freePort(ctx context.Context) (int, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	at, ok := l.Addr().(*net.TCPAddr)
	if !ok {
		return 0, errors.Join(errors.New("not a TCP address"), l.Close())
	}
	return at.Port, l.Close()
}

// NumberReader reads numbers; 0 and io.EOF after the last.
type NumberReader interface {
	Next(batch []phone.Number) (int, error)
}

// ReaderFunc is a NumberReader of digits.
type ReaderFunc func(batch []uint64) (int, error)

// Next implements NumberReader.
func (f ReaderFunc) Next(batch []phone.Number) (int, error) {
	digits := make([]uint64, len(batch))
	n, err := f(digits)
	if err != nil && !errors.Is(err, io.EOF) {
		return 0, err
	}
	for i, d := range digits[:n] {
		batch[i] = phone.Number(d)
	}
	return n, err
}
