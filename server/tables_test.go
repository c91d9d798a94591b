package server_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	where "github.com/dncd/dncd/internal/place"
	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
)

// namesTables is an answer that says which tables it was decided with.
type namesTables interface {
	GetTablesVersion() string
	GetTablesDifference() []string
}

// answersWithTables are the answers that rest on tables.
func (n *node) answersWithTables(at *dncv1.ReadAt) map[string]namesTables {
	n.t.Helper()
	ctx := testContext(n.t)
	answers := map[string]namesTables{}
	add := func(name string, m namesTables, err error) {
		if err != nil {
			n.t.Fatalf("%s: %v", name, err)
		}
		answers[name] = m
	}
	check, err := n.check.CheckNumber(ctx, &dncv1.CheckNumberRequest{Number: french, ReadAt: at})
	add("CheckNumber", check, err)
	batch, err := n.check.CheckNumbers(ctx, &dncv1.CheckNumbersRequest{Numbers: []string{french}, ReadAt: at})
	add("CheckNumbers", batch, err)
	number, err := n.record.GetNumber(ctx, &dncv1.GetNumberRequest{Number: french, ReadAt: at})
	add("GetNumber", number, err)
	s := n.openStream(ctx)
	c := ofText(1, french)
	c.ReadAt = at
	s.ask(c)
	add("StreamChecks", s.takeOne(1).in, nil)
	return answers
}

// An answer says with which built-in tables it was decided, and one of the past which of them are not those of the answer that it
// reproduces.
func TestAnswersNameTheirTables(t *testing.T) {
	t.Parallel()
	n := start(t)
	position := n.optOut(french, "acme").GetPosition()
	for name, got := range n.answersWithTables(nil) {
		if got.GetTablesVersion() != where.TablesVersion() || len(got.GetTablesDifference()) > 0 {
			t.Errorf("%s: got tables %q, difference %v; want %q and none", name, got.GetTablesVersion(), got.GetTablesDifference(), where.TablesVersion())
		}
	}
	for _, tt := range []struct {
		version string
		want    []string
	}{
		{"", nil},
		{where.TablesVersion(), nil},
		{strings.Replace(where.TablesVersion(), "tzdata:", "tzdata:0", 1) + ",another:1", []string{"tzdata", "another"}},
	} {
		at := pastAt(position, time.Time{}, nil)
		at.GetPast().TablesVersion = tt.version
		for name, got := range n.answersWithTables(at) {
			if got.GetTablesVersion() != where.TablesVersion() || !slices.Equal(got.GetTablesDifference(), tt.want) {
				t.Errorf("%s after %q: got tables %q, difference %v; want %v", name, tt.version, got.GetTablesVersion(), got.GetTablesDifference(), tt.want)
			}
		}
	}
	wrong := proto.CloneOf(pastAt(position, time.Time{}, nil))
	wrong.GetPast().TablesVersion = "2026b"
	n.wantAtEachRead(testContext(t), wrong, codes.InvalidArgument, dncv1.ErrorReason_ERROR_REASON_FIELD_INVALID)
}

// On a stream a check of now that follows one of the past names no difference.
func TestTablesDifferenceIsOfItsMessage(t *testing.T) {
	t.Parallel()
	n := start(t)
	at := pastAt(n.optOut(french, "acme").GetPosition(), time.Time{}, nil)
	at.GetPast().TablesVersion = "phone:1"
	s := n.openStream(testContext(t))
	for i, tt := range []struct {
		at   *dncv1.ReadAt
		want int
	}{{at, 4}, {nil, 0}} {
		c := ofText(uint64(i), french)
		c.ReadAt = tt.at
		s.ask(c)
		if got := s.takeOne(c.GetId()).in.GetTablesDifference(); len(got) != tt.want {
			t.Errorf("check %d: %v differ, want %d", i, got, tt.want)
		}
	}
}
