package server_test

import (
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
)

func request(id string) *dncv1.WriteContext { return &dncv1.WriteContext{RequestId: id} }

// TestListWritesAreMadeOncePerRequest retries each write to a list after what it led to has changed again.
func TestListWritesAreMadeOncePerRequest(t *testing.T) {
	t.Parallel()
	n := start(t)
	ctx := testContext(t)
	create := suppression("mine")
	create.Context = request("c-1")
	created, err := n.list.CreateList(ctx, create)
	if err != nil {
		t.Fatal(err)
	}
	n.replace("mine", "", numbers(10)...)
	update := &dncv1.UpdateListRequest{
		List: &dncv1.List{Name: "mine", Coverage: []string{"1415"}}, UpdateMask: mask("coverage"), Context: request("u-1"),
	}
	updated, err := n.list.UpdateList(ctx, update)
	if err != nil {
		t.Fatal(err)
	}
	other := &dncv1.UpdateListRequest{
		List: &dncv1.List{Name: "mine", Coverage: []string{"1415", "1418"}}, UpdateMask: mask("coverage"), Force: true,
	}
	if _, err := n.list.UpdateList(ctx, other); err != nil {
		t.Fatal(err)
	}
	createdAgain, err := n.list.CreateList(ctx, create)
	if err != nil || !createdAgain.GetDuplicate() || !proto.Equal(createdAgain.GetPosition(), created.GetPosition()) || !proto.Equal(createdAgain.GetList().GetId(), created.GetList().GetId()) {
		t.Errorf("create again: got %v and %v, want a duplicate of %v", createdAgain, err, created)
	}
	updatedAgain, err := n.list.UpdateList(ctx, update)
	if err != nil || !updatedAgain.GetDuplicate() || !proto.Equal(updatedAgain.GetPosition(), updated.GetPosition()) || !proto.Equal(updatedAgain.GetId(), updated.GetId()) || len(updatedAgain.GetList().GetCoverage()) != 2 {
		t.Errorf("update again: got %v and %v, want a duplicate of %v, with the list as it is now", updatedAgain, err, updated)
	}
	remove := &dncv1.DeleteListRequest{Name: "mine", Force: true, Context: request("d-1")}
	deleted, err := n.list.DeleteList(ctx, remove)
	if err != nil {
		t.Fatal(err)
	}
	again := n.createList(suppression("mine")) // another list of that name
	revision := n.store.View().Revision()

	_, err = n.list.CreateList(ctx, create) // the list that it made is gone
	wantReason(t, err, codes.NotFound, "LIST_NOT_FOUND")
	_, err = n.list.UpdateList(ctx, update)
	wantReason(t, err, codes.NotFound, "LIST_NOT_FOUND")
	deletedAgain, err := n.list.DeleteList(ctx, remove)
	deleted.Duplicate = true
	if err != nil || !proto.Equal(deletedAgain, deleted) || deletedAgain.GetNumbers() != 10 {
		t.Errorf("delete again: got %v and %v, want %v", deletedAgain, err, deleted)
	}
	got, err := n.list.GetList(ctx, &dncv1.GetListRequest{Name: "mine"})
	if err != nil || !proto.Equal(got.GetList().GetId(), again.GetId()) || got.GetPosition().GetRevision() != revision {
		t.Errorf("got %v and %v, want the second list at revision %d", got, err, revision)
	}
}

func TestRequestIDOfAListWriteIsNotReused(t *testing.T) {
	t.Parallel()
	n := start(t)
	ctx := testContext(t)
	create := suppression("mine")
	create.Context = request("r-1")
	if _, err := n.list.CreateList(ctx, create); err != nil {
		t.Fatal(err)
	}
	n.createList(suppression("second"))
	other := suppression("other")
	other.Context = request("r-1")
	_, created := n.list.CreateList(ctx, other)
	_, updated := n.list.UpdateList(ctx, &dncv1.UpdateListRequest{
		List: &dncv1.List{Name: "mine", MaxAge: durationpb.New(24 * 3600e9)}, UpdateMask: mask("max_age"), Context: request("r-1"),
	})
	_, deleted := n.list.DeleteList(ctx, &dncv1.DeleteListRequest{Name: "second", Context: request("r-1")})
	_, recorded := n.record.RecordOptOut(ctx, &dncv1.RecordOptOutRequest{Number: french, Context: request("r-1")})
	create.Context.OnBehalfOf = "alice"
	_, claimed := n.list.CreateList(ctx, create)
	for _, err := range []error{created, updated, deleted, recorded, claimed} {
		wantReason(t, err, codes.AlreadyExists, "REQUEST_ID_REUSED")
	}
	if r := n.store.View().Revision(); r != 2 {
		t.Errorf("got revision %d, want 2: nothing else was written", r)
	}
}

// TestRevertIsMadeOncePerRequest: a second revert would undo the first.
func TestRevertIsMadeOncePerRequest(t *testing.T) {
	t.Parallel()
	n := start(t)
	ctx := testContext(t)
	n.createList(suppression("mine"))
	n.replace("mine", "", numbers(10)...)
	n.replace("mine", "", numbers(11)...)
	req := &dncv1.RevertImportRequest{List: "mine", Context: request("v-1")}
	first, err := n.list.RevertImport(ctx, req)
	if err != nil || first.GetResult().GetNumbers() != 10 {
		t.Fatalf("got %v and %v, want the list of 10", first, err)
	}
	again, err := n.list.RevertImport(ctx, req)
	if err != nil || again.GetResult().GetNumbers() != 10 || !proto.Equal(again.GetResult().GetPosition(), first.GetResult().GetPosition()) {
		t.Errorf("again: got %v and %v, want the first result", again, err)
	}
	l, err := n.list.GetList(ctx, &dncv1.GetListRequest{Name: "mine"})
	if err != nil || l.GetList().GetNumbers() != 10 || l.GetList().GetLastImport().GetOrigin() != dncv1.ImportOrigin_IMPORT_ORIGIN_REVERT {
		t.Errorf("got %v and %v, want the list of 10 of a revert", l, err)
	}
	req.Context.RequestId = "v-2"
	if undone, err := n.list.RevertImport(ctx, req); err != nil || undone.GetResult().GetNumbers() != 11 {
		t.Errorf("another request: got %v and %v, want the list of 11", undone, err)
	}
}

// TestRequestBeginsAnImportOnce opens imports again by the request that began them, before and after their commit.
func TestRequestBeginsAnImportOnce(t *testing.T) {
	t.Parallel()
	n := start(t)
	n.createList(suppression("mine"))
	all := numbers(30)
	u := upload{
		header: &dncv1.ImportHeader{List: "mine", Context: request("i-1")},
		chunks: [][]uint64{all[:10]},
	}
	first, err := n.load(u)
	if err != nil {
		t.Fatal(err)
	}
	u.chunks, u.commit = [][]uint64{all[:10], all[10:]}, commitOf(2, 30)
	second, err := n.load(u)
	if err != nil {
		t.Fatal(err)
	}
	if id := first.opened.GetImportId(); second.opened.GetImportId() != id || second.opened.GetLastChunk() != 1 || second.result.GetNumbers() != 30 {
		t.Errorf("got %v and %v, want import %s after chunk 1, and 30 numbers", second.opened, second.result, id)
	}
	third, err := n.load(u)
	if err != nil || !third.opened.GetCommitted() || !proto.Equal(third.result.GetPosition(), second.result.GetPosition()) {
		t.Errorf("got %v (%v), want the result of %v", third, err, second.result)
	}
	u.header.Mode = dncv1.ImportMode_IMPORT_MODE_ADD
	u.header.Context = request("i-2")
	u.commit = nil
	if _, err := n.load(u); err != nil {
		t.Fatal(err)
	}
	u.header.Mode = dncv1.ImportMode_IMPORT_MODE_REMOVE
	_, err = n.load(u)
	wantReason(t, err, codes.AlreadyExists, "REQUEST_ID_REUSED")
}

func TestRequestBeginsAnImportOfRecordsOnce(t *testing.T) {
	t.Parallel()
	n := start(t)
	u := recordUpload{
		header: &dncv1.ImportRecordsHeader{Context: request("i-1")},
		chunks: [][]*dncv1.RecordRow{{{Number: french}}}, open: true,
	}
	first, err := n.importRecords(u)
	if err != nil {
		t.Fatal(err)
	}
	u.open = false
	second, err := n.importRecords(u)
	if err != nil {
		t.Fatal(err)
	}
	if id := first.opened.GetImportId(); second.opened.GetImportId() != id || second.opened.GetLastChunk() != 1 || second.result.GetAccepted() != 1 {
		t.Errorf("got %v and %v, want import %s after chunk 1, and one row", second.opened, second.result, id)
	}
	third, err := n.importRecords(u)
	if err != nil || !third.opened.GetCommitted() || !proto.Equal(third.result, second.result) {
		t.Errorf("got %v (%v), want %v", third, err, second.result)
	}
}
