package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/dncd/dncd/bench/internal/daemon"
	"github.com/dncd/dncd/bench/internal/report"
	"github.com/dncd/dncd/client"
)

// site is a store whose server is killed and comes back at the same address.
type site struct {
	bench   *killBench
	dir     string
	server  *daemon.Server
	proxy   *daemon.ImportProxy // where loads go
	client  *client.Client
	optOuts *optOuts

	loads           int // so many contents, one after the other
	before, content content
}

func (s *site) open(ctx context.Context) (err error) {
	if s.server, s.client, err = s.bench.space.start(ctx, s.dir); err != nil {
		return err
	}
	if s.proxy, err = daemon.NewImportProxy(ctx, "127.0.0.1:0", s.server.Addr); err != nil {
		s.server.Kill()
	}
	return err
}

// killServer ends the server and what is under way, and starts it again.
func (s *site) killServer(ctx context.Context) (err error) {
	s.server.Kill()
	s.proxy.Close()
	if s.server, err = s.bench.space.programs.StartAt(ctx, s.dir, s.server.Addr); err != nil {
		return err
	}
	s.proxy, err = daemon.NewImportProxy(ctx, s.proxy.Addr, s.server.Addr)
	return err
}

func (s *site) close() {
	_ = s.client.Close()
	s.proxy.Close()
	if s.server != nil {
		s.server.Kill()
	}
}

// fsck stops the server and verifies its store.
func (s *site) fsck(ctx context.Context) error {
	if _, err := s.server.Stop(); err != nil {
		return err
	}
	return s.bench.space.programs.Fsck(ctx, s.dir)
}

// verify holds the list and its history against what was loaded.
func (s *site) verify(ctx context.Context) error {
	programs := s.bench.space.programs
	want := compareWith(s.content)
	err := programs.Export(ctx, s.server.Addr, listName, want)
	if err := errors.Join(err, want.fault); err != nil {
		return err
	}
	if err := want.end(); err != nil {
		return err
	}
	records, err := programs.Imports(ctx, s.server.Addr, listName)
	if err != nil {
		return err
	}
	return s.account(records)
}

// account checks that every load adds up, and that each content switched once.
func (s *site) account(records []daemon.Record) error {
	switched := 0
	for _, r := range records {
		if r.Accepted+r.Duplicates+r.Rejected != r.Read {
			return fmt.Errorf("dnc imports: a load does not add up: %+v", r)
		}
		if r.State == "SWITCHED" {
			switched++
		}
	}
	if switched != s.loads {
		return fmt.Errorf("dnc imports: %d loads switched after %d contents", switched, s.loads)
	}
	if n := uint64(s.bench.numbers); records[0].Accepted != n || records[0].Numbers != n {
		return fmt.Errorf("dnc imports: the newest load is not of %d numbers: %+v", n, records[0])
	}
	return nil
}

// round replaces the list, and kills.
type round struct {
	*site
	row    *report.Kill
	victim string
	at     time.Duration // after the start of dnc

	patience time.Duration // of dnc, however often it is run
	rnd      *rand.Rand
}

func (r *round) run(ctx context.Context) error {
	files, err := r.nextFiles(ctx)
	if err != nil {
		return err
	}
	numbers := compareContents(r.before, r.content, r.rnd)
	w := startWatch(ctx, r.client, numbers, r.optOuts, r.rnd)
	if err := errors.Join(r.load(ctx, files), w.end(ctx)); err != nil {
		return err
	}
	r.row.Checks += w.checks
	if err := r.verify(ctx); err != nil {
		return err
	}
	if r.victim == victimServer && strings.Contains(r.server.Said(), "finished the load that was interrupted") {
		r.row.Finished++
	}
	return nil
}

// load loads the files in spite of the kill.
func (r *round) load(ctx context.Context, files []string) error {
	limited, cancel := context.WithTimeout(ctx, r.patience) // ends a dnc that does not end; not the server
	defer cancel()
	r.proxy.Reset()
	dnc, err := r.start(limited, files)
	if err != nil {
		return err
	}
	select {
	case <-time.After(r.at - time.Since(dnc.Started)):
	case <-dnc.Ended():
	}
	phase := r.proxy.Phase()
	if err := r.kill(ctx, dnc); err != nil {
		return err
	}
	r.row.Phases[phase]++
	again, err := r.finish(limited, dnc, files)
	if err != nil {
		return fmt.Errorf("killed while %s: %w", phase, err)
	}
	if again == 0 {
		r.row.SameProcess++
	} else {
		r.row.NewProcess++
	}
	return nil
}

func (r *round) start(ctx context.Context, files []string) (*daemon.Importing, error) {
	return r.bench.space.programs.StartImport(ctx, r.proxy.Addr, listName, files)
}

func (r *round) kill(ctx context.Context, dnc *daemon.Importing) error {
	if r.victim == victimClient {
		dnc.Kill()
		return nil
	}
	return r.killServer(ctx)
}

// finish waits for dnc and runs it again until the list is loaded. It returns how
// often that was.
func (r *round) finish(ctx context.Context, dnc *daemon.Importing, files []string) (again int, err error) {
	const tries = 20
	for {
		i, err := dnc.Wait()
		if strings.Contains(dnc.Said(), "resuming the import") {
			r.row.WentOn++
		}
		if n := uint64(r.bench.numbers); err == nil && (i.Read != n || i.Accepted != n || i.Numbers != n) {
			return again, fmt.Errorf("dnc import says %+v of %d numbers", i, n)
		}
		if ctx.Err() != nil {
			return again, errors.Join(err, ctx.Err())
		}
		if err == nil || again == tries {
			return again, err
		}
		if again++; again > 1 {
			r.bench.space.say("run again once more: %v", err)
			if err := sleep(ctx, 200*time.Millisecond); err != nil {
				return again, err
			}
		}
		if dnc, err = r.start(ctx, files); err != nil {
			return again, err
		}
	}
}
