package client_test

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dncd/dncd/client"
)

// optOuts is an OptOutSource in memory; at is called before each batch.
type optOuts struct {
	rows     []client.OptOut
	rejected uint64
	next     int
	at       func(next int) error
}

func (s *optOuts) Next(batch []client.OptOut) (int, error) {
	if s.at != nil {
		if err := s.at(s.next); err != nil {
			return 0, err
		}
	}
	n := copy(batch, s.rows[s.next:])
	s.next += n
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

func (s *optOuts) Summary() client.SourceSummary {
	return client.SourceSummary{Read: uint64(len(s.rows)) + s.rejected, Rejected: s.rejected}
}

func someOptOuts(n int) []client.OptOut {
	rows := make([]client.OptOut, n)
	for i := range rows {
		rows[i] = client.OptOut{
			Number: fmt.Sprintf("+1415%07d", 2_000_000+i*7), Scope: "acme", Channel: client.ChannelEmail,
			ReceivedAt: time.Date(2026, 1, 1, 0, 0, i, 0, time.UTC), Desk: "after-sales", Evidence: fmt.Sprint("ticket-", i),
		}
	}
	return rows
}

func exportOptOuts(t testing.TB, c *client.Client, opts ...client.ExportOption) []client.OptOutRecord {
	t.Helper()
	var all []client.OptOutRecord
	for r, err := range c.ExportOptOuts(t.Context(), opts...) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, r)
	}
	return all
}

func TestImportOptOuts(t *testing.T) {
	t.Parallel()
	c := connect(t, serve(t), client.WithUser("ops"))
	rows := []client.OptOut{
		{Number: "01 99 00 12 34", Scope: "acme", Channel: client.ChannelLetter, ReceivedAt: time.Date(2026, 9, 1, 0, 0, 0, 0, time.UTC), Desk: "Lyon", Evidence: "t-1"},
		{Number: "", Scope: "acme"},
		{Number: "+33199001235", Channel: "pigeon", Note: "grey one"},
		{Number: "+33199001236", Scope: "no scope"},
		{Number: "+33199001237", Note: strings.Repeat("x", 100_000)},
		{Number: "+33199001238", Desk: "caf\xe9"},
		{Number: "+33199001235", Channel: client.ChannelOther},
	}
	half := 0.5
	var rejects []client.OptOutReject
	request := client.ImportOptOutsRequest{
		Region: "FR", MaxRejects: &half,
		OnReject: func(r client.OptOutReject) { rejects = append(rejects, r) },
	}
	request.Rows = &optOuts{rows: rows, rejected: 1}
	got, err := c.ImportOptOuts(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	if got.Read != 8 || got.Accepted != 3 || got.Duplicates != 1 || got.Rejected != 4 || got.Revision == 0 || got.Refused {
		t.Errorf("got %+v", got)
	}
	var told []string
	for _, r := range rejects {
		told = append(told, fmt.Sprint(r.Row, " ", r.Number, " ", r.Reason))
	}
	if want := []string{"1  NUMBER_EMPTY", "3 +33199001236 SCOPE_INVALID", "4 +33199001237 FIELD_INVALID"}; !slices.Equal(told, want) {
		t.Errorf("got rejects %q, want %q", told, want)
	}
	records := exportOptOuts(t, c)
	if len(records) != 3 || records[0].RecordedBy != "ops" || records[0].Desk != "Lyon" || records[0].Channel != client.ChannelLetter ||
		records[1].Channel != client.ChannelOther || records[1].Note != "grey one\nchannel: pigeon" || records[2].Desk != "caf\uFFFD" {
		t.Errorf("got %+v", records)
	}
	if at := exportOptOuts(t, c, client.Scope("acme")); len(at) != 3 {
		t.Errorf("got %d records at acme and above, want 3", len(at))
	}
	request.Rows = &optOuts{rows: rows, rejected: 1}
	if got, err = c.ImportOptOuts(t.Context(), request); err != nil || got.Accepted != 0 || got.Duplicates != 4 || got.FirstRevision != 0 {
		t.Errorf("again: got %+v, %v", got, err)
	}
}

func TestImportOptOutsGoesOnAfterBrokenConnections(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("a campaign: -short leaves it out")
	}
	calm := connect(t, serve(t))
	rows := someOptOuts(60_000)
	for i := 0; i < len(rows); i += 150 { // which the server rejects
		rows[i].ExpiresAt = time.Unix(1, 0)
	}
	want, err := calm.ImportOptOuts(t.Context(), client.ImportOptOutsRequest{Rows: &optOuts{rows: rows}})
	if err != nil {
		t.Fatal(err)
	}
	proxy := newProxy(t, serve(t))
	c := connect(t, proxy.addr())
	var cuts atomic.Int32
	source := &optOuts{rows: rows, at: func(next int) error {
		if next%15_000 == 14_000 {
			cuts.Add(1)
			proxy.cut()
		}
		return nil
	}}
	recording := false
	told := map[uint64]int{}
	onReject := func(r client.OptOutReject) { told[r.Row]++ }
	got, err := c.ImportOptOuts(t.Context(), client.ImportOptOutsRequest{Rows: source, OnReject: onReject, OnProgress: func(p client.Progress) {
		if p.Phase == client.PhaseRecording && !recording {
			recording = true
			proxy.cut()
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	if cuts.Load() < 3 || got.Accepted != want.Accepted || got.Duplicates != 0 || got.Read != 60_000 {
		t.Errorf("after %d cuts: got %+v, want %+v", cuts.Load(), got, want)
	}
	for i := 0; i < len(rows); i += 150 {
		if n := told[uint64(i)]; n != 1 {
			t.Errorf("row %d was rejected, and that was told %d times", i, n)
		}
	}
	if diff := cmp.Diff(content(exportOptOuts(t, calm)), content(exportOptOuts(t, c))); diff != "" {
		t.Errorf("the records differ (-want +got):\n%s", diff)
	}
}

// content is records without what depends on when they were recorded.
func content(records []client.OptOutRecord) []client.OptOutRecord {
	for i := range records {
		records[i].ID, records[i].RecordedAt = client.EventID{}, time.Time{}
	}
	return records
}

func TestImportOptOutsReturnsTheSourcesError(t *testing.T) {
	t.Parallel()
	c := connect(t, serve(t))
	failed := fmt.Errorf("the disk is gone")
	source := &optOuts{rows: someOptOuts(10_000), at: func(next int) error {
		if next >= 8000 {
			return failed
		}
		return nil
	}}
	if _, err := c.ImportOptOuts(t.Context(), client.ImportOptOutsRequest{Rows: source}); !errors.Is(err, failed) {
		t.Errorf("got %v, want %v", err, failed)
	}
	if records := exportOptOuts(t, c); len(records) != 0 {
		t.Errorf("%d rows were recorded of an import that failed", len(records))
	}
}

func TestExportOptOutsTellsACut(t *testing.T) {
	t.Parallel()
	proxy := newProxy(t, serve(t))
	c := connect(t, proxy.addr())
	if _, err := c.ImportOptOuts(t.Context(), client.ImportOptOutsRequest{Rows: &optOuts{rows: someOptOuts(50_000)}}); err != nil {
		t.Fatal(err)
	}
	count := 0
	var failed error
	proxy.cutAfter(100 << 10) // of some megabytes
	for _, err := range c.ExportOptOuts(t.Context()) {
		if failed = err; err != nil {
			break
		}
		count++
	}
	if failed == nil {
		t.Errorf("a stream that was cut yields no error, after %d of 50000 records", count)
	}
}

// BenchmarkImportOptOuts sends b.N opt-outs to a dncd in this process over loopback, until all are durable:
// -benchtime 1000000x.
func BenchmarkImportOptOuts(b *testing.B) {
	c := connect(b, serve(b))
	rows := someOptOuts(b.N)
	b.ResetTimer()
	got, err := c.ImportOptOuts(b.Context(), client.ImportOptOutsRequest{Rows: &optOuts{rows: rows}})
	if err != nil || got.Accepted != uint64(b.N) {
		b.Fatalf("%+v, %v", got, err)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "rows/s")
}
