package server_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/dncd/dncd/internal/access"
	"github.com/dncd/dncd/internal/policy"
	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
	"github.com/dncd/dncd/server"
	"github.com/dncd/dncd/store"
)

// as returns the context of calls by a new token with these roles at these scopes.
func (d *door) as(name string, roles access.Roles, scopes ...policy.Scope) context.Context {
	d.t.Helper()
	return showing(testContext(d.t), d.grant(access.Grant{Name: name, Kind: access.Token, Roles: roles, Scopes: scopes}))
}

// TestReadsShowWhatConcernsTheCaller: what is within its scopes whole, what is above without its story, nothing else.
func TestReadsShowWhatConcernsTheCaller(t *testing.T) {
	t.Parallel()
	d := openDoor(t)
	for _, c := range []struct {
		name    string
		roles   access.Roles
		scopes  []policy.Scope
		records string // by scope, with the state of the story
		lists   string
	}{
		{"officer at acme", access.RolesOf(access.Officer), []policy.Scope{"acme"},
			"acme PRESENT, above WITHHELD", "list--x list-acme-x"},
		{"recorder at acme", access.RolesOf(access.Recorder), []policy.Scope{"acme"},
			"acme PRESENT, above WITHHELD", "list--x list-acme-x"},
		{"checker at acme", access.RolesOf(access.Checker), []policy.Scope{"acme"},
			"acme WITHHELD, above WITHHELD", "list--x list-acme-x"},
		{"checker below acme", access.RolesOf(access.Checker), []policy.Scope{"acme/telecom"},
			"acme WITHHELD, above WITHHELD", "list--x list-acme-x"},
		{"officer below acme", access.RolesOf(access.Officer), []policy.Scope{"acme/telecom"},
			"acme WITHHELD, above WITHHELD", "list--x list-acme-x"},
		{"officer at both", access.RolesOf(access.Officer), []policy.Scope{"acme", "other"},
			"acme PRESENT, other PRESENT, above WITHHELD", "list--x list-acme-x list-other-x"},
		{"officer everywhere", access.RolesOf(access.Officer), nil,
			"acme PRESENT, other PRESENT, above PRESENT", "list--x list-acme-x list-other-x"},
	} {
		ctx := d.as(strings.ReplaceAll(c.name, " ", "-"), c.roles, c.scopes...)
		if got := d.recordsSeen(ctx); got != c.records {
			t.Errorf("%s: got records %s, want %s", c.name, got, c.records)
		}
		lists, err := d.list.ListLists(ctx, &dncv1.ListListsRequest{})
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, l := range lists.GetLists() {
			names = append(names, l.GetName())
			if _, err := d.list.GetList(ctx, &dncv1.GetListRequest{Name: l.GetName()}); err != nil {
				t.Errorf("%s: GetList of %s: got %v, want the list", c.name, l.GetName(), err)
			}
		}
		if got := strings.Join(names, " "); got != c.lists {
			t.Errorf("%s: got lists %s, want %s", c.name, got, c.lists)
		}
		if !strings.Contains(c.lists, "other") {
			_, err := d.list.GetList(ctx, &dncv1.GetListRequest{Name: listAt("other")})
			wantReason(t, err, codes.NotFound, "LIST_NOT_FOUND")
		}
		stats, err := d.admin.GetStats(ctx, &dncv1.GetStatsRequest{})
		if err != nil {
			t.Fatal(err)
		}
		names = nil
		for _, l := range stats.GetLists() {
			names = append(names, l.GetName())
		}
		if slices.Sort(names); strings.Join(names, " ") != c.lists {
			t.Errorf("%s: GetStats: got lists %v, want %s", c.name, names, c.lists)
		}
	}
}

// recordsSeen reads the three numbers, by GetNumber.
func (d *door) recordsSeen(ctx context.Context) string {
	d.t.Helper()
	var seen []string
	for _, n := range []string{numberOfAcme.E164(), numberOfOther.E164(), numberOfAll.E164()} {
		resp, err := d.record.GetNumber(ctx, &dncv1.GetNumberRequest{Number: n})
		if err != nil {
			d.t.Fatal(err)
		}
		for _, r := range resp.GetRecords() {
			scope, state := r.GetScope(), strings.TrimPrefix(r.GetStory().GetState().String(), "STORY_STATE_")
			if scope == "" {
				scope = "above"
			}
			seen = append(seen, scope+" "+state)
			if text := r.GetStory().GetDesk() + r.GetStory().GetNote(); (text != "") != (state == "PRESENT") {
				d.t.Errorf("a story that is %s: got text %q", state, text)
			}
		}
	}
	return strings.Join(seen, ", ")
}

// TestHistoryAndExportAreFilteredAlike: both show what GetNumber shows.
func TestHistoryAndExportAreFilteredAlike(t *testing.T) {
	t.Parallel()
	d := openDoor(t)
	ctx := d.as("officer-of-acme", access.RolesOf(access.Officer), "acme")
	for number, want := range map[string]int{numberOfAcme.E164(): 1, numberOfOther.E164(): 0, numberOfAll.E164(): 1} {
		resp, err := d.record.ListHistory(ctx, &dncv1.ListHistoryRequest{Number: number})
		if err != nil {
			t.Fatal(err)
		}
		if got := len(resp.GetEvents()); got != want {
			t.Errorf("history: got %d events, want %d", got, want)
		}
		for _, e := range resp.GetEvents() {
			if scope := e.GetOptOutRecorded().GetScope(); (e.GetStory().GetDesk() != "") != (scope == "acme") {
				t.Errorf("history at %q: got story %v", scope, e.GetStory())
			}
		}
	}
	for _, c := range []struct {
		scope *string
		want  string // the scopes of the records, in the order of their numbers
	}{
		{nil, `["acme" ""]`}, {text(""), `["acme" ""]`}, {text("acme"), `["acme" ""]`}, {text("other"), `[""]`},
	} {
		var got []string
		req := &dncv1.ExportRecordsRequest{Scope: c.scope}
		s, err := d.record.ExportRecords(ctx, req)
		if err != nil {
			t.Fatal(err)
		}
		for {
			resp, err := s.Recv()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range resp.GetChunk().GetRecords() {
				at := r.GetRecord().GetScope()
				got = append(got, at)
				if (r.GetRecord().GetStory().GetDesk() != "") != (at == "acme") {
					t.Errorf("export: got a record at %q with story %v", at, r.GetRecord().GetStory())
				}
			}
		}
		if fmt.Sprintf("%q", got) != c.want {
			t.Errorf("export {%v}: got records at %q, want %s", req, got, c.want)
		}
	}
}

func text(s string) *string { return &s }

// TestStreamsEndWithTheirGrant: a stream of checks ends within seconds when its token is revoked, or granted to another
// in its place, and when it expires.
func TestStreamsEndWithTheirGrant(t *testing.T) {
	t.Parallel()
	d := openDoor(t)
	d.grant(access.Grant{Name: "keeper", Kind: access.Token, Roles: access.RolesOf(access.Admin)})
	for name, end := range map[string]func(){
		"revoked": func() { d.revoke("revoked") },
		"renewed": func() {
			d.revoke("renewed")
			d.grant(access.Grant{Name: "renewed", Kind: access.Token, Roles: access.RolesOf(access.Checker)})
		},
		"expires": func() { d.clock.add(2 * time.Hour) },
	} {
		g := access.Grant{Name: name, Kind: access.Token, Roles: access.RolesOf(access.Checker)}
		if name == "expires" {
			g.ExpiresAt = d.clock.Now().Add(time.Hour)
		}
		ctx := showing(testContext(t), d.grant(g))
		s, err := d.check.StreamChecks(ctx)
		if err != nil {
			t.Fatal(err)
		}
		question := &dncv1.StreamChecksRequest{Checks: []*dncv1.StreamCheck{{Id: 1, Subject: &dncv1.StreamCheck_E164{E164: uint64(numberOfAll)}}}}
		if err := s.Send(question); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Recv(); err != nil {
			t.Fatalf("%s: before: got %v, want an answer", name, err)
		}
		began := time.Now()
		end()
		_, err = s.Recv()
		wantReason(t, err, codes.Unauthenticated, "UNAUTHENTICATED")
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("%s: the stream ended after %v, want at most 5 s", name, took)
		}
		if _, err := d.check.CheckNumber(ctx, &dncv1.CheckNumberRequest{Number: numberOfAll.E164()}); reasonOf(err) != "UNAUTHENTICATED" {
			t.Errorf("%s: a call afterwards: got %v, want UNAUTHENTICATED", name, err)
		}
	}
}

func (d *door) revoke(name string) {
	d.t.Helper()
	if _, err := d.store.RevokeGrant(testContext(d.t), name, store.Request{}); err != nil {
		d.t.Fatal(err)
	}
}

// TestWritesNameTheGrant: what a caller claims does not count when it is known.
func TestWritesNameTheGrant(t *testing.T) {
	t.Parallel()
	d := openDoor(t)
	ctx := d.as("desk-7", access.RolesOf(access.Recorder), "acme")
	_, err := d.record.RecordOptOut(ctx, &dncv1.RecordOptOutRequest{
		Number: "+14155550130", Scope: "acme", Context: &dncv1.WriteContext{OnBehalfOf: "the chairman"},
	})
	if err != nil {
		t.Fatal(err)
	}
	resp, err := d.record.GetNumber(ctx, &dncv1.GetNumberRequest{Number: "+14155550130"})
	if err != nil {
		t.Fatal(err)
	}
	if story := resp.GetRecords()[0].GetStory(); story.GetRecordedBy() != "desk-7" || !story.GetRecordedByProven() {
		t.Errorf("got recorded by %q, proven %v, want desk-7, proven", story.GetRecordedBy(), story.GetRecordedByProven())
	}
}

// TestUnreadableScopeOfARowBecomesTheCallersOwn: an objection counts where its desk may record it.
func TestUnreadableScopeOfARowBecomesTheCallersOwn(t *testing.T) {
	t.Parallel()
	d := openDoor(t)
	one := d.as("one-scope", access.RolesOf(access.Recorder), "acme")
	two := d.as("two-scopes", access.RolesOf(access.Recorder), "acme", "other")
	rows := []*dncv1.RecordRow{
		{Number: "+14155550140", Scope: "a//b"}, {Number: "+14155550141", Scope: "other"}, {Number: "+14155550142", Scope: "acme/x"},
	}
	ack, err := d.importRows(one, "", rows)
	if err != nil {
		t.Fatal(err)
	}
	if len(ack.GetRejects()) != 1 || ack.GetRejects()[0].GetIndex() != 1 || len(ack.GetRemarks()) != 1 {
		t.Errorf("got rejects %v, remarks %v, want the row of other rejected and one remark", ack.GetRejects(), ack.GetRemarks())
	}
	if got := errorOfItem(ack.GetRejects()[0].GetError()); reasonOf(got) != "PERMISSION_DENIED" {
		t.Errorf("the row of other: got %v, want PERMISSION_DENIED", got)
	}
	_, err = d.importRows(two, "", rows)
	wantReason(t, err, codes.InvalidArgument, "FIELD_INVALID")
	_, err = d.importRows(one, "other", rows)
	wantReason(t, err, codes.PermissionDenied, "PERMISSION_DENIED")
	if _, err := d.importRows(two, "other", rows); err != nil {
		t.Errorf("a scope of several: got %v, want it taken", err)
	}
}

// importRows stages rows and returns what the server says of them.
func (d *door) importRows(ctx context.Context, fallback string, rows []*dncv1.RecordRow) (*dncv1.ImportAck, error) {
	d.t.Helper()
	s, err := d.record.ImportRecords(ctx)
	if err != nil {
		return nil, err
	}
	_ = s.Send(&dncv1.ImportRecordsRequest{Frame: &dncv1.ImportRecordsRequest_Header{Header: &dncv1.ImportRecordsHeader{
		Kind: dncv1.RecordKind_RECORD_KIND_OPT_OUT, FallbackScope: &fallback,
	}}})
	if _, err := s.Recv(); err != nil {
		return nil, err
	}
	_ = s.Send(&dncv1.ImportRecordsRequest{Frame: &dncv1.ImportRecordsRequest_Chunk{Chunk: &dncv1.ImportChunk{Seq: 1, Rows: rows}}})
	resp, err := s.Recv()
	return resp.GetAck(), err
}

// TestAdminOfAScopeStaysWithinIt: it grants, lists and revokes within its scopes only.
func TestAdminOfAScopeStaysWithinIt(t *testing.T) {
	t.Parallel()
	d := openDoor(t)
	client := dncv1.NewAccessServiceClient(d.conn)
	d.grant(access.Grant{Name: "root", Kind: access.Token, Roles: access.RolesOf(access.Admin)})
	d.grant(access.Grant{Name: "others", Kind: access.Token, Roles: access.RolesOf(access.Checker), Scopes: []policy.Scope{"other"}})
	d.grant(access.Grant{Name: "both", Kind: access.Token, Roles: access.RolesOf(access.Checker), Scopes: []policy.Scope{"acme", "other"}})
	d.grant(access.Grant{Name: "own", Kind: access.Token, Roles: access.RolesOf(access.Checker), Scopes: []policy.Scope{"acme/x"}})
	ctx := d.as("bounded", access.RolesOf(access.Admin), "acme")
	resp, err := client.ListTokens(ctx, &dncv1.ListTokensRequest{})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, token := range resp.GetTokens() {
		names = append(names, token.GetName())
	}
	if want := []string{"bounded", "own"}; !slices.Equal(names, want) {
		t.Errorf("got %v, want %v", names, want)
	}
	for _, name := range []string{"root", "others", "both"} {
		_, err := client.RevokeToken(ctx, &dncv1.RevokeTokenRequest{Name: name, Force: true})
		wantReason(t, err, codes.PermissionDenied, "PERMISSION_DENIED")
	}
	if log := d.log.String(); !strings.Contains(log, "act refused") || !strings.Contains(log, "bounded") {
		t.Errorf("got log %s, want the refusals with the caller", log)
	}
}

// TestActsShowWhoDidWhat: acts that changed state, with who did them, within the caller's scopes.
func TestActsShowWhoDidWhat(t *testing.T) {
	t.Parallel()
	d := openDoor(t)
	client := dncv1.NewAccessServiceClient(d.conn)
	loader := d.as("loader-of-acme", access.RolesOf(access.Loader), "acme")
	if _, err := d.list.DeleteList(loader, &dncv1.DeleteListRequest{Name: listAt("acme"), Force: true}); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		ctx  context.Context
		want string
	}{
		"officer everywhere": {d.as("officer", access.RolesOf(access.Officer)), "LIST_DELETED list-acme-x by loader-of-acme"},
		"officer at acme":    {d.as("officer-acme", access.RolesOf(access.Officer), "acme"), "LIST_DELETED list-acme-x by loader-of-acme"},
		"officer at other":   {d.as("officer-other", access.RolesOf(access.Officer), "other"), ""},
	} {
		var got string
		for token := ""; ; {
			resp, err := client.ListActs(c.ctx, &dncv1.ListActsRequest{PageSize: 2, PageToken: token})
			if err != nil {
				t.Fatal(err)
			}
			for _, a := range resp.GetActs() {
				if a.GetRecordedByProven() {
					got += strings.TrimPrefix(a.GetKind().String(), "ACT_KIND_") + " " + a.GetSubject() + " by " + a.GetRecordedBy()
				}
			}
			if token = resp.GetNextPageToken(); token == "" {
				break
			}
		}
		if got != c.want {
			t.Errorf("%s: got proven acts %q, want %q", name, got, c.want)
		}
	}
	_, err := client.ListActs(d.as("o2", access.RolesOf(access.Officer)), &dncv1.ListActsRequest{From: timestamppb.New(testDay), To: timestamppb.New(testDay)})
	wantReason(t, err, codes.InvalidArgument, "FIELD_INVALID")
}

// TestEveryReadOfPersonalDataIsLogged makes each call that the table marks, and finds its entry.
func TestEveryReadOfPersonalDataIsLogged(t *testing.T) {
	t.Parallel()
	d := openDoor(t)
	client := dncv1.NewAccessServiceClient(d.conn)
	reader := d.as("reader", access.Everything)
	for rpc, rule := range access.Rules {
		rpc = strings.TrimPrefix(rpc, "dnc.v1.")
		before := d.accesses(reader, client, "")
		if got := reasonOf(calls[rpc].make(reader, d, d.conn, "")); got != "" && !slices.Contains(calls[rpc].fails, got) {
			t.Fatalf("%s: got %s", rpc, got)
		}
		added := d.accesses(reader, client, "")[len(before):]
		switch {
		case !rule.Log && len(added) > 0:
			t.Errorf("%s: got an entry %v, want none: it reads nothing personal", rpc, added)
		case rule.Log && (len(added) != 1 || added[0].GetMethod() != rpc || added[0].GetName() != "reader"):
			t.Errorf("%s: got entries %v, want one of reader", rpc, added)
		}
	}
	// By number: its reads, and the exports, feeds and audits that may have held it.
	for number, want := range map[string]int{numberOfAll.E164(): 9, "+14155550199": 6} {
		if got := len(d.accesses(reader, client, number)); got != want {
			t.Errorf("entries of a number: got %d, want %d", got, want)
		}
	}
	files, err := filepath.Glob(filepath.Join(d.dir, "access", "*"))
	if err != nil || len(files) < 2 {
		t.Fatalf("got files %v, %v, want a key and a day", files, err)
	}
	for _, f := range files {
		content, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(content, []byte(numberOfAll.E164()[1:])) {
			t.Errorf("%s holds a number", filepath.Base(f))
		}
	}
}

// accesses reads the access log, page by page.
func (d *door) accesses(ctx context.Context, client dncv1.AccessServiceClient, number string) (all []*dncv1.Access) {
	d.t.Helper()
	for token := ""; ; {
		resp, err := client.ListAccess(ctx, &dncv1.ListAccessRequest{Number: number, PageSize: 2, PageToken: token})
		if err != nil {
			d.t.Fatal(err)
		}
		all = append(all, resp.GetAccesses()...)
		if token = resp.GetNextPageToken(); token == "" {
			return all
		}
	}
}

// TestReadThatCannotBeLoggedIsRefused: nothing personal is shown, and checks and writes continue.
func TestReadThatCannotBeLoggedIsRefused(t *testing.T) {
	t.Parallel()
	d := openDoor(t)
	if err := os.WriteFile(filepath.Join(d.dir, "access"), nil, 0o600); err != nil { // in the place of the directory
		t.Fatal(err)
	}
	ctx := d.as("reader", access.Everything)
	for rpc, rule := range access.Rules {
		rpc = strings.TrimPrefix(rpc, "dnc.v1.")
		got := reasonOf(calls[rpc].make(ctx, d, d.conn, ""))
		if rpc == "AccessService/ListAccess" {
			continue // it reads the log
		}
		if refused := got == "ACCESS_LOG_FAILED"; refused != rule.Log {
			t.Errorf("%s: got %q, want it refused: %v", rpc, got, rule.Log)
		}
	}
}

// TestAuthOptionalHoldsWhoShowsSomething: nothing shown is let in, a bad token is not.
func TestAuthOptionalHoldsWhoShowsSomething(t *testing.T) {
	t.Parallel()
	d := openDoor(t, func(o *server.Options) { o.Auth = server.AuthRequired })
	o := &door{node: start(t, func(o *server.Options) { o.Auth = server.AuthOptional })}
	token := o.grant(access.Grant{Name: "checker", Kind: access.Token, Roles: access.RolesOf(access.Checker), Scopes: []policy.Scope{"acme"}})
	check := func(ctx context.Context, scope string) string {
		_, err := o.check.CheckNumber(ctx, &dncv1.CheckNumberRequest{Number: numberOfAll.E164(), Scope: scope})
		return reasonOf(err)
	}
	for name, c := range map[string]struct{ got, want string }{
		"nothing":               {check(testContext(t), ""), ""},
		"a token, inside":       {check(showing(testContext(t), token), "acme"), ""},
		"a token, outside":      {check(showing(testContext(t), token), "other"), "PERMISSION_DENIED"},
		"a token that is none":  {check(showing(testContext(t), tokenOf(99)), "acme"), "UNAUTHENTICATED"},
		"nothing, but required": {reasonOf(calls["AccessService/WhoAmI"].make(testContext(t), d, d.conn, "")), "UNAUTHENTICATED"},
	} {
		if c.got != c.want {
			t.Errorf("%s: got %q, want %q", name, c.got, c.want)
		}
	}
}

// TestEveryActIsLogged makes each call that the table calls an act, and finds its line; also of imports, which count with
// their commit.
func TestEveryActIsLogged(t *testing.T) {
	t.Parallel()
	d := openDoor(t)
	d.grant(access.Grant{Name: "root", Kind: access.Token, Roles: access.RolesOf(access.Admin)})
	ctx := d.as("doer", access.Everything)
	for rpc, rule := range access.Rules {
		rpc = strings.TrimPrefix(rpc, "dnc.v1.")
		before := len(d.log.String())
		got := reasonOf(calls[rpc].make(ctx, d, d.conn, ""))
		logged := strings.Contains(d.log.String()[before:], "msg=act method="+rpc+" ")
		counted := got == "" && !slices.Contains([]string{"ListService/Import", "RecordService/ImportRecords", "PropagationService/CompareBase"}, rpc) // which are not committed
		if want := rule.Act && counted; logged != want {
			t.Errorf("%s, which gave %q: got it logged %v, want %v", rpc, got, logged, want)
		}
	}
	n := &node{t: t, list: dncv1.NewListServiceClient(withToken{d.conn, ctx})}
	d.makeList("", "loaded")
	n.replace("loaded", "2026-09-09", numbers(2)...)
	if log := d.log.String(); !strings.Contains(log, "msg=act method=ListService/Import about=loaded caller=doer") {
		t.Errorf("an import: got no line with its list and caller")
	}
}

// withToken makes the calls of a connection with the token of a context.
type withToken struct {
	grpc.ClientConnInterface
	ctx context.Context //nolint:containedctx // it carries the token
}

func (w withToken) NewStream(_ context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	return w.ClientConnInterface.NewStream(w.ctx, desc, method, opts...)
}

// TestRefusedLoginsWaitForTheirTurn: beyond some 500 a second a refusal waits, and a caller that is known does not.
func TestRefusedLoginsWaitForTheirTurn(t *testing.T) {
	t.Parallel()
	d := openDoor(t)
	known := d.as("dialer", access.RolesOf(access.Checker))
	const tries, free, perSecond = 1500, 500, 600
	bad := showing(testContext(t), tokenOf(0xbad))
	began := time.Now()
	var attackers sync.WaitGroup
	for range 50 {
		attackers.Go(func() {
			for range tries / 50 {
				_, err := d.check.CheckNumber(bad, &dncv1.CheckNumberRequest{Number: numberOfAll.E164()})
				if reasonOf(err) != "UNAUTHENTICATED" {
					t.Errorf("got %v, want UNAUTHENTICATED", err)
				}
			}
		})
	}
	if _, err := d.check.CheckNumber(known, &dncv1.CheckNumberRequest{Number: numberOfAll.E164()}); err != nil {
		t.Errorf("a known caller: got %v, want an answer", err)
	}
	answered := time.Since(began)
	attackers.Wait()
	if took, least := time.Since(began), time.Second*(tries-free)/perSecond; took < least || answered > took/2 {
		t.Errorf("got %d refusals within %v and the known caller's answer after %v, want at least %v and no wait", tries, took, answered, least)
	}
}

// TestRefusalsLeaveStreamsToOthers: a connection that callers share, as behind a proxy, is not filled by refusals that wait.
func TestRefusalsLeaveStreamsToOthers(t *testing.T) {
	t.Parallel()
	d := openDoor(t)
	known := d.as("dialer", access.RolesOf(access.Checker))
	bad, stop := context.WithCancel(showing(testContext(t), tokenOf(0xbad)))
	var attackers sync.WaitGroup
	for range 1000 { // on one connection, which has 256 streams
		attackers.Go(func() {
			for bad.Err() == nil {
				_, _ = d.check.CheckNumber(bad, &dncv1.CheckNumberRequest{Number: numberOfAll.E164()})
			}
		})
	}
	eventually(t, "refusals wait", func() bool {
		_, body := get(t, d.web+"/metrics")
		_, after, _ := strings.Cut(body, `dncd_refused_logins_total{kind="token"} `)
		count, _, _ := strings.Cut(after, "\n")
		refused, _ := strconv.Atoi(count) // 0: there is none yet
		return refused > 750
	})
	began := time.Now()
	if _, err := d.check.CheckNumber(known, &dncv1.CheckNumberRequest{Number: numberOfAll.E164()}); err != nil {
		t.Errorf("a known caller on the same connection: got %v, want an answer", err)
	}
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("a known caller was answered after %v, want at most 2 s", took)
	}
	stop()
	attackers.Wait()
}

// TestStopDoesNotWaitForRefusals: answers that wait for their turn are given when a stop begins.
func TestStopDoesNotWaitForRefusals(t *testing.T) {
	t.Parallel()
	d := openDoor(t)
	bad := showing(testContext(t), tokenOf(0xbad))
	var attackers sync.WaitGroup
	for range 200 {
		attackers.Go(func() {
			for range 20 {
				_, _ = d.check.CheckNumber(bad, &dncv1.CheckNumberRequest{Number: numberOfAll.E164()})
			}
		})
	}
	eventually(t, "refusals wait", func() bool {
		_, body := get(t, d.web+"/metrics")
		_, after, _ := strings.Cut(body, `dncd_refused_logins_total{kind="token"} `)
		count, _, _ := strings.Cut(after, "\n")
		refused, _ := strconv.Atoi(count) // 0: there is none yet
		return refused > 600
	})
	began := time.Now()
	if err := d.stop(); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("the stop took %v, want it not to wait for refusals", took)
	}
	attackers.Wait()
}

// TestTokensAreInNoLogMetricOrError also counts the lines of many refusals: an attacker does not fill the disk.
func TestTokensAreInNoLogMetricOrError(t *testing.T) {
	t.Parallel()
	d := openDoor(t)
	token := d.grant(access.Grant{Name: "checker", Kind: access.Token, Roles: access.RolesOf(access.Checker), Scopes: []policy.Scope{"acme"}})
	bad := tokenOf(0xabcdef)
	var errs strings.Builder
	began := time.Now()
	const tries = 500
	for range tries {
		_, err := d.check.CheckNumber(showing(testContext(t), bad), &dncv1.CheckNumberRequest{Number: numberOfAll.E164()})
		errs.WriteString(err.Error())
	}
	_, err := d.list.DeleteList(showing(testContext(t), token), &dncv1.DeleteListRequest{Name: listAt("acme")})
	errs.WriteString(err.Error())
	log := d.log.String()
	_, metrics := get(t, d.web+"/metrics")
	if n, most := strings.Count(log, `msg="login refused"`), 25+int(5*time.Since(began).Seconds()); n < 1 || n > most || n == tries {
		t.Errorf("got %d lines of %d refused logins, want at most %d", n, tries, most)
	}
	for where, text := range map[string]string{"the log": log, "an error": errs.String(), "a metric": metrics} {
		for _, secret := range []string{token, bad, token[len(access.Prefix):], bad[len(access.Prefix):]} {
			if strings.Contains(text, secret) {
				t.Errorf("%s holds a token", where)
			}
		}
	}
	if !strings.Contains(metrics, `dncd_refused_logins_total{kind="token"} 500`) {
		t.Errorf("got no count of %d refused tokens in the metrics", tries)
	}
}
