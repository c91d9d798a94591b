package main

import (
	"fmt"
	"strings"
	"testing"
)

func TestRawTextsAreBounded(t *testing.T) {
	t.Parallel()
	var r rejectTexts
	for _, text := range []string{"a", "b", "c"} {
		r.add(text)
	}
	r.forget(1)
	if r.of(0) != "" || r.of(1) != "b" || r.of(2) != "c" || r.of(3) != "" {
		t.Errorf("got %q, %q, %q, %q", r.of(0), r.of(1), r.of(2), r.of(3))
	}
	r.add(strings.Repeat("x", maxRejectTexts-1))
	if r.of(1) != "" || r.of(2) != "c" || len(r.of(3)) != maxRejectTexts-1 || r.size != maxRejectTexts {
		t.Errorf("beyond the bound: got %q, %q, %d bytes", r.of(1), r.of(2), r.size)
	}
	r.forget(10)
	r.add("d")
	if r.of(4) != "d" || r.size != 1 {
		t.Errorf("got %q and %d bytes, want the row after those that were forgotten", r.of(4), r.size)
	}
}

// TestRejectsBeyondTheFirstHaveAReason: the server explains 1,000 of a chunk.
func TestRejectsBeyondTheFirstHaveAReason(t *testing.T) {
	t.Parallel()
	addr, _ := startDaemon(t)
	var rows strings.Builder
	rows.WriteString("phone,scope,kind,obtained_at\n")
	for i := range 1500 {
		fmt.Fprintf(&rows, "+1415555%04d,acme,permission,\n", i%100+100)
	}
	_, _, said := dncOf(t.Context(), addr, "import", writeTemp(t, "forms.csv", rows.String()), "--consents", "--dry-run")
	for _, want := range []string{"rejected 1000: obtained_at is missing", "rejected 500: field invalid: the first ones are explained"} {
		if !strings.Contains(said, want) {
			t.Errorf("got %s, want %q", said, want)
		}
	}
}
