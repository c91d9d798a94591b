package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/dncd/dncd/bench/internal/daemon"
	"github.com/dncd/dncd/client"
	"github.com/dncd/dncd/internal/feed"
)

// The bases, by the names of their subscribers.
const (
	sqliteName = "by-dnc-follow"
	memoryName = "by-client"
	filesName  = "by-files"
	deadName   = "dead"
)

// The lists.
const (
	changingName = "changing"
	deletedName  = "deleted"
)

// basesSite is a server and its four bases.
type basesSite struct {
	bench  *basesBench
	data   string // of the server
	server *daemon.Server
	client *client.Client

	list, deleted changingList
	listID        string // of list, as rows name it
	objectors     []*objector
	writes        objections // of all

	follow *daemon.Following
	sqlite sqliteBase
	memory *memoryBase
	files  *fileBase
	end    func() error // of the follower in memory
}

// open starts the server, loads the lists and registers the bases.
func (b *basesBench) open(ctx context.Context) (s *basesSite, err error) {
	s = &basesSite{bench: b, memory: &memoryBase{}, end: func() error { return nil }}
	if s.data, err = b.space.empty(); err != nil {
		return nil, err
	}
	if s.list, err = newChangingList(b.numbers, b.seed); err != nil {
		return nil, err
	}
	if s.deleted, err = newChangingList(max(b.numbers/10, changingGroup-1), b.seed+1); err != nil {
		return nil, err
	}
	if s.server, s.client, err = b.space.start(ctx, s.data); err != nil {
		return nil, err
	}
	if err := s.prepare(ctx); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

// close ends what runs.
func (s *basesSite) close() error {
	err := s.end()
	if s.follow != nil {
		err = errors.Join(err, s.follow.Stop())
	}
	err = errors.Join(err, s.client.Close())
	s.server.Kill()
	return err
}

func (s *basesSite) prepare(ctx context.Context) error {
	if _, err := s.client.PutDesk(ctx, deskName, client.DeskChange{}); err != nil {
		return err
	}
	for name, content := range map[string]changingList{changingName: s.list, deletedName: s.deleted} {
		if _, err := s.client.CreateList(ctx, client.ListSpec{Name: name, Kind: client.KindSuppression, Scope: baseScope}); err != nil {
			return err
		}
		if _, err := replaceList(ctx, s.client, name, content); err != nil {
			return err
		}
	}
	s.makeObjectors()
	for _, name := range []string{sqliteName, memoryName, filesName, deadName} {
		if err := s.register(ctx, name); err != nil {
			return err
		}
	}
	s.sqlite = sqliteBase(s.path(sqliteName + ".sqlite"))
	s.files = &fileBase{name: filesName, dir: s.path("feeds"), key: s.path(filesName + ".key"), rows: rows{}, dnc: s.dnc}
	return os.Mkdir(s.files.dir, 0o700)
}

// makeObjectors shares out the numbers that leave the list, a tenth of the writes at most.
func (s *basesSite) makeObjectors() {
	leaving := s.list.leaving(int(s.bench.duration.Seconds()*float64(s.bench.rate)) / 10)
	for worker := range s.bench.recorders {
		own := leaving[len(leaving)*worker/s.bench.recorders : len(leaving)*(worker+1)/s.bench.recorders]
		s.objectors = append(s.objectors, newObjector(s.client, s.bench.seed, worker, own))
	}
}

// register makes the key of a base, and registers it.
func (s *basesSite) register(ctx context.Context, name string) error {
	private, public, err := feed.NewKey(name)
	if err != nil {
		return err
	}
	if err := os.WriteFile(s.path(name+".key"), []byte(private), 0o600); err != nil {
		return err
	}
	_, err = s.client.PutSubscriber(ctx, name, client.SubscriberChange{
		Kind: client.SubscriberInternal, Scopes: &[]string{baseScope}, Lists: &[]string{changingName, deletedName}, Keys: &[]string{public.Text()},
	})
	return err
}

func (s *basesSite) path(name string) string { return filepath.Join(s.bench.space.dir, name) }

func (s *basesSite) key(name string) string {
	text, _ := os.ReadFile(s.path(name + ".key")) // a key that cannot be read is refused
	return string(text)
}

func (s *basesSite) dnc(ctx context.Context, args ...string) (string, error) {
	return s.bench.space.programs.Dnc(ctx, s.server.Addr, args...)
}

// begin has each base take its snapshot; all but the dead one follow from then on.
func (s *basesSite) begin(ctx context.Context) (err error) {
	once := client.FollowOptions{Subscriber: deadName, Base: &memoryBase{}, Key: s.key(deadName), Once: true}
	if err := s.client.Follow(ctx, once); err != nil {
		return err
	}
	if s.follow, err = s.bench.space.programs.Follow(ctx, s.server.Addr, sqliteName, string(s.sqlite), s.path(sqliteName+".key")); err != nil {
		return err
	}
	s.followInMemory(ctx)
	if err := errors.Join(s.files.take(ctx), s.awaitLag(ctx)); err != nil {
		return err
	}
	state, err := s.memory.Load(ctx)
	for _, l := range state.Lists {
		if l.Name == changingName {
			s.listID = l.ID
		}
	}
	return err
}

func (s *basesSite) followInMemory(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	o := client.FollowOptions{Subscriber: memoryName, Base: s.memory, Key: s.key(memoryName)}
	go func() { ended <- s.client.Follow(ctx, o) }()
	s.end = func() error {
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			return fmt.Errorf("client.Follow: %w", err)
		}
		return nil
	}
}

// happen records, changes the one list and deletes the other, while files are taken.
func (s *basesSite) happen(ctx context.Context) error {
	quiet, stop := context.WithCancel(ctx)
	defer stop()
	all, ctx := errgroup.WithContext(ctx)
	all.Go(func() error {
		defer stop()
		_, err := paced(ctx, s.bench.rate, len(s.objectors), s.bench.duration, func(worker int) error { return s.objectors[worker].write(ctx) })
		return err
	})
	all.Go(func() error {
		if err := sleep(ctx, s.bench.duration/3); err != nil {
			return err
		}
		if _, err := replaceList(ctx, s.client, changingName, s.list.changed()); err != nil {
			return err
		}
		_, err := s.client.DeleteList(ctx, deletedName, true)
		return err
	})
	all.Go(func() error {
		for sleep(quiet, s.bench.duration/10) == nil {
			if err := s.files.take(ctx); err != nil {
				return err
			}
		}
		return nil
	})
	err := all.Wait()
	for _, o := range s.objectors {
		s.writes.add(o.writes)
	}
	return err
}

// settle waits until all but the dead one have everything.
func (s *basesSite) settle(ctx context.Context) error {
	if err := s.files.take(ctx); err != nil {
		return err
	}
	return s.awaitLag(ctx)
}

// awaitLag waits until nothing is pending, at any stage, for any base but the dead one.
func (s *basesSite) awaitLag(ctx context.Context) error {
	const patience = 2 * time.Minute
	for began := time.Now(); ; {
		behind, err := s.behind(ctx)
		if err != nil || len(behind) == 0 {
			return err
		}
		if time.Since(began) > patience {
			return fmt.Errorf("still behind: %s", strings.Join(behind, ", "))
		}
		if err := sleep(ctx, 100*time.Millisecond); err != nil {
			return err
		}
	}
}

// behind are the bases for which something is pending.
func (s *basesSite) behind(ctx context.Context) (names []string, err error) {
	for status, err := range s.client.Subscribers(ctx) {
		if err != nil {
			return nil, err
		}
		for _, stage := range status.Stages {
			if status.Name != deadName && (stage.Pending > 0 || stage.AcknowledgedAt.IsZero() || !stage.Signed) {
				names = append(names, fmt.Sprintf("%s %s by %d", status.Name, stage.Stage, stage.Pending))
			}
		}
	}
	return names, nil
}
