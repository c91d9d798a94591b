package store

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/dncd/dncd/internal/access"
	"github.com/dncd/dncd/internal/phone"
	"github.com/dncd/dncd/internal/policy"
	"github.com/dncd/dncd/store/internal/block"
)

// A test that must survive what it does to a store runs it in a child: the test binary again, for that test alone, with
// childDir set to the store's directory.
const (
	childDir   = "DNCTEST_STORE_CHILD"
	childRound = "DNCTEST_STORE_CHILD_ROUND"
)

// campaign is how often a test repeats: normal, unless the environment asks for more.
func campaign(t *testing.T, variable string, normal int) int {
	t.Helper()
	text := os.Getenv(variable)
	if text == "" {
		return normal
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("%s: %v", variable, err)
	}
	return n
}

// seeded is a source that a failing run can be repeated from.
func seeded(t *testing.T) *rand.Rand {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv("DNCTEST_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("DNCTEST_SEED=%d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// child is a process that writes to a store and tells of each write before and after it.
type child struct {
	t      *testing.T
	cmd    *exec.Cmd
	output bytes.Buffer
	diary  *os.File      // the end that is read
	caught chan struct{} // a message for each line of caughtUp that was read
	ended  chan struct{} // its diary is read to the end

	mu    sync.Mutex
	deeds []deed
}

// startChild runs test t in a process of its own.
func startChild(t *testing.T, dir string, round int) *child {
	t.Helper()
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	c := &child{t: t, cmd: childCommand(t, childDir+"="+dir, childRound+"="+strconv.Itoa(round)), diary: read}
	c.caught, c.ended = make(chan struct{}, 1), make(chan struct{})
	c.cmd.Stdout, c.cmd.Stderr = &c.output, &c.output
	c.cmd.ExtraFiles = []*os.File{write}
	err = c.cmd.Start()
	write.Close()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.cmd.Process.Kill() }) // done already, mostly
	go c.read()
	return c
}

func childCommand(t *testing.T, env ...string) *exec.Cmd {
	t.Helper()
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(binary, "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout=10m")
	cmd.Env = append(os.Environ(), env...)
	return cmd
}

func (c *child) read() {
	defer close(c.ended)
	defer c.diary.Close()
	for lines := bufio.NewScanner(c.diary); lines.Scan(); {
		if lines.Text() == caughtUp {
			c.caught <- struct{}{}
			continue
		}
		var d deed
		if err := d.parse(lines.Text()); err != nil {
			c.t.Errorf("diary: %v", err)
			return
		}
		c.mu.Lock()
		c.deeds = append(c.deeds, d)
		c.mu.Unlock()
	}
}

// told is what the child has told up to now.
func (c *child) told() []deed {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.deeds[:len(c.deeds):len(c.deeds)]
}

// awaitAck waits until the child has told of n writes that were acknowledged.
func (c *child) awaitAck(n int) {
	c.t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		if acknowledged(c.told()) >= n {
			return
		}
		select {
		case <-c.ended:
			c.t.Fatalf("the child ended by itself:\n%s", c.output.String())
		default:
		}
		if time.Now().After(deadline) {
			c.t.Fatal("the child acknowledges nothing")
		}
	}
}

func acknowledged(deeds []deed) (n int) {
	for _, d := range deeds {
		if d.acked {
			n++
		}
	}
	return n
}

// kill ends the child with SIGKILL and returns all that it told.
func (c *child) kill() []deed {
	c.t.Helper()
	killed := c.cmd.Process.Kill()
	<-c.ended
	if err := c.cmd.Wait(); err == nil || killed != nil || c.cmd.ProcessState.Exited() {
		c.t.Fatalf("the child ended by itself:\n%s", c.output.String())
	}
	return c.told()
}

// diary is the child's end of the pipe. A line is written whole or not at all.
type diary struct {
	t *testing.T
	f *os.File
}

func openDiary(t *testing.T) *diary { return &diary{t, os.NewFile(3, "diary")} }

func (d *diary) write(what deed) {
	if _, err := io.WriteString(d.f, what.line()); err != nil {
		d.t.Error("nobody reads the diary:", err)
		panic(err)
	}
}

const (
	childWriters = 6
	childNumbers = 1000 // of each writer alone
	childLists   = 2
)

func childList(i int) string { return fmt.Sprintf("registry-%d", i) }

// childNumber is the n-th number of a writer; no list holds it.
func childNumber(writer, n int) phone.Number { return fiction(500+writer*10+n/100, n) }

// childContent is what a list holds after its load of that generation, each list the same: so sparse that it takes
// several block commits.
func childContent(generation uint64) []uint64 {
	var numbers []uint64
	for i := range uint64(10_000) {
		if (i+generation)%7 != 0 {
			first := 12_012_000_000 + i*block.Size + (i%3)*generation%100
			numbers = append(numbers, first)
			for k := range (1 - min(i%50, 1)) * 2 * block.MaxInline { // some blocks are too long for the database
				numbers = append(numbers, first+1+k)
			}
		}
	}
	return numbers
}

// writeUntilKilled is what a child does: it opts numbers out, withdraws, and loads lists, all at once.
func writeUntilKilled(t *testing.T, dir string) {
	round := campaign(t, childRound, 0)
	d := openDiary(t)
	s := open(t, dir)
	var all sync.WaitGroup
	for w := range childWriters {
		all.Go(func() { writeRecords(t, s, d, w, rand.New(rand.NewPCG(uint64(round), uint64(w)))) })
	}
	all.Go(func() { writeGrants(t, s, d, rand.New(rand.NewPCG(uint64(round), childWriters+1))) })
	all.Go(func() { writeRows(t, s, d, childWriters, rand.New(rand.NewPCG(uint64(round), childWriters))) })
	for i := range childLists {
		all.Go(func() { loadLists(t, s, d, childList(i), uint64(round)<<16) })
	}
	all.Wait()
}

func writeRecords(t *testing.T, s *Store, d *diary, writer int, random *rand.Rand) {
	for !t.Failed() {
		n := childNumber(writer, random.IntN(childNumbers))
		what := deed{kind: didOptOut, about: uint64(n)}
		if verdict(s.View(), n, "acme", s.Now()).Verdict == policy.Block && random.IntN(2) == 0 {
			what.kind = didWithdraw
		}
		r := Request{}
		if random.IntN(4) == 0 {
			r.Story = Story{Desk: "after-sales", Note: strconv.FormatUint(random.Uint64(), 36)}
		}
		d.write(what)
		receipt, err := writeRecord(s, n, what.kind, r)
		if err != nil {
			t.Errorf("%s: %v", what.kind, err)
			return
		}
		d.write(what.done(receipt))
	}
}

// writeRows records rows of files, some with words of their own, and withdraws some of what it recorded.
func writeRows(t *testing.T, s *Store, d *diary, writer int, random *rand.Rand) {
	for !t.Failed() {
		var rows []RecordRow
		for _, n := range random.Perm(childNumbers)[:1+random.IntN(100)] {
			r := RecordRow{OptOut: OptOut{Number: childNumber(writer, n), Scope: "acme"}, Story: Story{Desk: "after-sales"}}
			if random.IntN(2) == 0 {
				r.Story.Note = strconv.FormatUint(random.Uint64(), 36)
			}
			rows = append(rows, r)
			d.write(deed{kind: didOptOut, about: uint64(r.Number)})
		}
		outcomes, err := s.RecordOptOuts(context.Background(), rows)
		if err != nil {
			t.Errorf("rows: %v", err)
			return
		}
		for i, o := range outcomes {
			d.write(deed{kind: didOptOut, about: uint64(rows[i].Number)}.done(Receipt{ID: o.ID}))
		}
		for _, r := range rows[:len(rows)/2] {
			what := deed{kind: didWithdraw, about: uint64(r.Number)}
			d.write(what)
			receipt, err := writeRecord(s, r.Number, what.kind, Request{})
			if err != nil {
				t.Errorf("withdraw a row: %v", err)
				return
			}
			d.write(what.done(receipt))
		}
	}
}

func writeRecord(s *Store, n phone.Number, kind string, r Request) (Receipt, error) {
	if kind == didWithdraw {
		return s.WithdrawOptOut(context.Background(), n, "acme", r)
	}
	return s.RecordOptOut(context.Background(), OptOut{Number: n, Scope: "acme"}, r)
}

// writeGrants grants and revokes tokens.
func writeGrants(t *testing.T, s *Store, d *diary, random *rand.Rand) {
	for !t.Failed() {
		g := tokenGrant("grant-"+strconv.Itoa(random.IntN(20)), access.Checker)
		what, write := deed{kind: didGrant, list: g.Name}, func() (Receipt, error) {
			_, r, err := s.CreateGrant(context.Background(), g, Request{})
			return r, err
		}
		if s.View().Access().Named(g.Name) != nil {
			what.kind, write = didRevoke, func() (Receipt, error) { return s.RevokeGrant(context.Background(), g.Name, Request{}) }
		}
		d.write(what)
		receipt, err := write()
		if err != nil {
			t.Errorf("%s: %v", what.kind, err)
			return
		}
		d.write(what.done(receipt))
	}
}

func loadLists(t *testing.T, s *Store, d *diary, list string, generation uint64) {
	for !t.Failed() {
		generation++
		what := deed{kind: didLoad, list: list, about: generation}
		d.write(what)
		r, err := replaceList(s, list, childContent(generation))
		for errors.Is(err, ErrImportRunning) {
			time.Sleep(time.Millisecond) // the load that a crash interrupted
			r, err = replaceList(s, list, childContent(generation))
		}
		if err != nil {
			t.Errorf("load: %v", err)
			return
		}
		d.write(what.done(r.Receipt))
	}
}

func replaceList(s *Store, list string, numbers []uint64) (Result, error) {
	i, err := s.BeginImport(Header{List: list, Mode: Replace, Guards: Guards{MaxShrink: -1, MaxRejects: -1}})
	if err != nil {
		return Result{}, err
	}
	defer i.Close()
	return commit(i, numbers, Commit{})
}

// The kinds of deed.
const (
	didOptOut   = "optout"
	didWithdraw = "withdraw"
	didLoad     = "load"
	didGrant    = "grant"
	didRevoke   = "revoke"
)

// deed is a write that is about to be asked for, or that was acknowledged.
type deed struct {
	acked bool
	kind  string
	list  string // of a load; of a grant, its name
	about uint64 // the number; of a load, its generation
	id    policy.EventID
}

func (d deed) done(r Receipt) deed {
	d.acked, d.id = true, r.ID
	return d
}

func (d deed) line() string {
	return fmt.Sprintf("%t %s %s %d %d %d\n", d.acked, d.kind, cmp.Or(d.list, "-"), d.about, d.id.Revision, d.id.Index)
}

func (d *deed) parse(line string) error {
	_, err := fmt.Sscanf(line, "%t %s %s %d %d %d", &d.acked, &d.kind, &d.list, &d.about, &d.id.Revision, &d.id.Index)
	return err
}
