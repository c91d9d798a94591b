package server_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/dncd/dncd/internal/feed"
	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
	"github.com/dncd/dncd/server"
	"github.com/dncd/dncd/store"
)

// For a process that serves a store until it is killed: its directory, and the key that signs.
const (
	servedDir = "DNCTEST_SERVED_DIR"
	servedKey = "DNCTEST_SERVED_KEY"
)

// serveToBeKilled says on standard output where it serves. It ends with its standard input, which is that of a test.
func serveToBeKilled(dir string) {
	err := func() error {
		key, err := feed.ParseSigningKey(os.Getenv(servedKey))
		if err != nil {
			return err
		}
		s, err := store.Open(dir, store.Options{MinFree: -1, Ballast: -1})
		if err != nil {
			return err
		}
		served, err := server.New(server.Options{Store: s, SigningKey: key})
		if err != nil {
			return err
		}
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		go func() {
			_, _ = io.Copy(io.Discard, os.Stdin)
			os.Exit(1)
		}()
		fmt.Println(l.Addr())
		return served.Serve(context.Background(), l, nil)
	}()
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// TestWatchKeepsItsGuaranteesThroughKills holds feeds to what the contract guarantees while the server is killed with SIGKILL in the middle
// of writes and of loads of a list, and started again on its directory. DNCTEST_FEED_KILLS sets how many kills there are.
func TestWatchKeepsItsGuaranteesThroughKills(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("a campaign: -short leaves it out")
	}
	kills := 6
	if text := os.Getenv("DNCTEST_FEED_KILLS"); text != "" {
		var err error
		if kills, err = strconv.Atoi(text); err != nil {
			t.Fatal(err)
		}
	}
	h := newKilledHistory(t)
	h.begin()
	for i := range kills {
		h.round(i%3 == 0)
	}
	h.start()
	h.compare()
	h.kill()
	if h.cut == 0 {
		t.Error("no feed was cut within a change")
	}
	t.Logf("%d changes through %d kills, %d feeds cut within a change", h.bases[0].count, kills, h.cut)
}

// killedHistory is a server that is killed and the bases that follow it.
type killedHistory struct {
	t      *testing.T
	random *rand.Rand
	dir    string
	key    feed.PublicKey
	secret string

	child *exec.Cmd
	conn  *grpc.ClientConn
	n     *node // calls the child
	bases []*base
	cut   int           // feeds that were cut within a change
	gone  chan struct{} // closed when the server is killed
}

func newKilledHistory(t *testing.T) *killedHistory {
	secret, public, err := feed.NewKey("dncd-killed")
	if err != nil {
		t.Fatal(err)
	}
	seed := uint64(time.Now().UnixNano())
	t.Log("seed", seed)
	return &killedHistory{t: t, random: rand.New(rand.NewPCG(seed, 0)), dir: t.TempDir(), key: public, secret: secret}
}

func (h *killedHistory) start() {
	h.t.Helper()
	h.gone = make(chan struct{})
	h.child = exec.Command(os.Args[0])
	h.child.Env = append(os.Environ(), servedDir+"="+h.dir, servedKey+"="+h.secret)
	h.child.Stderr = os.Stderr
	_, err1 := h.child.StdinPipe() // which the test keeps open
	out, err2 := h.child.StdoutPipe()
	if err := errors.Join(err1, err2, h.child.Start()); err != nil {
		h.t.Fatal(err)
	}
	child := h.child
	h.t.Cleanup(func() { _ = child.Process.Kill() }) // it may have ended
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		h.t.Fatalf("the server does not start: %v", err)
	}
	if h.conn, err = grpc.NewClient(strings.TrimSpace(line), grpc.WithTransportCredentials(insecure.NewCredentials())); err != nil {
		h.t.Fatal(err)
	}
	conn := h.conn
	h.t.Cleanup(func() { conn.Close() })
	h.n = &node{t: h.t, conn: h.conn, record: dncv1.NewRecordServiceClient(h.conn), list: dncv1.NewListServiceClient(h.conn)}
}

func (h *killedHistory) kill() {
	h.t.Helper()
	if err := h.child.Process.Kill(); err != nil {
		h.t.Fatal(err)
	}
	_ = h.child.Wait() // it was killed
	close(h.gone)
}

// begin registers bases, each with what there is.
func (h *killedHistory) begin() {
	h.start()
	h.n.createList(&dncv1.CreateListRequest{Name: "dnc", Kind: dncv1.ListKind_LIST_KIND_SUPPRESSION, Scope: "acme"})
	for name, filter := range map[string]*dncv1.FeedFilter{
		"all": {Lists: []string{"dnc"}}, "telecom": {Scopes: []string{"acme/telecom"}}, "energy": {Scopes: []string{"acme/energy", "other"}, Lists: []string{"dnc"}},
	} {
		_, err := propagation(h.n).PutSubscriber(testContext(h.t), &dncv1.PutSubscriberRequest{Subscriber: &dncv1.Subscriber{
			Name: name, Kind: dncv1.SubscriberKind_SUBSCRIBER_KIND_INTERNAL, Filter: filter,
		}})
		if err != nil {
			h.t.Fatal(err)
		}
	}
	for _, name := range []string{"all", "telecom", "energy", ""} {
		b := newBase(name, h.key)
		b.filter = &dncv1.FeedFilter{Scopes: []string{"acme"}}
		b.begin(h.t, propagation(h.n))
		h.bases = append(h.bases, b)
	}
	h.kill()
}

// round kills the server while bases follow what is written: at any moment, or once a base has a part of the change of a list.
func (h *killedHistory) round(loads bool) {
	h.t.Helper()
	h.start()
	h.compare()
	within, ended := make(chan struct{}, 1), make(chan error, len(h.bases))
	for _, b := range h.bases {
		go func() { ended <- h.follow(b, within) }()
	}
	written := h.writeUntilGone(loads)
	moment := time.Duration(h.random.IntN(300)) * time.Millisecond
	if loads {
		moment = time.Minute
	}
	select {
	case <-time.After(moment):
	case <-within:
	}
	h.kill()
	written.Wait()
	for range h.bases {
		if err := <-ended; err != nil && status.Code(err) != codes.Unavailable {
			h.t.Errorf("a feed ended with %v, want that the server is gone", err)
		}
	}
	for _, b := range h.bases {
		if b.cursor.GetPart() > 0 {
			h.cut++
		}
	}
}

// follow follows until the server is gone, and says when the base has a part of a change.
func (h *killedHistory) follow(b *base, within chan<- struct{}) error {
	return b.follow(testContext(h.t), propagation(h.n), func() bool {
		if b.cursor.GetPart() > 0 {
			select {
			case within <- struct{}{}:
			default:
			}
			<-h.gone // the kill comes before the next part, which may be here already: it is not taken
			return true
		}
		return false
	})
}

// writeUntilGone writes with several callers until the server is gone.
func (h *killedHistory) writeUntilGone(loads bool) *sync.WaitGroup {
	written := new(sync.WaitGroup)
	write := func(one func(*rand.Rand) error) {
		random := rand.New(rand.NewPCG(h.random.Uint64(), 0))
		written.Go(func() {
			for status.Code(one(random)) != codes.Unavailable {
			}
		})
	}
	for range 4 {
		write(h.write)
	}
	if loads {
		write(h.load)
	}
	return written
}

// compare has each base take what it has missed, and compares it with a snapshot.
func (h *killedHistory) compare() {
	h.t.Helper()
	eventually(h.t, "a load that the kill interrupted has ended", func() bool {
		got, err := h.n.list.GetList(testContext(h.t), &dncv1.GetListRequest{Name: "dnc"})
		return err == nil && got.GetList().GetRunningImport() == nil
	})
	last := h.n.optOut("+14155550199", "acme").GetId().GetRevision()
	for _, b := range h.bases {
		b.watch(h.t, propagation(h.n), last)
		b.wantSame(h.t, propagation(h.n))
	}
}

// write makes one change. There may be nothing to withdraw.
func (h *killedHistory) write(random *rand.Rand) error {
	ctx := testContext(h.t)
	number := fmt.Sprintf("+1415555%04d", 100+random.IntN(30))
	scope := []string{"", "acme", "acme/telecom", "acme/telecom/winter", "acme/energy", "other"}[random.IntN(6)]
	switch random.IntN(8) {
	case 0, 1:
		_, err := h.n.record.WithdrawOptOut(ctx, &dncv1.WithdrawOptOutRequest{Number: number, Scope: scope, Reason: "a test"})
		return err
	case 2:
		end := time.Now().Add(time.Duration(1+random.IntN(3000)) * time.Millisecond)
		_, err := h.n.record.RecordOptOut(ctx, &dncv1.RecordOptOutRequest{Number: number, Scope: scope, ExpiresAt: timestamppb.New(end)})
		return err
	}
	_, err := h.n.record.RecordOptOut(ctx, &dncv1.RecordOptOutRequest{Number: number, Scope: scope})
	return err
}

// load replaces the list with scattered numbers, so that its change comes in parts.
func (h *killedHistory) load(random *rand.Rand) error {
	some := make([]uint64, 100_000+random.IntN(50_000))
	for i := range some {
		some[i] = 14155550000 + uint64(i)*200 + random.Uint64N(200)
	}
	chunks := inChunks(some, 50_000)
	_, err := h.n.load(upload{
		header: &dncv1.ImportHeader{List: "dnc", Guards: &dncv1.ImportGuards{Override: true}},
		chunks: chunks,
		commit: commitOf(len(chunks), len(some)),
	})
	return err
}
