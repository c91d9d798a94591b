package registry

import (
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// readConsents reads a file of consents, and the reasons of its rejects.
func readConsents(t *testing.T, content string, o RecordOptions) (rows []Record, rejects []string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "consents.csv")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	o.Consents, o.OnReject = true, func(r Reject) { rejects = append(rejects, r.Reason) }
	r, err := OpenRecords([]string{path}, o)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	batch := make([]Record, 10)
	for {
		n, err := r.Next(batch)
		rows = append(rows, batch[:n]...)
		if err == io.EOF {
			return rows, rejects
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestConsentsAreReadInFullOrRejected: of an opt-out what cannot be read is left out; a consent without it would permit too much.
func TestConsentsAreReadInFullOrRejected(t *testing.T) {
	t.Parallel()
	csv := "number,scope,kind,form,obtained_at,expires_at,goods,tiers,appointment_from,appointment_until\n" +
		"+33199001234,acme,Permission,Écrit,2026-09-01,2026-12-01,energy,Call Centre,2026-12-01T18:00:00+01:00,2026-12-01T19:00:00+01:00\n" +
		"+33199001235,acme,wish,,2026-09-01,,,,,\n" +
		"+33199001235,acme,permission,maybe,2026-09-01,,,,,\n" +
		"+33199001235,acme,permission,,2026-09-01,never,,,,\n" +
		"+33199001235,acme,permission,,yesterday,,,,,\n" +
		"+33199001235,acme,permission,,2026-09-01,,,,2026-12-01 18:00,2026-12-01 19:00\n" +
		"+33199001235,,permission,,2026-09-01,,,,,\n" +
		"+33199001236,acme,contrat,,2026-09-01,,,,,\n"
	rows, rejects := readConsents(t, csv, RecordOptions{NeedScope: true})
	if len(rows) != 2 || len(rejects) != 6 {
		t.Fatalf("got %d rows and the rejects %q, want 2 and 6", len(rows), rejects)
	}
	day := func(month time.Month, d, hour int) time.Time {
		return time.Date(2026, month, d, hour, 0, 0, 0, time.UTC)
	}
	want := ConsentCells{Kind: Permission, Form: Written, Goods: "energy", ThirdParties: "Call Centre", From: day(12, 1, 17), Until: day(12, 1, 18)}
	if diff := cmp.Diff(want, rows[0].Consent); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if !rows[0].ReceivedAt.Equal(day(9, 1, 0)) || !rows[0].ExpiresAt.Equal(day(12, 1, 0)) || rows[1].Consent.Kind != Contract {
		t.Errorf("got %+v", rows)
	}
}

// TestDateOfAnObjectionIsNoneOfAConsent: a column that says when somebody objected says nothing of a consent.
func TestDateOfAnObjectionIsNoneOfAConsent(t *testing.T) {
	t.Parallel()
	rows, _ := readConsents(t, "number,received_at,opt-out date\n+33199001234,2026-09-01,2026-09-02\n", RecordOptions{})
	if len(rows) != 1 || !rows[0].ReceivedAt.IsZero() {
		t.Errorf("got %+v, want no date", rows)
	}
}

// TestObjectsOfConsentsAreReadAlike: one JSON object a line.
func TestObjectsOfConsentsAreReadAlike(t *testing.T) {
	t.Parallel()
	rows, rejects := readConsents(t, `{"number":"+33199001234","scope":"acme","kind":"PURCHASE","form":"ORAL","obtained_at":"2026-09-01T10:00:00Z","goods":"a boiler"}
{"number":"+33199001234","scope":"acme","kind":"GIFT","obtained_at":"2026-09-01T10:00:00Z"}
`, RecordOptions{NeedScope: true})
	if len(rows) != 1 || len(rejects) != 1 || rows[0].Consent != (ConsentCells{Kind: Purchase, Form: Oral, Goods: "a boiler"}) {
		t.Errorf("got %+v, rejects %q", rows, rejects)
	}
}
