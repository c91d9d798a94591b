package registry

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dncd/dncd/internal/phone"
)

// What the columns of a file could be decides whether it is read or its user is asked.
func TestNumberColumns(t *testing.T) {
	const rows = "Ann,+14155550110,+14155550111\nCy,+14155550112,\n"
	tests := []struct {
		name, text, column, region string
		want                       []string // Choice.Numbers
		unused                     []UnusedColumn
		fails                      string
	}{
		{name: "the only one", text: "Name,Phone Number,Ticket\nAnn,+14155550110,17\n", want: []string{"Phone Number"},
			unused: []UnusedColumn{{Column: "Name"}, {Column: "Ticket"}}},
		{name: "two by title", text: "Name,Phone Number,Mobile Phone Number\n" + rows, fails: `--column "Phone Number,Mobile Phone Number"`},
		{name: "two by title, the other empty so far", text: "Name,Phone,Mobile\nAnn,+14155550110,\n", fails: `--column "Phone,Mobile"`},
		{name: "an account and a phone", text: "Number,Name,Mobile Phone Number\n4165550116,Ann,416-555-0117\n", region: "US", fails: `--column "Number,Mobile Phone Number"`},
		{name: "by what the cells hold", text: "Name,Phone,Reached at\n" + rows, fails: `--column "Phone,Reached at"`},
		{name: "digits under another title are no second one", text: "Phone,Account\n+14155550110,4165550116\n", want: []string{"Phone"},
			unused: []UnusedColumn{{Column: "Account", LooksLikeNumbers: true}}},
		{name: "digits of phones", text: "Phone,Phone at work\n+14155550110,4165550116\n", fails: `--column "Phone,Phone at work"`},
		{name: "what says something else about phones", text: "Phone,Phone type,Fax,Phone consent\n+14155550110,home,+14155550119,no\n", want: []string{"Phone"},
			unused: []UnusedColumn{{Column: "Phone type"}, {Column: "Fax", LooksLikeNumbers: true}, {Column: "Phone consent"}}},
		{name: "dates are no numbers", text: "Phone,Seen\n0199001234,2026-09-01 10:00\n", region: "FR", want: []string{"Phone"}, unused: []UnusedColumn{{Column: "Seen"}}},
		{name: "a call centre", text: "number1,number2\n" + strings.ReplaceAll(rows, "Ann,", ""), fails: `--column "number1,number2"`},
		{name: "several asked for", text: "Name,Phone,Mobile\n" + rows, column: "mobile,Phone", want: []string{"Mobile", "Phone"}, unused: []UnusedColumn{{Column: "Name"}}},
		{name: "several by place", text: rows, column: "2,3", want: []string{"column 2", "column 3"}, unused: []UnusedColumn{{Column: "column 1"}}},
		{name: "a title with a comma", text: "\"Phone, first\",Mobile\n+14155550110,\n", column: "Phone, first", want: []string{"Phone, first"}, unused: []UnusedColumn{{Column: "Mobile"}}},
		{name: "twice", text: "Name,Phone,Mobile\n" + rows, column: "Phone,2", fails: "twice"},
		{name: "one that is not there", text: "Name,Phone,Mobile\n" + rows, column: "Phone,Cell", fails: `no column "Cell"`},
		{name: "the reason of a reject file", text: "Phone,dncd_reason\n+14155550110,+14155550111\n", want: []string{"Phone"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			opts := RecordOptions{Columns: map[RecordField]string{FieldNumber: tt.column}}
			if tt.region != "" {
				opts.Region = region(t, tt.region)
			}
			path := writeFile(t, "a.csv", []byte(tt.text))
			got, err := choiceOf(t, opts, path)
			list := load(t, Options{Format: Auto, Column: tt.column, Region: opts.Region}, path)
			if tt.fails != "" {
				if err == nil || !strings.Contains(err.Error(), tt.fails) || list.err == nil {
					t.Errorf("opt-outs: %v, list: %v, want %q", err, list.err, tt.fails)
				}
				return
			}
			if err != nil || list.err != nil {
				t.Fatalf("opt-outs: %v, list: %v", err, list.err)
			}
			for _, c := range []Choice{got, list.reader.Choices()[0]} {
				if diff := cmp.Diff(tt.want, c.Numbers); diff != "" {
					t.Error(diff)
				}
				if diff := cmp.Diff(tt.unused, c.Unused); diff != "" {
					t.Error(diff)
				}
			}
		})
	}
}

// choiceOf is that of a file that is read to its end.
func choiceOf(t *testing.T, opts RecordOptions, path string) (Choice, error) {
	t.Helper()
	r, err := OpenRecords([]string{path}, opts)
	if err != nil {
		return Choice{}, err
	}
	defer r.Close()
	for batch := make([]Record, 10); err == nil; {
		_, err = r.Next(batch)
	}
	if !strings.Contains(err.Error(), "EOF") {
		return Choice{}, err
	}
	return r.Choices()[0], nil
}

// Each number of a row counts, and what stands beside it is that of the row.
func TestSeveralNumbersARow(t *testing.T) {
	const text = "phone,mobile,date\n" +
		"+14155550100,+14155550101,2026-09-01\n" +
		"+14155550102,,2026-09-01\n" +
		",,2026-09-01\n" +
		"NULL,+14155550103\n" +
		"bad,+14155550104,soon\n"
	path := writeFile(t, "a.csv", []byte(text))
	rows, rejects, err := loadRecords(t, RecordOptions{Columns: map[RecordField]string{FieldNumber: "phone,mobile"}}, path)
	if err != nil {
		t.Fatal(err)
	}
	date := utc(2026, 9, 1, 0, 0)
	want := []Record{
		{Line: 2, Number: 14155550100, ReceivedAt: date}, {Line: 2, Number: 14155550101, ReceivedAt: date},
		{Line: 3, Number: 14155550102, ReceivedAt: date}, {Line: 5, Number: 14155550103},
		{Line: 6, Number: 14155550104, Remarks: []string{"received_at: " + ReasonDate}},
	}
	for i := range want {
		want[i].File = "a.csv"
	}
	if diff := cmp.Diff(want, rows, digits); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(map[int64]string{6: reasonLetters}, reasonsAt(rejects)); diff != "" {
		t.Error(diff)
	}
	got := load(t, Options{Format: CSV, Column: "phone,mobile"}, path)
	if got.err != nil || len(got.numbers) != 5 {
		t.Errorf("list: got %d, %v", got.numbers, got.err)
	}
	if n := got.totals; n.Numbers != 5 || n.Rejects != 1 || n.Empty != 4 || n.Read() != 10 || n.Rows() != 5 {
		t.Errorf("totals %+v, %d rows", n, n.Rows())
	}
}

// A file without a number is only fine when its header says where one would be.
func TestNoNumbers(t *testing.T) {
	tests := []struct {
		name, text string
		want       error
	}{
		{"a known header", "phone,scope\n", nil},
		{"one column, known", "Mobile Phone Number\n", nil},
		{"an error message", "Internal Server Error\n", errNoColumn},
		{"without a line end", "Unauthorized", errNoColumn},
		{"an error message of lines", "404 page not found\nretry later\n", errNoColumn},
		{"another delimiter", "phone^date\n+14155550100^2026-09-01\n", errNoColumn},
		{"an error as JSON", `{"error":"Unauthorized"}`, errNoNumber},
		{"an error as JSON of lines", "{\n \"error\": \"Unauthorized\"\n}\n", errNoNumber},
		{"an error page", "<html>Bad gateway</html>", errMarkup},
		{"an array", `[{"number":"+14155550100"}]`, errArray},
		{"rows without numbers", "phone,name\n,Ann\n,Cy\n", errNoNumber},
		{"objects without numbers", `{"phone":null}` + "\n", errNoNumber},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, _, err := loadRecords(t, RecordOptions{}, writeFile(t, "a.csv", []byte(tt.text)))
			if !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
	// A file with numbers before it does not make it one with numbers.
	_, _, err := loadRecords(t, RecordOptions{}, writeFile(t, "a.csv", []byte("phone\n+14155550100\n")), writeFile(t, "b.csv", []byte("Unauthorized")))
	if !errors.Is(err, errNoColumn) || !strings.Contains(err.Error(), "b.csv") {
		t.Errorf("got %v", err)
	}
}

// The dates of a file may tell their order; where they do not, somebody has to.
func TestDateOrderOfAFile(t *testing.T) {
	tests := []struct {
		name, text string
		order      DateOrder
		want       DateOrder // of the choice
		day        int       // of October 2026, that the first date is then
		fails      error
	}{
		{name: "year first", text: "phone,date\n+14155550100,2026-10-09\n", want: 0, day: 9},
		{name: "one is day first", text: "phone,date\n+14155550100,9/10/2026\n+14155550101,30/10/2026\n", want: DayFirst, day: 9},
		{name: "one is month first", text: "phone,date\n+14155550100,10/9/2026\n+14155550101,10/30/2026\n", want: MonthFirst, day: 9},
		{name: "the other column tells", text: "phone,date,end\n+14155550100,9/10/2026,\n+14155550101,,31/12/2029\n", want: DayFirst, day: 9},
		{name: "both fit", text: "phone,date\n+14155550100,9/10/2026\n+14155550101,2026-10-30\n", fails: errDatesFitBoth},
		{name: "none fits all", text: "phone,date\n+14155550100,9/10/2026\n+14155550101,30/10/2026\n+14155550102,10/30/2026\n", fails: errDatesFitNone},
		{name: "asked for", text: "phone,date\n+14155550100,9/10/2026\n+14155550101,10/30/2026\n", order: DayFirst, want: DayFirst, day: 9},
		{name: "objects", text: `{"phone":"+14155550100","date":"9/10/2026"}` + "\n" + `{"phone":"+14155550101","date":"30/10/2026"}` + "\n", want: DayFirst, day: 9},
		{name: "objects, both fit", text: `{"phone":"+14155550100","date":"9/10/2026"}` + "\n", fails: errDatesFitBoth},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, path := range []string{writeFile(t, "a.csv", []byte(tt.text)), writeFile(t, "a.zip", zipOf(t, member{"x.csv", tt.text}))} {
				rows, rejects, err := loadRecords(t, RecordOptions{DateOrder: tt.order}, path)
				if !errors.Is(err, tt.fails) {
					t.Fatalf("got %v, want %v", err, tt.fails)
				}
				if err != nil {
					continue
				}
				if len(rejects) > 0 || !rows[0].ReceivedAt.Equal(utc(2026, 10, tt.day, 0, 0)) {
					t.Errorf("got %v, rejects %v", rows[0].ReceivedAt, rejects)
				}
				if c, err := choiceOf(t, RecordOptions{DateOrder: tt.order}, path); err != nil || c.DateOrder != tt.want {
					t.Errorf("the order is told as %v, %v", c.DateOrder, err)
				}
			}
		})
	}
}

// Of keys, too, more than one may be the number.
func TestNumberKeys(t *testing.T) {
	const text = `{"phone":"+14155550100","mobile":"+14155550101","ticket":"7"}` + "\n"
	path := writeFile(t, "a.jsonl", []byte(text))
	if _, _, err := loadRecords(t, RecordOptions{}, path); err == nil || !strings.Contains(err.Error(), "more than one key could be the number: use --column") {
		t.Errorf("got %v", err)
	}
	opts := RecordOptions{Columns: map[RecordField]string{FieldNumber: "phone,mobile"}}
	rows, _, err := loadRecords(t, opts, path)
	if err != nil || len(rows) != 2 || rows[1].Number != phone.Number(14155550101) {
		t.Errorf("got %d rows, %v", len(rows), err)
	}
	got, err := choiceOf(t, opts, path)
	want := Choice{File: "a.jsonl", Numbers: []string{"mobile", "phone"}, Unused: []UnusedColumn{{Column: "ticket"}}, Rows: 1, Layout: Layout{Objects: true}}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Error(diff, err)
	}
}

// A first row with a number in one of the columns asked for is no header, whatever stands in the others.
func TestFirstRowWithANumberIsNoHeader(t *testing.T) {
	path := writeFile(t, "a.csv", []byte("n/a,+14155550101\n+14155550102,n/a\n"))
	for _, column := range []string{"1,2", "2,1"} {
		got := load(t, Options{Format: CSV, Column: column}, path)
		if got.err != nil || len(got.numbers) != 2 || got.totals.Read() != 4 {
			t.Errorf("--column %s: got %d of %d cells, %v", column, got.numbers, got.totals.Read(), got.err)
		}
	}
}
