package server_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/dncd/dncd/internal/feed"
	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
	"github.com/dncd/dncd/store"
)

// A store of an earlier version, on a full disk and then with room: feeds and comparisons wait until the opt-out is stored under the
// present digits, checks never do, and the dossier shows and proves both.
func TestFeedsWaitForFormerSpellings(t *testing.T) {
	t.Parallel()
	const former, present = "+33692123456", "+262692123456"
	dir := t.TempDir()
	public, signing := signingKey(t)
	key := baseKey(t, "south-2026")
	n := startIn(t, dir, store.Options{MinFree: -1}, signing)
	n.listKeys("south", key)
	story := store.Request{Story: store.Story{Evidence: "ticket 4711"}}
	if _, err := n.store.RecordOptOut(context.Background(), store.OptOut{Number: 33692123456, Scope: "acme"}, story); err != nil { // past the parser
		t.Fatal(err)
	}
	sign := func(n *node) {
		t.Helper()
		if _, err := n.acknowledge(testContext(t), "south", noteOf(t, key, n.checkpoint("south"), feed.Applied)); err != nil {
			t.Fatal(err)
		}
	}
	sign(n)
	closeNode(t, n)
	n = startIn(t, dir, store.Options{MinFree: 1 << 60}, signing)
	if v := n.checkNumber(present, "acme").GetVerdict(); v != dncv1.Verdict_VERDICT_BLOCK {
		t.Errorf("on a full disk: got %v, want BLOCK", v)
	}
	_, err := n.feedNumbers("south")
	wantReason(t, err, codes.Unavailable, "FEED_NOT_READY")
	stream, err := propagation(n).Watch(testContext(t), &dncv1.WatchRequest{Feed: &dncv1.WatchRequest_Filter{Filter: &dncv1.FeedFilter{}}})
	if err == nil {
		_, err = stream.Recv()
	}
	wantReason(t, err, codes.Unavailable, "FEED_NOT_READY")
	base, err := propagation(n).CompareBase(testContext(t))
	if err == nil {
		header := &dncv1.CompareBaseRequest_Header{Header: &dncv1.CompareHeader{Subscriber: "south"}}
		err = base.Send(&dncv1.CompareBaseRequest{Frame: header})
	}
	if err == nil {
		_, err = base.Recv()
	}
	wantReason(t, err, codes.Unavailable, "FEED_NOT_READY")
	if !strings.Contains(n.log.String(), "stay under other digits") {
		t.Error("the log does not say that numbers stay under other digits")
	}

	closeNode(t, n)
	n = startIn(t, dir, store.Options{MinFree: -1}, signing)
	for n.store.FeedReady(feed.Filter{}) != nil {
		time.Sleep(time.Millisecond)
	}
	if got, err := n.feedNumbers("south"); err != nil || len(got) != 1 || got[0] != 262692123456 {
		t.Errorf("the feed has %d numbers, %v; want the one, under the present digits", len(got), err)
	}
	n.clock.add(time.Hour)
	sign(n)
	resp, err := propagation(n).GetDossier(testContext(t), &dncv1.GetDossierRequest{Number: present})
	if err != nil {
		t.Fatal(err)
	}
	d, _, err := feed.OpenDossier(resp.GetNote(), public)
	if err != nil {
		t.Fatal(err)
	}
	if found := d.Verify([]feed.PublicKey{key.Public()}); len(found) > 0 {
		t.Errorf("got findings %q, want none", found)
	}
	if len(d.Events) != 2 || d.Events[0].Kind != "OPT_OUT_RECORDED" || d.Events[0].Story.Evidence != "ticket 4711" || d.Events[1].Kind != "OPT_OUT_RESPELLED" {
		t.Errorf("got events %+v, want the objection with its story, and that it was respelled", d.Events)
	}
	if s := d.Subscribers; len(s) != 1 || len(s[0].Items) != 2 || s[0].Items[0].Proof == nil || s[0].Items[1].Proof == nil {
		t.Errorf("got bases %+v, want both proven", s)
	}
	h, err := n.record.ListHistory(testContext(t), &dncv1.ListHistoryRequest{Number: former})
	if err != nil {
		t.Fatal(err)
	}
	if e := h.GetEvents(); len(e) != 2 || e[1].GetOptOutRespelled().GetFormer() != former || e[1].GetOptOutRespelled().GetRecorded().GetRevision() != e[0].GetId().GetRevision() {
		t.Errorf("got %d events, want what was respelled", len(e))
	}
}

// feedNumbers are the numbers of the opt-outs in a snapshot.
func (n *node) feedNumbers(subscriber string) (numbers []uint64, err error) {
	stream, err := propagation(n).GetFeed(testContext(n.t), &dncv1.GetFeedRequest{Feed: &dncv1.GetFeedRequest_Subscriber{Subscriber: subscriber}})
	for err == nil {
		var m *dncv1.GetFeedResponse
		if m, err = stream.Recv(); errors.Is(err, io.EOF) {
			return numbers, nil
		}
		for _, row := range m.GetChunk().GetRows() {
			numbers = append(numbers, row.GetNumber())
		}
	}
	return numbers, err
}
