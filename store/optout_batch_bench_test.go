package store

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/dncd/dncd/internal/phone"
	"github.com/dncd/dncd/internal/policy"
)

// bulkRows are rows of a file as a call centre's: each with a date, a desk and a ticket.
func bulkRows(from, count int) []RecordRow {
	rows := make([]RecordRow, count)
	for i := range rows {
		at := uint64(from + i)
		rows[i] = RecordRow{
			OptOut: OptOut{
				Number:     phone.Number(12_012_000_000 + at*7919%780_000_000),
				Scope:      "acme/telecom",
				Channel:    policy.ChannelEmail,
				ReceivedAt: time.Unix(1_780_000_000+int64(at), 0),
			},
			Story: Story{Desk: "after-sales", Evidence: fmt.Sprintf("ticket-%d", at), RecordedBy: "ops"},
		}
	}
	return rows
}

// BenchmarkRecordOptOuts records b.N opt-outs as a file brings them, then the same ones once more:
// -benchtime 1000000x.
func BenchmarkRecordOptOuts(b *testing.B) {
	s := open(b, b.TempDir())
	recordRows(b, s, false)
	b.ReportMetric(float64(b.N)/float64(s.View().Revision()), "opt-outs/revision")
	recordRows(b, s, true)
}

func recordRows(b *testing.B, s *Store, again bool) {
	b.Helper()
	start := time.Now()
	work := s.bulk(context.Background(), func(outcomes []Outcome) error {
		for _, o := range outcomes {
			if o.Err != nil || o.Duplicate != again {
				return fmt.Errorf("outcome %+v, want duplicate %v", o, again)
			}
		}
		return nil
	})
	for at := 0; at < b.N; at += batchRows {
		if err := work.add(bulkRows(at, min(batchRows, b.N-at))); err != nil {
			b.Fatal(err)
		}
	}
	if err := work.end(); err != nil {
		b.Fatal(err)
	}
	name := map[bool]string{false: "new/s", true: "duplicates/s"}[again]
	b.ReportMetric(float64(b.N)/time.Since(start).Seconds(), name)
}
