package registry

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/text/unicode/norm"

	"github.com/dncd/dncd/internal/phone"
)

// loadRecords reads files of opt-outs to their end or to the first error.
func loadRecords(t testing.TB, opts RecordOptions, paths ...string) (rows []Record, rejects []Reject, err error) {
	t.Helper()
	opts.OnReject = func(r Reject) { rejects = append(rejects, r) }
	r, err := OpenRecords(paths, opts)
	if err != nil {
		return nil, nil, err
	}
	defer r.Close()
	batch := make([]Record, 2)
	for {
		n, err := r.Next(batch)
		rows = append(rows, batch[:n]...)
		if err == io.EOF {
			if got := r.Totals(); got.Numbers != int64(len(rows)) || got.Rejects != int64(len(rejects)) {
				t.Errorf("totals %v, got %d rows and %d rejects", got, len(rows), len(rejects))
			}
			return rows, rejects, nil
		}
		if err != nil {
			return rows, rejects, err
		}
	}
}

// digits compares numbers, which do not print.
var digits = cmp.Transformer("digits", func(n phone.Number) uint64 { return uint64(n) })

func utc(year int, month time.Month, day, hour, minute int) time.Time {
	return time.Date(year, month, day, hour, minute, 0, 0, time.UTC)
}

func TestOptOutSamples(t *testing.T) {
	english := func(file string) []Record {
		return []Record{
			{File: file, Line: 2, Number: 14155550100, Channel: Call, ChannelText: "phone", Desk: "inbound", ReceivedAt: utc(2026, 9, 9, 12, 3), Evidence: "call-17"},
			{File: file, Line: 3, Number: 14155550101, Channel: Web, ChannelText: "Web Form", ReceivedAt: utc(2026, 9, 9, 14, 3), ExpiresAt: utc(2029, 9, 9, 0, 0), Scope: "acme"},
			{File: file, Line: 4, Number: 14155550102, Channel: InPerson, ChannelText: "in person", Desk: "Oakland branch", ReceivedAt: utc(2026, 9, 9, 0, 0), Evidence: "signed, dated", Scope: "acme/loans"},
			{File: file, Line: 5, Number: 14155550103, Channel: InPerson, ChannelText: "IN_PERSON", Remarks: []string{"received_at: " + ReasonDateOrder}},
			{File: file, Line: 7, Number: 14155550105, Channel: SMS, ChannelText: "text message"},
		}
	}
	tests := []struct {
		file, region string
		order        DateOrder
		want         []Record
		reasons      map[int64]string
	}{
		{"en.csv", "", YearFirst, english("en.csv"), map[int64]string{}},
		{"en-utf-16.txt", "", YearFirst, english("en-utf-16.txt"), map[int64]string{}},
		{"fr-windows-1252.csv", "FR", DayFirst, []Record{
			{Line: 2, Number: 33199001234, Scope: "acme", Channel: Email, ChannelText: "Courriel", Desk: "Relation clientèle", ReceivedAt: utc(2026, 9, 9, 14, 3), Evidence: "ticket-1"},
			{Line: 3, Number: 33199001235, Channel: Call, ChannelText: "Téléphone", Desk: "Centre d’appels", ReceivedAt: utc(2026, 9, 10, 0, 0), Evidence: `appel 2; "enregistré"`, Note: "à vérifier", ExpiresAt: utc(2029, 12, 31, 0, 0)},
			{Line: 4, Number: 33199001236, Scope: "acme/énergie", Channel: OtherChannel, ChannelText: "Pigeon voyageur", ReceivedAt: utc(2026, 9, 11, 0, 0)},
			{Line: 6, Number: 33199001238, Channel: InPerson, ChannelText: "En agence", Remarks: []string{"received_at: " + ReasonDate}},
			{Line: 7, Number: 33199001239},
		}, map[int64]string{5: ReasonSpreadsheet}},
	}
	for _, tt := range tests {
		t.Run(tt.file, func(t *testing.T) {
			opts := RecordOptions{DateOrder: tt.order}
			if tt.region != "" {
				opts.Region = region(t, tt.region)
			}
			rows, rejects, err := loadRecords(t, opts, "../../testdata/opt-outs/"+tt.file)
			if err != nil {
				t.Fatal(err)
			}
			for i := range tt.want {
				tt.want[i].File = tt.file
			}
			if diff := cmp.Diff(tt.want, rows, digits); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(tt.reasons, reasonsAt(rejects)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestOptOutColumns(t *testing.T) {
	const a = 14155550100
	tests := []struct {
		name, text string
		columns    map[RecordField]string
		want       Record
		fails      string
	}{
		{name: "note", text: "phone,Notes\n+14155550100,\"one\ntwo\"\n", want: Record{Number: a, Note: "one\ntwo"}},
		{name: "number alone", text: "+14155550100\n", want: Record{Line: 1, Number: a}},
		{name: "unknown columns", text: "phone,fax,age\n+14155550100,1,2\n", want: Record{Number: a}},
		{name: "own name first", text: "phone,date,received_at\n+14155550100,x,2026-09-09\n", want: Record{Number: a, ReceivedAt: utc(2026, 9, 9, 0, 0)}},
		{name: "two titles", text: "phone,marque,brand\n+14155550100,x,y\n", fails: `column of scope: more than one could be meant, say which: the first line has 1 "phone", 2 "marque", 3 "brand"`},
		{name: "chosen by title", text: "phone,marque,brand\n+14155550100,x,y\n", columns: map[RecordField]string{FieldScope: "Marque"}, want: Record{Number: a, Scope: "x"}},
		{name: "chosen by place", text: "phone,marque,brand\n+14155550100,x,y\n", columns: map[RecordField]string{FieldScope: "3"}, want: Record{Number: a, Scope: "y"}},
		{name: "left out", text: "phone,scope,service\n+14155550100,x,y\n", columns: map[RecordField]string{FieldScope: "-", FieldDesk: "-"}, want: Record{Number: a}},
		{name: "number by title", text: "phone,contact\n1,+14155550100\n", columns: map[RecordField]string{FieldNumber: "contact"}, want: Record{Number: a}},
		{name: "no header", text: "x,+14155550100,sms\n", columns: map[RecordField]string{FieldNumber: "2", FieldChannel: "3"}, want: Record{Line: 1, Number: a, Channel: SMS, ChannelText: "sms"}},
		{name: "unknown title", text: "phone\n+14155550100\n", columns: map[RecordField]string{FieldDesk: "team"}, fails: `column of desk: no column "team"`},
		{name: "unknown field", text: "phone\n+14155550100\n", columns: map[RecordField]string{"colour": "x"}, fails: `unknown field "colour"`},
		{name: "no number", text: "name,contact\nAnn,+14155550100\n", fails: "--column"},
		{name: "cells left out", text: "phone,scope,channel\n+14155550100,x\n", want: Record{Number: a, Scope: "x"}},
		{name: "empty cells more", text: "phone,scope\n+14155550100,x,,\n", want: Record{Number: a, Scope: "x"}},
		{name: "spaces", text: "phone , Scope \n +14155550100 , x\u00a0\n", want: Record{Number: a, Scope: "x"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			rows, rejects, err := loadRecords(t, RecordOptions{Columns: tt.columns}, writeFile(t, "a.csv", []byte(tt.text)))
			if tt.fails != "" {
				if err == nil || !strings.Contains(err.Error(), tt.fails) || strings.Contains(err.Error(), "5550100") {
					t.Errorf("got %v, want an error with %q", err, tt.fails)
				}
				return
			}
			if err != nil || len(rejects) > 0 {
				t.Fatalf("got %v, rejects %v", err, rejects)
			}
			tt.want.File = "a.csv"
			if tt.want.Line == 0 {
				tt.want.Line = 2
			}
			if diff := cmp.Diff([]Record{tt.want}, rows, digits); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// Every title that is known is recognized, however it is written.
func TestOptOutTitles(t *testing.T) {
	for _, field := range recordFields(false) {
		for _, title := range field.titles {
			for _, written := range []string{title, strings.ToUpper(title), " " + norm.NFD.String(title) + " ", strings.ReplaceAll(title, " ", "_")} {
				if got, err := recognize([]string{"phone", written}, field.name, recordFields(false)); got != 1 || err != nil {
					t.Errorf("%s: %q is not recognized: %d, %v", field.name, written, got, err)
				}
			}
		}
	}
	for _, title := range []string{"number", "Phone", "TÉLÉPHONE", "Numéro de téléphone", "n° tél.", "Tel", "mobile"} {
		if !obvious(title) {
			t.Errorf("%q is not the number's", title)
		}
	}
}

func TestOptOutRejects(t *testing.T) {
	const text = "phone,scope,received_at,expires_at\n" +
		"+14155550100,x,2026-09-09,\n" +
		"+14155550101,x,2026-09-09,,said no, twice\n" + // a delimiter that is not quoted
		"none,x,2026-09-09,\n" +
		"+14155550103,x,yesterday,\n" +
		"+14155550104,x,09/10/2026,\n" +
		"+14155550105,x,2026-09-09,2029-13-01\n" +
		"+14155550106,\"x,2026-09-09,\n" +
		"+14155550107,x,2026-09-09,2029-12-3"
	rows, rejects, err := loadRecords(t, RecordOptions{DateOrder: YearFirst}, writeFile(t, "a.csv", []byte(text)))
	if err != nil {
		t.Fatal(err)
	}
	remarks := map[int64][]string{}
	for _, row := range rows {
		remarks[row.Line] = row.Remarks
	}
	wantRemarks := map[int64][]string{
		2: nil, 3: {ReasonShiftedRow}, 5: {"received_at: " + ReasonDate}, 6: {"received_at: " + ReasonDateOrder}, 7: {"expires_at: " + ReasonDate},
	}
	if diff := cmp.Diff(wantRemarks, remarks); diff != "" {
		t.Error(diff)
	}
	want := map[int64]string{4: reasonLetters, 8: ReasonQuotes, 9: ReasonCut}
	if diff := cmp.Diff(want, reasonsAt(rejects)); diff != "" {
		t.Error(diff)
	}
	for _, r := range rejects {
		if line := strings.Split(text, "\n")[r.Line-1]; r.Text != line || r.File != "a.csv" {
			t.Errorf("line %d: the reject has another text or file", r.Line)
		}
	}
}

// A last row without a line end that lacks cells was cut off, wherever it was: what it has of a scope may be its beginning.
func TestOptOutsCutOff(t *testing.T) {
	tests := []struct {
		name, text string
		want       string // reason
	}{
		{"in the number", "+1415555010", ReasonCut},
		{"behind the number", "+14155550101", ReasonCut},
		{"in the scope", "+14155550101,ac", ReasonCut},
		{"behind the scope", "+14155550101,acme,", ""}, // as it is written without a date
		{"behind a quote", `"+14155550101","acme"`, ReasonCut},
		{"in quotes", `"+14155550101","ac`, ReasonCut},
		{"quoted over lines", "+14155550101,\"ac\nme\"", ReasonCut},
		{"in the date", "+14155550101,acme,2026-09", ReasonCut},
		{"whole", "+14155550101,acme,2026-09-09", ""},
		{"whole, quoted", `"+14155550101","acme","2026-09-09"`, ""},
		{"with a line end", "+14155550101,acme\n", ""},
		{"with a carriage return", "+14155550101,acme\r", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			text := "phone,scope,date\n+14155550100,acme,\n" + tt.text
			rows, rejects, err := loadRecords(t, RecordOptions{}, writeFile(t, "a.csv", []byte(text)))
			got := ""
			if len(rejects) > 0 {
				got = rejects[0].Reason
			}
			if err != nil || got != tt.want || len(rows)+len(rejects) != 2 {
				t.Errorf("got %d rows, rejects %v, %v, want reason %q", len(rows), rejects, err, tt.want)
			}
		})
	}
	rows, _, err := loadRecords(t, RecordOptions{}, writeFile(t, "a.csv", []byte("+14155550100")))
	if err != nil || len(rows) != 1 {
		t.Errorf("without a header: got %d rows, %v", len(rows), err)
	}
}

func TestOptOutsOfAnEmptyFile(t *testing.T) {
	for _, text := range []string{"", "\ufeff", "\n\n", "sep=;\n"} {
		rows, _, err := loadRecords(t, RecordOptions{}, writeFile(t, "a.csv", []byte(text)))
		if err == nil || !strings.Contains(err.Error(), "read a.csv: the file is empty") {
			t.Errorf("%q: got %d rows and %v", text, len(rows), err)
		}
	}
	if _, _, err := loadRecords(t, RecordOptions{}, writeFile(t, "a.csv", []byte("phone,scope"))); err != nil {
		t.Errorf("a header alone: %v", err)
	}
}

func TestOptOutTexts(t *testing.T) {
	want := []string{"+14155550100,\"a\nb\"", "\"+14155550101\",c", `{"number": "+14155550102"}`}
	paths := []string{
		writeFile(t, "a.csv", []byte("phone,note\n"+want[0]+"\r\n"+want[1]+"\n")), writeFile(t, "b.jsonl", []byte(want[2]+"\n")),
	}
	rows, _, err := loadRecords(t, RecordOptions{KeepText: true}, paths...)
	if err != nil || len(rows) != len(want) {
		t.Fatalf("got %d rows, %v", len(rows), err)
	}
	for i, row := range rows {
		if row.Text != want[i] {
			t.Errorf("row %d: its text is another", i)
		}
	}
}

// Each file has columns of its own, and any packing that lists may have.
func TestOptOutFiles(t *testing.T) {
	rows, rejects, err := loadRecords(t, RecordOptions{},
		writeFile(t, "a.csv", []byte("phone,desk\n+14155550100,x\n+14155550101,\n+14155550102,y\n")),
		writeFile(t, "b.zip", zipOf(t, member{"b.csv", "desk;number\ny;+14155550103\n"})),
		writeFile(t, "c.csv.gz", gzipOf(t, "date\tnumber\n2026-09-09\t+14155550104\n")))
	if err != nil || len(rejects) > 0 {
		t.Fatalf("got %v, %v", err, rejects)
	}
	want := []Record{
		{File: "a.csv", Line: 2, Number: 14155550100, Desk: "x"},
		{File: "a.csv", Line: 3, Number: 14155550101},
		{File: "a.csv", Line: 4, Number: 14155550102, Desk: "y"},
		{File: "b.zip/b.csv", Source: 1, Line: 2, Number: 14155550103, Desk: "y"},
		{File: "c.csv.gz", Source: 2, Line: 2, Number: 14155550104, ReceivedAt: utc(2026, 9, 9, 0, 0)},
	}
	if diff := cmp.Diff(want, rows, digits); diff != "" {
		t.Error(diff)
	}
}

func TestParseChannel(t *testing.T) {
	tests := map[Channel][]string{
		"":           {"", " ", "-"},
		Call:         {"call", "PHONE", "Appel", "téléphone", "te\u0301le\u0301phone", "tel."},
		Email:        {"email", "E-Mail", "courriel", "mail"},
		Letter:       {"letter", "Courrier", "lettre"},
		SMS:          {"SMS", "texto"},
		Web:          {"web", "Site", "internet", "site web", "en ligne"},
		InPerson:     {"in person", "IN_PERSON", "in-person", "En personne", "agence"},
		OtherChannel: {"other", "autre", "Autres", "fax", "42", "?!x"},
	}
	for want, texts := range tests {
		for _, text := range texts {
			if got := parseChannel(text); got != want {
				t.Errorf("%q: got %q, want %q", text, got, want)
			}
		}
	}
}

// BenchmarkRecords measures rows of opt-outs, on one core.
func BenchmarkRecords(b *testing.B) {
	const rows = 200_000
	var text strings.Builder
	text.WriteString("phone,channel,desk,received_at,evidence\n")
	for i := range rows {
		fmt.Fprintf(&text, "+1415%07d,e-mail,desk %d,2026-09-09T14:03:00Z,ticket-%d\n", 2_000_000+i, i%7, i)
	}
	path := writeFile(b, "a.csv", []byte(text.String()))
	batch := make([]Record, 4096)
	total := 0
	b.ReportAllocs()
	for b.Loop() {
		r, err := OpenRecords([]string{path}, RecordOptions{})
		if err != nil {
			b.Fatal(err)
		}
		for err == nil {
			var n int
			n, err = r.Next(batch)
			total += n
		}
		if err != io.EOF {
			b.Fatal(err)
		}
		r.Close()
	}
	perNumber(b, total)
}
