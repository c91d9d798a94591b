package client_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dncd/dncd/client"
)

const rowsOfAChunk = 4000

// stoppedOptOuts imports opt-outs until at least that many are staged, then stops as a killed process does. It
// returns once the server has noticed.
func stoppedOptOuts(t *testing.T, addr, server string, r client.ImportOptOutsRequest, rows []client.OptOut, staged int) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r.OnProgress = func(p client.Progress) {
		if p.Phase == client.PhaseSending && p.Done >= uint64(staged) {
			cancel()
		}
	}
	r.Rows = &optOuts{rows: rows, at: func(next int) error {
		if next >= staged+2*rowsOfAChunk { // more than what is to be staged was sent: now wait for the acks
			<-ctx.Done()
		}
		return ctx.Err()
	}}
	if _, err := connect(t, addr).ImportOptOuts(ctx, r); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v, want the end of the context", err)
	}
	noLoads(t, server)
}

// TestImportOptOutsOfANewClientGoesOn leaves off in the midst of an import and runs it again from another client: only what
// the server does not hold is sent, and what it rejects is reported again.
func TestImportOptOutsOfANewClientGoesOn(t *testing.T) {
	t.Parallel()
	p := newProxy(t, serve(t))
	rows := someOptOuts(60_000)
	rows[100].ExpiresAt = time.Unix(1, 0)     // in chunk 1, which the server rejects
	rows[2*rowsOfAChunk+7].Channel = "pigeon" // which becomes a note
	rows[3*rowsOfAChunk+1].Scope = "no scope" // the server records this row only in part
	instead := "acme"
	request := client.ImportOptOutsRequest{Sources: aFile, Resume: true, ScopeInstead: &instead}
	stoppedOptOuts(t, p.addr(), p.target.Load().(string), request, rows, 8*rowsOfAChunk)

	var resumed, rejected, remarked []uint64
	done := uint64(0)
	request.OnResume = func(n uint64) { resumed = append(resumed, n) }
	request.OnReject = func(r client.OptOutReject) { rejected = append(rejected, r.Row) }
	request.OnRemark = func(r client.OptOutReject) { remarked = append(remarked, r.Row) }
	request.OnProgress = func(p client.Progress) {
		if p.Phase != client.PhaseSending {
			return
		}
		if len(remarked) == 0 && p.Done > 3*rowsOfAChunk || len(rejected) == 0 && p.Done > 0 {
			t.Errorf("told that %d rows are held before all was said about them", p.Done)
		}
		done = p.Done
	}
	request.Rows = &optOuts{rows: rows}
	var r client.ImportOptOutsResult
	var err error
	again := sent(p, func() { r, err = connect(t, p.addr()).ImportOptOuts(t.Context(), request) })
	if err != nil || r.Read != 60_000 || r.Accepted != 59_999 || r.Rejected != 1 || r.Duplicates != 0 {
		t.Fatalf("got %+v (%v), want 59,999 accepted and 1 rejected", r, err)
	}
	if len(resumed) != 1 || resumed[0] < 8*rowsOfAChunk || resumed[0]%rowsOfAChunk != 0 {
		t.Errorf("told to go on after %v rows, want once at least %d", resumed, 8*rowsOfAChunk)
	}
	if !slices.Equal(rejected, []uint64{100}) || !slices.Equal(remarked, []uint64{3*rowsOfAChunk + 1}) || done != 60_000 {
		t.Errorf("rejected %v, remarked %v, %d sent", rejected, remarked, done)
	}
	calm := connect(t, serve(t))
	request.Resume, request.Rows, request.OnProgress = false, &optOuts{rows: rows}, nil
	if _, err := calm.ImportOptOuts(t.Context(), request); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(content(exportOptOuts(t, calm)), content(exportOptOuts(t, connect(t, p.addr())))); diff != "" {
		t.Errorf("the records differ from those of an undisturbed import (-want +got):\n%.2000s", diff)
	}

	// Begun again, the import sends all rows, and each is compared.
	request.Rows, resumed = &optOuts{rows: rows}, nil
	whole := sent(p, func() { r, err = connect(t, p.addr()).ImportOptOuts(t.Context(), request) })
	if err != nil || r.Duplicates != 59_999 || r.Accepted != 0 || len(resumed) != 0 {
		t.Errorf("begun again: got %+v (%v), resumed %v, want only duplicates", r, err, resumed)
	}
	if again*4 > whole*3 { // at least 8 of 15 chunks were there, and 2 of them were sent again
		t.Errorf("%d bytes were sent to go on, %d for the whole", again, whole)
	}
}

// TestImportOptOutsOfAChangedFileIsNotMixed runs an import again after its file has changed.
func TestImportOptOutsOfAChangedFileIsNotMixed(t *testing.T) {
	t.Parallel()
	addr := serve(t)
	c := connect(t, addr)
	rows := someOptOuts(40_000)
	request := client.ImportOptOutsRequest{Sources: aFile, Resume: true}
	stoppedOptOuts(t, addr, addr, request, rows, 5*rowsOfAChunk)
	changed := slices.Clone(rows)
	changed[2*rowsOfAChunk+7].Scope = "other"
	var resumed uint64
	request.OnResume = func(n uint64) { resumed = n }
	request.Rows = &optOuts{rows: changed[:7*rowsOfAChunk]}
	r, err := c.ImportOptOuts(t.Context(), request)
	if err != nil || r.Accepted != 7*rowsOfAChunk || resumed != 2*rowsOfAChunk {
		t.Fatalf("got %+v (%v) after %d rows, want to go on after %d", r, err, resumed, 2*rowsOfAChunk)
	}
	scopes := map[string]int{}
	for _, r := range exportOptOuts(t, c) {
		scopes[r.Scope]++
	}
	if scopes["other"] != 1 || scopes["acme"] != 7*rowsOfAChunk-1 {
		t.Errorf("recorded at %v, want what the changed file says", scopes)
	}
}

// Rows that were read otherwise are not gone on with: an earlier region or scope must not decide what a row says now.
func TestImportOptOutsReadOtherwiseBeginsAnew(t *testing.T) {
	t.Parallel()
	addr := serve(t)
	rows := someOptOuts(20_000)
	for i := range rows {
		rows[i].Scope = "no scope"
	}
	instead := "acme"
	request := client.ImportOptOutsRequest{Sources: aFile, Resume: true, ScopeInstead: &instead}
	stoppedOptOuts(t, addr, addr, request, rows, 2*rowsOfAChunk)
	instead = "brand"
	request.OnResume = func(n uint64) { t.Errorf("went on after %d rows that were read for acme", n) }
	request.Rows = &optOuts{rows: rows}
	c := connect(t, addr)
	if r, err := c.ImportOptOuts(t.Context(), request); err != nil || r.Accepted != 20_000 {
		t.Fatalf("got %+v (%v)", r, err)
	}
	for _, r := range exportOptOuts(t, c) {
		if r.Scope != "brand" {
			t.Fatalf("recorded at %q, want brand", r.Scope)
		}
	}
}

// TestWithdrawnRowIsRecordedAnew withdraws an opt-out that a file still holds, between two imports of it and while the file
// is staged: what was sent before is compared all the same.
func TestWithdrawnRowIsRecordedAnew(t *testing.T) {
	t.Parallel()
	addr := serve(t)
	c := connect(t, addr)
	rows := someOptOuts(20_000)
	request := client.ImportOptOutsRequest{Sources: aFile, Resume: true, Rows: &optOuts{rows: rows}}
	if r, err := c.ImportOptOuts(t.Context(), request); err != nil || r.Accepted != 20_000 {
		t.Fatalf("got %+v (%v)", r, err)
	}
	withdraw := func(o client.OptOut) {
		t.Helper()
		if _, err := c.WithdrawOptOut(t.Context(), client.Withdrawal{Number: o.Number, Scope: o.Scope, Reason: "asked to be called"}); err != nil {
			t.Fatal(err)
		}
	}
	withdraw(rows[0])
	stoppedOptOuts(t, addr, addr, request, rows, 2*rowsOfAChunk)
	withdraw(rows[1]) // it is staged
	request.Rows = &optOuts{rows: rows}
	r, err := c.ImportOptOuts(t.Context(), request)
	if err != nil || r.Accepted != 2 || r.Duplicates != 19_998 {
		t.Fatalf("got %+v (%v), want the two withdrawn rows recorded again", r, err)
	}
	for _, o := range rows[:2] {
		if a, err := c.Check(t.Context(), o.Number, client.Scope("acme")); err != nil || a.Verdict != client.Block {
			t.Errorf("got %v (%v), want a number that the file still holds blocked", a.Verdict, err)
		}
	}
}
