package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/dncd/dncd/bench/internal/daemon"
	"github.com/dncd/dncd/client"
)

const (
	linearCallers = 12
	linearNumbers = 6
	linearScope   = "acme"
)

// linear is a history of what callers asked of a dncd that is killed and comes back.
type linear struct {
	t       *testing.T
	begun   time.Time
	journal string        // the same all the time
	token   atomic.Uint64 // the newest revision that anybody was told of
	rounds  int

	mu      sync.Mutex
	history []porcupine.Operation
}

// TestLinearizable kills dncd with SIGKILL while callers record, withdraw and check the same few numbers, and starts it again on
// its directory. What they were told, each refusal that rests on the state included, must be possible one operation after the
// other. DNCTEST_LINEAR_KILLS asks
// for more kills than a few, DNCTEST_SEED for a seed again.
func TestLinearizable(t *testing.T) {
	programs, err := daemon.Build(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	kills, seed := variable(t, "DNCTEST_LINEAR_KILLS", 3), variable(t, "DNCTEST_SEED", uint64(time.Now().UnixNano()))
	t.Logf("DNCTEST_SEED=%d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	l, data := &linear{t: t, begun: time.Now()}, filepath.Join(t.TempDir(), "data")
	if err := os.Mkdir(data, 0o700); err != nil {
		t.Fatal(err)
	}
	l.fill(programs, data)
	for l.rounds = range int(kills) {
		l.round(programs, data, time.Duration(200+random.IntN(500))*time.Millisecond, random)
	}
	l.finish(programs, data)
	l.judge()
}

func variable(t *testing.T, name string, normal uint64) uint64 {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return normal
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// start starts dncd and a client that gives up before another one starts.
func (l *linear) start(programs daemon.Programs, data string) (*daemon.Server, *client.Client) {
	server, err := programs.Start(l.t.Context(), data)
	if err != nil {
		l.t.Fatal(err)
	}
	c, err := client.New(server.Addr, client.WithUser("bench"), client.WithScope(linearScope), client.WithTimeout(20*time.Second))
	if err != nil {
		l.t.Fatal(err)
	}
	stats, err := c.ServerStats(l.t.Context())
	if err != nil {
		l.t.Fatal(err)
	}
	if l.journal = cmp.Or(l.journal, stats.JournalID); l.journal != stats.JournalID {
		l.t.Errorf("the journal is %s, it was %s", stats.JournalID, l.journal)
	}
	return server, c
}

// fill leaves one number with room for a few more opt-outs. Those that fill it have other scopes than the callers'.
func (l *linear) fill(programs daemon.Programs, data string) {
	server, c := l.start(programs, data)
	defer c.Close()
	number := numberOf(linearFull)
	add := func(scope string) bool {
		_, err := c.RecordOptOut(l.t.Context(), client.OptOut{Number: number, Scope: scope, Channel: client.ChannelCall})
		if err != nil && !errors.Is(err, client.ErrRecordLimit) {
			l.t.Error(err)
		}
		return err == nil
	}
	for range roomMost - 1 {
		add("room") // as long as the callers' scope
	}
	var adding sync.WaitGroup
	for range 300 {
		adding.Go(func() { add(strings.Repeat("f", 255)) })
	}
	adding.Wait()
	for add("fill") {
	}
	if _, err := c.WithdrawOptOut(l.t.Context(), client.Withdrawal{Number: number, Scope: "room", Reason: "to make room"}); err != nil {
		l.t.Fatal(err)
	}
	if _, err := server.Stop(); err != nil {
		l.t.Fatal(err)
	}
}

func numberOf(n int) string { return fmt.Sprintf("+1415555%04d", 100+n) }

// round has callers at work for a while and kills the server in the middle of it.
func (l *linear) round(programs daemon.Programs, data string, after time.Duration, random *rand.Rand) {
	server, c := l.start(programs, data)
	defer c.Close()
	var killed atomic.Bool
	var lost sync.Mutex
	var unknown []porcupine.Operation
	var callers sync.WaitGroup
	for i := range linearCallers {
		caller := caller{l: l, c: c, id: i, random: rand.New(rand.NewPCG(random.Uint64(), 0))}
		callers.Go(func() {
			o, err := caller.work()
			if err != nil && !killed.Load() {
				l.t.Errorf("%s: %v", o.Input.(asked).deed, err)
			}
			lost.Lock()
			defer lost.Unlock()
			unknown = append(unknown, o)
		})
	}
	time.Sleep(after)
	killed.Store(true)
	server.Kill()
	callers.Wait()
	for _, o := range unknown { // all of them have taken effect by now, or never will
		if o.Input.(asked).deed != checks {
			o.Output, o.Return = told{lost: true}, l.now()
			l.note(o)
		}
	}
}

func (l *linear) now() int64 { return int64(time.Since(l.begun)) }

func (l *linear) note(o porcupine.Operation) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.history = append(l.history, o)
}

// caller does one operation after the other, until one has no answer.
type caller struct {
	l      *linear
	c      *client.Client
	id     int
	random *rand.Rand
}

// work returns the operation whose answer was lost, and how.
func (c *caller) work() (porcupine.Operation, error) {
	in := asked{deed: checks, number: c.random.IntN(linearNumbers)}
	for {
		if in.deed == checks {
			in.least = c.l.token.Load()
		}
		o := porcupine.Operation{ClientId: c.id, Input: in, Call: c.l.now()}
		out, err := c.ask(in)
		if err != nil {
			return o, err
		}
		o.Output, o.Return = out, c.l.now()
		c.l.note(o)
		c.l.learn(max(out.event.revision, out.read))
		if in = c.next(); out.refusal != taken { // it looks at once whether that is so
			in = asked{deed: checks, number: o.Input.(asked).number}
		}
	}
}

// next is what comes into a caller's mind. Some opt-outs share a request id with others, of this round and of earlier ones.
func (c *caller) next() asked {
	in := asked{deed: []deed{checks, adds, adds, withdraws, withdraws, withdraws}[c.random.IntN(6)], number: c.random.IntN(linearNumbers)}
	if in.number == linearFull && in.deed == withdraws && c.random.IntN(2) == 0 {
		in.deed = adds // else it is never full
	}
	if in.deed == adds && c.random.IntN(3) == 0 {
		in.request = 1 + (3*c.l.rounds+c.random.IntN(3))%linearRequests
		in.content = 1 + uint8(c.random.IntN(2))
	}
	return in
}

func (l *linear) learn(revision uint64) {
	for at := l.token.Load(); revision > at && !l.token.CompareAndSwap(at, revision); at = l.token.Load() {
	}
}

func (c *caller) ask(in asked) (told, error) {
	ctx, number := c.l.t.Context(), numberOf(in.number)
	switch in.deed {
	case adds:
		o := client.OptOut{Number: number, Scope: linearScope, Channel: client.ChannelCall}
		if in.request > 0 {
			o.RequestID = fmt.Sprintf("%d of %d", in.request, in.number)
			o.Channel = []client.Channel{client.ChannelCall, client.ChannelEmail}[in.content-1]
		}
		r, err := c.c.RecordOptOut(ctx, o)
		switch {
		case errors.Is(err, client.ErrRecordLimit):
			return told{refusal: full}, nil
		case errors.Is(err, client.ErrRequestIDReused):
			return told{refusal: requestIDReused}, nil
		}
		return told{event: event{r.Revision, r.Index}, again: r.Duplicate && in.request > 0}, err
	case withdraws:
		r, err := c.c.WithdrawOptOut(ctx, client.Withdrawal{Number: number, Scope: linearScope, Reason: "asked"})
		if errors.Is(err, client.ErrNothingToWithdraw) {
			return told{refusal: nothingThere}, nil
		}
		return told{event: event{r.Revision, r.Index}, ended: r.Withdrawn}, err
	default:
		r, err := c.c.Check(ctx, number, client.AtLeast(client.Position{Revision: in.least, JournalID: c.l.journal}))
		if err == nil && r.Verdict != client.Block && r.Verdict != client.Allow {
			err = fmt.Errorf("verdict %s %s", r.Verdict, r.Cause)
		}
		return told{blocked: r.Verdict == client.Block, read: r.Revision}, err
	}
}

// finish looks at every number once more, has each refusal come at least once, stops dncd and has it verified.
func (l *linear) finish(programs daemon.Programs, data string) {
	server, c := l.start(programs, data)
	defer c.Close()
	last := caller{l: l, c: c, id: linearCallers}
	var all []asked
	for n := range linearNumbers {
		all = append(all, asked{deed: checks, number: n})
	}
	for range roomMost + 1 {
		all = append(all, asked{deed: adds, number: linearFull})
	}
	all = append(all,
		asked{deed: adds, request: 1, content: 1}, asked{deed: adds, request: 1, content: 1}, asked{deed: adds, request: 1, content: 2},
		asked{deed: withdraws}, asked{deed: withdraws},
	)
	for _, in := range all {
		if in.deed == checks {
			in.least = l.token.Load()
		}
		o := porcupine.Operation{ClientId: last.id, Input: in, Call: l.now()}
		out, err := last.ask(in)
		if err != nil {
			l.t.Fatal(err)
		}
		o.Output, o.Return = out, l.now()
		l.note(o)
		l.learn(max(out.event.revision, out.read))
	}
	if _, err := server.Stop(); err != nil {
		l.t.Error(err)
	}
	if err := programs.Fsck(context.Background(), data); err != nil {
		l.t.Error(err)
	}
}

// judge says whether the history is linearizable, and leaves a picture of one that is not.
func (l *linear) judge() {
	model, tally := numberModel.ToModel(), map[string]int{}
	for _, o := range l.history {
		kind := o.Input.(asked).deed.String()
		switch out := o.Output.(told); {
		case out.refusal != taken:
			kind += " " + out.refusal.String()
		case out.lost:
			kind += " lost"
		case out.again:
			kind += " again"
		}
		tally[kind]++
	}
	start := time.Now()
	result, info := porcupine.CheckOperationsVerbose(model, l.history, 5*time.Minute)
	l.t.Logf("%d operations in %d revisions: %v; judged in %v", len(l.history), l.token.Load(), tally, time.Since(start).Round(time.Millisecond))
	for _, kind := range []string{
		"check", "add", "add again", "add RECORD_LIMIT", "add REQUEST_ID_REUSED", "withdraw", "withdraw NOTHING_TO_WITHDRAW",
	} {
		if tally[kind] == 0 {
			l.t.Errorf("it never came to: %s", kind)
		}
	}
	if result == porcupine.Ok {
		return
	}
	picture := filepath.Join(l.t.ArtifactDir(), "history.html")
	if err := porcupine.VisualizePath(model, info, picture); err != nil {
		l.t.Error(err)
	}
	l.t.Errorf("the history is linearizable: %s; see %s (go test -artifacts)", result, picture)
}
