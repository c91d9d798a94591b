package peer

import (
	"context"
	"time"

	"github.com/redis/go-redis/v9"
)

// RedisStream is a stream of a redis-server that syncs each entry before it answers.
type RedisStream struct {
	PID    int
	server *redisServer
	adds   *redis.Client
}

const (
	streamKey  = "changes"
	addsAtOnce = 64
	addTime    = 10 * time.Second // of an entry, at most
)

// StartRedisStream starts a redis-server with an empty directory.
func StartRedisStream(ctx context.Context, dir string) (*RedisStream, error) {
	server, err := redisLoad{file: true, fsync: "always"}.start(ctx, dir)
	if err != nil {
		return nil, err
	}
	options := *server.client.Options()
	options.PoolSize, options.ReadTimeout, options.PoolTimeout = addsAtOnce, addTime, addTime
	return &RedisStream{PID: server.cmd.Process.Pid, server: server, adds: redis.NewClient(&options)}, nil
}

// Add adds an entry, and returns its id once it is durable.
func (s *RedisStream) Add(ctx context.Context, number string) (id string, err error) {
	return s.adds.XAdd(ctx, &redis.XAddArgs{Stream: streamKey, Values: []any{"number", number, "scope", "acme"}}).Result()
}

// Read calls take with the ids of entries as they come, over a connection of its own, until the context ends.
func (s *RedisStream) Read(ctx context.Context, take func(ids []string)) error {
	options := *s.server.client.Options()
	options.PoolSize, options.ReadTimeout = 1, -1
	reader := redis.NewClient(&options)
	defer reader.Close()
	last := "0"
	for {
		found, err := reader.XRead(ctx, &redis.XReadArgs{Streams: []string{streamKey, last}, Block: 0, Count: 1000}).Result()
		if err != nil {
			return err
		}
		var ids []string
		for _, m := range found[0].Messages {
			ids = append(ids, m.ID)
		}
		last = ids[len(ids)-1]
		take(ids)
	}
}

// End ends the process.
func (s *RedisStream) End() {
	_ = s.adds.Close() // the process ends anyway
	s.server.end()
}
