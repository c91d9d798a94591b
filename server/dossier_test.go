package server_test

import (
	"bytes"
	"cmp"
	"context"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/dncd/dncd/internal/access"
	"github.com/dncd/dncd/internal/feed"
	"github.com/dncd/dncd/internal/policy"
	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
	"github.com/dncd/dncd/server"
	"github.com/dncd/dncd/store"
)

const (
	theirs  = "+14155550101" // whose dossier it is
	another = "+14155550102"
	third   = "+14155550103"
)

// dossierNode is a server with a number that was opted out, listed and withdrawn, and with three bases: south signs, north
// claims, and west never acknowledged.
type dossierNode struct {
	*node
	server  feed.PublicKey
	signing feed.PrivateKey // the server's
	south   feed.PrivateKey
}

func startDossier(t *testing.T, change ...func(*server.Options)) *dossierNode {
	public, signing := signingKey(t)
	var set server.Options
	signing(&set)
	n := &dossierNode{node: start(t, append(change, signing)...), server: public, signing: set.SigningKey.PrivateKey, south: baseKey(t, "south-2026")}
	n.createList(&dncv1.CreateListRequest{Name: "partner", Kind: dncv1.ListKind_LIST_KIND_SUPPRESSION})
	n.subscribe("north", nil, nil)
	n.subscribe("west", nil, []string{"partner"})
	n.subscribe("other", []string{"elsewhere"}, nil)
	n.listKeys("south", n.south)
	n.optOut(another, "acme")
	n.ack("south", feed.Received)
	if _, err := n.record.RecordOptOut(testContext(t), &dncv1.RecordOptOutRequest{
		Number: theirs, Scope: "acme", Channel: dncv1.Channel_CHANNEL_CALL, Desk: "after-sales", Evidence: "ticket 4711",
	}); err != nil {
		t.Fatal(err)
	}
	n.optOut(third, "")
	n.replace("partner", "", 14155550101, 14155550102)
	n.ack("south", feed.Durable)
	n.optOut(third, "acme")
	n.ack("south", feed.Applied)
	at := n.checkpoint("north")
	cursor := &dncv1.FeedCursor{Position: &dncv1.Position{Revision: at.Revision}}
	if _, err := n.claim(testContext(t), "north", dncv1.Stage_STAGE_DURABLE, cursor); err != nil {
		t.Fatal(err)
	}
	n.clock.add(time.Hour)
	if _, err := n.record.WithdrawOptOut(testContext(t), &dncv1.WithdrawOptOutRequest{Number: theirs, Scope: "acme", Reason: "asked to"}); err != nil {
		t.Fatal(err)
	}
	n.optOut(another, "")
	return n
}

// ack has a base sign what it got.
func (n *dossierNode) ack(name string, stage feed.Stage) {
	n.t.Helper()
	if _, err := n.acknowledge(testContext(n.t), name, noteOf(n.t, n.south, n.checkpoint(name), stage)); err != nil {
		n.t.Fatal(err)
	}
}

// dossier gets one, and opens it with the server's key.
func (n *dossierNode) dossier(req *dncv1.GetDossierRequest) (note []byte, d *feed.Dossier) {
	n.t.Helper()
	resp, err := propagation(n.node).GetDossier(testContext(n.t), req)
	if err != nil {
		n.t.Fatal(err)
	}
	d, _, err = feed.OpenDossier(resp.GetNote(), n.server)
	if err != nil {
		n.t.Fatal(err)
	}
	return resp.GetNote(), d
}

// TestDossier: it says what came in, when it was stored, which list holds it, and which base knew it when.
func TestDossier(t *testing.T) {
	t.Parallel()
	n := startDossier(t)
	note, d := n.dossier(&dncv1.GetDossierRequest{Number: theirs})
	if found := d.Verify([]feed.PublicKey{n.south.Public()}); len(found) > 0 {
		t.Errorf("got findings %q, want none", found)
	}
	if len(d.Events) != 2 || d.Events[0].Kind != "OPT_OUT_RECORDED" || d.Events[0].Channel != "CALL" || d.Events[0].Story.Desk != "after-sales" ||
		d.Events[0].Story.Evidence != "ticket 4711" || d.Events[1].Kind != "OPT_OUT_WITHDRAWN" || d.Events[1].Ended[0] != d.Events[0].ID {
		t.Errorf("got events %+v, want the objection with its story, and the withdrawal that ended it", d.Events)
	}
	if len(d.Lists) != 1 || d.Lists[0].Name != "partner" || d.Lists[0].Since == nil || !d.Lists[0].SinceKnown {
		t.Errorf("got lists %+v, want partner, and since when", d.Lists)
	}
	if len(d.Verdicts) != 1 || d.Verdicts[0].Scope != "acme" || d.Verdicts[0].Verdict != "BLOCK" {
		t.Errorf("got verdicts %+v, want BLOCK by the list", d.Verdicts)
	}
	stages := map[string]string{}
	for _, s := range d.Subscribers {
		for i, item := range s.Items {
			stages[s.Name] += map[bool]string{true: "; "}[i > 0] + stageText(item)
		}
	}
	for name, want := range map[string]string{
		"south": "signed signed signed proven; - - - not",
		"north": "claimed claimed - proven; - - - not",
		"west":  "- - - not; - - - not; - - - not",
		"other": "",
	} {
		if stages[name] != want {
			t.Errorf("%s: got %q, want %q", name, stages[name], want)
		}
	}
	for _, number := range []string{another, third} {
		if bytes.Contains(note, []byte(digits(number))) {
			t.Errorf("got another's number in the dossier")
		}
	}
}

func stageText(item feed.DossierItem) string {
	words := []string{}
	for _, s := range item.Stages {
		switch {
		case s.AcknowledgedAt == nil:
			words = append(words, "-")
		case s.Signed:
			words = append(words, "signed")
		default:
			words = append(words, "claimed")
		}
	}
	return strings.Join(append(words, map[bool]string{true: "proven", false: "not"}[item.Proof != nil]), " ")
}

// TestChangedDossierIsRefused: one changed byte of a dossier is caught with the server's key alone.
func TestChangedDossierIsRefused(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("a campaign: -short leaves it out")
	}
	n := startDossier(t)
	note, _ := n.dossier(&dncv1.GetDossierRequest{Number: theirs})
	for i := range note {
		changed := bytes.Clone(note)
		changed[i] ^= 1
		if _, _, err := feed.OpenDossier(changed, n.server); err == nil {
			t.Fatalf("byte %d of %d was changed, and the dossier was read", i, len(note))
		}
	}
}

// TestDossierProvesWithoutTheServer: what a server would say wrongly and sign does not fit what the base signed.
func TestDossierProvesWithoutTheServer(t *testing.T) {
	t.Parallel()
	n := startDossier(t)
	keys := []feed.PublicKey{n.south.Public(), n.signing.Public()}
	south := func(d *feed.Dossier) *feed.DossierItem {
		for i := range d.Subscribers {
			if d.Subscribers[i].Name == "south" {
				return &d.Subscribers[i].Items[0]
			}
		}
		t.Fatal("south is missing")
		return nil
	}
	for what, c := range map[string]struct {
		lie  func(d *feed.Dossier)
		says string
	}{
		"another number":   {func(d *feed.Dossier) { d.Number = another }, "of another change"},
		"another event":    {func(d *feed.Dossier) { south(d).Event = d.Events[1].ID }, "before the event"},
		"another scope":    {func(d *feed.Dossier) { d.Events[0].Scope = "" }, "of another change"},
		"a later stage":    {func(d *feed.Dossier) { south(d).Stages[2] = withStage(south(d).Stages[1], "APPLIED") }, "what it signed says durable"},
		"another hash":     {func(d *feed.Dossier) { south(d).Stages[1].Hash[0] ^= 1 }, "does not lead to the hash"},
		"another position": {func(d *feed.Dossier) { south(d).Stages[1].Revision++ }, "of another position"},
		"another base's":   {func(d *feed.Dossier) { d.Subscribers[0].Items = []feed.DossierItem{*south(d)} }, "of another subscriber"},
		"a leaf less": {func(d *feed.Dossier) {
			p := south(d).Proof
			p.Leaves = p.Leaves[:0]
			south(d).Stages = south(d).Stages[2:]
		}, "leads to nothing"},
		"another key": {func(d *feed.Dossier) { south(d).Stages[0].Key = d.ServerKey }, "names another key"},
		"what the server signed": {func(d *feed.Dossier) {
			stage := &south(d).Stages[0]
			a, _, err := feed.ReadAcknowledgement([]byte(stage.Note))
			if err != nil {
				t.Fatal(err)
			}
			stage.Note, stage.Key = string(noteOf(t, n.signing, a.Checkpoint, feed.Received)), d.ServerKey
		}, "signed by a key of the server"},
		"an earlier time": {func(d *feed.Dossier) { south(d).Stages[0].AcknowledgedAt = earlier(south(d).Stages[0], time.Second) }, "says another time"},
		"a later event":   {func(d *feed.Dossier) { d.Events[0].RecordedAt = testDay.Add(time.Hour) }, "says another time"},
		"a time long before the base signed": {func(d *feed.Dossier) {
			stage := &south(d).Stages[0]
			a, _, err := feed.ReadAcknowledgement([]byte(stage.Note))
			if err != nil {
				t.Fatal(err)
			}
			a.Signed = testDay.Add(25 * time.Hour)
			note, err := a.Sign(n.south)
			if err != nil {
				t.Fatal(err)
			}
			stage.Note = string(note)
		}, "more than a day after"},
		"another blind":         {func(d *feed.Dossier) { south(d).Proof.Blind[0] ^= 1 }, "does not lead"},
		"another hash before":   {func(d *feed.Dossier) { south(d).Proof.Before[0] ^= 1 }, "does not lead"},
		"a change that is none": {func(d *feed.Dossier) { south(d).Proof.Change = "x" }, "its proof"},
	} {
		_, d := n.dossier(&dncv1.GetDossierRequest{Number: theirs})
		c.lie(d)
		if found := strings.Join(d.Verify(keys), "\n"); !strings.Contains(found, c.says) {
			t.Errorf("%s: got findings %q, want one that says %q", what, found, c.says)
		}
	}
	_, d := n.dossier(&dncv1.GetDossierRequest{Number: theirs})
	if found := d.Verify(nil); len(found) != 3 || !strings.Contains(found[0], "not one of the keys") {
		t.Errorf("without the base's key: got %q, want each of the three signatures unknown", found)
	}
}

func earlier(s feed.DossierStage, by time.Duration) *time.Time {
	at := s.AcknowledgedAt.Add(-by)
	return &at
}

func withStage(s feed.DossierStage, name string) feed.DossierStage {
	s.Stage = name
	return s
}

// TestDossierOfAChangedFilter: what a base acknowledged under another filter proves nothing; the rows with which a log begins count
// from the acknowledgement that covers them.
func TestDossierOfAChangedFilter(t *testing.T) {
	t.Parallel()
	n := startDossier(t)
	n.optOut("+14155550107", "acme")
	scoped := func(scope policy.Scope) func(*store.SubscriberSettings) {
		return func(set *store.SubscriberSettings) { set.Filter = feed.Filter{Scopes: []policy.Scope{scope}} }
	}
	item := func() feed.DossierItem {
		_, d := n.dossier(&dncv1.GetDossierRequest{Number: "+14155550107"})
		for _, s := range d.Subscribers {
			if s.Name == "south" {
				return s.Items[0]
			}
		}
		t.Fatal("south is missing")
		return feed.DossierItem{}
	}
	n.put("south", scoped("elsewhere"))
	n.ack("south", feed.Applied)
	if got := stageText(item()); got != "- - - not" {
		t.Errorf("under another filter: got %q, want nothing", got)
	}
	n.put("south", scoped("acme"))
	if got := stageText(item()); got != "- - - not" {
		t.Errorf("before it acknowledged the rows: got %q, want nothing", got)
	}
	n.ack("south", feed.Applied)
	if got := item(); stageText(got) != "signed signed signed not" || got.Reached != feed.AsSnapshot {
		t.Errorf("got %q as %s, want it signed, as a part of the snapshot", stageText(got), got.Reached)
	}
	if _, err := n.store.RemoveSubscriber(testContext(t), n.store.View().Subscribers().Named("south").ID, store.Request{}); err != nil {
		t.Fatal(err)
	}
	if got := stageText(item()); got != "signed signed signed not" {
		t.Errorf("once it was removed: got %q, want what it signed", got)
	}
}

// TestDossierWithinTheCallersScopes: an officer of one scope sees what is at it, above and below, and no story of what is above.
func TestDossierWithinTheCallersScopes(t *testing.T) {
	t.Parallel()
	_, signing := signingKey(t)
	d := openDoor(t, signing)
	ctx := d.as("officer-of-acme", access.RolesOf(access.Officer), "acme")
	get := func(number string, scopes ...string) (*feed.Dossier, error) {
		resp, err := propagation(d.node).GetDossier(ctx, &dncv1.GetDossierRequest{Number: number, Scopes: scopes})
		if err != nil {
			return nil, err
		}
		dossier, _, err := feed.ReadDossier(resp.GetNote())
		return dossier, err
	}
	for number, want := range map[string]string{numberOfAcme.E164(): "acme PRESENT", numberOfOther.E164(): "", numberOfAll.E164(): " WITHHELD"} {
		dossier, err := get(number)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, e := range dossier.Events {
			got += e.Scope + " " + e.Story.State
		}
		if got != want || len(dossier.Within) != 1 {
			t.Errorf("got %q within %v, want %q within acme", got, dossier.Within, want)
		}
	}
	_, err := get(numberOfAcme.E164(), "other")
	wantReason(t, err, codes.PermissionDenied, "PERMISSION_DENIED")
	if page, err := d.store.ReadAccess(store.AccessQuery{Limit: 100, Number: uint64(numberOfAcme)}); err != nil || len(page.Entries) == 0 {
		t.Errorf("got %v, %v; want the reading in the access log", page, err)
	}
}

// TestCheckpointIsComputedAgain: the server computes from its journal what a base signed, also of a base that was removed.
func TestCheckpointIsComputedAgain(t *testing.T) {
	t.Parallel()
	n := startDossier(t)
	sub := n.store.View().Subscribers().Named("south")
	signed := n.checkpoint("south")
	n.optOut("+14155550107", "")
	get := func(ctx context.Context, epoch, revision uint64) (feed.Checkpoint, error) {
		resp, err := propagation(n.node).GetCheckpoint(ctx, &dncv1.GetCheckpointRequest{
			Subscriber: &dncv1.EventId{Revision: sub.ID.Revision, Index: sub.ID.Index}, Epoch: epoch, Revision: revision,
		})
		if err != nil {
			return feed.Checkpoint{}, err
		}
		c, _, err := feed.OpenCheckpoint(resp.GetCheckpoint(), n.server)
		return c, err
	}
	same := func(when string) {
		t.Helper()
		c, err := get(testContext(t), sub.Epoch, signed.Revision)
		if err = cmp.Or(err, signed.Same(c)); err != nil {
			t.Errorf("%s: got %v, want what was signed", when, err)
		}
	}
	same("later")
	_, err := get(testContext(t), sub.Epoch+1, signed.Revision)
	wantReason(t, err, codes.FailedPrecondition, "FILTER_CHANGED")
	_, err = get(testContext(t), sub.Epoch, n.store.View().Revision()+1)
	wantReason(t, err, codes.FailedPrecondition, "JOURNAL_FORKED")
	_, err = get(testContext(t), sub.Epoch, sub.ID.Revision-1)
	wantReason(t, err, codes.NotFound, "SUBSCRIBER_NOT_FOUND")
	if _, err := n.store.RemoveSubscriber(testContext(t), sub.ID, store.Request{}); err != nil {
		t.Fatal(err)
	}
	same("once it was removed")
}

// TestCheckpointWithinTheCallersScopes: a caller that does not see a subscriber learns nothing of its log, and has none computed: not even
// that of an epoch that it does not have.
func TestCheckpointWithinTheCallersScopes(t *testing.T) {
	t.Parallel()
	_, signing := signingKey(t)
	d := openDoor(t, signing)
	d.subscribe("elsewhere", []string{"other"}, nil)
	sub := d.store.View().Subscribers().Named("elsewhere")
	ctx := d.as("officer-of-acme", access.RolesOf(access.Officer), "acme")
	for _, epoch := range []uint64{sub.Epoch, sub.Epoch + 1} {
		_, err := propagation(d.node).GetCheckpoint(ctx, &dncv1.GetCheckpointRequest{
			Subscriber: &dncv1.EventId{Revision: sub.ID.Revision, Index: sub.ID.Index}, Epoch: epoch, Revision: d.store.View().Revision(),
		})
		wantReason(t, err, codes.NotFound, "SUBSCRIBER_NOT_FOUND")
	}
}

// TestDossierShowsFormerLists: a list that held the number and was deleted is shown with both times, and is no list that holds it.
func TestDossierShowsFormerLists(t *testing.T) {
	t.Parallel()
	n := startDossier(t)
	if _, d := n.dossier(&dncv1.GetDossierRequest{Number: theirs}); len(d.Lists) != 1 || len(d.FormerLists) != 0 || !d.FormerListsComplete {
		t.Errorf("before: %d lists, %d former ones, complete: %v; want the list", len(d.Lists), len(d.FormerLists), d.FormerListsComplete)
	}
	if _, err := n.list.DeleteList(testContext(t), &dncv1.DeleteListRequest{Name: "partner", Force: true}); err != nil {
		t.Fatal(err)
	}
	_, d := n.dossier(&dncv1.GetDossierRequest{Number: theirs})
	if len(d.Lists) != 0 || len(d.FormerLists) != 1 {
		t.Fatalf("%d lists and %d former ones, want the former one", len(d.Lists), len(d.FormerLists))
	}
	if f := d.FormerLists[0]; f.Name != "partner" || !f.SinceKnown || !f.UntilKnown || f.Until == nil || !f.Until.After(*f.Since) {
		t.Errorf("got %+v", f)
	}
	if _, d := n.dossier(&dncv1.GetDossierRequest{Number: third}); len(d.FormerLists) != 0 {
		t.Errorf("a number that was on no list: %d former lists", len(d.FormerLists))
	}
}
