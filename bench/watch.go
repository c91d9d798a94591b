package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/spf13/cobra"

	"github.com/dncd/dncd/bench/internal/peer"
	"github.com/dncd/dncd/bench/internal/process"
	"github.com/dncd/dncd/bench/internal/report"
	"github.com/dncd/dncd/client"
	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
)

// watchBench measures how fast opt-outs reach subscribers.
type watchBench struct {
	subscribers []int
	stopped     int
	rate        int
	recorders   int
	duration    time.Duration
	connections int
	idle        int
	data        string
	json        bool

	space *workspace
}

func watchCommand() *cobra.Command {
	var b watchBench
	cmd := &cobra.Command{
		Use:   "watch --subscribers N,N",
		Short: "Measure how long opt-outs take to subscribers that follow by stream",
		Long: `Measure how long opt-outs take to subscribers that follow by stream.

Opt-outs are recorded at a rate, each by a call that returns when it is durable. Every
subscriber has a filter and a log of its own. A delivery is timed from that return to
the moment at which the subscriber has the change; one that comes earlier counts as 0.
With --stopped N, N further subscribers never read. Where redis-server is installed,
redis streams carry as many entries to as many readers, with appendfsync always, and
are timed alike. With --idle, the processor time of subscribers to which nothing
happens is measured first, and what the server's memory grew by from before they
connected.`,
		Example: `  go run . watch --subscribers 10,100
  go run . watch --json --subscribers 100 --stopped 1 --idle 1000`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return b.run(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	f := cmd.Flags()
	f.IntSliceVar(&b.subscribers, "subscribers", []int{10, 100}, "how many follow, one measurement for each")
	f.IntVar(&b.stopped, "stopped", 0, "subscribers more that never read")
	f.IntVar(&b.rate, "rate", 1000, "opt-outs a second")
	f.IntVar(&b.recorders, "recorders", 64, "how many calls may be under way")
	f.DurationVar(&b.duration, "duration", 10*time.Second, "of a measurement; a fifth before it does not count")
	f.IntVar(&b.connections, "connections", 8, "over which subscribers follow")
	f.IntVar(&b.idle, "idle", 0, "subscribers to which nothing happens; 0: do not measure them")
	f.StringVar(&b.data, "data", "", "directory on the disk to measure (default: the system's for temporary files)")
	f.BoolVar(&b.json, "json", false, "print JSON, one object a line")
	return cmd
}

func (b *watchBench) run(ctx context.Context, out, log io.Writer) (err error) {
	if min(slices.Min(b.subscribers), b.rate, b.recorders, b.connections) < 1 || min(b.stopped, b.idle) < 0 || b.duration <= 0 {
		return errors.New("--subscribers, --rate, --recorders, --connections and --duration: above 0")
	}
	if b.space, err = newWorkspace(ctx, b.data, log); err != nil {
		return err
	}
	defer b.space.remove()
	var rows []report.Watch
	if b.idle > 0 {
		row, err := b.onServer(ctx, b.idle, b.restOn)
		if err != nil {
			return err
		}
		rows = append(rows, row)
	}
	for _, n := range b.subscribers {
		row, err := b.onServer(ctx, n, b.deliverFrom)
		if err != nil {
			return err
		}
		b.space.say("%d subscribers: p50 %.0f µs, p99 %.0f µs", n, row.P50, row.P99)
		rows = append(rows, row)
		if peer.RedisMissing() != "" {
			b.space.say("no redis streams beside it: %s", peer.RedisMissing())
			continue
		}
		if row, err = b.redis(ctx, n); err != nil {
			return err
		}
		rows = append(rows, row)
	}
	if b.json {
		return errors.Join(report.JSON(out, report.ThisMachine()), report.JSON(out, rows...))
	}
	return report.WatchTable(out, rows)
}

// followed is a server with the streams of its subscribers.
type followed struct {
	pid     int
	before  process.Memory // they connected
	client  *client.Client
	streams []dncv1.PropagationService_WatchClient
}

// onServer measures a server of its own, with that number of subscribers.
func (b *watchBench) onServer(ctx context.Context, subscribers int, measure func(context.Context, *followed) (report.Watch, error)) (row report.Watch, err error) {
	dir, err := b.space.empty()
	if err != nil {
		return row, err
	}
	server, c, err := b.space.start(ctx, dir)
	if err != nil {
		return row, err
	}
	defer server.Kill()
	defer c.Close()
	stubs, err := dialStubs(server.Addr, b.connections)
	if err != nil {
		return row, err
	}
	defer stubs.close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if err := register(ctx, c, subscribers+b.stopped); err != nil {
		return row, err
	}
	f := &followed{pid: server.PID, client: c}
	if f.before, err = process.MemoryOf(server.PID); err != nil {
		return row, err
	}
	for i := range subscribers + b.stopped {
		stream, err := openWatch(ctx, dncv1.NewPropagationServiceClient(stubs[i%len(stubs)]), subscriberName(i))
		if err != nil {
			return row, err
		}
		if i < subscribers {
			f.streams = append(f.streams, stream)
		}
	}
	row, err = measure(ctx, f)
	row.Subscribers, row.Stopped = subscribers, b.stopped
	return row, err
}

func subscriberName(i int) string { return fmt.Sprintf("base-%d", i) }

// register registers subscribers.
func register(ctx context.Context, c *client.Client, count int) error {
	for i := range count {
		_, err := c.PutSubscriber(ctx, subscriberName(i), client.SubscriberChange{Kind: client.SubscriberInternal, Scopes: &[]string{baseScope}})
		if err != nil {
			return err
		}
	}
	return nil
}

// openWatch opens the stream of a subscriber, from now on.
func openWatch(ctx context.Context, stub dncv1.PropagationServiceClient, name string) (dncv1.PropagationService_WatchClient, error) {
	feed, err := stub.GetFeed(ctx, &dncv1.GetFeedRequest{Feed: &dncv1.GetFeedRequest_Subscriber{Subscriber: name}})
	if err != nil {
		return nil, err
	}
	var cursor *dncv1.FeedCursor
	for {
		m, err := feed.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		if h := m.GetHeader(); h != nil {
			cursor = h.GetCursor()
		}
	}
	stream, err := stub.Watch(ctx, &dncv1.WatchRequest{Feed: &dncv1.WatchRequest_Subscriber{Subscriber: name}, After: cursor})
	if err != nil {
		return nil, err
	}
	_, err = stream.Recv() // it says that it is open
	return stream, err
}

// restOn measures subscribers to which nothing happens.
func (b *watchBench) restOn(ctx context.Context, f *followed) (report.Watch, error) {
	row := report.Watch{Case: report.CaseWatchIdle}
	for _, s := range f.streams {
		go func() {
			for {
				if _, err := s.Recv(); err != nil {
					return
				}
			}
		}()
	}
	before, err := process.CPUOf(f.pid)
	if err != nil {
		return row, err
	}
	if err := sleep(ctx, b.duration); err != nil {
		return row, err
	}
	after, err := process.CPUOf(f.pid)
	if err != nil {
		return row, err
	}
	memory, err := process.MemoryOf(f.pid)
	row.Seconds, row.ServerCPU = b.duration.Seconds(), (after-before).Seconds()/b.duration.Seconds()
	row.BytesEach = (memory.Anon - f.before.Anon) / float64(len(f.streams))
	return row, err
}

// deliveries times each delivery of each entry from its acknowledgement.
type deliveries struct {
	arrived sync.Map // *arrivals, by key
	readers int

	mu    sync.Mutex
	hist  *hdrhistogram.Histogram
	count int64
}

// arrivals are when an entry came to readers, before it was acknowledged.
type arrivals struct {
	mu    sync.Mutex
	acked time.Time
	early []time.Time
}

func newDeliveries(readers int) *deliveries {
	return &deliveries{readers: readers, hist: hdrhistogram.New(1, int64(time.Minute/time.Microsecond), 3)}
}

func (d *deliveries) of(key any) *arrivals {
	a, _ := d.arrived.LoadOrStore(key, new(arrivals))
	return a.(*arrivals)
}

// acknowledge notes that an entry is durable.
func (d *deliveries) acknowledge(key any, at time.Time) {
	a := d.of(key)
	a.mu.Lock()
	a.acked = at
	early := a.early
	a.early = nil
	a.mu.Unlock()
	for _, t := range early {
		d.record(t.Sub(at))
	}
}

// deliver notes that an entry came to a reader.
func (d *deliveries) deliver(key any, at time.Time) {
	a := d.of(key)
	a.mu.Lock()
	acked := a.acked
	if acked.IsZero() {
		a.early = append(a.early, at)
	}
	a.mu.Unlock()
	if !acked.IsZero() {
		d.record(at.Sub(acked))
	}
}

func (d *deliveries) record(took time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	_ = d.hist.RecordValue(max(took.Microseconds(), 1))
	d.count++
}

// reset forgets what was measured so far.
func (d *deliveries) reset() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.hist.Reset()
	d.count = 0
}

// deliverFrom measures deliveries of opt-outs.
func (b *watchBench) deliverFrom(ctx context.Context, f *followed) (report.Watch, error) {
	d := newDeliveries(len(f.streams))
	failed := make(chan error, len(f.streams))
	for _, s := range f.streams {
		go func() {
			for {
				m, err := s.Recv()
				if err != nil {
					failed <- err
					return
				}
				now := time.Now()
				for _, c := range m.GetChanges() {
					d.deliver(client.EventID{Revision: c.GetId().GetRevision(), Index: c.GetId().GetIndex()}, now)
				}
			}
		}()
	}
	next := atomic.Uint64{}
	row, err := b.deliver(ctx, d, f.pid, func(ctx context.Context) (any, error) {
		number := fmt.Sprintf("+1415%07d", 2_000_000+next.Add(1)%8_000_000)
		r, err := f.client.RecordOptOut(ctx, client.OptOut{Number: number, Scope: baseScope})
		return client.EventID{Revision: r.Revision, Index: r.Index}, err
	})
	row.Case = report.CaseWatch
	select {
	case stopped := <-failed:
		err = errors.Join(err, fmt.Errorf("a stream ended: %w", stopped))
	default:
	}
	return row, err
}

// deliver writes entries at the rate, first for a while that does not count, and waits until each has come to all readers.
func (b *watchBench) deliver(ctx context.Context, d *deliveries, pid int, write func(context.Context) (any, error)) (row report.Watch, err error) {
	warm, err := b.write(ctx, d, b.duration/5, write)
	if err != nil {
		return row, err
	}
	if err := d.await(ctx, warm); err != nil {
		return row, err
	}
	d.reset()
	before, err := process.CPUOf(pid)
	if err != nil {
		return row, err
	}
	began := time.Now()
	written, err := b.write(ctx, d, b.duration, write)
	if err != nil {
		return row, err
	}
	took := time.Since(began)
	after, err := process.CPUOf(pid)
	if err != nil {
		return row, err
	}
	if err := d.await(ctx, written); err != nil {
		return row, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	row = report.Watch{Seconds: took.Seconds(), Rate: float64(written) / took.Seconds(), ServerCPU: (after - before).Seconds() / took.Seconds()}
	row.SetTimes(d.hist)
	return row, nil
}

// await waits until that number of entries has come to all readers.
func (d *deliveries) await(ctx context.Context, entries int64) error {
	want := entries * int64(d.readers)
	for deadline := time.Now().Add(30 * time.Second); d.delivered() < want && time.Now().Before(deadline); {
		if err := sleep(ctx, 10*time.Millisecond); err != nil {
			return err
		}
	}
	if got := d.delivered(); got != want {
		return fmt.Errorf("%d of %d deliveries came", got, want)
	}
	return nil
}

func (d *deliveries) delivered() int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.count
}

// write writes entries that are due at the rate, and returns how many it wrote.
func (b *watchBench) write(ctx context.Context, d *deliveries, length time.Duration, write func(context.Context) (any, error)) (int64, error) {
	return paced(ctx, b.rate, b.recorders, length, func(int) error {
		key, err := write(ctx)
		if err == nil {
			d.acknowledge(key, time.Now())
		}
		return err
	})
}

// redis measures redis streams with as many readers.
func (b *watchBench) redis(ctx context.Context, readers int) (row report.Watch, err error) {
	dir, err := b.space.empty()
	if err != nil {
		return row, err
	}
	s, err := peer.StartRedisStream(ctx, dir)
	if err != nil {
		return row, err
	}
	d := newDeliveries(readers)
	var all sync.WaitGroup
	defer all.Wait()
	defer s.End() // which ends the readers
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for range readers {
		all.Go(func() {
			_ = s.Read(ctx, func(ids []string) { // it ends with the measurement; what it misses is counted
				now := time.Now()
				for _, id := range ids {
					d.deliver(id, now)
				}
			})
		})
	}
	next := atomic.Uint64{}
	row, err = b.deliver(ctx, d, s.PID, func(ctx context.Context) (any, error) {
		return s.Add(ctx, fmt.Sprintf("1415%07d", 2_000_000+next.Add(1)%8_000_000))
	})
	row.Case, row.Subscribers = report.CaseRedisStreams, readers
	return row, err
}
