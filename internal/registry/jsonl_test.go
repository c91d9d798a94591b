package registry

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dncd/dncd/internal/phone"
)

func TestJSONLSample(t *testing.T) {
	for _, format := range []Format{JSONL, Auto} {
		got := load(t, Options{Format: format}, "../../testdata/jsonl/numbers.jsonl")
		if got.err != nil || got.reader.Format() != JSONL {
			t.Fatalf("got error %v", got.err)
		}
		want := []uint64{14155550100, 33199001234, 442079460018, 14155550101}
		if !slices.Equal(got.numbers, want) {
			t.Errorf("got %v, want %v", got.numbers, want)
		}
		reasons := map[int64]string{
			6: ReasonNational, 7: ReasonNational, 8: ReasonSpreadsheet, 10: ReasonNoKey, 11: ReasonKeys,
			12: ReasonNotObject, 13: ReasonNotObject, 14: ReasonNotObject, 15: ReasonNotObject,
		}
		if diff := cmp.Diff(reasons, reasonsAt(got.rejects)); diff != "" {
			t.Errorf("rejects: %s", diff)
		}
		if got.totals.Empty != 1 || got.totals.Read() != 14 { // line 9 has null for a number
			t.Errorf("totals %+v", got.totals)
		}
		if i := len(got.rejects) - 1; got.rejects[i].Text != `{"number":"+14155550109"` {
			t.Errorf("text %q", got.rejects[i].Text)
		}
	}
}

func TestJSONL(t *testing.T) {
	tests := []struct {
		name, text, region, column string
		want                       []uint64
		reasons                    map[int64]string
	}{
		{name: "no end of line", text: `{"number":"+493012345"}`, want: []uint64{493012345}}, // the object is whole, so its number is
		{name: "cut", text: "{\"number\":\"+14155550100\"}\n{\"number\":\"+1415555", want: []uint64{14155550100}, reasons: map[int64]string{2: ReasonCut}},
		{name: "CRLF and byte order mark", text: "\ufeff{\"number\":\"+14155550100\"}\r\n{ \"number\" : \"+14155550101\" }\r\n", want: []uint64{14155550100, 14155550101}},
		{name: "region", text: `{"phone":"01 99 00 12 34"}` + "\n", region: "FR", want: []uint64{33199001234}},
		{name: "another key", text: `{"contact":"+14155550100","number":"7"}` + "\n", column: "Contact", want: []uint64{14155550100}},
		{name: "another key in the export's layout", text: `{"number":"+14155550100"}` + "\n", column: "contact", reasons: map[int64]string{1: ReasonNoKey}},
		{name: "the same key twice", text: `{"number":"+14155550100","number":"+14155550101"}` + "\n", reasons: map[int64]string{1: ReasonKeys}},
		{name: "bad number in the export's layout", text: "{\"number\":\"+999\"}\n{\"number\":\"\"}\n", reasons: map[int64]string{1: ReasonCallingCode}}, // and an empty one
		{name: "two keys asked for", text: `{"phone":"+14155550100","mobile":"+14155550101"}` + "\n" + `{"mobile":"+14155550102"}` + "\n" + `{"name":"x"}` + "\n",
			column: "phone,Mobile", want: []uint64{14155550100, 14155550101, 14155550102}, reasons: map[int64]string{3: ReasonNoKey}},
		{name: "a number within", text: `{"number":["+14155550100"]}` + "\n", reasons: map[int64]string{1: ReasonSyntax}},
		{name: "too long a line", text: `{"number":"+14155550100","x":"` + strings.Repeat("x", maxLine) + "\"}\n", reasons: map[int64]string{1: ReasonTooLong}},
		{name: "empty", text: ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			opts := Options{Format: JSONL, Column: tt.column}
			if tt.region != "" {
				opts.Region = region(t, tt.region)
			}
			got := loadText(t, opts, tt.text)
			if got.err != nil {
				t.Fatal(got.err)
			}
			if !slices.Equal(got.numbers, tt.want) {
				t.Errorf("got %v, want %v", got.numbers, tt.want)
			}
			if tt.reasons == nil {
				tt.reasons = map[int64]string{}
			}
			if diff := cmp.Diff(tt.reasons, reasonsAt(got.rejects)); diff != "" {
				t.Errorf("rejects: %s", diff)
			}
		})
	}
}

// What is not sure to be objects that each name a number to add is refused by auto.
func TestJSONLIsNotGuessed(t *testing.T) {
	tests := []struct{ name, text, hint string }{
		{"array", `[{"number":"+14155550100"}]`, "an object a line"},
		{"over several lines", "{\n  \"number\": \"+14155550100\"\n}\n", "an object a line"},
		{"no number", `{"name":"Ann"}` + "\n", `a "number"`},
		{"two numbers", `{"phone":"+14155550100","mobile":"+14155550101"}` + "\n", "--column KEY"},
		{"changes", `{"number":"+14155550100","action":"A"}` + "\n" + `{"number":"+14155550101","action":"D"}` + "\n", "--format jsonl"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := loadText(t, Options{Format: Auto}, tt.text)
			if !errors.Is(got.err, ErrFormat) || !strings.Contains(got.err.Error(), tt.hint) {
				t.Errorf("got %d numbers, error %v, want %q in it", len(got.numbers), got.err, tt.hint)
			}
		})
	}
}

func TestOptOutObjects(t *testing.T) {
	rows, rejects, err := loadRecords(t, RecordOptions{DateOrder: YearFirst}, "../../testdata/opt-outs/export.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	want := []Record{
		{Line: 1, Number: 14155550100, Scope: "acme", Channel: InPerson, ChannelText: "IN_PERSON", Desk: "Oakland branch",
			ReceivedAt: utc(2026, 9, 9, 12, 3).Add(time.Second / 2), Evidence: "signed, dated", Note: "two\nlines, \"quoted\""},
		{Line: 2, Number: 14155550101, Channel: OtherChannel, ChannelText: "OTHER", ReceivedAt: utc(2026, 9, 9, 12, 3),
			Note: "channel: pigeon", ExpiresAt: utc(2029, 9, 9, 0, 0)},
		{Line: 3, Number: 14155550102, Channel: Email, ChannelText: "Courriel", ReceivedAt: utc(2026, 9, 9, 0, 0), Note: "rappel"},
		{Line: 4, Number: 14155550103, Remarks: []string{"received_at: " + ReasonDateOrder}},
		{Line: 5, Number: 14155550104, Remarks: []string{ReasonKeys}},
		{Line: 6, Number: 14155550105, Scope: "y"},
	}
	for i := range want {
		want[i].File = "export.jsonl"
	}
	if diff := cmp.Diff(want, rows, digits); diff != "" {
		t.Error(diff)
	}
	reasons := map[int64]string{7: ReasonNoKey, 8: ReasonNotObject}
	if diff := cmp.Diff(reasons, reasonsAt(rejects)); diff != "" {
		t.Error(diff)
	}
}

func TestOptOutKeys(t *testing.T) {
	const text = `{"number":"7","contact":"+14155550100","ticket":"t-1","note":"n","day":"9/10/2026"}` + "\n"
	rows, rejects, err := loadRecords(t, RecordOptions{DateOrder: DayFirst, Columns: map[RecordField]string{
		FieldNumber: "contact", FieldEvidence: "Ticket", FieldNote: "-", FieldReceivedAt: "day",
	}}, writeFile(t, "list.txt", []byte(text)))
	want := []Record{{File: "list.txt", Line: 1, Number: 14155550100, Evidence: "t-1", ReceivedAt: utc(2026, 10, 9, 0, 0)}}
	if err != nil || len(rejects) > 0 {
		t.Fatalf("got rejects %v, error %v", rejects, err)
	}
	if diff := cmp.Diff(want, rows, digits); diff != "" {
		t.Error(diff)
	}
}

// Where encoding/json takes a line for an object with one number, so do we; and every line is accounted for.
func FuzzJSONL(f *testing.F) {
	addSamples(f, "jsonl")
	f.Add([]byte("{\"number\":\"+14155550100\"}\n{\"x\":1,\"number\":\"+33 1 99 00 12 34\"}\n{\"number\":\"+14155550100\"}x\n\n{"))
	f.Fuzz(func(t *testing.T, data []byte) {
		numbers, rejects, empty, err := decode(t, Options{Format: JSONL}, data)
		if err != nil || isUTF16(data) || len(data) > maxLine {
			return
		}
		filled, least := 0, 0
		for _, raw := range linesOf(data) {
			line := bytes.TrimSpace([]byte(raw))
			if len(line) == 0 {
				continue
			}
			filled++
			var object map[string]string
			if json.Unmarshal(line, &object) == nil && len(object) == 1 && bytes.Count(line, []byte(":")) == 1 {
				if _, err := phone.Parse(object["number"]); err == nil {
					least++
				}
			}
		}
		if len(numbers)+len(rejects)+empty != filled || len(numbers) < least {
			t.Errorf("got %d numbers, %d rejects and %d empty of %d lines, at least %d are numbers", len(numbers), len(rejects), empty, filled, least)
		}
	})
}
