package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dncd/dncd/client"
)

// TestNoBaseAllowsWhatTheServerBlocks attacks several bases at once: opt-outs with and without an end, withdrawals, lists that are loaded,
// reverted, deleted and made again under their name, filters that change, bases that are removed and registered again, kill -9 of
// both sides, copies of the data directory that are put back with and without a word to the server. After each round every number that
// the server blocks for a base, by an opt-out or by a list of its filter, must be blocked at the base; and without orphans the base holds
// exactly what a snapshot has. It is a campaign: DNCTEST_ATTACK_ROUNDS says how many rounds there are, DNCTEST_ATTACK_SEED which.
func TestNoBaseAllowsWhatTheServerBlocks(t *testing.T) {
	t.Parallel()
	rounds, _ := strconv.Atoi(os.Getenv("DNCTEST_ATTACK_ROUNDS"))
	if rounds == 0 {
		t.Skip("a campaign: DNCTEST_ATTACK_ROUNDS says how many rounds there are")
	}
	seed, _ := strconv.ParseUint(os.Getenv("DNCTEST_ATTACK_SEED"), 10, 64)
	a := newAttack(t, seed)
	for round := range rounds {
		a.round(round)
		if t.Failed() {
			t.Fatalf("seed %d, round %d", seed, round)
		}
	}
	t.Logf("%d numbers that the server blocks were looked up, %d of them in files; %d losses", a.looked, a.lookedInFiles, a.losses)
}

var attackScopes = []string{"", "acme", "acme/telecom", "acme/telecom/winter", "acme/bank", "other"}

const attackNumbers = 50

func attackNumber(i int) string { return fmt.Sprintf("+1415555%04d", 100+i) }

// attack is a server and the bases that follow it.
type attack struct {
	*followRig
	rnd    *rand.Rand
	c      *client.Client
	bases  []*attackBase
	files  fileBase
	copies int

	looked, lookedInFiles, losses int
}

type attackBase struct {
	name, db string
	scopes   []string
	lists    []string
}

func newAttack(t *testing.T, seed uint64) *attack {
	a := &attack{followRig: newFollowRig(t), rnd: rand.New(rand.NewPCG(seed, 3))}
	a.startServer()
	var err error
	if a.c, err = client.New(a.addr, client.WithWaitForReady(), client.WithTimeout(patience)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.c.Close() })
	for _, list := range []string{"house", "partner"} {
		a.run("list", "create", list, "--kind", "suppression")
	}
	for i, scopes := range [][]string{nil, {"acme"}, {"acme/telecom", "other"}, {"acme/bank"}} {
		b := &attackBase{name: fmt.Sprintf("base-%d", i), scopes: scopes, lists: []string{"house", "partner"}[:i%3]}
		b.db = filepath.Join(a.dir, b.name+".sqlite")
		a.bases = append(a.bases, b)
		a.put(b)
	}
	a.files = fileBase{dir: t.TempDir(), format: "csv", rows: map[client.Row]bool{}}
	a.run("subscriber", "put", "files", "--kind", "internal", "--scope", "acme", "--list", "house")
	return a
}

func (a *attack) put(b *attackBase) {
	args := []string{"subscriber", "put", b.name, "--kind", "internal"}
	for _, s := range b.scopes {
		args = append(args, "--scope", s)
	}
	for _, l := range b.lists {
		args = append(args, "--list", l)
	}
	a.run(args...)
}

func (a *attack) round(round int) {
	stop := a.trouble()
	for range 2 + a.rnd.IntN(3) {
		a.followAndKill()
		if a.rnd.IntN(3) == 0 {
			kill(a.server)
			a.startServer()
		}
	}
	stop()
	switch {
	case round%5 == 3:
		a.copyData()
	case round%5 == 4:
		a.loseData()
	}
	for range a.rnd.IntN(3) {
		a.administer()
	}
	for _, b := range a.bases {
		a.runUntilDone("follow", "--db", b.db, "--subscriber", b.name, "--once")
	}
	for _, b := range a.bases {
		a.compareBase(b)
	}
	a.takeFiles()
}

// runUntilDone tries again what a server that has just come back may refuse.
func (a *attack) runUntilDone(args ...string) {
	a.t.Helper()
	var out []byte
	var err error
	for range 5 {
		if out, err = a.command(args...).CombinedOutput(); err == nil {
			return
		}
		time.Sleep(200 * time.Millisecond)
	}
	a.t.Fatalf("dnc %v: %v: %s", args, err, out)
}

func (a *attack) followAndKill() {
	var running []*exec.Cmd
	for _, b := range a.bases {
		if a.rnd.IntN(3) == 0 {
			continue
		}
		f := a.command("follow", "--db", b.db, "--subscriber", b.name)
		if err := f.Start(); err != nil {
			a.t.Fatal(err)
		}
		running = append(running, f)
	}
	time.Sleep(time.Duration(a.rnd.IntN(600)) * time.Millisecond)
	for _, f := range running {
		kill(f)
	}
}

// trouble writes until stop is called.
func (a *attack) trouble() (stop func()) {
	ctx, cancel := context.WithCancel(a.t.Context())
	var tasks sync.WaitGroup
	for range 2 {
		rnd := rand.New(rand.NewPCG(a.rnd.Uint64(), 1))
		tasks.Go(func() {
			for ctx.Err() == nil {
				n, scope := attackNumber(rnd.IntN(attackNumbers)), attackScopes[rnd.IntN(len(attackScopes))]
				switch rnd.IntN(6) {
				case 0, 1:
					_, _ = a.c.WithdrawOptOut(ctx, client.Withdrawal{Number: n, Scope: scope, Reason: "test"})
				case 2, 3:
					ends := time.Now().Add(time.Duration(rnd.IntN(20_000)-2000) * time.Millisecond)
					_, _ = a.c.RecordOptOut(ctx, client.OptOut{Number: n, Scope: scope, ExpiresAt: ends})
				default:
					_, _ = a.c.RecordOptOut(ctx, client.OptOut{Number: n, Scope: scope})
				}
			}
		})
	}
	rnd := rand.New(rand.NewPCG(a.rnd.Uint64(), 2))
	tasks.Go(func() {
		for ctx.Err() == nil {
			a.changeList(ctx, rnd)
		}
	})
	return func() {
		cancel()
		tasks.Wait()
	}
}

func (a *attack) changeList(ctx context.Context, rnd *rand.Rand) {
	list := []string{"house", "partner"}[rnd.IntN(2)]
	switch rnd.IntN(12) {
	case 0, 1:
		_, _ = a.c.Revert(ctx, client.RevertRequest{List: list, Override: true})
		return
	}
	var numbers []string
	share := 1 + rnd.IntN(3)
	for i := range attackNumbers {
		if rnd.IntN(4) < share {
			numbers = append(numbers, attackNumber(i))
		}
	}
	_, _ = a.c.Import(ctx, client.ImportRequest{List: list, Numbers: client.Numbers(slices.Values(numbers)), Override: true})
}

// administer changes what bases there are, or which lists.
func (a *attack) administer() {
	b := a.bases[a.rnd.IntN(len(a.bases))]
	list := []string{"house", "partner"}[a.rnd.IntN(2)]
	switch a.rnd.IntN(6) {
	case 0: // deleted and made again, and given to a base: it is another list
		a.run("list", "delete", list, "--yes")
		a.run("list", "create", list, "--kind", "suppression")
		for _, b := range a.bases {
			if slices.Contains(b.lists, list) && a.rnd.IntN(2) == 0 {
				a.put(b)
			}
		}
	case 1: // deleted
		a.run("list", "delete", list, "--yes")
		a.run("list", "create", list, "--kind", "suppression")
	case 2:
		b.scopes = [][]string{nil, {"acme"}, {"acme/telecom"}, {"other", "acme/bank"}}[1+a.rnd.IntN(3)]
		a.put(b)
	case 3:
		a.run("subscriber", "rebase", b.name, "--yes")
	case 4:
		a.run("subscriber", "rm", b.name, "--yes")
		a.put(b)
	case 5:
		a.run("subscriber", "rm", "files", "--yes")
		a.run("subscriber", "put", "files", "--kind", "internal", "--scope", "acme", "--list", "house")
	}
}

func (a *attack) data() string { return filepath.Join(a.dir, "data") }

func (a *attack) copyData() {
	kill(a.server)
	a.copies++
	if err := os.CopyFS(filepath.Join(a.dir, fmt.Sprintf("copy-%d", a.copies)), os.DirFS(a.data())); err != nil {
		a.t.Fatal(err)
	}
	a.startServer()
}

// loseData puts the last copy back. What bases had stays blocked.
func (a *attack) loseData() {
	a.losses++
	before := map[*attackBase]map[string]bool{}
	for _, b := range a.bases {
		before[b] = a.neverEnding(b)
	}
	kill(a.server)
	copied := filepath.Join(a.dir, fmt.Sprintf("copy-%d", a.copies))
	if err := errors.Join(os.RemoveAll(a.data()), os.Rename(copied, a.data())); err != nil {
		a.t.Fatal(err)
	}
	isTold := a.rnd.IntN(2) == 0
	if isTold {
		if out, err := exec.Command("dncd", "fsck", "--data", a.data(), "--restored").CombinedOutput(); err != nil {
			a.t.Fatalf("fsck --restored: %v: %s", err, out)
		}
	}
	a.startServer()
	if a.rnd.IntN(2) == 0 { // and it goes on
		stop := a.trouble()
		time.Sleep(time.Duration(a.rnd.IntN(500)) * time.Millisecond)
		stop()
	}
	for _, b := range a.bases {
		info, err := a.c.Subscriber(a.t.Context(), b.name)
		if err != nil { // its registration is lost
			a.put(b)
		} else {
			b.scopes = info.Scopes
		}
		a.runUntilDone("follow", "--db", b.db, "--subscriber", b.name, "--once")
		after := a.neverEnding(b)
		for row := range before[b] {
			if !after[row] && !isTold {
				continue // the position may be one that both histories have
			}
			if !after[row] {
				a.t.Errorf("%s lost the row %s when the server had lost data", b.name, row)
			}
		}
	}
}

// neverEnding are the rows of a base that do not end, by number and scope.
func (a *attack) neverEnding(b *attackBase) map[string]bool {
	rows := map[string]bool{}
	a.query(b, `SELECT number || ' ' || scope || ' ' || source FROM blocked WHERE until IS NULL`, func(s *sql.Rows) error {
		var text string
		err := s.Scan(&text)
		rows[text] = true
		return err
	})
	return rows
}

func (a *attack) query(b *attackBase, statement string, row func(*sql.Rows) error) {
	a.t.Helper()
	if _, err := os.Stat(b.db); err != nil {
		return
	}
	db, err := sql.Open("sqlite", "file:"+b.db+"?mode=ro&_pragma=busy_timeout(5000)")
	if err != nil {
		a.t.Fatal(err)
	}
	defer db.Close()
	rows, err := db.QueryContext(a.t.Context(), statement)
	if err != nil {
		if strings.Contains(err.Error(), "no such table") { // it was killed before it was made
			return
		}
		a.t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := row(rows); err != nil {
			a.t.Fatal(err)
		}
	}
	if err := rows.Err(); err != nil {
		a.t.Fatal(err)
	}
}

type blockedRow struct {
	scope  string
	source string
}

// compareBase looks up every number at every scope of a base.
func (a *attack) compareBase(b *attackBase) {
	info, err := a.c.Subscriber(a.t.Context(), b.name)
	if err != nil {
		a.t.Fatal(err)
	}
	held := map[string][]blockedRow{}
	orphans := 0
	a.query(b, `SELECT '+' || number, scope, source, orphan FROM blocked`, func(s *sql.Rows) error {
		var n string
		var r blockedRow
		var orphan int
		err := s.Scan(&n, &r.scope, &r.source, &orphan)
		held[n] = append(held[n], r)
		orphans += orphan
		return err
	})
	a.looked += a.lookUp(b.name, info, func(n, scope string) bool { return isHeld(held[n], scope) })
	if orphans == 0 {
		a.wantExactly(b)
	}
}

// isHeld reports whether a row blocks calls for a scope. Every row blocks those for none.
func isHeld(rows []blockedRow, scope string) bool {
	return slices.ContainsFunc(rows, func(r blockedRow) bool {
		return scope == "" || r.scope == "" || r.scope == scope || strings.HasPrefix(scope, r.scope+"/")
	})
}

// lookUp checks every number at every scope that a base calls for, and returns how many are blocked there.
func (a *attack) lookUp(name string, info client.SubscriberStatus, isBlocked func(n, scope string) bool) (blocked int) {
	isOfBase := func(scope string) bool {
		return len(info.Scopes) == 0 || slices.ContainsFunc(info.Scopes, func(s string) bool { return scope == s || strings.HasPrefix(scope, s+"/") })
	}
	for i := range attackNumbers {
		n := attackNumber(i)
		for _, scope := range attackScopes {
			if !isOfBase(scope) {
				continue
			}
			base := isBlocked(n, scope) // before: what ends in between has ended at the server
			r, err := a.c.Check(a.t.Context(), n, client.Scope(scope))
			if err != nil {
				a.t.Fatal(err)
			}
			if !slices.ContainsFunc(r.Reasons, func(why client.Reason) bool { return why.List == "" || slices.Contains(info.Lists, why.List) }) || r.Verdict != client.Block {
				continue
			}
			blocked++
			if !base {
				a.t.Errorf("%s may call %s for %q, which the server blocks for %+v", name, n, scope, r.Reasons)
			}
		}
	}
	return blocked
}

// wantExactly compares a base with a snapshot. What ends meanwhile is left out.
func (a *attack) wantExactly(b *attackBase) {
	got := a.neverEnding(b)
	for part, err := range a.c.GetFeed(a.t.Context(), b.name) {
		if err != nil {
			a.t.Fatal(err)
		}
		for _, r := range part.Rows {
			key := fmt.Sprintf("%d %s %s", r.Number, r.Scope, r.Source)
			if r.Until.IsZero() && !got[key] {
				a.t.Errorf("%s lacks the row %s", b.name, key)
			}
			delete(got, key)
		}
	}
	if len(got) > 0 {
		a.t.Errorf("%s holds %d rows that a snapshot lacks: %v", b.name, len(got), got)
	}
}

// takeFiles writes files, which arrive or get lost.
func (a *attack) takeFiles() {
	cmd := a.command("feed", "files", "--out", a.files.dir, "-o", "json")
	out, err := cmd.Output()
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || exit.ExitCode() != exitNo) {
		a.t.Fatalf("dnc feed: %v: %s", err, exit.Stderr)
	}
	var r feedReport
	if err := json.Unmarshal(out, &r); err != nil {
		a.t.Fatal(err)
	}
	if a.rnd.IntN(4) == 0 {
		return
	}
	for range 1 + a.rnd.IntN(2) { // perhaps twice
		a.files.apply(a.t, r)
	}
	info, err := a.c.Subscriber(a.t.Context(), "files")
	if err != nil {
		a.t.Fatal(err)
	}
	held := map[string][]blockedRow{}
	for row := range a.files.rows {
		n := fmt.Sprintf("+%d", row.Number)
		held[n] = append(held[n], blockedRow{row.Scope, row.Source})
	}
	a.lookedInFiles += a.lookUp("files", info, func(n, scope string) bool { return isHeld(held[n], scope) })
	if a.rnd.IntN(2) == 0 {
		a.run("subscriber", "ack", "files", "--at", fmt.Sprintf("%d@%s", r.Revision, r.JournalID), "--stage", "applied")
	}
}
