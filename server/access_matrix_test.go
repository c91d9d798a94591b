package server_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/dncd/dncd/internal/access"
	"github.com/dncd/dncd/internal/phone"
	"github.com/dncd/dncd/internal/policy"
	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
	"github.com/dncd/dncd/server"
	"github.com/dncd/dncd/store"
)

// door is a server that requires callers to show who they are. Its store has records and lists of two companies, acme
// and other, and of everybody.
type door struct {
	*node
	dir    string
	unique atomic.Int64
}

var (
	numberOfAcme  = phone.Number(14155550101)
	numberOfOther = phone.Number(14155550102)
	numberOfAll   = phone.Number(14155550103)
)

func openDoor(t testing.TB, change ...func(*server.Options)) *door {
	t.Helper()
	d := &door{dir: t.TempDir()}
	_, signing := signingKey(t)
	d.node = startIn(t, d.dir, store.Options{MinFree: -1}, append(change, signing, func(o *server.Options) { o.Auth = server.AuthRequired })...)
	for scope, n := range map[policy.Scope]phone.Number{"acme": numberOfAcme, "other": numberOfOther, "": numberOfAll} {
		_, err := d.store.RecordOptOut(testContext(t), store.OptOut{Number: n, Scope: scope},
			store.Request{Story: store.Story{Desk: "desk of " + string(scope), Note: "a note"}})
		if err != nil {
			t.Fatal(err)
		}
		d.makeList(scope, listAt(scope))
	}
	return d
}

func listAt(scope policy.Scope) string {
	return "list-" + strings.ReplaceAll(string(scope), "/", "-") + "-x"
}

func (d *door) makeList(scope policy.Scope, name string) {
	d.t.Helper()
	set := store.Settings{Kind: policy.ListSuppression, Scope: scope}
	if _, _, err := d.store.CreateList(testContext(d.t), name, set, store.Request{}); err != nil {
		d.t.Fatal(err)
	}
}

// freshList makes a list at scope whose name nothing else has.
func (d *door) freshList(scope policy.Scope) string {
	d.t.Helper()
	name := fmt.Sprintf("fresh-%d", d.unique.Add(1))
	d.makeList(scope, name)
	return name
}

// callerName is the key of the name of a context's caller.
type callerName struct{}

// freshSubscriber registers a subscriber at scope, for which the caller may speak, under a name that nothing else has.
func (d *door) freshSubscriber(ctx context.Context, scope policy.Scope) string {
	d.t.Helper()
	name := fmt.Sprintf("fresh-%d", d.unique.Add(1))
	identity, _ := ctx.Value(callerName{}).(string)
	d.putSubscriber(name, identity, boundTo(scope)...)
	return name
}

func (d *door) putSubscriber(name, identity string, scopes ...policy.Scope) {
	d.t.Helper()
	change := func(_ *store.View, _ *store.Subscriber, set *store.SubscriberSettings) error {
		set.Kind, set.Filter.Scopes, set.Identity = store.Internal, scopes, identity
		return nil
	}
	if _, err := d.store.PutSubscriber(testContext(d.t), name, change, false, store.Request{}); err != nil {
		d.t.Fatal(err)
	}
}

// grant grants roles, and returns the token if it is for one.
func (d *door) grant(g access.Grant) (token string) {
	d.t.Helper()
	if g.Kind == access.Token {
		token = tokenOf(d.unique.Add(1))
		g.Secret = access.SecretOf(token)
	}
	if _, _, err := d.store.CreateGrant(testContext(d.t), g, store.Request{}); err != nil {
		d.t.Fatal(err)
	}
	return token
}

func tokenOf(n int64) string { return fmt.Sprintf("%s%064x", access.Prefix, n) }

// call makes one call, about what is at scope, and returns its error: of a stream the first, of an item the item's.
type call func(ctx context.Context, d *door, conn grpc.ClientConnInterface, scope policy.Scope) error

// calls has an entry for each RPC of the contract.
var calls = map[string]struct {
	make  call
	fails []string // reasons with which a call that is let in may fail
}{
	"CheckService/CheckNumber": {make: func(ctx context.Context, _ *door, conn grpc.ClientConnInterface, scope policy.Scope) error {
		_, err := dncv1.NewCheckServiceClient(conn).CheckNumber(ctx, &dncv1.CheckNumberRequest{Number: numberOfAll.E164(), Scope: string(scope)})
		return err
	}},
	"CheckService/CheckNumbers": {make: func(ctx context.Context, _ *door, conn grpc.ClientConnInterface, scope policy.Scope) error {
		_, err := dncv1.NewCheckServiceClient(conn).CheckNumbers(ctx, &dncv1.CheckNumbersRequest{E164: []uint64{uint64(numberOfAll)}, Scope: string(scope)})
		return err
	}},
	"CheckService/StreamChecks": {make: func(ctx context.Context, _ *door, conn grpc.ClientConnInterface, scope policy.Scope) error {
		s, err := dncv1.NewCheckServiceClient(conn).StreamChecks(ctx)
		if err != nil {
			return err
		}
		_ = s.Send(&dncv1.StreamChecksRequest{Checks: []*dncv1.StreamCheck{{
			Id: 1, Subject: &dncv1.StreamCheck_E164{E164: uint64(numberOfAll)}, Scope: string(scope),
		}}})
		resp, err := s.Recv()
		if err != nil {
			return err
		}
		return errorOfItem(resp.GetAnswers()[0].GetError())
	}},
	"RecordService/RecordOptOut": {make: func(ctx context.Context, _ *door, conn grpc.ClientConnInterface, scope policy.Scope) error {
		_, err := dncv1.NewRecordServiceClient(conn).RecordOptOut(ctx, &dncv1.RecordOptOutRequest{Number: "+14155550110", Scope: string(scope)})
		return err
	}},
	"RecordService/WithdrawOptOut": {fails: []string{"NOTHING_TO_WITHDRAW"}, make: func(ctx context.Context, _ *door, conn grpc.ClientConnInterface, scope policy.Scope) error {
		_, err := dncv1.NewRecordServiceClient(conn).WithdrawOptOut(ctx, &dncv1.WithdrawOptOutRequest{Number: "+14155550111", Scope: string(scope), Reason: "asked"})
		return err
	}},
	"RecordService/RecordConsent": {make: func(ctx context.Context, _ *door, conn grpc.ClientConnInterface, scope policy.Scope) error {
		_, err := dncv1.NewRecordServiceClient(conn).RecordConsent(ctx, &dncv1.RecordConsentRequest{
			Number: "+14155550112", Scope: string(scope), Kind: dncv1.ConsentKind_CONSENT_KIND_PURCHASE,
		})
		return err
	}},
	"RecordService/WithdrawConsent": {fails: []string{"NOTHING_TO_WITHDRAW"}, make: func(ctx context.Context, _ *door, conn grpc.ClientConnInterface, scope policy.Scope) error {
		_, err := dncv1.NewRecordServiceClient(conn).WithdrawConsent(ctx, &dncv1.WithdrawConsentRequest{Number: "+14155550113", Scope: string(scope)})
		return err
	}},
	"RecordService/ImportRecords": {make: importRow},
	"RecordService/ListRecordImports": {make: func(ctx context.Context, _ *door, conn grpc.ClientConnInterface, _ policy.Scope) error {
		_, err := dncv1.NewRecordServiceClient(conn).ListRecordImports(ctx, &dncv1.ListRecordImportsRequest{})
		return err
	}},
	"RecordService/GetNumber": {make: func(ctx context.Context, _ *door, conn grpc.ClientConnInterface, _ policy.Scope) error {
		_, err := dncv1.NewRecordServiceClient(conn).GetNumber(ctx, &dncv1.GetNumberRequest{Number: numberOfAll.E164()})
		return err
	}},
	"RecordService/ListHistory": {make: func(ctx context.Context, _ *door, conn grpc.ClientConnInterface, _ policy.Scope) error {
		_, err := dncv1.NewRecordServiceClient(conn).ListHistory(ctx, &dncv1.ListHistoryRequest{Number: numberOfAll.E164()})
		return err
	}},
	"RecordService/ExportRecords": {make: func(ctx context.Context, _ *door, conn grpc.ClientConnInterface, _ policy.Scope) error {
		s, err := dncv1.NewRecordServiceClient(conn).ExportRecords(ctx, &dncv1.ExportRecordsRequest{})
		return firstError(s, err)
	}},
	"ListService/CreateList": {make: func(ctx context.Context, d *door, conn grpc.ClientConnInterface, scope policy.Scope) error {
		_, err := dncv1.NewListServiceClient(conn).CreateList(ctx, &dncv1.CreateListRequest{
			Name: fmt.Sprintf("new-%d", d.unique.Add(1)), Kind: dncv1.ListKind_LIST_KIND_SUPPRESSION, Scope: string(scope),
		})
		return err
	}},
	"ListService/GetList": {make: func(ctx context.Context, _ *door, conn grpc.ClientConnInterface, _ policy.Scope) error {
		_, err := dncv1.NewListServiceClient(conn).GetList(ctx, &dncv1.GetListRequest{Name: listAt("acme")})
		return err
	}},
	"ListService/ListLists": {make: func(ctx context.Context, _ *door, conn grpc.ClientConnInterface, _ policy.Scope) error {
		_, err := dncv1.NewListServiceClient(conn).ListLists(ctx, &dncv1.ListListsRequest{})
		return err
	}},
	"ListService/UpdateList": {make: func(ctx context.Context, d *door, conn grpc.ClientConnInterface, scope policy.Scope) error {
		_, err := dncv1.NewListServiceClient(conn).UpdateList(ctx, &dncv1.UpdateListRequest{
			List: &dncv1.List{Name: d.freshList(scope), Coverage: []string{"1415"}}, UpdateMask: mask("coverage"),
		})
		return err
	}},
	"ListService/DeleteList": {make: func(ctx context.Context, d *door, conn grpc.ClientConnInterface, scope policy.Scope) error {
		_, err := dncv1.NewListServiceClient(conn).DeleteList(ctx, &dncv1.DeleteListRequest{Name: d.freshList(scope), Force: true})
		return err
	}},
	"ListService/Import": {make: func(ctx context.Context, d *door, conn grpc.ClientConnInterface, scope policy.Scope) error {
		s, err := dncv1.NewListServiceClient(conn).Import(ctx)
		if err != nil {
			return err
		}
		send(s, &dncv1.ImportRequest{Frame: &dncv1.ImportRequest_Header{Header: &dncv1.ImportHeader{List: d.freshList(scope)}}})
		_, err = s.Recv()
		return err
	}},
	"ListService/ListImports": {make: func(ctx context.Context, _ *door, conn grpc.ClientConnInterface, _ policy.Scope) error {
		_, err := dncv1.NewListServiceClient(conn).ListImports(ctx, &dncv1.ListImportsRequest{})
		return err
	}},
	"ListService/Export": {make: func(ctx context.Context, _ *door, conn grpc.ClientConnInterface, scope policy.Scope) error {
		s, err := dncv1.NewListServiceClient(conn).Export(ctx, &dncv1.ExportRequest{List: listAt(scope)})
		return firstError(s, err)
	}},
	"ListService/RevertImport": {fails: []string{"NOTHING_TO_REVERT"}, make: func(ctx context.Context, _ *door, conn grpc.ClientConnInterface, scope policy.Scope) error {
		_, err := dncv1.NewListServiceClient(conn).RevertImport(ctx, &dncv1.RevertImportRequest{List: listAt(scope)})
		return err
	}},
	"AdminService/GetStats": {make: func(ctx context.Context, _ *door, conn grpc.ClientConnInterface, _ policy.Scope) error {
		_, err := dncv1.NewAdminServiceClient(conn).GetStats(ctx, &dncv1.GetStatsRequest{})
		return err
	}},
	"AccessService/CreateToken": {make: func(ctx context.Context, d *door, conn grpc.ClientConnInterface, scope policy.Scope) error {
		n := d.unique.Add(1)
		secret := access.SecretOf(tokenOf(n))
		_, err := dncv1.NewAccessServiceClient(conn).CreateToken(ctx, &dncv1.CreateTokenRequest{
			Name: fmt.Sprintf("t%d", n), Kind: dncv1.CredentialKind_CREDENTIAL_KIND_TOKEN, SecretSha256: secret[:],
			Roles: []dncv1.Role{dncv1.Role_ROLE_CHECKER}, Scopes: scopeList(scope),
		})
		return err
	}},
	"AccessService/RevokeToken": {make: func(ctx context.Context, d *door, conn grpc.ClientConnInterface, scope policy.Scope) error {
		name := fmt.Sprintf("r%d", d.unique.Add(1))
		g := access.Grant{Name: name, Kind: access.Token, Roles: access.RolesOf(access.Checker)}
		if scope != "" {
			g.Scopes = []policy.Scope{scope}
		}
		d.grant(g)
		_, err := dncv1.NewAccessServiceClient(conn).RevokeToken(ctx, &dncv1.RevokeTokenRequest{Name: name})
		return err
	}},
	"AccessService/ListTokens": {make: func(ctx context.Context, _ *door, conn grpc.ClientConnInterface, _ policy.Scope) error {
		_, err := dncv1.NewAccessServiceClient(conn).ListTokens(ctx, &dncv1.ListTokensRequest{})
		return err
	}},
	"AccessService/WhoAmI": {make: func(ctx context.Context, _ *door, conn grpc.ClientConnInterface, _ policy.Scope) error {
		_, err := dncv1.NewAccessServiceClient(conn).WhoAmI(ctx, &dncv1.WhoAmIRequest{})
		return err
	}},
	"AccessService/ListAccess": {make: func(ctx context.Context, _ *door, conn grpc.ClientConnInterface, _ policy.Scope) error {
		_, err := dncv1.NewAccessServiceClient(conn).ListAccess(ctx, &dncv1.ListAccessRequest{})
		return err
	}},
	"AccessService/ListActs": {make: func(ctx context.Context, _ *door, conn grpc.ClientConnInterface, _ policy.Scope) error {
		_, err := dncv1.NewAccessServiceClient(conn).ListActs(ctx, &dncv1.ListActsRequest{})
		return err
	}},
	"PropagationService/PutSubscriber": {make: func(ctx context.Context, d *door, conn grpc.ClientConnInterface, scope policy.Scope) error {
		_, err := dncv1.NewPropagationServiceClient(conn).PutSubscriber(ctx, &dncv1.PutSubscriberRequest{Subscriber: &dncv1.Subscriber{
			Name: fmt.Sprintf("new-%d", d.unique.Add(1)), Kind: dncv1.SubscriberKind_SUBSCRIBER_KIND_INTERNAL,
			Filter: &dncv1.FeedFilter{Scopes: scopeList(scope)},
		}})
		return err
	}},
	"PropagationService/GetReport": {make: func(ctx context.Context, _ *door, conn grpc.ClientConnInterface, _ policy.Scope) error {
		s, err := dncv1.NewPropagationServiceClient(conn).GetReport(ctx, &dncv1.GetReportRequest{})
		return firstError(s, err)
	}},
	"PropagationService/GetSubscriber": {make: func(ctx context.Context, d *door, conn grpc.ClientConnInterface, _ policy.Scope) error {
		_, err := dncv1.NewPropagationServiceClient(conn).GetSubscriber(ctx, &dncv1.GetSubscriberRequest{Name: d.freshSubscriber(ctx, "acme")})
		return err
	}},
	"PropagationService/ListSubscribers": {make: func(ctx context.Context, _ *door, conn grpc.ClientConnInterface, _ policy.Scope) error {
		_, err := dncv1.NewPropagationServiceClient(conn).ListSubscribers(ctx, &dncv1.ListSubscribersRequest{})
		return err
	}},
	"PropagationService/DeleteSubscriber": {make: func(ctx context.Context, d *door, conn grpc.ClientConnInterface, scope policy.Scope) error {
		_, err := dncv1.NewPropagationServiceClient(conn).DeleteSubscriber(ctx, &dncv1.DeleteSubscriberRequest{Name: d.freshSubscriber(ctx, scope)})
		return err
	}},
	"PropagationService/CompareBase": {make: func(ctx context.Context, d *door, conn grpc.ClientConnInterface, scope policy.Scope) error {
		s, err := dncv1.NewPropagationServiceClient(conn).CompareBase(ctx)
		if err != nil {
			return err
		}
		_ = s.Send(&dncv1.CompareBaseRequest{Frame: &dncv1.CompareBaseRequest_Header{Header: &dncv1.CompareHeader{Subscriber: d.freshSubscriber(ctx, scope)}}})
		_, err = s.Recv()
		return err
	}},
	"AuditService/AuditCalls": {make: func(ctx context.Context, d *door, conn grpc.ClientConnInterface, scope policy.Scope) error {
		s, err := dncv1.NewAuditServiceClient(conn).AuditCalls(ctx)
		if err != nil {
			return err
		}
		_ = s.Send(&dncv1.AuditCallsRequest{Calls: []*dncv1.AuditedCall{{E164: uint64(numberOfAll), Time: timestamppb.New(d.store.Now()), Scope: string(scope)}}})
		resp, err := s.Recv()
		if err != nil {
			return err
		}
		return errorOfItem(resp.GetAnswers()[0].GetError())
	}},
	"PolicyService/GetPolicy": {make: func(ctx context.Context, _ *door, conn grpc.ClientConnInterface, _ policy.Scope) error {
		_, err := dncv1.NewPolicyServiceClient(conn).GetPolicy(ctx, &dncv1.GetPolicyRequest{})
		return err
	}},
	"PolicyService/SetPolicy": {make: func(ctx context.Context, d *door, conn grpc.ClientConnInterface, _ policy.Scope) error {
		document := fmt.Sprintf("format: 1\ndefault: allow # %d\n", d.unique.Add(1))
		_, err := dncv1.NewPolicyServiceClient(conn).SetPolicy(ctx, &dncv1.SetPolicyRequest{Document: document})
		return err
	}},
	"PolicyService/ListPolicies": {make: func(ctx context.Context, _ *door, conn grpc.ClientConnInterface, _ policy.Scope) error {
		_, err := dncv1.NewPolicyServiceClient(conn).ListPolicies(ctx, &dncv1.ListPoliciesRequest{})
		return err
	}},
	"PropagationService/PutDesk": {make: func(ctx context.Context, d *door, conn grpc.ClientConnInterface, _ policy.Scope) error {
		_, err := dncv1.NewPropagationServiceClient(conn).PutDesk(ctx, &dncv1.PutDeskRequest{Desk: &dncv1.Desk{Name: fmt.Sprintf("new %d", d.unique.Add(1))}})
		return err
	}},
	"PropagationService/ListDesks": {make: func(ctx context.Context, _ *door, conn grpc.ClientConnInterface, _ policy.Scope) error {
		_, err := dncv1.NewPropagationServiceClient(conn).ListDesks(ctx, &dncv1.ListDesksRequest{})
		return err
	}},
	"PropagationService/DeleteDesk": {make: func(ctx context.Context, d *door, conn grpc.ClientConnInterface, _ policy.Scope) error {
		name := fmt.Sprintf("fresh %d", d.unique.Add(1))
		if _, err := d.store.PutDesk(testContext(d.t), name, func(*store.Desk, *store.DeskSettings) error { return nil }, store.Request{}); err != nil {
			d.t.Fatal(err)
		}
		_, err := dncv1.NewPropagationServiceClient(conn).DeleteDesk(ctx, &dncv1.DeleteDeskRequest{Name: name})
		return err
	}},
	"PropagationService/GetCheckpoint": {make: func(ctx context.Context, d *door, conn grpc.ClientConnInterface, _ policy.Scope) error {
		name := d.freshSubscriber(ctx, "acme")
		sub := d.store.View().Subscribers().Named(name)
		_, err := dncv1.NewPropagationServiceClient(conn).GetCheckpoint(ctx, &dncv1.GetCheckpointRequest{
			Subscriber: &dncv1.EventId{Revision: sub.ID.Revision, Index: sub.ID.Index}, Epoch: sub.Epoch, Revision: sub.Epoch,
		})
		return err
	}},
	"PropagationService/GetDossier": {make: func(ctx context.Context, _ *door, conn grpc.ClientConnInterface, _ policy.Scope) error {
		_, err := dncv1.NewPropagationServiceClient(conn).GetDossier(ctx, &dncv1.GetDossierRequest{Number: numberOfAll.E164()})
		return err
	}},
	"PropagationService/Acknowledge": {make: func(ctx context.Context, d *door, conn grpc.ClientConnInterface, _ policy.Scope) error {
		name := d.freshSubscriber(ctx, "acme")
		_, err := dncv1.NewPropagationServiceClient(conn).Acknowledge(ctx, &dncv1.AcknowledgeRequest{
			Subscriber: name,
			Acknowledgement: &dncv1.AcknowledgeRequest_Claim{Claim: &dncv1.ClaimedAcknowledgement{
				Cursor: &dncv1.FeedCursor{Position: &dncv1.Position{Revision: d.store.View().Subscribers().Named(name).Epoch}},
				Stage:  dncv1.Stage_STAGE_APPLIED,
			}},
		})
		return err
	}},
	"PropagationService/Watch": {fails: []string{"FIELD_INVALID"}, make: func(ctx context.Context, d *door, conn grpc.ClientConnInterface, _ policy.Scope) error {
		name := d.freshSubscriber(ctx, "acme") // without a cursor the stream ends, behind the access log
		s, err := dncv1.NewPropagationServiceClient(conn).Watch(ctx, &dncv1.WatchRequest{Feed: &dncv1.WatchRequest_Subscriber{Subscriber: name}})
		return firstError(s, err)
	}},
	"PropagationService/GetFeed": {make: func(ctx context.Context, d *door, conn grpc.ClientConnInterface, _ policy.Scope) error {
		name := d.freshSubscriber(ctx, "acme")
		s, err := dncv1.NewPropagationServiceClient(conn).GetFeed(ctx, &dncv1.GetFeedRequest{Feed: &dncv1.GetFeedRequest_Subscriber{Subscriber: name}})
		return firstError(s, err)
	}},
}

func scopeList(scope policy.Scope) []string {
	if scope == "" {
		return nil
	}
	return []string{string(scope)}
}

// importRow sends one row at scope, and returns why it was rejected.
func importRow(ctx context.Context, _ *door, conn grpc.ClientConnInterface, scope policy.Scope) error {
	s, err := dncv1.NewRecordServiceClient(conn).ImportRecords(ctx)
	if err != nil {
		return err
	}
	_ = s.Send(&dncv1.ImportRecordsRequest{Frame: &dncv1.ImportRecordsRequest_Header{Header: &dncv1.ImportRecordsHeader{
		Kind: dncv1.RecordKind_RECORD_KIND_OPT_OUT,
	}}})
	if _, err := s.Recv(); err != nil {
		return err
	}
	_ = s.Send(&dncv1.ImportRecordsRequest{Frame: &dncv1.ImportRecordsRequest_Chunk{Chunk: &dncv1.ImportChunk{
		Seq: 1, Rows: []*dncv1.RecordRow{{Number: "+14155550113", Scope: string(scope)}},
	}}})
	resp, err := s.Recv()
	if err != nil {
		return err
	}
	for _, r := range resp.GetAck().GetRejects() {
		return errorOfItem(r.GetError())
	}
	return nil
}

type itemFailure struct{ reason string }

func (e itemFailure) Error() string { return "item: " + e.reason }

func errorOfItem(e *dncv1.ItemError) error {
	if e == nil {
		return nil
	}
	return itemFailure{e.GetReason().String()[len("ERROR_REASON_"):]}
}

func firstError[M any](s grpc.ServerStreamingClient[M], err error) error {
	if err != nil {
		return err
	}
	if _, err = s.Recv(); errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// reasonOf is the reason of a call's or an item's error; empty: none.
func reasonOf(err error) string {
	var item itemFailure
	switch {
	case err == nil:
		return ""
	case errors.As(err, &item):
		return item.reason
	}
	if info := errorInfo(err); info != nil {
		return info.GetReason()
	}
	return "no reason: " + err.Error()
}

func showing(ctx context.Context, token string) context.Context {
	return metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token)
}

var allRoles = []access.Role{access.Checker, access.Recorder, access.Loader, access.Subscriber, access.Officer, access.Admin}

// wantLetIn is what the table says of a call with that role, about what is at scope. bound is the one scope of the
// caller; empty: everywhere.
func wantLetIn(rpc string, role access.Role, bound, scope policy.Scope) bool {
	rule := access.Rules["dnc.v1."+rpc]
	if rule.Roles != 0 && !rule.Roles.Has(role) {
		return false
	}
	switch rule.Bound {
	case access.Filtered, access.Nothing:
		return true
	case access.Unbounded:
		return bound == ""
	}
	return bound.Holds(scope)
}

const belowAcme = policy.Scope("acme/brand")

// TestMatrixOfRolesAndCalls makes every call of the contract with every role, by token and by certificate, within its
// scope, below, above and outside.
func TestMatrixOfRolesAndCalls(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("a campaign: -short leaves it out")
	}
	for rpc := range access.Rules {
		if _, ok := calls[rpc[len("dnc.v1."):]]; !ok {
			t.Errorf("%s: got no call in the matrix, want one", rpc)
		}
	}
	ca := newAuthority(t)
	cert, key := ca.issue("dncd", nil)
	files, err := server.TLSFiles{Cert: cert, Key: key, ClientCA: ca.file, OrToken: true}.Config()
	if err != nil {
		t.Fatal(err)
	}
	d := openDoor(t, func(o *server.Options) { o.TLS = files })
	d.makeList(belowAcme, listAt(belowAcme))
	for _, role := range allRoles {
		for _, bound := range []policy.Scope{"acme", ""} {
			for _, kind := range []access.Kind{access.Token, access.Certificate} {
				d.tryAll(ca, role, bound, kind)
			}
		}
	}
}

// tryAll makes every call with one role, by one kind of credential.
func (d *door) tryAll(ca *authority, role access.Role, bound policy.Scope, kind access.Kind) {
	d.t.Helper()
	g := access.Grant{Name: fmt.Sprintf("%v-%s-%d", role, bound, kind), Kind: kind, Roles: access.RolesOf(role)}
	if bound != "" {
		g.Scopes = []policy.Scope{bound}
	}
	tlsConfig, ctx := ca.clientTLS("", ""), context.WithValue(testContext(d.t), callerName{}, g.Name)
	if token := d.grant(g); kind == access.Token {
		ctx = showing(ctx, token)
	} else {
		tlsConfig = ca.clientTLS(ca.issue(g.Name, nil))
	}
	conn, err := grpc.NewClient(d.addr, grpc.WithTransportCredentials(credentials.NewTLS(tlsConfig)))
	if err != nil {
		d.t.Fatal(err)
	}
	defer conn.Close()
	for rpc, c := range calls {
		for _, scope := range []policy.Scope{"acme", belowAcme, "", "other"} {
			got, want := reasonOf(c.make(ctx, d, conn, scope)), wantLetIn(rpc, role, bound, scope)
			letIn := got == "" || slices.Contains(c.fails, got)
			if letIn != want || (!want && got != "PERMISSION_DENIED") {
				d.t.Errorf("%s by %s at %q: got %q, want it let in: %v", rpc, g.Name, scope, got, want)
			}
		}
	}
}

// TestCallersThatAreNobody makes every call of the contract without a credential, and with credentials that are none.
func TestCallersThatAreNobody(t *testing.T) {
	t.Parallel()
	d, foreign := openDoor(t), openDoor(t)
	everything := access.Grant{Kind: access.Token, Roles: access.Everything}
	with := func(name string) access.Grant { g := everything; g.Name = name; return g }

	foreign.unique.Store(1_000_000) // none of the tokens of d
	ofAnother := foreign.grant(with("foreign"))
	revoked := d.grant(with("revoked"))
	d.grant(with("keeper"))
	if _, err := d.store.RevokeGrant(testContext(t), "revoked", store.Request{}); err != nil {
		t.Fatal(err)
	}
	late := with("late")
	late.ExpiresAt = testDay.Add(1)
	expired := d.grant(late)
	d.clock.add(2)
	unknown := tokenOf(2_000_001) // above all that the calls below grant
	for name, header := range map[string][]string{
		"nothing":              nil,
		"an unknown token":     {"Bearer " + unknown},
		"a foreign token":      {"Bearer " + ofAnother},
		"a revoked token":      {"Bearer " + revoked},
		"an expired token":     {"Bearer " + expired},
		"an empty token":       {"Bearer "},
		"an empty header":      {""},
		"no bearer":            {revoked},
		"basic":                {"Basic YWRtaW46YWRtaW4="},
		"the hash of a secret": {fmt.Sprintf("Bearer %x", access.SecretOf(revoked))},
		"two tokens":           {"Bearer " + unknown, "Bearer " + tokenOf(2_000_002)},
		"a very long token":    {"Bearer " + strings.Repeat("x", 4000)},
	} {
		ctx := testContext(t)
		for _, h := range header {
			ctx = metadata.AppendToOutgoingContext(ctx, "authorization", h)
		}
		want := "UNAUTHENTICATED"
		for rpc, c := range calls {
			if got := reasonOf(c.make(ctx, d, d.conn, "acme")); got != want {
				t.Errorf("%s with %s: got %q, want %s", rpc, name, got, want)
			}
		}
	}
}
