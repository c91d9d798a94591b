package client_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"testing"

	"github.com/dncd/dncd/client"
)

func TestCheckBatch(t *testing.T) {
	t.Parallel()
	c := connect(t, serve(t))
	createRegistry(t, c, "us-ftc", "1415")
	receipt := optOut(t, c, "+14155550101", "")
	numbers := []uint64{14165550100, 14155550101, 1, 18185550100, 0, 33199001234}

	r, err := c.CheckBatch(t.Context(), numbers)
	if err != nil {
		t.Fatal(err)
	}
	if r.Len() != len(numbers) || r.Revision < receipt.Revision || r.JournalID != receipt.JournalID || r.CheckedAt.IsZero() {
		t.Errorf("got %+v", r)
	}
	want := []client.Verdict{client.Allow, client.Block, "", client.Unknown, "", client.Allow}
	details := map[int]client.BatchDetail{}
	for _, d := range r.Details {
		details[d.Index] = d
	}
	for i, v := range want {
		if r.Verdict(i) != v || r.Callable(i) != (v == client.Allow) {
			t.Errorf("at %d got %q, callable %v, want %q", i, r.Verdict(i), r.Callable(i), v)
		}
		d, ok := details[i]
		if ok != (v != client.Allow) || errors.Is(d.Err, client.ErrInvalidNumber) != (v == "") {
			t.Errorf("at %d got detail %+v (%v)", i, d, ok)
		}
	}
	var asJSON struct{ Verdicts []client.Verdict }
	if text, err := json.Marshal(r); err != nil || json.Unmarshal(text, &asJSON) != nil || !slices.Equal(asJSON.Verdicts, want) {
		t.Errorf("in JSON got %s (%v), want the verdicts %q", text, err, want)
	}
	if d := details[1]; len(d.Reasons) == 0 || r.Reasons[d.Reasons[0]].Kind != client.ReasonOptOut {
		t.Errorf("got %+v of the opt-out", d)
	}
	if details[3].Cause != client.CauseNotLoaded && details[3].Cause != client.CauseNotCovered {
		t.Errorf("got cause %q of a number that no load covers", details[3].Cause)
	}
}

func TestCheckBatchErrors(t *testing.T) {
	t.Parallel()
	c := connect(t, serve(t))
	for name, tt := range map[string]struct {
		numbers []uint64
		opts    []client.CheckOption
		want    error
	}{
		"too many":      {make([]uint64, client.MaxBatch+1), nil, client.ErrInvalidArgument},
		"a bad scope":   {[]uint64{14155550100}, []client.CheckOption{client.Scope("a//b")}, client.ErrInvalidArgument},
		"other journal": {[]uint64{14155550100}, []client.CheckOption{client.AtLeast(client.Position{Revision: 1, JournalID: "other"})}, client.ErrJournalChanged},
		"other history": {[]uint64{14155550100}, []client.CheckOption{client.AtLeast(client.Position{Tag: "00"})}, client.ErrJournalForked},
	} {
		r, err := c.CheckBatch(t.Context(), tt.numbers, tt.opts...)
		if !errors.Is(err, tt.want) || !reflect.ValueOf(r).IsZero() {
			t.Errorf("%s: got %+v (%v), want %v", name, r, err, tt.want)
		}
	}
	if r, err := c.CheckBatch(t.Context(), nil); err != nil || r.Len() != 0 || len(r.Details) != 0 {
		t.Errorf("of no numbers got %+v (%v)", r, err)
	}
}
