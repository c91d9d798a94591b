package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
)

// answers are the types that have a JSON form.
var answers = []any{
	Result{}, Reason{}, EventID{}, Position{}, BatchResult{}, BatchDetail{}, Receipt{}, WithdrawReceipt{}, NumberInfo{},
	Record{}, Story{}, ListEntry{}, History{}, HistoryEvent{}, List{}, ListReceipt{}, DeleteReceipt{}, ImportRecord{},
	ImportSource{}, RejectTally{}, ImportResult{}, GuardFailure{}, ImportOptOutsResult{}, OptOutRecord{}, ServerStats{},
	ListStats{}, FilterStats{}, Stats{}, ConnectionStats{}, Token{}, TokenReceipt{}, RevokeReceipt{}, Identity{}, Act{}, Access{},
	SubscriberInfo{}, SubscriberStatus{}, StageStatus{}, SubscriberReceipt{}, AckReceipt{}, RemoveReceipt{}, Desk{}, DeskReceipt{}, Change{}, FollowState{},
	Difference{}, Comparison{}, CompareResult{},
	ReportSummary{}, ReportDesk{}, ReportSubscriber{}, ReportStage{},
	ConsentReceipt{}, ConsentRecord{}, Policy{}, PolicyChange{}, PolicyReceipt{}, CallAnswer{}, CallOptOut{},
}

// TestJSONReadsBack marshals and reads back each answer: with a value of its own in every field, and without any.
func TestJSONReadsBack(t *testing.T) {
	t.Parallel()
	for _, answer := range answers {
		full := reflect.New(reflect.TypeOf(answer))
		filler(1).fill(full.Elem())
		if r, ok := full.Interface().(*BatchResult); ok {
			for v := range dncv1.Verdict_name {
				r.verdicts = append(r.verdicts, dncv1.Verdict(v))
			}
		}
		readsBack(t, full.Elem().Interface())
		readsBack(t, answer)
	}
}

func readsBack(t *testing.T, want any) {
	t.Helper()
	text, err := json.Marshal(want)
	if err != nil {
		t.Errorf("%T: %v", want, err)
		return
	}
	got := reflect.New(reflect.TypeOf(want))
	filler(1000).fill(got.Elem()) // what was there before does not stay
	if err := json.Unmarshal(text, got.Interface()); err != nil {
		t.Errorf("%T: %v in %s", want, err, text)
		return
	}
	sameError := cmp.Comparer(func(a, b error) bool {
		return a == nil && b == nil || a != nil && b != nil && a.Error() == b.Error() &&
			errors.Is(a, ErrInvalidNumber) == errors.Is(b, ErrInvalidNumber)
	})
	if diff := cmp.Diff(want, got.Elem().Interface(), cmp.AllowUnexported(BatchResult{}), cmpopts.EquateEmpty(), sameError); diff != "" {
		t.Errorf("%T does not read back (-want +got):\n%s\nfrom %s", want, diff, text)
	}
}

// filler gives values, each another one.
type filler int

func (f filler) fill(v reflect.Value) { f.next(v) }

func (f *filler) next(v reflect.Value) {
	*f++
	n := int64(*f)
	switch v.Interface().(type) {
	case time.Time:
		v.Set(reflect.ValueOf(time.Unix(1_800_000_000+n, n).UTC()))
		return
	case time.Duration:
		v.SetInt(int64(400*24*time.Hour) + n)
		return
	}
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(n)
	case reflect.Uint32, reflect.Uint64:
		v.SetUint(uint64(n))
	case reflect.Float64:
		v.SetFloat(float64(n) / 7)
	case reflect.String:
		v.SetString(fmt.Sprintf("text %d \"\u00e9\u2028\\", n))
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		f.next(v.Index(0))
		f.next(v.Index(1))
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		f.next(v.Elem())
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				f.next(v.Field(i))
			}
		}
	case reflect.Interface:
		v.Set(reflect.ValueOf(invalid("NUMBER_LENGTH", fmt.Sprint("text ", n))))
	default:
		panic("a kind of field that nothing fills: " + v.Kind().String())
	}
}

// TestEveryAnswerReadsBack holds that each type with a JSON form can be read back, and is among answers.
func TestEveryAnswerReadsBack(t *testing.T) {
	t.Parallel()
	var want []string
	for _, answer := range answers {
		want = append(want, reflect.TypeOf(answer).Name())
	}
	slices.Sort(want)
	for _, method := range []string{"MarshalJSON", "UnmarshalJSON"} {
		if got := receiversOf(t, method); !slices.Equal(got, want) {
			t.Errorf("types with %s:\ngot  %v\nwant %v", method, got, want)
		}
	}
	// A type that embeds Position has its methods, too, and would be written as a position and no more.
	for _, name := range embeddingPosition(t) {
		if ast.IsExported(name) && !slices.Contains(want, name) {
			t.Errorf("%s embeds Position and is not among answers", name)
		}
	}
}

// sources are the files of this package, without its tests.
func sources(t *testing.T) []*ast.File {
	t.Helper()
	names, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	var files []*ast.File
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
	}
	return files
}

// embeddingPosition are the types that embed a Position.
func embeddingPosition(t *testing.T) []string {
	t.Helper()
	var found []string
	for _, file := range sources(t) {
		ast.Inspect(file, func(n ast.Node) bool {
			spec, ok := n.(*ast.TypeSpec)
			if !ok {
				return true
			}
			if body, ok := spec.Type.(*ast.StructType); ok {
				for _, field := range body.Fields.List {
					if embedded, ok := field.Type.(*ast.Ident); ok && len(field.Names) == 0 && embedded.Name == "Position" {
						found = append(found, spec.Name.Name)
					}
				}
			}
			return true
		})
	}
	return found
}

// receiversOf are the types of this package that have a method.
func receiversOf(t *testing.T, method string) []string {
	t.Helper()
	var found []string
	for _, file := range sources(t) {
		for _, d := range file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv != nil && f.Name.Name == method {
				receiver := f.Recv.List[0].Type
				if pointer, ok := receiver.(*ast.StarExpr); ok {
					receiver = pointer.X
				}
				found = append(found, receiver.(*ast.Ident).Name)
			}
		}
	}
	slices.Sort(found)
	return found
}

func TestJSONThatIsNoAnswer(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		`{"verdict":"ALLOW","revision":-1}`, `{"verdict":"ALLOW","checked_at":"yesterday"}`, `{"verdict":"ALLOW","reasons":{}}`,
		`{"verdict":7}`, `["ALLOW"]`, `{"verdict":"ALLOW","reasons":[{"record":3}]}`,
	} {
		r := Result{Verdict: Allow}
		if err := json.Unmarshal([]byte(text), &r); err == nil || r.Callable() {
			t.Errorf("%s: got %v and callable %t, want an error and a result that is not callable", text, err, r.Callable())
		}
	}
	for _, text := range []string{`{}`, `{"verdict":null}`, `{"verdict":"allow"}`, `{"VERDICT":"ALLOW"}`, `{"verdict":"PERHAPS"}`} {
		r := Result{Verdict: Allow}
		if err := json.Unmarshal([]byte(text), &r); err != nil || r.Callable() {
			t.Errorf("%s: got %v and callable %t, want a result that is not callable", text, err, r.Callable())
		}
	}
	var batch BatchResult
	if err := json.Unmarshal([]byte(`{"verdicts":["ALLOW","PERHAPS",""]}`), &batch); err != nil || batch.Verdict(0) != Allow || batch.Verdict(1) != Unknown || batch.Verdict(2) != "" {
		t.Errorf("got %+v (%v), want ALLOW, UNKNOWN and none", batch, err)
	}
}

func TestSecondsOfJSON(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{
		"2678400": 31 * 24 * time.Hour, "1.25": 1250 * time.Millisecond, "0.000000001": 1, "-1.5": -1500 * time.Millisecond,
		"1e3": 1000 * time.Second, "2.5E-1": 250 * time.Millisecond, "0": 0, "null": 0, "34560000.000000001": 400*24*time.Hour + 1,
	} {
		var l List
		if err := json.Unmarshal([]byte(`{"max_age":`+text+`}`), &l); err != nil || l.MaxAge != want {
			t.Errorf("%s s: got %v (%v), want %v", text, l.MaxAge, err, want)
		}
	}
	for _, text := range []string{`"5"`, "true", "1e300", "[1]"} {
		var l List
		if err := json.Unmarshal([]byte(`{"max_age":`+text+`}`), &l); err == nil {
			t.Errorf("%s s: got %v, want an error", text, l.MaxAge)
		}
	}
	for _, d := range []time.Duration{1, -1, 1250 * time.Millisecond, -90 * time.Minute, 1<<63 - 1, -1 << 63} {
		if got, err := readSeconds(string(appendDuration(nil, d))); err != nil || got != d {
			t.Errorf("got %d ns (%v), want %d ns", got, err, d)
		}
	}
}

// FuzzJSONOfAnswers reads any text as any answer: what is no answer is an error and the zero value, and what is one reads
// back from what it is written to.
func FuzzJSONOfAnswers(f *testing.F) {
	for i, answer := range answers {
		full := reflect.New(reflect.TypeOf(answer))
		filler(1).fill(full.Elem())
		text, err := json.Marshal(full.Interface())
		if err != nil {
			f.Fatal(err)
		}
		f.Add(uint8(i), text)
		f.Add(uint8(i), []byte("0")) // no answer
	}
	f.Fuzz(func(t *testing.T, which uint8, text []byte) {
		kind := reflect.TypeOf(answers[int(which)%len(answers)])
		first, second := reflect.New(kind), reflect.New(kind)
		if json.Unmarshal(text, first.Interface()) != nil {
			if !first.Elem().IsZero() {
				t.Errorf("an error came with %+v, want the zero value", first)
			}
			return
		}
		again, err := json.Marshal(first.Interface())
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(again, second.Interface()); err != nil {
			if unreadableTime.Match(again) {
				return // a year that RFC 3339 cannot write
			}
			t.Fatalf("%s does not read back: %v", again, err)
		}
		last, err := json.Marshal(second.Interface())
		if err != nil || string(last) != string(again) {
			t.Errorf("got %s (%v), want %s", last, err, again)
		}
	})
}

var unreadableTime = regexp.MustCompile(`"(-\d+|\d{5,})-\d\d-\d\dT`)
