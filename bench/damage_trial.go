package main

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dncd/dncd/bench/internal/daemon"
	"github.com/dncd/dncd/bench/internal/damage"
	"github.com/dncd/dncd/bench/internal/report"
	"github.com/dncd/dncd/client"
)

// What a harm led to at the first start.
const (
	outcomeRefused  = "refused"  // dncd did not start, or ended
	outcomeDetected = "detected" // dncd said that something is wrong
	outcomeHarmless = "harmless" // everything was there
)

const (
	// settleFor is how long the database's compactors need to begin their work.
	settleFor = 1500 * time.Millisecond
	// noticeFor is how long a running server may take to notice.
	noticeFor = 6 * time.Second
	// endFor is how long it may take to stop.
	endFor = 30 * time.Second
)

// trial is one harm, or two, to a copy of a store.
type trial struct {
	bench   *damageBench
	place   int // from 1
	base    string
	running bool // the harm is done while a server has the store open
	harms   []damage.Harm
	rnd     *rand.Rand

	dir      string
	outcome  string
	repaired bool
	accepted bool
	acked    []client.Receipt // opt-outs of fictionOf that were acknowledged while it ran
	followed bool             // by the base, before a repair
	lost     losses
	faults   []string
}

// losses were named, and are no fault.
type losses struct {
	optOuts, stories int
	lists            map[string]bool
}

func (t *trial) String() string {
	var harms []string
	for _, h := range t.harms {
		harms = append(harms, h.String())
	}
	return fmt.Sprintf("%s store: %s", t.store(), strings.Join(harms, " and "))
}

// store is the column of its row.
func (t *trial) store() string {
	switch {
	case t.running:
		return "running"
	case len(t.harms) > 1:
		return "pair"
	}
	return t.base
}

func (t *trial) row() report.Damage {
	r := report.Damage{
		Store: t.store(), Part: "any", Kind: "any", Trials: 1, LostOptOuts: t.lost.optOuts, LostLists: len(t.lost.lists),
		LostStories: t.lost.stories, Faults: len(t.faults),
	}
	if len(t.harms) == 1 {
		r.Part, r.Kind = t.harms[0].Part(), t.harms[0].Kind
	}
	for _, c := range []struct {
		count *int
		is    bool
	}{
		{&r.Refused, t.outcome == outcomeRefused}, {&r.Detected, t.outcome == outcomeDetected}, {&r.Harmless, t.outcome == outcomeHarmless},
		{&r.Repaired, t.repaired}, {&r.Accepted, t.accepted},
	} {
		if c.is {
			*c.count = 1
		}
	}
	return r
}

func (t *trial) fault(format string, args ...any) {
	t.faults = append(t.faults, fmt.Sprintf(format, args...))
}

// run does the trial from the harm to the last look.
func (t *trial) run(ctx context.Context) {
	t.dir = t.bench.path(fmt.Sprintf("trial-%d", t.place))
	t.lost.lists = map[string]bool{}
	defer func() {
		if len(t.faults) == 0 || !t.bench.keep {
			_ = os.RemoveAll(t.dir)
		}
	}()
	if err := damage.CopyTree(t.bench.path(t.base), t.dir); err != nil {
		t.fault("copy the store: %v", err)
		return
	}
	if !t.running && !t.harm() {
		return
	}
	t.outcome = t.serve(ctx)
	f, ok := t.fsck(ctx)
	if !ok {
		return
	}
	isKey := t.replaceKey(f)
	if f.Whole() {
		if t.outcome == outcomeRefused && !t.running && !isKey {
			t.fault("dncd does not start, and fsck finds nothing: %s", f.Said)
		}
		t.look(ctx, f)
		return
	}
	if f, ok = t.repair(ctx); !ok {
		return
	}
	t.second(ctx)
	t.look(ctx, f)
}

// harm does the trial's harms. Of a pair the second may find its file gone.
func (t *trial) harm() bool {
	for i, h := range t.harms {
		if err := h.Do(t.dir, t.bench.path(olderStore)); err != nil && i == 0 {
			t.fault("harm it: %v", err)
			return false
		}
	}
	return true
}

// harmAny draws a harm to the files that a running server has, and does it. A compaction may be quicker, and delete the file.
func (t *trial) harmAny() bool {
	var err error
	for range 10 {
		var harms []damage.Harm
		if harms, err = damage.Harms(t.rnd, t.dir, t.bench.path(olderStore), neverHarmed); err != nil {
			break
		}
		h := harms[t.rnd.IntN(len(harms))]
		if err = h.Do(t.dir, t.bench.path(olderStore)); err == nil {
			t.harms = []damage.Harm{h}
			return true
		}
	}
	t.fault("harm the files of a running server: %v", err)
	return false
}

// serve starts dncd, checks all numbers, twice, and stops it.
func (t *trial) serve(ctx context.Context) string {
	server, c, err := t.bench.space.start(ctx, t.dir)
	if err != nil {
		return outcomeRefused
	}
	defer c.Close()
	defer func() {
		if err := server.End(endFor); err != nil {
			t.fault("%v", err)
		}
	}()
	outcome := t.observe(ctx, server, c)
	if t.running {
		return t.harmServed(ctx, server, c)
	}
	if err := sleep(ctx, settleFor); err != nil {
		return outcome
	}
	if again := t.observe(ctx, server, c); outcome == outcomeHarmless {
		outcome = again
	}
	return outcome
}

// harmServed harms the files of a running server, which takes opt-outs meanwhile, and observes it until it must have noticed.
func (t *trial) harmServed(ctx context.Context, server *daemon.Server, c *client.Client) string {
	if !t.harmAny() {
		return outcomeHarmless
	}
	outcome := outcomeHarmless
	for end := time.Now().Add(noticeFor); time.Now().Before(end) && ctx.Err() == nil; {
		limited, cancel := context.WithTimeout(ctx, time.Second)
		receipt, err := c.RecordOptOut(limited, client.OptOut{Number: t.fictionOf(len(t.acked)), Channel: client.ChannelCall})
		cancel()
		if err == nil && len(t.acked) < 100 {
			t.acked = append(t.acked, receipt)
		}
		if outcome = t.observe(ctx, server, c); outcome == outcomeRefused {
			break
		}
		_ = sleep(ctx, 300*time.Millisecond)
	}
	return outcome
}

// fictionOf are numbers that no list and no other opt-out holds.
func (t *trial) fictionOf(i int) string { return fmt.Sprintf("+1212555%04d", 100+i%100) }

// observe checks all numbers and reads the state. Before --accept-loss no number may be ALLOW, and one that says READY
// must have everything.
func (t *trial) observe(ctx context.Context, server *daemon.Server, c *client.Client) string {
	v, err := checkVerdicts(ctx, c, t.blocked())
	if err != nil {
		return t.unanswered(server, err)
	}
	if len(v.allowed) > 0 {
		t.fault("%d numbers that are blocked are ALLOW", len(v.allowed))
	}
	stats, err := c.ServerStats(ctx)
	if err != nil {
		return t.unanswered(server, err)
	}
	if stats.State != client.StoreReady {
		return outcomeDetected
	}
	if t.running {
		return outcomeHarmless // it may not have noticed yet
	}
	if len(v.unknown) > 0 {
		t.fault("READY, and %d numbers that are blocked are UNKNOWN", len(v.unknown))
	}
	if missing := t.missingStories(ctx, c); missing > 0 {
		t.fault("READY, and %d stories are gone", missing)
	}
	if !t.followed {
		t.followed = true
		t.holdBase(ctx, c)
		t.holdConsents(ctx, c)
		t.follow(ctx, c, daemon.Fsck{})
	}
	return outcomeHarmless
}

// unanswered is a check without an answer: a process that ended, or an error that is no verdict.
func (t *trial) unanswered(server *daemon.Server, err error) string {
	if server.Running() {
		return outcomeDetected
	}
	if !t.running {
		t.fault("the server died: %v: %s", err, server.Said())
	}
	return outcomeRefused
}

// blocked are all numbers that the store must block.
func (t *trial) blocked() []uint64 {
	all := slices.AppendSeq(slices.Collect(t.bench.truth.all()), maps.Keys(t.bench.consents.without))
	for i := range t.acked {
		all = append(all, digits(t.fictionOf(i)))
	}
	return all
}

func digits(number string) uint64 {
	n, _ := strconv.ParseUint(number[1:], 10, 64)
	return n
}

// fsck looks, twice over the files: it may change none.
func (t *trial) fsck(ctx context.Context) (daemon.Fsck, bool) {
	before, err := damage.Sum(t.dir)
	if err != nil {
		t.fault("read the store: %v", err)
		return daemon.Fsck{}, false
	}
	f, err := t.bench.space.programs.RunFsck(ctx, t.dir)
	if err != nil || f.Code == daemon.FsckFailed {
		t.fault("fsck: exit code %d, %v: %s", f.Code, err, f.Said)
		return f, false
	}
	if after, err := damage.Sum(t.dir); err != nil || after != before {
		t.fault("fsck changed files: %v", err)
	}
	return f, true
}

// repair repairs, and accepts losses where it must.
func (t *trial) repair(ctx context.Context) (daemon.Fsck, bool) {
	f, err := t.bench.space.programs.RunFsck(ctx, t.dir, "--repair")
	if err == nil && f.Whole() {
		t.repaired = true
		return f, true
	}
	if err != nil || !strings.Contains(f.Said, "--accept-loss") {
		t.fault("repair: exit code %d, %v: %s", f.Code, err, f.Said)
		return f, false
	}
	t.unrepaired(ctx)
	t.wantNoLoss(f)
	g, err := t.bench.space.programs.RunFsck(ctx, t.dir, "--repair", "--accept-loss")
	if err != nil || !g.Whole() {
		t.fault("accept the loss: exit code %d, %v: %s", g.Code, err, g.Said)
		return g, false
	}
	t.accepted = true
	return g, true
}

// wantNoLoss holds a repair that says that something is lost to harms after which everything could be read.
func (t *trial) wantNoLoss(f daemon.Fsck) {
	if t.running || len(t.harms) != 1 {
		return
	}
	h := t.harms[0]
	atEnd := h.Kind == damage.Cut || h.Kind == damage.Footer
	whole := h.Kind == damage.Append || atEnd && strings.HasSuffix(h.File, ".sst") || strings.HasPrefix(h.File, "filters/")
	if whole {
		t.fault("everything could be read, and the repair says that something is lost: %s", f.Said)
	}
}

// unrepaired starts a store that --repair alone did not make whole.
func (t *trial) unrepaired(ctx context.Context) {
	server, c, err := t.bench.space.start(ctx, t.dir)
	if err != nil {
		return
	}
	defer server.Kill()
	defer c.Close()
	if v, err := checkVerdicts(ctx, c, t.blocked()); err == nil && len(v.allowed) > 0 {
		t.fault("after a repair that was refused %d numbers are ALLOW", len(v.allowed))
	}
}

// second wants a quiet fsck after a repair.
func (t *trial) second(ctx context.Context) {
	f, err := t.bench.space.programs.RunFsck(ctx, t.dir)
	if err != nil || !f.Whole() || f.Names("problem:", "") || f.Names("lost:", "") {
		t.fault("the second fsck is not quiet: exit code %d, %v: %s", f.Code, err, f.Said)
	}
}

// look starts dncd on what must be whole, and holds it against the truth and what f named as lost.
func (t *trial) look(ctx context.Context, f daemon.Fsck) {
	server, c, err := t.bench.space.start(ctx, t.dir)
	if err != nil {
		t.fault("fsck is content, and dncd does not start: %v", err)
		return
	}
	defer server.Kill()
	defer c.Close()
	stats, err := c.ServerStats(ctx)
	if err != nil || stats.State != client.StoreReady {
		t.fault("fsck is content, and dncd is %s: %s, %v", stats.State, stats.StateMessage, err)
	}
	v, err := checkVerdicts(ctx, c, t.blocked())
	if err != nil {
		t.fault("check: %v", err)
		return
	}
	t.judge(v, f)
	t.judgeConsents(ctx, c, f)
	if !t.accepted {
		t.holdBase(ctx, c)
	}
	t.follow(ctx, c, f)
	if missing := t.missingStories(ctx, c); missing > 0 {
		t.lost.stories = missing
		if !f.Names("stories that could not be found", "") {
			t.fault("%d stories are gone, and nothing named them: %s", missing, f.Said)
		}
	}
}

// judge sorts what is not blocked into what was named as lost, and faults.
func (t *trial) judge(v verdicts, f daemon.Fsck) {
	unnamed := 0
	for _, n := range v.allowed {
		if named := t.isNamed(n, f); !named || !t.accepted {
			unnamed++
		}
	}
	for _, n := range v.unknown {
		if !t.isNamed(n, f) {
			unnamed++
		}
	}
	if unnamed > 0 {
		t.fault("%d numbers are ALLOW and %d UNKNOWN, of which nothing named %d: %s", len(v.allowed), len(v.unknown), unnamed, f.Said)
	}
}

// isNamed reports whether the loss of what blocked a number was named, and counts it.
func (t *trial) isNamed(n uint64, f daemon.Fsck) bool {
	if o, ok := t.bench.truth.optOuts[n]; ok {
		t.lost.optOuts++
		return f.Lost(o.revision)
	}
	for i, receipt := range t.acked {
		if digits(t.fictionOf(i)) == n {
			t.lost.optOuts++
			return f.Lost(receipt.Revision)
		}
	}
	if _, ok := t.bench.consents.without[n]; ok {
		return t.bench.consents.isNamed(n, f)
	}
	for name, numbers := range t.bench.truth.listed {
		if _, ok := slices.BinarySearch(numbers, n); ok {
			t.lost.lists[name] = true
			nameless := fmt.Sprintf("the list that revision %d created", t.bench.created[name]) // all that named it is lost
			return f.Names("load these lists again", name) || f.Names("lost", name) || f.Names("create these lists again", nameless)
		}
	}
	return false
}

// missingStories counts the opt-outs whose story is not what it was.
func (t *trial) missingStories(ctx context.Context, c *client.Client) (missing int) {
	for r, err := range c.ExportOptOuts(ctx) {
		if t.isAccessLog(err) {
			return 0
		}
		if err != nil {
			t.fault("export: %v", err)
			return missing
		}
		want, known := t.bench.truth.optOuts[digits(r.Number)]
		if known && r.Evidence != want.evidence {
			missing++
		}
	}
	return missing
}
