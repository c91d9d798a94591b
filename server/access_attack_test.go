package server_test

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/dncd/dncd/internal/access"
	"github.com/dncd/dncd/internal/policy"
	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
	"github.com/dncd/dncd/store"
)

// TestListMadeAfterTheCallWasLetIn: an export that waits for a position is let in before the list is there. A list that
// somebody makes meanwhile outside of the caller's scopes is not shown.
func TestListMadeAfterTheCallWasLetIn(t *testing.T) {
	t.Parallel()
	d := openDoor(t)
	for _, c := range []struct{ name, at, want string }{{"later-other", "other", "PERMISSION_DENIED"}, {"later-acme", "acme", ""}} {
		s, err := d.list.Export(d.as("officer-"+c.at, access.RolesOf(access.Officer), "acme"), &dncv1.ExportRequest{
			List: c.name, ReadAt: atLeast(d.store.View().Revision()+1, ""),
		})
		if err != nil {
			t.Fatal(err)
		}
		d.awaitWaits(1)
		d.makeList(policy.Scope(c.at), c.name)
		if _, err = s.Recv(); reasonOf(err) != c.want {
			t.Errorf("export of a list made at %s: got %v, want %q", c.at, err, c.want)
		}
	}
}

// TestImportStaysWithItsList: an import that was opened for a list of the caller's does not go into another of the same name.
func TestImportStaysWithItsList(t *testing.T) {
	t.Parallel()
	d := openDoor(t)
	name := d.freshList("acme")
	ctx := d.as("loader", access.RolesOf(access.Loader), "acme")
	s, err := d.list.Import(ctx)
	if err != nil {
		t.Fatal(err)
	}
	header := &dncv1.ImportHeader{List: name}
	send(s, &dncv1.ImportRequest{Frame: &dncv1.ImportRequest_Header{Header: header}})
	opened, err := s.Recv()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.list.DeleteList(ctx, &dncv1.DeleteListRequest{Name: name}); err != nil {
		t.Fatal(err)
	}
	d.makeList("other", name)
	send(s, chunkRequest(1, []uint64{uint64(numberOfAll)}))
	send(s, &dncv1.ImportRequest{Frame: &dncv1.ImportRequest_Commit{Commit: &dncv1.ImportCommit{Chunks: 1, Read: 1}}})
	for err == nil {
		_, err = s.Recv()
	}
	wantReason(t, err, codes.NotFound, "LIST_NOT_FOUND")
	header.ImportId = opened.GetOpened().GetImportId()
	if s, err = d.list.Import(d.as("loader-of-other", access.RolesOf(access.Loader), "other")); err != nil {
		t.Fatal(err)
	}
	send(s, &dncv1.ImportRequest{Frame: &dncv1.ImportRequest_Header{Header: header}})
	_, err = s.Recv()
	wantReason(t, err, codes.NotFound, "IMPORT_NOT_FOUND")
}

// TestImportOfAnotherCallerIsNotContinued: neither its id nor that of its request lets a caller with another name, or the
// same one with other scopes, continue an import, commit what it staged, or see what it came to.
func TestImportOfAnotherCallerIsNotContinued(t *testing.T) {
	t.Parallel()
	for _, committed := range []bool{false, true} {
		d := openDoor(t)
		d.grant(access.Grant{Name: "keeper", Kind: access.Token, Roles: access.RolesOf(access.Admin)})
		victim := d.as("desk", access.RolesOf(access.Recorder), "other")
		rows := []*dncv1.RecordRow{{Number: "+14155550150", Scope: "other"}}
		id, err := d.sendRows(victim, &dncv1.ImportRecordsHeader{Context: &dncv1.WriteContext{RequestId: "night"}}, rows, committed)
		if err != nil {
			t.Fatal(err)
		}
		d.revoke("desk")
		mine := []*dncv1.RecordRow{{Number: "+14155550151", Scope: "acme"}}
		for _, name := range []string{"desk", "attacker"} {
			ctx := d.as(name, access.RolesOf(access.Recorder), "acme")
			_, err = d.sendRows(ctx, &dncv1.ImportRecordsHeader{ImportId: id}, mine, true)
			wantReason(t, err, codes.NotFound, "IMPORT_NOT_FOUND")
			_, err = d.sendRows(ctx, &dncv1.ImportRecordsHeader{Context: &dncv1.WriteContext{RequestId: "night"}}, mine, true)
			wantReason(t, err, codes.AlreadyExists, "REQUEST_ID_REUSED")
			if got, err := d.sendRows(ctx, &dncv1.ImportRecordsHeader{Resume: true}, nil, false); err != nil || got == id {
				t.Errorf("resume: got import %v, %v, want a new one", got == id, err)
			}
		}
		n, err := d.record.GetNumber(d.as("all", access.Everything), &dncv1.GetNumberRequest{Number: "+14155550150"})
		if err != nil || (len(n.GetRecords()) == 1) != committed {
			t.Errorf("committed %v: got %d records, %v", committed, len(n.GetRecords()), err)
		}
	}
}

// sendRows imports rows, or only stages them, and returns the import's id.
func (d *door) sendRows(ctx context.Context, h *dncv1.ImportRecordsHeader, rows []*dncv1.RecordRow, commit bool) (string, error) {
	d.t.Helper()
	h.Kind = dncv1.RecordKind_RECORD_KIND_OPT_OUT
	s, err := d.record.ImportRecords(ctx)
	if err != nil {
		return "", err
	}
	_ = s.Send(&dncv1.ImportRecordsRequest{Frame: &dncv1.ImportRecordsRequest_Header{Header: h}})
	opened, err := s.Recv()
	if err != nil {
		return "", err
	}
	id := opened.GetOpened().GetImportId()
	_ = s.Send(&dncv1.ImportRecordsRequest{Frame: &dncv1.ImportRecordsRequest_Chunk{Chunk: &dncv1.ImportChunk{Seq: 1, Rows: rows}}})
	if !commit {
		_, err = s.Recv()
		_ = s.CloseSend()
		for !errors.Is(err, io.EOF) && reasonOf(err) != "IMPORT_NOT_COMMITTED" {
			if _, err = s.Recv(); err != nil && reasonOf(err) != "IMPORT_NOT_COMMITTED" {
				return id, err
			}
		}
		return id, nil
	}
	_ = s.Send(&dncv1.ImportRecordsRequest{Frame: &dncv1.ImportRecordsRequest_Commit{Commit: &dncv1.ImportCommit{Chunks: 1, Read: uint64(len(rows))}}})
	for {
		resp, err := s.Recv()
		if err != nil || resp.GetResult() != nil {
			return id, err
		}
	}
}

// TestImportsOfAnEarlierHolderOfTheName: who gets a name that another had sees none of the other's imports.
func TestImportsOfAnEarlierHolderOfTheName(t *testing.T) {
	t.Parallel()
	d := openDoor(t)
	d.grant(access.Grant{Name: "keeper", Kind: access.Token, Roles: access.RolesOf(access.Admin)})
	for _, scope := range []policy.Scope{"other", "acme"} {
		ctx := d.as("desk", access.RolesOf(access.Recorder), scope)
		if _, err := d.sendRows(ctx, &dncv1.ImportRecordsHeader{}, []*dncv1.RecordRow{{Number: "+14155550152", Scope: string(scope)}}, true); err != nil {
			t.Fatal(err)
		}
		resp, err := d.record.ListRecordImports(ctx, &dncv1.ListRecordImportsRequest{})
		if err != nil || len(resp.GetImports()) != 1 {
			t.Errorf("desk of %s: got imports %v, %v, want its own one", scope, resp.GetImports(), err)
		}
		d.revoke("desk")
	}
}

// TestWhoLoadedAListAboveIsNotShown: a list above the caller's scopes is shown without who loaded it and from what.
func TestWhoLoadedAListAboveIsNotShown(t *testing.T) {
	t.Parallel()
	d := openDoor(t)
	loader := d.as("loader-of-all", access.RolesOf(access.Loader))
	for _, scope := range []policy.Scope{"", "acme"} {
		d.load(loader, listAt(scope))
	}
	for _, role := range []access.Role{access.Checker, access.Loader, access.Officer} {
		ctx := d.as("curious-"+role.String(), access.RolesOf(role), "acme")
		for scope, want := range map[policy.Scope]string{"": "", "acme": "loader-of-all"} {
			var shown []*dncv1.ListImport
			l, err := d.list.GetList(ctx, &dncv1.GetListRequest{Name: listAt(scope)})
			if err != nil {
				t.Fatal(err)
			}
			shown = append(shown, l.GetList().GetLastImport())
			lists, err := d.list.ListLists(ctx, &dncv1.ListListsRequest{})
			if err != nil {
				t.Fatal(err)
			}
			at := slices.IndexFunc(lists.GetLists(), func(l *dncv1.List) bool { return l.GetName() == listAt(scope) })
			shown = append(shown, lists.GetLists()[at].GetLastImport())
			if role != access.Checker {
				for _, req := range []*dncv1.ListImportsRequest{{}, {List: listAt(scope)}} {
					imports, err := d.list.ListImports(ctx, req)
					if err != nil {
						t.Fatal(err)
					}
					at := slices.IndexFunc(imports.GetImports(), func(i *dncv1.ListImport) bool { return i.GetList() == listAt(scope) })
					shown = append(shown, imports.GetImports()[at])
				}
			}
			for _, i := range shown {
				if i.GetNumbers() != 1 || i.GetRecordedBy() != want || i.GetRecordedByProven() != (want != "") || len(i.GetSources()) != len(want)/10 {
					t.Errorf("%v of list at %q: got import %v, want it by %q", role, scope, i, want)
				}
			}
		}
	}
}

// TestNumberIsShownWithTheListsThatConcernTheCaller: it is on a list of each scope.
func TestNumberIsShownWithTheListsThatConcernTheCaller(t *testing.T) {
	t.Parallel()
	d := openDoor(t)
	loader := d.as("loader-of-all", access.RolesOf(access.Loader))
	for _, scope := range []policy.Scope{"", "acme", "other"} {
		d.load(loader, listAt(scope))
	}
	for bound, want := range map[policy.Scope]string{"acme": "list--x list-acme-x", "": "list--x list-acme-x list-other-x"} {
		ctx := d.as("checker-at-"+string(bound), access.RolesOf(access.Checker), boundTo(bound)...)
		resp, err := d.record.GetNumber(ctx, &dncv1.GetNumberRequest{Number: numberOfAll.E164()})
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, l := range resp.GetLists() {
			names = append(names, l.GetList())
		}
		if slices.Sort(names); strings.Join(names, " ") != want {
			t.Errorf("bound to %q: got lists %v, want %s", bound, names, want)
		}
	}
}

func boundTo(bound policy.Scope) []policy.Scope {
	if bound == "" {
		return nil
	}
	return []policy.Scope{bound}
}

// load loads a list with one number, from one file.
func (d *door) load(ctx context.Context, list string) {
	d.t.Helper()
	s, err := d.list.Import(ctx)
	if err != nil {
		d.t.Fatal(err)
	}
	source := &dncv1.ImportSource{Name: "bought-from-jane.csv", Sha256: make([]byte, 32), Size: 13}
	for _, f := range []*dncv1.ImportRequest{
		{Frame: &dncv1.ImportRequest_Header{Header: &dncv1.ImportHeader{List: list}}},
		chunkRequest(1, []uint64{uint64(numberOfAll)}),
		{Frame: &dncv1.ImportRequest_Commit{Commit: &dncv1.ImportCommit{Chunks: 1, Read: 1, Sources: []*dncv1.ImportSource{source}}}},
	} {
		send(s, f)
	}
	for {
		resp, err := s.Recv()
		if err != nil {
			d.t.Fatal(err)
		}
		if r := resp.GetResult(); r != nil {
			return
		}
	}
}

// TestKindsOfActsAreThoseOfTheContract: the store numbers them as the contract does.
func TestKindsOfActsAreThoseOfTheContract(t *testing.T) {
	t.Parallel()
	kinds := map[string]store.ActKind{
		"UNSPECIFIED": store.ActUnspecified, "LIST_CREATED": store.ActListCreated, "LIST_UPDATED": store.ActListUpdated,
		"LIST_DELETED": store.ActListDeleted, "LIST_LOADED": store.ActListLoaded, "LIST_CONFIRMED": store.ActListConfirmed,
		"LIST_REVERTED": store.ActListReverted, "LIST_UNLOADED": store.ActListUnloaded, "OPT_OUTS_IMPORTED": store.ActOptOutsImported,
		"LOSS_ACCEPTED": store.ActLossAccepted, "RESTORED": store.ActRestored, "TOKEN_CREATED": store.ActTokenCreated,
		"TOKEN_REVOKED": store.ActTokenRevoked, "SUBSCRIBER_PUT": store.ActSubscriberPut, "SUBSCRIBER_REMOVED": store.ActSubscriberRemoved,
		"DESK_PUT": store.ActDeskPut, "DESK_REMOVED": store.ActDeskRemoved,
		"SUBSCRIBER_COMPARED": store.ActSubscriberCompared, "CONSENTS_IMPORTED": store.ActConsentsImported, "POLICY_SET": store.ActPolicySet,
	}
	for name, kind := range kinds {
		if got := dncv1.ActKind_name[int32(kind)]; got != "ACT_KIND_"+name {
			t.Errorf("kind %d: got %s, want %s", kind, got, name)
		}
	}
	if got, want := len(dncv1.ActKind_name), len(kinds); got != want {
		t.Errorf("got %d kinds in the contract, want the %d of the store", got, want)
	}
}

// TestReadThatWaitedPastItsGrant: a read that waits for a position is not answered when its token was revoked meanwhile.
func TestReadThatWaitedPastItsGrant(t *testing.T) {
	t.Parallel()
	d := openDoor(t)
	d.grant(access.Grant{Name: "keeper", Kind: access.Token, Roles: access.RolesOf(access.Admin)})
	ctx := d.as("leaver", access.Everything)
	after := atLeast(d.store.View().Revision()+2, "") // the revocation and one more
	reads := map[string]func() error{
		"GetNumber": func() error {
			_, err := d.record.GetNumber(ctx, &dncv1.GetNumberRequest{Number: numberOfAll.E164(), ReadAt: after})
			return err
		},
		"ListHistory": func() error {
			_, err := d.record.ListHistory(ctx, &dncv1.ListHistoryRequest{Number: numberOfAll.E164(), ReadAt: after})
			return err
		},
		"CheckNumber": func() error {
			_, err := d.check.CheckNumber(ctx, &dncv1.CheckNumberRequest{Number: numberOfAll.E164(), ReadAt: after})
			return err
		},
		"CheckNumbers": func() error {
			_, err := d.check.CheckNumbers(ctx, &dncv1.CheckNumbersRequest{E164: []uint64{uint64(numberOfAll)}, ReadAt: after})
			return err
		},
	}
	ended := make(chan string, len(reads))
	for name, read := range reads {
		go func() { ended <- name + " " + reasonOf(read()) }()
	}
	d.awaitWaits(len(reads))
	d.revoke("leaver")
	d.makeList("acme", "one-more")
	for range reads {
		if got := <-ended; !strings.HasSuffix(got, " UNAUTHENTICATED") {
			t.Errorf("got %q, want UNAUTHENTICATED", got)
		}
	}
}

// TestStreamsOfEveryKindEndWithTheirGrant: also those that wait for their client, or for a position.
func TestStreamsOfEveryKindEndWithTheirGrant(t *testing.T) {
	t.Parallel()
	d := openDoor(t)
	d.grant(access.Grant{Name: "keeper", Kind: access.Token, Roles: access.RolesOf(access.Admin)})
	ctx := d.as("leaver", access.Everything)
	position := d.store.View().Revision() + 1000
	imports, err := d.list.Import(ctx)
	if err != nil {
		t.Fatal(err)
	}
	send(imports, &dncv1.ImportRequest{Frame: &dncv1.ImportRequest_Header{Header: &dncv1.ImportHeader{List: listAt("acme")}}})
	records, err := d.record.ImportRecords(ctx)
	if err != nil {
		t.Fatal(err)
	}
	_ = records.Send(&dncv1.ImportRecordsRequest{Frame: &dncv1.ImportRecordsRequest_Header{Header: &dncv1.ImportRecordsHeader{
		Kind: dncv1.RecordKind_RECORD_KIND_OPT_OUT,
	}}})
	checks, err := d.check.StreamChecks(ctx)
	if err != nil {
		t.Fatal(err)
	}
	_ = checks.Send(&dncv1.StreamChecksRequest{Checks: []*dncv1.StreamCheck{{
		Id: 1, Subject: &dncv1.StreamCheck_E164{E164: uint64(numberOfAll)}, ReadAt: atLeast(position, ""), Timeout: durationpb.New(time.Minute),
	}}})
	export, err := d.list.Export(ctx, &dncv1.ExportRequest{List: listAt("acme"), ReadAt: atLeast(position, "")})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := imports.Recv(); err != nil {
		t.Fatal(err)
	}
	if _, err := records.Recv(); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	d.revoke("leaver")
	for name, recv := range map[string]func() error{
		"Import":        func() error { _, err := imports.Recv(); return err },
		"ImportRecords": func() error { _, err := records.Recv(); return err },
		"StreamChecks":  func() error { _, err := checks.Recv(); return err },
		"Export":        func() error { _, err := export.Recv(); return err },
	} {
		if got := reasonOf(recv()); got != "UNAUTHENTICATED" {
			t.Errorf("%s: got %q, want UNAUTHENTICATED", name, got)
		}
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("the streams ended after %v, want at most 5 s", took)
	}
}

// TestActsWithoutAScopeAreNotForABoundCaller: grants that count everywhere, and files of opt-outs, are about every scope.
func TestActsWithoutAScopeAreNotForABoundCaller(t *testing.T) {
	t.Parallel()
	d := openDoor(t)
	recorder := d.as("recorder-everywhere", access.RolesOf(access.Recorder))
	if _, err := d.sendRows(recorder, &dncv1.ImportRecordsHeader{}, []*dncv1.RecordRow{{Number: "+14155550160"}}, true); err != nil {
		t.Fatal(err)
	}
	client := dncv1.NewAccessServiceClient(d.conn)
	for bound, want := range map[policy.Scope]string{
		"acme": "LIST_CREATED list-acme-x, TOKEN_CREATED officer-acme", "other": "LIST_CREATED list-other-x, TOKEN_CREATED officer-other",
	} {
		resp, err := client.ListActs(d.as("officer-"+string(bound), access.RolesOf(access.Officer), bound), &dncv1.ListActsRequest{})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, a := range resp.GetActs() {
			got = append(got, strings.TrimPrefix(a.GetKind().String(), "ACT_KIND_")+" "+a.GetSubject())
		}
		if got := strings.Join(got, ", "); got != want {
			t.Errorf("officer at %s: got acts %s, want %s", bound, got, want)
		}
	}
}
