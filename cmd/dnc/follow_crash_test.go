package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/proto"

	"github.com/dncd/dncd/client"
	"github.com/dncd/dncd/cmd/dnc/internal/sqlitebase"
	"github.com/dncd/dncd/internal/ascending"
	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
)

// TestFollowThroughKills kills `dnc follow` and dncd with SIGKILL at random moments while opt-outs, withdrawals and loads of a
// list go on. At the end the file holds exactly what the server has, with the same log. DNCTEST_FOLLOW_KILLS sets how many kills there are.
func TestFollowThroughKills(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("a campaign: -short leaves it out")
	}
	kills := 12
	if text := os.Getenv("DNCTEST_FOLLOW_KILLS"); text != "" {
		var err error
		if kills, err = strconv.Atoi(text); err != nil {
			t.Fatal(err)
		}
	}
	r := newFollowRig(t)
	r.startServer()
	r.run("list", "create", "house", "--kind", "suppression")
	r.run("subscriber", "put", "south", "--kind", "internal", "--scope", "acme", "--list", "house")
	stop := r.write()
	for i := range kills {
		f := r.command("follow", "--db", r.db, "--subscriber", "south")
		if err := f.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(rand.N(500 * time.Millisecond))
		if i%3 == 2 {
			kill(r.server)
			time.Sleep(rand.N(50 * time.Millisecond))
			r.startServer()
			time.Sleep(rand.N(300 * time.Millisecond))
		}
		kill(f)
	}
	stop()
	r.run("follow", "--db", r.db, "--subscriber", "south", "--once")
	r.compare()
}

// followRig is a server that can be killed and started again at one address, and a file that follows it.
type followRig struct {
	t      *testing.T
	dir    string
	db     string
	addr   string
	server *exec.Cmd
}

func newFollowRig(t *testing.T) *followRig {
	dir := t.TempDir()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return &followRig{t: t, dir: dir, db: filepath.Join(dir, "blocked.sqlite"), addr: l.Addr().String()}
}

func kill(cmd *exec.Cmd) {
	_ = cmd.Process.Kill() // it may have ended
	_ = cmd.Wait()
}

func (r *followRig) startServer() {
	r.t.Helper()
	cmd := exec.Command("dncd", "--listen", r.addr, "--http", "127.0.0.1:0", "--init", "--data", filepath.Join(r.dir, "data"), "--min-free", "1MiB", "--log-level", "error")
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		r.t.Fatal(err)
	}
	r.server = cmd
	r.t.Cleanup(func() { kill(cmd) })
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		r.t.Fatalf("dncd does not serve: %v", err)
	}
}

func (r *followRig) command(args ...string) *exec.Cmd {
	cmd := exec.Command("dnc", args...)
	cmd.Env = append(os.Environ(), "DNC_ADDR="+r.addr)
	return cmd
}

func (r *followRig) run(args ...string) {
	r.t.Helper()
	if out, err := r.command(args...).CombinedOutput(); err != nil {
		r.t.Fatalf("dnc %v: %v: %s", args, err, out)
	}
}

// write records, withdraws and loads until stop is called, whatever becomes of the server.
func (r *followRig) write() (stop func()) {
	c, err := client.New(r.addr, client.WithWaitForReady(), client.WithTimeout(patience))
	if err != nil {
		r.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var tasks sync.WaitGroup
	scopes := []string{"", "acme", "acme/telecom", "other"}
	number := func(n int) string { return fmt.Sprintf("+1415555%04d", 100+n) }
	for range 2 {
		tasks.Go(func() {
			for ctx.Err() == nil {
				n, scope := number(rand.IntN(60)), scopes[rand.IntN(len(scopes))]
				switch rand.IntN(3) {
				case 0:
					_, _ = c.WithdrawOptOut(ctx, client.Withdrawal{Number: n, Scope: scope, Reason: "test"})
				case 1:
					_, _ = c.RecordOptOut(ctx, client.OptOut{Number: n, Scope: scope, ExpiresAt: time.Now().Add(rand.N(2 * time.Second))})
				default:
					_, _ = c.RecordOptOut(ctx, client.OptOut{Number: n, Scope: scope})
				}
			}
		})
	}
	tasks.Go(func() {
		for ctx.Err() == nil {
			var numbers []string
			for n := range 60 {
				if rand.IntN(2) == 0 {
					numbers = append(numbers, number(n))
				}
			}
			_, _ = c.Import(ctx, client.ImportRequest{List: "house", Numbers: client.Numbers(slices.Values(numbers)), Override: true})
		}
	})
	return func() {
		cancel()
		tasks.Wait()
		c.Close()
	}
}

// compare fails the test unless the file holds what a snapshot has, at the same place of the log. The position may be an earlier one:
// acknowledgements are revisions too.
func (r *followRig) compare() {
	t := r.t
	want, cursor, at := r.snapshot()
	base, err := sqlitebase.OpenExisting(t.Context(), r.db, true)
	if err != nil {
		t.Fatal(err)
	}
	defer base.Close()
	var got []client.Row
	for row, err := range base.Rows(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if row.Until.IsZero() || row.Until.After(at) { // an end makes no change
			got = append(got, row)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("the file holds %d rows, the server %d:\n%v,\nwant\n%v", len(got), len(want), got, want)
	}
	state, err := base.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var held dncv1.FeedCursor
	raw, err := base64.RawURLEncoding.DecodeString(string(state.Cursor))
	if err := errors.Join(err, proto.Unmarshal(raw, &held)); err != nil || held.GetChanges() != cursor.GetChanges() || !bytes.Equal(held.GetHash(), cursor.GetHash()) {
		t.Errorf("the file has %d changes, the server's log %d, or another hash (%v)", held.GetChanges(), cursor.GetChanges(), err)
	}
	if held.GetChanges() < 20 {
		t.Errorf("%d changes are too few to show anything", held.GetChanges())
	}
	t.Logf("%d rows after %d changes", len(got), held.GetChanges())
}

// snapshot is what the server has, by a reading of its own.
func (r *followRig) snapshot() (rows []client.Row, cursor *dncv1.FeedCursor, at time.Time) {
	t := r.t
	conn, err := grpc.NewClient(r.addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	request := &dncv1.GetFeedRequest{Feed: &dncv1.GetFeedRequest_Subscriber{Subscriber: "south"}}
	stream, err := dncv1.NewPropagationServiceClient(conn).GetFeed(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	lists := map[string]string{} // scopes by id
	id := func(e *dncv1.EventId) string { return fmt.Sprintf("%d.%d", e.GetRevision(), e.GetIndex()) }
	for {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			slices.SortFunc(rows, client.Row.Compare)
			return rows, cursor, at
		}
		if err != nil {
			t.Fatal(err)
		}
		if h := m.GetHeader(); h != nil {
			cursor, at = h.GetCursor(), h.GetTime().AsTime()
			for _, l := range h.GetLists() {
				lists[id(l.GetId())] = l.GetScope()
			}
		}
		for _, row := range m.GetChunk().GetRows() {
			r := client.Row{Number: row.GetNumber(), Scope: row.GetScope(), Source: client.SourceOptOut}
			if row.GetUntil() != nil {
				r.Until = row.GetUntil().AsTime()
			}
			if r.Until.IsZero() || r.Until.After(at) {
				rows = append(rows, r)
			}
		}
		if l := m.GetChunk().GetListRows(); l != nil {
			numbers, err := ascending.Decode(nil, l.GetAscending())
			if err != nil {
				t.Fatal(err)
			}
			for _, n := range numbers {
				rows = append(rows, client.Row{Number: n, Scope: lists[id(l.GetList())], Source: id(l.GetList())})
			}
		}
	}
}
