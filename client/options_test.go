package client_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dncd/dncd/client"
)

// following is the position after p, which a store reaches with its next write. Nobody knows its tag yet.
func following(p client.Position) client.Position {
	p.Revision, p.Tag = p.Revision+1, ""
	return p
}

// TestOptionsBelong holds which calls the compiler takes an option for: one that a call could not honour is none of its
// options.
func TestOptionsBelong(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name                        string
		option                      any
		check, number, read, export bool
	}{
		{"Scope", client.Scope("acme"), true, true, false, true},
		{"Region", client.Region("FR"), true, true, true, false},
		{"ForPurpose", client.ForPurpose(client.Service), true, true, false, false},
		{"Explain", client.Explain(), true, false, false, false},
		{"InPlace", client.InPlace("Europe/Paris"), true, true, false, false},
		{"RecordUse", client.RecordUse(), true, false, false, false},
		{"AsOf", client.AsOf(time.Now()), true, true, true, true},
		{"At", client.At(client.Position{Revision: 1}), true, true, true, true},
		{"Logged", client.Logged(client.Result{}), true, true, true, true},
		{"AtLeast", client.AtLeast(client.Position{Revision: 1}), true, true, true, true},
	} {
		_, check := tt.option.(client.CheckOption)
		_, number := tt.option.(client.NumberOption)
		_, read := tt.option.(client.ReadOption)
		_, export := tt.option.(client.ExportOption)
		if check != tt.check || number != tt.number || read != tt.read || export != tt.export {
			t.Errorf("%s goes with checks, GetNumber, reads, exports: got %t, %t, %t, %t, want %t, %t, %t, %t",
				tt.name, check, number, read, export, tt.check, tt.number, tt.read, tt.export)
		}
	}
}

// The use of a consent is evidence of a call: checks of many numbers, which are not calls, refuse to record one.
func TestRecordUseIsForOneNumber(t *testing.T) {
	t.Parallel()
	c := connect(t, serve(t))
	_, batch := c.CheckBatch(t.Context(), []uint64{14155550123}, client.RecordUse())
	var all error
	for _, err := range c.CheckAll(t.Context(), slices.Values([]string{"+14155550123"}), client.RecordUse()) {
		all = err
	}
	for call, err := range map[string]error{"CheckBatch": batch, "CheckAll": all} {
		if !errors.Is(err, client.ErrInvalidArgument) || !strings.Contains(err.Error(), "use Check with RecordUse") {
			t.Errorf("%s: got %v, want ErrInvalidArgument that names Check", call, err)
		}
	}
	if _, err := c.Check(t.Context(), "+14155550123", client.RecordUse()); err != nil {
		t.Errorf("Check: %v", err)
	}
}
