package server_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/dncd/dncd/internal/access"
	"github.com/dncd/dncd/internal/feed"
	"github.com/dncd/dncd/internal/policy"
	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
	"github.com/dncd/dncd/store"
)

const internalBase, subcontractor = dncv1.SubscriberKind_SUBSCRIBER_KIND_INTERNAL, dncv1.SubscriberKind_SUBSCRIBER_KIND_SUBCONTRACTOR

func propagation(n *node) dncv1.PropagationServiceClient {
	return dncv1.NewPropagationServiceClient(n.conn)
}

// TestPutSubscriber: all that is said of a subscriber is answered, and with fields only those change.
func TestPutSubscriber(t *testing.T) {
	t.Parallel()
	d := openDoor(t)
	d.grant(access.Grant{Name: "root", Kind: access.Token, Roles: access.RolesOf(access.Admin)})
	ctx, client := d.as("admin", access.RolesOf(access.Admin)), propagation(d.node)
	_, key, err := feed.NewKey("centre-2026")
	if err != nil {
		t.Fatal(err)
	}
	put := func(req *dncv1.PutSubscriberRequest) *dncv1.PutSubscriberResponse {
		t.Helper()
		resp, err := client.PutSubscriber(ctx, req)
		if err != nil {
			t.Fatal(err)
		}
		return resp
	}
	put(&dncv1.PutSubscriberRequest{Subscriber: &dncv1.Subscriber{
		Name: "parent", Kind: internalBase, Filter: &dncv1.FeedFilter{Lists: []string{listAt("acme"), listAt("")}},
	}})
	said := &dncv1.Subscriber{
		Name: "centre", Kind: subcontractor, Owner: "Ann", Parent: "parent", Contact: "ann@centre.example",
		Filter:   &dncv1.FeedFilter{Scopes: []string{"Other", "acme"}, Lists: []string{"LIST-acme-x"}},
		Deadline: durationpb.New(time.Hour), Keys: []string{key.Text()}, Identity: "centre-token", AllowRegistry: true,
		Epoch: 99, CreatedAt: timestamppb.Now(), // ignored
	}
	first := put(&dncv1.PutSubscriberRequest{Subscriber: said, Context: &dncv1.WriteContext{RequestId: "1"}})
	list, err := d.store.View().List(listAt("acme"))
	if err != nil {
		t.Fatal(err)
	}
	hash := feed.Filter{Scopes: []policy.Scope{"acme", "other"}, Lists: []policy.EventID{list.ID}}.Hash()
	want := &dncv1.Subscriber{
		Name: "centre", Kind: subcontractor, Owner: "Ann", Parent: "parent", Contact: "ann@centre.example",
		Filter:   &dncv1.FeedFilter{Scopes: []string{"acme", "other"}, Lists: []string{listAt("acme")}},
		Deadline: durationpb.New(time.Hour), Keys: []string{key.Text()}, Identity: "centre-token", AllowRegistry: true,
		Id: &dncv1.EventId{Revision: first.GetPosition().GetRevision()}, Epoch: first.GetPosition().GetRevision(),
		FilterHash: hash[:], CreatedAt: timestamppb.New(testDay), Fingerprints: []string{key.Fingerprint()},
	}
	if diff := cmp.Diff(want, first.GetSubscriber(), protocmp.Transform()); diff != "" || !first.GetCreated() || len(first.GetPosition().GetTag()) == 0 {
		t.Errorf("registered: got created %v at %v (-want +got):\n%s", first.GetCreated(), first.GetPosition(), diff)
	}

	changed := put(&dncv1.PutSubscriberRequest{
		Subscriber: &dncv1.Subscriber{Name: "centre", Owner: "Bob", Contact: "ignored"}, Fields: []string{"owner", "deadline"},
	})
	want.Owner, want.Deadline = "Bob", durationpb.New(24*time.Hour)
	if diff := cmp.Diff(want, changed.GetSubscriber(), protocmp.Transform()); diff != "" || changed.GetCreated() {
		t.Errorf("two fields: got created %v (-want +got):\n%s", changed.GetCreated(), diff)
	}
	again := put(&dncv1.PutSubscriberRequest{Subscriber: said, Context: &dncv1.WriteContext{RequestId: "1"}})
	if diff := cmp.Diff(want, again.GetSubscriber(), protocmp.Transform()); diff != "" || !again.GetDuplicate() || !again.GetCreated() || again.GetPosition().GetRevision() != first.GetPosition().GetRevision() {
		t.Errorf("a retry: got %v (-want +got):\n%s", again, diff)
	}
	rebased := put(&dncv1.PutSubscriberRequest{Subscriber: &dncv1.Subscriber{Name: "centre"}, Fields: []string{"owner"}, Rebase: true})
	if got := rebased.GetSubscriber(); got.GetEpoch() != rebased.GetPosition().GetRevision() || got.GetOwner() != "" {
		t.Errorf("rebased: got %v", got)
	}
	bare := put(&dncv1.PutSubscriberRequest{Subscriber: &dncv1.Subscriber{Name: "centre", Kind: internalBase}})
	if got := bare.GetSubscriber(); len(got.GetFilter().GetScopes())+len(got.GetFilter().GetLists())+len(got.GetKeys()) > 0 || got.GetParent() != "" || got.GetAllowRegistry() {
		t.Errorf("all fields: got %v, want nothing left", got)
	}
	wantActs := "SUBSCRIBER_PUT parent, SUBSCRIBER_PUT centre, SUBSCRIBER_PUT centre, SUBSCRIBER_PUT centre, SUBSCRIBER_PUT centre"
	if got := d.acts(t, "SUBSCRIBER"); got != wantActs {
		t.Errorf("got acts %s, want %s", got, wantActs)
	}
	if strings.Contains(d.log.String(), "ann@centre") {
		t.Error("the log has a contact")
	}
}

// acts are the acts of a kind, as an officer reads them.
func (d *door) acts(t *testing.T, kind string) string {
	t.Helper()
	officer := d.as(fmt.Sprintf("officer-%d", d.unique.Add(1)), access.RolesOf(access.Officer))
	resp, err := dncv1.NewAccessServiceClient(d.conn).ListActs(officer, &dncv1.ListActsRequest{})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, a := range resp.GetActs() {
		if name := strings.TrimPrefix(a.GetKind().String(), "ACT_KIND_"); strings.HasPrefix(name, kind) {
			got = append(got, name+" "+a.GetSubject())
		}
		if strings.Contains(a.GetDetail(), "@") {
			t.Errorf("an act has a contact: %s", a.GetDetail())
		}
	}
	return strings.Join(got, ", ")
}

func TestPutSubscriberIsRefused(t *testing.T) {
	t.Parallel()
	n := start(t)
	client, ctx := propagation(n), testContext(t)
	long := strings.Repeat("x", 257)
	for name, c := range map[string]struct {
		m      *dncv1.Subscriber
		fields []string
		code   codes.Code
		reason string
	}{
		"nothing":            {nil, nil, codes.InvalidArgument, "FIELD_INVALID"},
		"a number as a name": {&dncv1.Subscriber{Name: "14155550123", Kind: internalBase}, nil, codes.InvalidArgument, "FIELD_INVALID"},
		"no kind":            {&dncv1.Subscriber{Name: "a"}, nil, codes.InvalidArgument, "FIELD_INVALID"},
		"an unknown kind":    {&dncv1.Subscriber{Name: "a", Kind: 9}, nil, codes.InvalidArgument, "FIELD_INVALID"},
		"an unknown field":   {&dncv1.Subscriber{Name: "a", Kind: internalBase}, []string{"id"}, codes.InvalidArgument, "FIELD_INVALID"},
		"a long owner":       {&dncv1.Subscriber{Name: "a", Kind: internalBase, Owner: long}, nil, codes.InvalidArgument, "FIELD_INVALID"},
		"a line in contact":  {&dncv1.Subscriber{Name: "a", Kind: internalBase, Contact: "x\ny"}, nil, codes.InvalidArgument, "FIELD_INVALID"},
		"a bad scope":        {&dncv1.Subscriber{Name: "a", Kind: internalBase, Filter: &dncv1.FeedFilter{Scopes: []string{"a//b"}}}, nil, codes.InvalidArgument, "SCOPE_INVALID"},
		"an empty scope":     {&dncv1.Subscriber{Name: "a", Kind: internalBase, Filter: &dncv1.FeedFilter{Scopes: []string{""}}}, nil, codes.InvalidArgument, "FIELD_INVALID"},
		"no such list":       {&dncv1.Subscriber{Name: "a", Kind: internalBase, Filter: &dncv1.FeedFilter{Lists: []string{"none"}}}, nil, codes.NotFound, "LIST_NOT_FOUND"},
		"no such parent":     {&dncv1.Subscriber{Name: "a", Kind: internalBase, Parent: "none"}, nil, codes.NotFound, "SUBSCRIBER_NOT_FOUND"},
		"a short deadline":   {&dncv1.Subscriber{Name: "a", Kind: internalBase, Deadline: durationpb.New(1)}, nil, codes.InvalidArgument, "FIELD_INVALID"},
		"a long deadline":    {&dncv1.Subscriber{Name: "a", Kind: internalBase, Deadline: durationpb.New(3661 * 24 * time.Hour)}, nil, codes.InvalidArgument, "FIELD_INVALID"},
		"a bad key":          {&dncv1.Subscriber{Name: "a", Kind: internalBase, Keys: []string{"x"}}, nil, codes.InvalidArgument, "FIELD_INVALID"},
	} {
		_, err := client.PutSubscriber(ctx, &dncv1.PutSubscriberRequest{Subscriber: c.m, Fields: c.fields})
		if got := reasonOf(err); got != c.reason {
			t.Errorf("%s: got %s (%v), want %s", name, got, err, c.reason)
		}
		if err != nil && strings.Contains(err.Error(), "4155550123") {
			t.Errorf("%s: the error has a number", name)
		}
	}
	if got, err := client.ListSubscribers(ctx, &dncv1.ListSubscribersRequest{}); err != nil || len(got.GetSubscribers()) != 0 {
		t.Errorf("got %v, %v; want none", got, err)
	}
}

// TestSubscribersWithinTheCallersScopes: who may write and read which subscribers.
func TestSubscribersWithinTheCallersScopes(t *testing.T) {
	t.Parallel()
	d := openDoor(t)
	client := propagation(d.node)
	d.grant(access.Grant{Name: "root", Kind: access.Token, Roles: access.RolesOf(access.Admin)})
	d.putSubscriber("everywhere", "")
	d.putSubscriber("within", "speaker", "acme/x")
	d.putSubscriber("across", "speaker", "acme", "other")
	d.putSubscriber("beside", "", "other")
	admin, officer := d.as("bounded-admin", access.RolesOf(access.Admin), "acme"), d.as("bounded-officer", access.RolesOf(access.Officer), "acme")
	for _, name := range []string{"everywhere", "across", "beside"} {
		_, err := client.DeleteSubscriber(admin, &dncv1.DeleteSubscriberRequest{Name: name})
		wantReason(t, err, codes.PermissionDenied, "PERMISSION_DENIED")
		// The filter is put within the admin's scopes: it was not its own before.
		_, err = client.PutSubscriber(admin, &dncv1.PutSubscriberRequest{Subscriber: &dncv1.Subscriber{
			Name: name, Filter: &dncv1.FeedFilter{Scopes: []string{"acme"}},
		}, Fields: []string{"filter.scopes"}})
		wantReason(t, err, codes.PermissionDenied, "PERMISSION_DENIED")
	}
	_, err := client.PutSubscriber(admin, &dncv1.PutSubscriberRequest{Subscriber: &dncv1.Subscriber{Name: "within"}, Fields: []string{"filter.scopes"}})
	wantReason(t, err, codes.PermissionDenied, "PERMISSION_DENIED")
	_, err = client.PutSubscriber(admin, &dncv1.PutSubscriberRequest{Subscriber: &dncv1.Subscriber{
		Name: "new", Kind: internalBase, Filter: &dncv1.FeedFilter{Scopes: []string{"acme"}, Lists: []string{listAt("other")}},
	}})
	wantReason(t, err, codes.NotFound, "LIST_NOT_FOUND")
	_, err = client.PutSubscriber(admin, &dncv1.PutSubscriberRequest{Subscriber: &dncv1.Subscriber{Name: "within", Owner: "Ann"}, Fields: []string{"owner"}})
	if err != nil {
		t.Errorf("within its scopes: got %v", err)
	}
	if !strings.Contains(d.log.String(), "act refused") {
		t.Error("the refusals are not in the log")
	}
	for name, want := range map[string]string{"everywhere": "", "within": "", "across": "SUBSCRIBER_NOT_FOUND", "beside": "SUBSCRIBER_NOT_FOUND", "none": "SUBSCRIBER_NOT_FOUND"} {
		_, err := client.GetSubscriber(officer, &dncv1.GetSubscriberRequest{Name: name})
		if got := reasonOf(err); got != want {
			t.Errorf("officer, %s: got %q, want %q", name, got, want)
		}
	}
	resp, err := client.ListSubscribers(officer, &dncv1.ListSubscribersRequest{})
	if got := namesOf(resp); err != nil || got != "everywhere within" {
		t.Errorf("listed for the officer: got %q, %v", got, err)
	}
	speaker, bound := d.as("speaker", access.RolesOf(access.Subscriber)), access.RolesOf(access.Subscriber)
	for name, want := range map[string]string{"within": "", "across": "", "beside": "PERMISSION_DENIED", "everywhere": "PERMISSION_DENIED", "none": "PERMISSION_DENIED"} {
		_, err := client.GetSubscriber(speaker, &dncv1.GetSubscriberRequest{Name: name})
		if got := reasonOf(err); got != want {
			t.Errorf("speaker, %s: got %q, want %q", name, got, want)
		}
	}
	d.putSubscriber("of-the-bound", "bound", "acme", "other")
	_, err = client.GetSubscriber(d.as("bound", bound, "acme"), &dncv1.GetSubscriberRequest{Name: "of-the-bound"})
	wantReason(t, err, codes.PermissionDenied, "PERMISSION_DENIED")
}

func namesOf(resp *dncv1.ListSubscribersResponse) string {
	var names []string
	for _, s := range resp.GetSubscribers() {
		names = append(names, s.GetSubscriber().GetName())
	}
	return strings.Join(names, " ")
}

// TestSubscribersArePaged: each is on one page, with a line for each stage.
func TestSubscribersArePaged(t *testing.T) {
	t.Parallel()
	d := openDoor(t)
	ctx, client := d.as("officer", access.RolesOf(access.Officer)), propagation(d.node)
	var want []string
	for i := range 7 {
		d.putSubscriber(fmt.Sprint("s", i), "")
		want = append(want, fmt.Sprint("s", i))
	}
	var got []string
	for token := ""; ; {
		resp, err := client.ListSubscribers(ctx, &dncv1.ListSubscribersRequest{PageSize: 3, PageToken: token})
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range resp.GetSubscribers() {
			got = append(got, s.GetSubscriber().GetName())
			if n := len(s.GetStages()); n != 3 || s.GetStages()[2].GetStage() != dncv1.Stage_STAGE_APPLIED || s.GetStages()[0].GetAcknowledged() != nil {
				t.Errorf("%s: got stages %v", got[len(got)-1], s.GetStages())
			}
		}
		if token = resp.GetNextPageToken(); token == "" {
			break
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	_, err := client.ListSubscribers(ctx, &dncv1.ListSubscribersRequest{PageToken: "x"})
	wantReason(t, err, codes.InvalidArgument, "PAGE_TOKEN_INVALID")
}

// TestRemovedSubscriberIsNotThere: its name is free, a parent is kept, and a list that is gone is named by its id.
func TestRemovedSubscriberIsNotThere(t *testing.T) {
	t.Parallel()
	n := start(t)
	client, ctx := propagation(n), testContext(t)
	n.createList(&dncv1.CreateListRequest{Name: "gone", Kind: dncv1.ListKind_LIST_KIND_SUPPRESSION})
	put := func(m *dncv1.Subscriber) *dncv1.Subscriber {
		t.Helper()
		resp, err := client.PutSubscriber(ctx, &dncv1.PutSubscriberRequest{Subscriber: m})
		if err != nil {
			t.Fatal(err)
		}
		return resp.GetSubscriber()
	}
	first := put(&dncv1.Subscriber{Name: "a", Kind: internalBase, Filter: &dncv1.FeedFilter{Lists: []string{"gone"}}})
	put(&dncv1.Subscriber{Name: "b", Kind: internalBase, Parent: "a"})
	_, err := client.DeleteSubscriber(ctx, &dncv1.DeleteSubscriberRequest{Name: "a"})
	wantReason(t, err, codes.FailedPrecondition, "SUBSCRIBER_INVALID")
	l, err := n.store.View().List("gone")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := n.list.DeleteList(ctx, &dncv1.DeleteListRequest{Name: "gone", Force: true}); err != nil {
		t.Fatal(err)
	}
	got, err := client.GetSubscriber(ctx, &dncv1.GetSubscriberRequest{Name: "a"})
	if want := fmt.Sprintf("%d.0", l.ID.Revision); err != nil || !slices.Equal(got.GetStatus().GetSubscriber().GetFilter().GetLists(), []string{want}) {
		t.Errorf("got %v, %v; want the list's id %s", got, err, want)
	}
	req := &dncv1.DeleteSubscriberRequest{Name: "b", Context: &dncv1.WriteContext{RequestId: "1"}}
	for _, duplicate := range []bool{false, true} {
		resp, err := client.DeleteSubscriber(ctx, req)
		if err != nil || resp.GetDuplicate() != duplicate {
			t.Errorf("got %v, %v; want duplicate %v", resp, err, duplicate)
		}
	}
	if _, err := client.DeleteSubscriber(ctx, &dncv1.DeleteSubscriberRequest{Name: "a"}); err != nil {
		t.Fatal(err)
	}
	_, err = client.DeleteSubscriber(ctx, &dncv1.DeleteSubscriberRequest{Name: "a"})
	wantReason(t, err, codes.NotFound, "SUBSCRIBER_NOT_FOUND")
	_, err = client.GetSubscriber(ctx, &dncv1.GetSubscriberRequest{Name: "a"})
	wantReason(t, err, codes.NotFound, "SUBSCRIBER_NOT_FOUND")
	if second := put(&dncv1.Subscriber{Name: "a", Kind: internalBase}); second.GetId().GetRevision() == first.GetId().GetRevision() {
		t.Error("a name that is used again has the id of the removed subscriber")
	}
}

// TestDesks: registered whatever the case, listed by name in pages, removed.
func TestDesks(t *testing.T) {
	t.Parallel()
	n := start(t)
	client, ctx := propagation(n), testContext(t)
	put := func(m *dncv1.Desk, fields ...string) *dncv1.PutDeskResponse {
		t.Helper()
		resp, err := client.PutDesk(ctx, &dncv1.PutDeskRequest{Desk: m, Fields: fields})
		if err != nil {
			t.Fatal(err)
		}
		return resp
	}
	first := put(&dncv1.Desk{Name: "After-Sales Lyon ", Kind: dncv1.DeskKind_DESK_KIND_AFTER_SALES, Owner: "Ann", Contact: "c"})
	for _, name := range []string{"web", "DPO", "b"} {
		put(&dncv1.Desk{Name: name})
	}
	again := put(&dncv1.Desk{Name: "after-sales lyon", Owner: "Bob"}, "owner")
	want := &dncv1.Desk{
		Name: "After-Sales Lyon", Id: &dncv1.EventId{Revision: first.GetPosition().GetRevision()}, Kind: dncv1.DeskKind_DESK_KIND_AFTER_SALES,
		Owner: "Bob", Contact: "c", CreatedAt: first.GetDesk().GetCreatedAt(),
	}
	if diff := cmp.Diff(want, again.GetDesk(), protocmp.Transform()); diff != "" || again.GetCreated() || !first.GetCreated() {
		t.Errorf("changed (-want +got):\n%s", diff)
	}
	var got []string
	for token := ""; ; {
		resp, err := client.ListDesks(ctx, &dncv1.ListDesksRequest{PageSize: 3, PageToken: token})
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range resp.GetDesks() {
			got = append(got, d.GetName())
		}
		if token = resp.GetNextPageToken(); token == "" {
			break
		}
	}
	if want := []string{"After-Sales Lyon", "b", "DPO", "web"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	for name, m := range map[string]*dncv1.Desk{"no name": {}, "a kind": {Name: "x", Kind: 99}, "a number": {Name: "+1 415 555 0123"}} {
		if _, err := client.PutDesk(ctx, &dncv1.PutDeskRequest{Desk: m}); reasonOf(err) != "FIELD_INVALID" || strings.Contains(err.Error(), "0123") {
			t.Errorf("%s: got %v", name, err)
		}
	}
	req := &dncv1.DeleteDeskRequest{Name: "AFTER-SALES LYON", Context: &dncv1.WriteContext{RequestId: "1"}}
	for _, duplicate := range []bool{false, true} {
		resp, err := client.DeleteDesk(ctx, req)
		if err != nil || resp.GetDuplicate() != duplicate {
			t.Errorf("got %v, %v; want duplicate %v", resp, err, duplicate)
		}
	}
	_, err := client.DeleteDesk(ctx, &dncv1.DeleteDeskRequest{Name: "after-sales lyon"})
	wantReason(t, err, codes.NotFound, "DESK_NOT_FOUND")
}

// TestKindsOfSubscribersAndDesksAreThoseOfTheContract: the store numbers them as the contract does.
func TestKindsOfSubscribersAndDesksAreThoseOfTheContract(t *testing.T) {
	t.Parallel()
	if internalBase != dncv1.SubscriberKind(store.Internal) || subcontractor != dncv1.SubscriberKind(store.Subcontractor) {
		t.Error("the kinds of subscribers are numbered otherwise")
	}
	if got, want := len(dncv1.SubscriberKind_name), int(store.Subcontractor)+1; got != want {
		t.Errorf("got %d kinds of subscribers in the contract, want %d", got, want)
	}
	if got, want := len(dncv1.DeskKind_name), int(store.MaxDeskKind)+1; got != want {
		t.Errorf("got %d kinds of desks in the contract, want %d", got, want)
	}
	for i, stage := range feed.StageNames() {
		if got, want := dncv1.Stage(i+1).String(), "STAGE_"+strings.ToUpper(stage); got != want {
			t.Errorf("got stage %s, want %s", got, want)
		}
	}
}
