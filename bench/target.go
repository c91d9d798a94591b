package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/rueidis"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/dncd/dncd/bench/internal/report"
	"github.com/dncd/dncd/client"
	"github.com/dncd/dncd/internal/codec"
	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
)

// target is one way to ask.
type target struct {
	name string
	size int // numbers a call
	// asker makes the i-th caller's; the end of ctx releases what it holds.
	asker func(ctx context.Context, i int) (asker, error)
}

// Errors of an answer that is wrong. They name no number.
var (
	errNotBlocked = errors.New("a listed number was not answered BLOCK")
	errNotAllowed = errors.New("a number that is not listed was not answered ALLOW")
)

// hold compares an answer with what is known.
func (p probe) hold(blocked, allowed bool) error {
	switch {
	case p.isListed() && !blocked:
		return errNotBlocked
	case !p.isListed() && !allowed:
		return errNotAllowed
	}
	return nil
}

func (p probe) holdVerdict(v dncv1.Verdict) error {
	return p.hold(v == dncv1.Verdict_VERDICT_BLOCK, v == dncv1.Verdict_VERDICT_ALLOW)
}

// connections is how many a process has, as many as the client by default.
const connections = 2

// stubs are connections without the client around them.
type stubs []*grpc.ClientConn

func dialStubs(addr string, count int) (stubs, error) {
	var s stubs
	for range count {
		conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithInitialWindowSize(1<<20), grpc.WithInitialConnWindowSize(2<<20),
			grpc.WithDefaultCallOptions(grpc.ForceCodecV2(codec.New()))) // as the client
		if err != nil {
			return nil, errors.Join(err, s.close())
		}
		s = append(s, conn)
	}
	return s, nil
}

func (s stubs) close() error {
	var errs []error
	for _, conn := range s {
		errs = append(errs, conn.Close())
	}
	return errors.Join(errs...)
}

func (s stubs) checks(i int) dncv1.CheckServiceClient {
	return dncv1.NewCheckServiceClient(s[i%len(s)])
}

// empty is a call of gRPC's own health service, on the same server: what gRPC itself costs. Its answer is one field.
func (s stubs) empty() target {
	return target{report.CaseEmpty, 1, func(_ context.Context, i int) (asker, error) {
		health := healthv1.NewHealthClient(s[i%len(s)])
		return func(ctx context.Context, _ []probe) error {
			_, err := health.Check(ctx, &healthv1.HealthCheckRequest{})
			return err
		}, nil
	}}
}

// unary is CheckNumber by the generated stub.
func (s stubs) unary() target {
	return target{report.CaseUnary, 1, func(_ context.Context, i int) (asker, error) {
		checks := s.checks(i)
		return func(ctx context.Context, probes []probe) error {
			answer, err := checks.CheckNumber(ctx, &dncv1.CheckNumberRequest{Number: probes[0].e164()})
			if err != nil {
				return err
			}
			return probes[0].holdVerdict(answer.GetVerdict())
		}, nil
	}}
}

// viaClient is Check of the Go client.
func viaClient(name string, c *client.Client) target {
	return target{name, 1, func(context.Context, int) (asker, error) {
		return func(ctx context.Context, probes []probe) error {
			r, err := c.Check(ctx, probes[0].e164())
			if err != nil {
				return err
			}
			return probes[0].hold(r.Verdict == client.Block, r.Verdict == client.Allow)
		}, nil
	}}
}

// batch is CheckNumbers of fixed64.
func (s stubs) batch(size int) target {
	return target{report.CaseBatch, size, func(_ context.Context, i int) (asker, error) {
		checks, request := s.checks(i), &dncv1.CheckNumbersRequest{E164: make([]uint64, size)}
		return func(ctx context.Context, probes []probe) error {
			for i, p := range probes {
				request.E164[i] = p.digits()
			}
			answer, err := checks.CheckNumbers(ctx, request)
			if err != nil {
				return err
			}
			verdicts := answer.GetVerdicts()
			if len(verdicts) != len(probes) {
				return fmt.Errorf("%d answers to %d numbers", len(verdicts), len(probes))
			}
			for i, p := range probes {
				if err := p.holdVerdict(verdicts[i]); err != nil {
					return err
				}
			}
			return nil
		}, nil
	}}
}

// stream is messages on a stream a caller, the next one once all of the last are answered.
func (s stubs) stream(size int) target {
	return target{report.CaseStream, size, func(ctx context.Context, i int) (asker, error) {
		stream, err := s.checks(i).StreamChecks(ctx)
		if err != nil {
			return nil, err
		}
		request := &dncv1.StreamChecksRequest{Checks: make([]*dncv1.StreamCheck, size)}
		numbers := make([]dncv1.StreamCheck_E164, size)
		for i := range request.Checks {
			request.Checks[i] = &dncv1.StreamCheck{Id: uint64(i), Subject: &numbers[i]}
		}
		return func(_ context.Context, probes []probe) error {
			for i, p := range probes {
				numbers[i].E164 = p.digits()
			}
			if err := stream.Send(request); err != nil {
				_, err = stream.Recv() // says why
				return err
			}
			for left := len(probes); left > 0; {
				answer, err := stream.Recv()
				if err != nil {
					return err
				}
				for _, a := range answer.GetAnswers() {
					if a.GetId() >= uint64(len(probes)) {
						return errors.New("an answer to a check that was not made")
					}
					if err := probes[a.GetId()].holdVerdict(a.GetVerdict()); err != nil {
						return err
					}
				}
				left -= len(answer.GetAnswers())
			}
			return nil
		}, nil
	}}
}

// redisOne is SISMEMBER by go-redis, a command a call.
func redisOne(c *redis.Client, key string) target {
	return target{report.CaseRedis, 1, func(context.Context, int) (asker, error) {
		return func(ctx context.Context, probes []probe) error {
			held, err := c.SIsMember(ctx, key, probes[0].text()).Result()
			if err != nil {
				return err
			}
			return probes[0].hold(held, !held)
		}, nil
	}}
}

// redisMany is SMISMEMBER by go-redis.
func redisMany(c *redis.Client, key string, size int) target {
	return target{report.CaseRedisMany, size, func(context.Context, int) (asker, error) {
		members := make([]any, size)
		return func(ctx context.Context, probes []probe) error {
			for i, p := range probes {
				members[i] = p.text()
			}
			held, err := c.SMIsMember(ctx, key, members...).Result()
			if err != nil {
				return err
			}
			if len(held) != len(probes) {
				return fmt.Errorf("%d answers to %d numbers", len(held), len(probes))
			}
			for i, p := range probes {
				if err := p.hold(held[i], !held[i]); err != nil {
					return err
				}
			}
			return nil
		}, nil
	}}
}

// rueidisOne is SISMEMBER by rueidis, which sends what is called at once in one pipeline.
func rueidisOne(c rueidis.Client, key string) target {
	return target{report.CaseRueidis, 1, func(context.Context, int) (asker, error) {
		return func(ctx context.Context, probes []probe) error {
			held, err := c.Do(ctx, c.B().Sismember().Key(key).Member(probes[0].text()).Build()).AsBool()
			if err != nil {
				return err
			}
			return probes[0].hold(held, !held)
		}, nil
	}}
}

// redisClients connect to a redis-server, set up as their makers do but for waiting: a call may wait for a connection.
func redisClients(addr string) (*redis.Client, rueidis.Client, error) {
	pipelined, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{addr}, DisableCache: true})
	if err != nil {
		return nil, nil, fmt.Errorf("rueidis: %w", err)
	}
	return redis.NewClient(&redis.Options{Addr: addr, PoolTimeout: time.Minute}), pipelined, nil
}
