package registry

import (
	"strings"
	"testing"
	"time"
)

func TestParseCallTime(t *testing.T) {
	t.Parallel()
	paris, err := time.LoadLocation("Europe/Paris")
	if err != nil {
		t.Skip("no time zones on this machine:", err)
	}
	for _, tt := range []struct {
		text         string
		order        DateOrder
		loc          *time.Location
		want, reason string
	}{
		{"2026-03-01T10:00:00Z", 0, nil, "2026-03-01T10:00:00Z", ""},
		{"2026-03-01 10:00:00 +01:00", 0, paris, "2026-03-01T09:00:00Z", ""},
		{"2026-03-01 10:00", 0, paris, "2026-03-01T09:00:00Z", ""},
		{"2026-07-01 10h00", 0, paris, "2026-07-01T08:00:00Z", ""},
		{"01/07/2026 10:00", DayFirst, paris, "2026-07-01T08:00:00Z", ""},
		{"2026-07-01 10:00", 0, time.UTC, "2026-07-01T10:00:00Z", ""},
		{"2026-07-01 10:00", 0, nil, "", ReasonNoZone},
		{"2026-07-01", 0, paris, "", ReasonNoClock},
		{"01/07/2026 10:00", 0, paris, "", ReasonDateOrder},
		{"", 0, paris, "", ReasonNoTime},
		{"yesterday", 0, paris, "", ReasonDate},
		// In spring 02:30 is never, in autumn it is twice.
		{"2026-03-29 01:59", 0, paris, "2026-03-29T00:59:00Z", ""},
		{"2026-03-29 02:00", 0, paris, "", ReasonClockMove},
		{"2026-03-29 02:59", 0, paris, "", ReasonClockMove},
		{"2026-03-29 03:00", 0, paris, "2026-03-29T01:00:00Z", ""},
		{"2026-10-25 01:59", 0, paris, "2026-10-24T23:59:00Z", ""},
		{"2026-10-25 02:00", 0, paris, "", ReasonClockMove},
		{"2026-10-25 02:59", 0, paris, "", ReasonClockMove},
		{"2026-10-25 03:00", 0, paris, "2026-10-25T02:00:00Z", ""},
		{"2026-10-25 02:30 +02:00", 0, paris, "2026-10-25T00:30:00Z", ""},
	} {
		got, reason := parseCallTime(tt.text, tt.order, tt.loc)
		text := ""
		if reason == "" {
			text = got.UTC().Format(time.RFC3339)
		}
		if text != tt.want || reason != tt.reason {
			t.Errorf("%q: got %q, %q; want %q, %q", tt.text, text, reason, tt.want, tt.reason)
		}
	}
}

func TestCallColumns(t *testing.T) {
	t.Parallel()
	const at = "2026-03-01T10:00:00Z"
	for _, tt := range []struct {
		text, column, time, scope string
		wantScope, wantErr        string
	}{
		{"phone,Date d'appel,brand\n+14155550100," + at + ", acme \n", "", "", "brand", "acme", ""},
		{"phone,when\n+14155550100," + at + "\n", "", "when", "", "", ""},
		{"+14155550100," + at + ",acme\n", "1", "2", "3", "acme", ""},
		{"phone,when\n+14155550100," + at + "\n", "", "", "", "", "column of the time: which column has it?"},
		{"phone,start,date\n+14155550100," + at + "," + at + "\n", "", "", "", "", "column of the time: which column has it?"},
		{"phone,start\n+14155550100," + at + "\n", "", "", "brand", "", "column of the scope: no column"},
		{"a,b,start\n+14155550100,+14155550101," + at + "\n", "a,b", "", "", "", "a call is to one number"},
		{"+14155550100\n", "", "", "", "", "column of the time: which column has it?"},
		{"", "", "", "", "", "a file of calls is csv"},
	} {
		rows, err := OpenRows(writeFile(t, "calls.csv", []byte(tt.text)), Options{Format: CSV, Column: tt.column})
		if err != nil {
			t.Fatalf("%q: %v", tt.text, err)
		}
		calls, err := rows.Calls(CallOptions{Time: tt.time, Scope: tt.scope})
		if tt.wantErr != "" {
			if err == nil || !strings.Contains(err.Error(), tt.wantErr) {
				t.Errorf("%q: got %v, want %s", tt.text, err, tt.wantErr)
			}
			rows.Close()
			continue
		}
		if err != nil {
			t.Fatalf("%q: %v", tt.text, err)
		}
		row, err := calls.Next()
		if err != nil {
			t.Fatalf("%q: %v", tt.text, err)
		}
		got, scope, reason := calls.Call(&row)
		if got.Format(time.RFC3339) != at || scope != tt.wantScope || reason != "" || row.Cells[0].Number != 14155550100 {
			t.Errorf("%q: got %v at %q, %q", tt.text, got, scope, reason)
		}
		rows.Close()
	}
}
