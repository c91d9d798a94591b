package server_test

import (
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/dncd/dncd/internal/access"
	"github.com/dncd/dncd/internal/feed"
	"github.com/dncd/dncd/internal/policy"
	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
	"github.com/dncd/dncd/store"
)

// baseKey makes a key of a calling base.
func baseKey(t testing.TB, name string) feed.PrivateKey {
	t.Helper()
	text, _, err := feed.NewKey(name)
	if err != nil {
		t.Fatal(err)
	}
	key, err := feed.ParsePrivateKey(text)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// listKeys registers a base, or changes it, so that it has these keys alone.
func (n *node) listKeys(name string, keys ...feed.PrivateKey) {
	n.t.Helper()
	n.put(name, func(set *store.SubscriberSettings) {
		set.Keys = nil
		for _, key := range keys {
			set.Keys = append(set.Keys, key.Public().Text())
		}
	})
}

func (n *node) put(name string, change func(*store.SubscriberSettings)) {
	n.t.Helper()
	_, err := n.store.PutSubscriber(testContext(n.t), name, func(_ *store.View, _ *store.Subscriber, set *store.SubscriberSettings) error {
		set.Kind = store.Internal
		change(set)
		return nil
	}, false, store.Request{})
	if err != nil {
		n.t.Fatal(err)
	}
}

// checkpoint gets a feed and returns the checkpoint that the server signed at its end.
func (n *node) checkpoint(name string) feed.Checkpoint {
	n.t.Helper()
	stream, err := propagation(n).GetFeed(testContext(n.t), &dncv1.GetFeedRequest{Feed: &dncv1.GetFeedRequest_Subscriber{Subscriber: name}})
	if err != nil {
		n.t.Fatal(err)
	}
	for {
		m, err := stream.Recv()
		if err == io.EOF {
			n.t.Fatal("a feed without a checkpoint")
		}
		if err != nil {
			n.t.Fatal(err)
		}
		if s := m.GetSummary(); s != nil {
			c, _, err := feed.ReadCheckpoint(s.GetCheckpoint())
			if err != nil {
				n.t.Fatal(err)
			}
			return c
		}
	}
}

func noteOf(t testing.TB, key feed.PrivateKey, c feed.Checkpoint, stage feed.Stage) []byte {
	t.Helper()
	note, err := feed.Acknowledgement{Checkpoint: c, Stage: stage, Signed: testDay}.Sign(key)
	if err != nil {
		t.Fatal(err)
	}
	return note
}

func (n *node) acknowledge(ctx context.Context, name string, note []byte) (*dncv1.AcknowledgeResponse, error) {
	return propagation(n).Acknowledge(ctx, &dncv1.AcknowledgeRequest{
		Subscriber: name, Acknowledgement: &dncv1.AcknowledgeRequest_Note{Note: note},
	})
}

func (n *node) claim(ctx context.Context, name string, stage dncv1.Stage, cursor *dncv1.FeedCursor) (*dncv1.AcknowledgeResponse, error) {
	return propagation(n).Acknowledge(ctx, &dncv1.AcknowledgeRequest{
		Subscriber:      name,
		Acknowledgement: &dncv1.AcknowledgeRequest_Claim{Claim: &dncv1.ClaimedAcknowledgement{Cursor: cursor, Stage: stage}},
	})
}

// standing is how far a subscriber got, as the server answers.
func (n *node) standing(name string) *dncv1.SubscriberStatus {
	n.t.Helper()
	resp, err := propagation(n).GetSubscriber(testContext(n.t), &dncv1.GetSubscriberRequest{Name: name})
	if err != nil {
		n.t.Fatal(err)
	}
	return resp.GetStatus()
}

// TestAcknowledge: a base signs the checkpoint that it got, and the server shows how far it is.
func TestAcknowledge(t *testing.T) {
	t.Parallel()
	_, signing := signingKey(t)
	n := start(t, signing)
	key := baseKey(t, "south-2026")
	n.listKeys("south", key)
	n.optOut("+14155550101", "")
	c := n.checkpoint("south")
	note := noteOf(t, key, c, feed.Durable)
	resp, err := n.acknowledge(testContext(t), "south", note)
	if err != nil || !resp.GetRecorded() || resp.GetPosition().GetRevision() != c.Revision+1 || resp.GetId().GetRevision() != c.Revision+1 {
		t.Fatalf("got %v, %v; want it recorded in the next revision", resp, err)
	}
	again, err := n.acknowledge(testContext(t), "south", note)
	if err != nil || again.GetRecorded() || again.GetId().GetRevision() != resp.GetId().GetRevision() {
		t.Errorf("again: got %v, %v; want the one before", again, err)
	}
	status := n.standing("south")
	for i, pending := range []uint64{0, 0, 2} {
		stage := status.GetStages()[i]
		if stage.GetPending() != pending || (stage.GetAcknowledged() != nil) != (pending == 0) || stage.GetIsSigned() != (pending == 0) {
			t.Errorf("got %v, want %d pending", stage, pending)
		}
	}
	if got := status.GetStages()[1].GetAcknowledged(); got.GetChanges() != 1 || feed.Hash(got.GetHash()) != c.Hash || got.GetPosition().GetRevision() != c.Revision {
		t.Errorf("got %v, want the checkpoint %+v", got, c)
	}
	if status.GetLastSeen() == nil || status.GetLate() {
		t.Errorf("got %v, want it seen and not late", status)
	}
}

// TestForgedAcknowledgementsAreRefused: a note counts for one place of one log, at one stage, under a key that is listed, and a
// refusal says what is wrong.
func TestForgedAcknowledgementsAreRefused(t *testing.T) {
	t.Parallel()
	_, signing := signingKey(t)
	n := start(t, signing)
	key, foreign := baseKey(t, "south-2026"), baseKey(t, "north-2026")
	n.listKeys("south", key)
	n.listKeys("north", foreign)
	n.optOut("+14155550101", "")
	old := n.checkpoint("south")
	if _, err := n.store.PutSubscriber(testContext(t), "south", func(*store.View, *store.Subscriber, *store.SubscriberSettings) error { return nil }, true, store.Request{}); err != nil {
		t.Fatal(err)
	}
	n.optOut("+14155550102", "")
	n.optOut("+14155550103", "")
	good := n.checkpoint("south")
	with := func(change func(*feed.Checkpoint)) []byte {
		c := good
		change(&c)
		return noteOf(t, key, c, feed.Applied)
	}
	note := noteOf(t, key, good, feed.Applied)
	north := n.checkpoint("north")
	for what, c := range map[string]struct {
		note   []byte
		code   codes.Code
		reason string
		says   string
	}{
		"a forged hash":           {with(func(c *feed.Checkpoint) { c.Hash[31] ^= 1 }), codes.InvalidArgument, "ACK_INVALID", "of another hash of changes: got"},
		"a forged count":          {with(func(c *feed.Checkpoint) { c.Changes = 1 }), codes.InvalidArgument, "ACK_INVALID", "of another number of changes: got 1, want 2"},
		"a forged time":           {with(func(c *feed.Checkpoint) { c.Time = c.Time.Add(time.Hour) }), codes.InvalidArgument, "ACK_INVALID", "of another time"},
		"a forged filter":         {with(func(c *feed.Checkpoint) { c.Filter[0] ^= 1 }), codes.InvalidArgument, "ACK_INVALID", "of another filter"},
		"a forged tag":            {with(func(c *feed.Checkpoint) { c.Tag[0] ^= 1 }), codes.FailedPrecondition, "JOURNAL_FORKED", "does not hold"},
		"to another stage":        {[]byte(strings.Replace(string(note), "stage applied", "stage durable", 1)), codes.InvalidArgument, "ACK_INVALID", "not what south-2026 signed"},
		"of another subscriber":   {noteOf(t, key, north, feed.Applied), codes.InvalidArgument, "ACK_INVALID", "of another subscriber"},
		"of the epoch before":     {noteOf(t, key, old, feed.Applied), codes.FailedPrecondition, "FILTER_CHANGED", "of another epoch"},
		"of another journal":      {with(func(c *feed.Checkpoint) { c.Journal = strings.Repeat("a", 32) }), codes.FailedPrecondition, "JOURNAL_CHANGED", "another journal"},
		"truncated":               {note[:len(note)/2], codes.InvalidArgument, "ACK_INVALID", "not a signed note"},
		"with a byte more":        {append(note[:len(note):len(note)], ' '), codes.InvalidArgument, "ACK_INVALID", ""},
		"signed by a foreign key": {noteOf(t, foreign, good, feed.Applied), codes.InvalidArgument, "ACK_INVALID", "not one of the keys"},
		"too long":                {make([]byte, 8<<10+1), codes.InvalidArgument, "FIELD_INVALID", "8 KiB"},
		"none":                    {nil, codes.InvalidArgument, "FIELD_INVALID", "required"},
	} {
		before := n.store.View()
		_, err := n.acknowledge(testContext(t), "south", c.note)
		wantReason(t, err, c.code, c.reason)
		if m := status.Convert(err).Message(); !strings.Contains(m, c.says) {
			t.Errorf("%s: got %q, want it to say %q", what, m, c.says)
		}
		if n.store.View() != before {
			t.Errorf("%s: something was recorded", what)
		}
	}
	_, err := n.claim(testContext(t), "south", dncv1.Stage_STAGE_APPLIED, &dncv1.FeedCursor{Position: &dncv1.Position{Revision: good.Revision}})
	wantReason(t, err, codes.InvalidArgument, "ACK_INVALID")
	n.listKeys("south", foreign)
	_, err = n.acknowledge(testContext(t), "south", note)
	wantReason(t, err, codes.InvalidArgument, "ACK_INVALID")
	n.listKeys("south", key)
	if resp, err := n.acknowledge(testContext(t), "south", note); err != nil || !resp.GetRecorded() {
		t.Errorf("the true one: got %v, %v; want it recorded", resp, err)
	}
	if tips := n.standing("south").GetBeyondTip(); len(tips) != 1 {
		t.Errorf("got %v, want the one with a forged tag: what this journal holds is not lost", tips)
	}
}

// TestClaimedAcknowledgement: a base without a key may claim a position; what else it says must be true.
func TestClaimedAcknowledgement(t *testing.T) {
	t.Parallel()
	n := start(t)
	n.put("south", func(*store.SubscriberSettings) {})
	at := n.optOut("+14155550101", "").GetPosition()
	sub := n.store.View().Subscribers().Named("south")
	log, err := n.store.FeedLog(testContext(t), sub, at.GetRevision())
	if err != nil {
		t.Fatal(err)
	}
	good := func(change func(*dncv1.FeedCursor)) *dncv1.FeedCursor {
		c := &dncv1.FeedCursor{Position: at, Epoch: sub.Epoch, Changes: log.Changes, Hash: log.Hash[:]}
		change(c)
		return c
	}
	forged := feed.Hash{1}
	for what, c := range map[string]struct {
		cursor *dncv1.FeedCursor
		stage  dncv1.Stage
		reason string
	}{
		"no stage":           {good(func(*dncv1.FeedCursor) {}), 0, "FIELD_INVALID"},
		"a stage of later":   {good(func(*dncv1.FeedCursor) {}), 4, "FIELD_INVALID"},
		"no cursor":          {nil, 1, "FIELD_INVALID"},
		"a part":             {good(func(c *dncv1.FeedCursor) { c.Part = 1 }), 1, "ACK_INVALID"},
		"another count":      {good(func(c *dncv1.FeedCursor) { c.Changes = 7 }), 1, "ACK_INVALID"},
		"another hash":       {good(func(c *dncv1.FeedCursor) { c.Hash = forged[:] }), 1, "ACK_INVALID"},
		"a short hash":       {good(func(c *dncv1.FeedCursor) { c.Hash = c.Hash[1:] }), 1, "FIELD_INVALID"},
		"another epoch":      {good(func(c *dncv1.FeedCursor) { c.Epoch++ }), 1, "FILTER_CHANGED"},
		"before the epoch":   {&dncv1.FeedCursor{Position: &dncv1.Position{}}, 1, "FIELD_INVALID"},
		"another journal":    {good(func(c *dncv1.FeedCursor) { c.Position = &dncv1.Position{Revision: 1, JournalId: "x"} }), 1, "JOURNAL_CHANGED"},
		"another history":    {good(func(c *dncv1.FeedCursor) { c.Position = &dncv1.Position{Revision: 1, Tag: []byte("12345678")} }), 1, "JOURNAL_FORKED"},
		"beyond the journal": {good(func(c *dncv1.FeedCursor) { c.Position = &dncv1.Position{Revision: 99} }), 1, "JOURNAL_FORKED"},
		"the position alone": {&dncv1.FeedCursor{Position: at}, 1, ""},
		"all of it":          {good(func(*dncv1.FeedCursor) {}), 2, ""},
	} {
		if _, err := n.claim(testContext(t), "south", c.stage, c.cursor); reasonOf(err) != c.reason {
			t.Errorf("%s: got %v, want %q", what, err, c.reason)
		}
	}
	if s := n.standing("south").GetStages()[1]; s.GetAcknowledged() == nil || s.GetIsSigned() {
		t.Errorf("got %v, want it claimed", s)
	}
}

// TestAcknowledgeIsForItsOwn: a base speaks for itself alone, and an admin within its scopes.
func TestAcknowledgeIsForItsOwn(t *testing.T) {
	t.Parallel()
	d := openDoor(t)
	d.grant(access.Grant{Name: "root", Kind: access.Token, Roles: access.RolesOf(access.Admin)})
	d.putSubscriber("south", "south-token", "acme")
	d.putSubscriber("all", "")
	cursor := &dncv1.FeedCursor{Position: &dncv1.Position{Revision: d.store.View().Revision()}}
	subscriber, admin := access.RolesOf(access.Subscriber), access.RolesOf(access.Admin)
	for what, c := range map[string]struct {
		ctx  context.Context
		of   string
		want string
	}{
		"its identity":               {d.as("south-token", subscriber), "south", ""},
		"another's identity":         {d.as("north-token", subscriber), "south", "PERMISSION_DENIED"},
		"of one that is not there":   {d.as("west-token", subscriber), "none", "PERMISSION_DENIED"},
		"an admin":                   {d.as("admin", admin), "all", ""},
		"an admin within its scopes": {d.as("bound-admin", admin, "acme"), "south", ""},
		"an admin of a part":         {d.as("bound-admin-2", admin, "acme"), "all", "PERMISSION_DENIED"},
		"an admin, no such name":     {d.as("admin-2", admin), "none", "SUBSCRIBER_NOT_FOUND"},
		"an officer":                 {d.as("officer", access.RolesOf(access.Officer)), "south", "PERMISSION_DENIED"},
	} {
		if _, err := d.claim(c.ctx, c.of, dncv1.Stage_STAGE_RECEIVED, cursor); reasonOf(err) != c.want {
			t.Errorf("%s: got %v, want %q", what, err, c.want)
		}
	}
}

// TestAcknowledgementBeyondTheJournal: a base signed what this server does not hold, because an older copy was put back. It is
// kept, logged once, counted and shown first, until a person rebases the base.
func TestAcknowledgementBeyondTheJournal(t *testing.T) {
	t.Parallel()
	_, signing := signingKey(t)
	dir, kept := filepath.Join(t.TempDir(), "data"), filepath.Join(t.TempDir(), "copy")
	n := startIn(t, dir, store.Options{MinFree: -1}, signing)
	key := baseKey(t, "south-2026")
	n.put("another", func(*store.SubscriberSettings) {})
	n.listKeys("south", key)
	closeNode(t, n)
	copyDir(t, dir, kept)
	n = startIn(t, dir, store.Options{MinFree: -1}, signing)
	n.optOut("+14155550101", "")
	n.optOut("+14155550102", "")
	lost := n.checkpoint("south")
	closeNode(t, n)
	n = startIn(t, kept, store.Options{MinFree: -1}, signing)
	beyond := noteOf(t, key, lost, feed.Applied)
	for range 3 {
		_, err := n.acknowledge(testContext(t), "south", beyond)
		wantReason(t, err, codes.FailedPrecondition, "JOURNAL_FORKED")
	}
	n.optOut("+14155550103", "")
	n.optOut("+14155550104", "") // the journal is as long now, and another
	last := noteOf(t, key, lost, feed.Received)
	_, err := n.acknowledge(testContext(t), "south", last)
	wantReason(t, err, codes.FailedPrecondition, "JOURNAL_FORKED")
	if lines := strings.Count(n.log.String(), "does not hold"); lines != 1 || !strings.Contains(n.log.String(), "level=ERROR") {
		t.Errorf("logged %d times, want one error", lines)
	}
	tips := n.standing("south").GetBeyondTip()
	if len(tips) != 1 || tips[0].GetPosition().GetRevision() != lost.Revision || tips[0].GetSeenAt() == nil || string(tips[0].GetNote()) != string(last) {
		t.Errorf("got %v, want what was signed", tips)
	}
	list, err := propagation(n).ListSubscribers(testContext(t), &dncv1.ListSubscribersRequest{})
	if err != nil || namesOf(list) != "south another" {
		t.Errorf("got %q, %v; want the one that holds more than the server first", namesOf(list), err)
	}
	if got := n.metric(`dncd_subscriber_beyond_tip{subscriber="south"}`); got != "1" {
		t.Errorf("metric: got %q, want 1", got)
	}
	if _, err := n.store.PutSubscriber(testContext(t), "south", func(*store.View, *store.Subscriber, *store.SubscriberSettings) error { return nil }, true, store.Request{}); err != nil {
		t.Fatal(err)
	}
	if tips := n.standing("south").GetBeyondTip(); len(tips) != 0 {
		t.Errorf("after it was rebased: got %v, want none", tips)
	}
}

// TestAlertsNameMetricsThatAreExported: a rule about a metric that nobody exports would never fire.
func TestAlertsNameMetricsThatAreExported(t *testing.T) {
	t.Parallel()
	n := start(t)
	n.put("south", func(*store.SubscriberSettings) {})
	n.createList(suppression("dnc"))
	rules, err := os.ReadFile("../docs/alerts.yml")
	if err != nil {
		t.Fatal(err)
	}
	metrics, scraped := regexp.MustCompile(`\bdncd_[a-z_]+`).FindAllString(string(rules), -1), n.scrape()
	if len(metrics) == 0 {
		t.Fatal("alerts.yml names no metric")
	}
	for _, metric := range metrics {
		if !strings.Contains(scraped, "\n"+metric+"{") && !strings.Contains(scraped, "\n"+metric+" ") {
			t.Errorf("docs/alerts.yml names %s, which is not exported", metric)
		}
	}
}

// metric is the value of a metric, as it is scraped.
func (n *node) metric(name string) string {
	n.t.Helper()
	for line := range strings.Lines(n.scrape()) {
		if rest, is := strings.CutPrefix(line, name+" "); is {
			return strings.TrimSpace(rest)
		}
	}
	return ""
}

func (n *node) scrape() string {
	n.t.Helper()
	resp, err := http.Get(n.web + "/metrics")
	if err != nil {
		n.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		n.t.Fatal(err)
	}
	return string(body)
}

// TestLagIsShown: pending, age and late by stage, the worst of a tree, and the slowest first; the same in the metrics.
func TestLagIsShown(t *testing.T) {
	t.Parallel()
	n := start(t)
	n.put("brand", func(*store.SubscriberSettings) {})
	brand := n.store.View().Subscribers().Named("brand").ID
	n.put("south", func(set *store.SubscriberSettings) {
		set.Parent, set.Filter.Scopes, set.Deadline = brand, []policy.Scope{"acme"}, time.Hour
	})
	south := n.store.View().Subscribers().Named("south").ID
	n.put("third", func(set *store.SubscriberSettings) { set.Parent, set.Filter.Scopes = south, []policy.Scope{"acme"} })
	all := func(names ...string) {
		for _, name := range names {
			if _, err := n.claim(testContext(t), name, dncv1.Stage_STAGE_APPLIED, &dncv1.FeedCursor{Position: &dncv1.Position{Revision: n.store.View().Revision()}}); err != nil {
				t.Fatal(err)
			}
		}
	}
	all("brand", "south", "third")
	wantOrder := func(want string) {
		t.Helper()
		list, err := propagation(n).ListSubscribers(testContext(t), &dncv1.ListSubscribersRequest{})
		if err != nil || namesOf(list) != want {
			t.Errorf("got %q, %v; want %q", namesOf(list), err, want)
		}
	}
	wantStatus := func(name string, pending uint64, late bool, worst string) {
		t.Helper()
		s := n.standing(name)
		if applied := s.GetStages()[2]; applied.GetPending() != pending || s.GetLate() != late || s.GetWorstChild() != worst {
			t.Errorf("%s: got %d pending, late %v, worst %q; want %d, %v, %q", name, applied.GetPending(), s.GetLate(), s.GetWorstChild(), pending, late, worst)
		}
	}
	wantOrder("brand south third")
	wantStatus("brand", 0, false, "")
	n.optOut("+14155550101", "acme")
	n.clock.add(30 * time.Minute)
	all("brand", "third")
	wantOrder("south brand third")
	wantStatus("brand", 0, false, "south")
	wantStatus("south", 1, false, "")
	n.clock.add(31 * time.Minute)
	wantStatus("south", 1, true, "")
	wantStatus("brand", 0, true, "south")
	n.optOut("+14155550102", "acme")
	wantStatus("south", 2, true, "third")
	for name, want := range map[string]string{
		`dncd_subscriber_lag_seconds{stage="applied",subscriber="south"}`:     "3660",
		`dncd_subscriber_pending_changes{stage="durable",subscriber="south"}`: "2",
		`dncd_subscriber_late{subscriber="south"}`:                            "1",
		`dncd_subscriber_late{subscriber="third"}`:                            "0",
		`dncd_subscriber_lag_unknown`:                                         "0",
		`dncd_subscriber_beyond_tip{subscriber="south"}`:                      "0",
	} {
		if got := n.metric(name); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	all("brand", "south", "third")
	wantStatus("brand", 0, false, "")
}

// TestSubscribersSlowestFirstArePaged: the pages in their order are the whole list in its order.
func TestSubscribersSlowestFirstArePaged(t *testing.T) {
	t.Parallel()
	n := start(t)
	for _, name := range []string{"e", "d", "c", "b", "a"} {
		n.put(name, func(*store.SubscriberSettings) {})
		n.clock.add(time.Minute)
	}
	var pages []string
	for token := ""; ; {
		resp, err := propagation(n).ListSubscribers(testContext(t), &dncv1.ListSubscribersRequest{PageSize: 2, PageToken: token})
		if err != nil {
			t.Fatal(err)
		}
		pages = append(pages, namesOf(resp))
		if token = resp.GetNextPageToken(); token == "" {
			break
		}
	}
	if got := strings.Join(pages, ", "); got != "e d, c b, a" {
		t.Errorf("got %q", got)
	}
}

// TestConnectedSubscribers: open streams are counted, and when the last one ended is known.
func TestConnectedSubscribers(t *testing.T) {
	t.Parallel()
	_, signing := signingKey(t)
	n := start(t, signing)
	n.subscribe("south", nil, nil)
	if s := n.standing("south"); s.GetConnected() != 0 || s.GetLastSeen() != nil {
		t.Errorf("before: got %v", s)
	}
	b := newBase("south")
	b.begin(t, propagation(n))
	ctx, leave := context.WithCancel(testContext(t))
	defer leave()
	for range 2 {
		stream, err := propagation(n).Watch(ctx, &dncv1.WatchRequest{Feed: &dncv1.WatchRequest_Subscriber{Subscriber: "south"}, After: b.cursor})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := stream.Recv(); err != nil {
			t.Fatal(err)
		}
	}
	if s := n.standing("south"); s.GetConnected() != 2 || s.GetLastSeen() == nil {
		t.Errorf("connected: got %v", s)
	}
	leave()
	eventually(t, "the streams end", func() bool { return n.standing("south").GetConnected() == 0 })
	if s := n.standing("south"); s.GetLastSeen() == nil {
		t.Errorf("after: got %v", s)
	}
}
