package registry

import (
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dncd/dncd/internal/phone"
)

// loadChanges reads files to their end or to the first error: numbers are the
// additions, removed what is taken away.
func loadChanges(t testing.TB, opts Options, paths ...string) (got loaded, removed []uint64) {
	t.Helper()
	opts.OnReject = func(r Reject) { got.rejects = append(got.rejects, r) }
	r, err := Open(paths, opts)
	if err != nil {
		got.err = err
		return got, nil
	}
	defer r.Close()
	got.reader = r
	add, remove := make([]phone.Number, 7), make([]phone.Number, 3)
	for {
		a, d, err := r.NextChanges(add, remove)
		for _, n := range add[:a] {
			got.numbers = append(got.numbers, uint64(n))
		}
		for _, n := range remove[:d] {
			removed = append(removed, uint64(n))
		}
		if err != nil {
			if err != io.EOF {
				got.err = err
			}
			got.totals = r.Totals()
			return got, removed
		}
	}
}

func TestChangeSamples(t *testing.T) {
	const dir = "../../testdata/ftc-change/"
	tests := []struct {
		path, columns string
		add, remove   []uint64
		reasons       map[int64]string
	}{
		{dir + "2026-9-10_change_3f5e6d7c-8b9a-4c0d-9e1f-2a3b4c5d6e7f.txt", "", numbersFrom(415, 150, 30), numbersFrom(212, 100, 10), map[int64]string{}},
		{dir + "columns.csv", "action,date,number,-", []uint64{14155550160}, []uint64{14155550100}, map[int64]string{4: ReasonAction}},
	}
	for _, tt := range tests {
		got, removed := loadChanges(t, Options{Format: FTCChange, Columns: tt.columns}, tt.path)
		if got.err != nil {
			t.Fatal(got.err)
		}
		if !slices.Equal(got.numbers, tt.add) || !slices.Equal(removed, tt.remove) {
			t.Errorf("%s: got %d and %d numbers, want %d and %d", tt.path, len(got.numbers), len(removed), len(tt.add), len(tt.remove))
		}
		if diff := cmp.Diff(tt.reasons, reasonsAt(got.rejects)); diff != "" {
			t.Errorf("%s: %s", tt.path, diff)
		}
		if got.totals.Numbers != int64(len(tt.add)+len(tt.remove)) || got.reader.Coverage() != nil {
			t.Errorf("%s: totals %v, coverage %v", tt.path, got.totals, got.reader.Coverage())
		}
	}
}

func TestChange(t *testing.T) {
	const a, b = 14155550100, 14155550101
	tests := []struct {
		name, text  string
		opts        Options
		add, remove []uint64
		reasons     map[int64]string
	}{
		{name: "order kept", text: "415,5550101,9/9/2026,A\n415,5550100,9/9/2026,A\n", add: []uint64{b, a}},
		{name: "spaces, case, quotes", text: " 415 , 5550100 , 9/9/2026 , a \r\n\"415\",\"5550101\",\"9/9/2026\",\"d\"\r\n", add: []uint64{a}, remove: []uint64{b}},
		{name: "header", text: "Area Code,Number,Date,Action\n415,5550100,,A\n", add: []uint64{a}},
		{name: "no area", text: "4155550100,D\n415,5550101,A\n", opts: Options{Columns: "number, action"}, remove: []uint64{a}, reasons: map[int64]string{2: ReasonNotChange}},
		{name: "semicolon", text: "415;5550100;;D\n", opts: Options{Delimiter: ';'}, remove: []uint64{a}},
		{name: "action", text: "415,5550100,,M\n415,5550100,,\n415,5550100,,Add\n415,5550101,,A\n", add: []uint64{b}, reasons: map[int64]string{1: ReasonAction, 2: ReasonAction, 3: ReasonAction}},
		{name: "columns", text: "415,5550100,A\n415,5550100,,A,\n415,5550101,,A\n", add: []uint64{b}, reasons: map[int64]string{1: ReasonNotChange, 2: ReasonNotChange}},
		{name: "number", text: "415,555010,,A\n41,55501000,,A\n4155,550100,,A\n415,555O100,,A\n000,5550100,,A\n", reasons: map[int64]string{
			1: ReasonNotChange, 2: ReasonNotChange, 3: ReasonNotChange, 4: ReasonNotChange, 5: ReasonTrunk}},
		{name: "end without line end", text: "415,5550100,,A\n415,5550101,,D", add: []uint64{a}, remove: []uint64{b}},
		{name: "cut", text: "415,5550100,,A\n415,5550101,9/9", add: []uint64{a}, reasons: map[int64]string{2: ReasonCut}},
		{name: "empty"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.opts.Format = FTCChange
			got, removed := loadChanges(t, tt.opts, writeFile(t, "change.txt", []byte(tt.text)))
			if got.err != nil {
				t.Fatal(got.err)
			}
			if !slices.Equal(got.numbers, tt.add) || !slices.Equal(removed, tt.remove) {
				t.Errorf("got %v and %v, want %v and %v", got.numbers, removed, tt.add, tt.remove)
			}
			if tt.reasons == nil {
				tt.reasons = map[int64]string{}
			}
			if diff := cmp.Diff(tt.reasons, reasonsAt(got.rejects)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestChangeColumns(t *testing.T) {
	for _, columns := range []string{"area,number", "area,action", "area,number,number,action", "area,number,date,action,fax", "1,2,3,4", ","} {
		got := loadText(t, Options{Format: FTCChange, Columns: columns}, "415,5550100,,A\n")
		if got.err == nil || !strings.Contains(got.err.Error(), "--columns") {
			t.Errorf("%s: got %v", columns, got.err)
		}
	}
}

// Next never passes over a removal, nor yields it as an addition.
func TestChangeWithoutRemovals(t *testing.T) {
	got := loadText(t, Options{Format: FTCChange}, "415,5550100,,A\n415,5550101,,A\n415,5550102,,D\n415,5550103,,A\n")
	if got.err == nil || !strings.Contains(got.err.Error(), "--mode delta") || slices.Contains(got.numbers, 14155550102) {
		t.Errorf("got %v, %v", got.numbers, got.err)
	}
	got = loadText(t, Options{Format: FTCChange}, "415,5550100,,A\n415,5550101,,A\n")
	if want := []uint64{14155550100, 14155550101}; got.err != nil || !slices.Equal(got.numbers, want) {
		t.Errorf("got %v, %v", got.numbers, got.err)
	}
}

// NextChanges reads every format, and a file of each kind one after the other.
func TestNextChangesWithoutActions(t *testing.T) {
	var files []string
	for _, text := range []string{strings.Repeat("415,5550100\n", 20), "212,5550101\nx\n"} {
		files = append(files, writeFile(t, "a.txt", []byte(text)))
	}
	got, removed := loadChanges(t, Options{Format: FTC}, files...)
	if got.err != nil || len(got.numbers) != 21 || removed != nil || got.totals != (Totals{Numbers: 21, Rejects: 1}) {
		t.Errorf("got %d numbers, %v, %v", len(got.numbers), got.totals, got.err)
	}
	if !FTCChange.Removes() || FTC.Removes() || Auto.Removes() {
		t.Error("the change list removes, others do not")
	}
}
