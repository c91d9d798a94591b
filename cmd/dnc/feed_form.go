package main

import (
	"encoding/csv"
	"encoding/json"
	"io"
	"strconv"
	"strings"

	"github.com/dncd/dncd/client"
	"github.com/dncd/dncd/internal/phone"
	"github.com/dncd/dncd/internal/phone/national"
)

// feedForm is how the files of a feed are written.
type feedForm struct {
	format, numbers string
	region          phone.Region // of national numbers
}

// end is the end of the files' names.
func (f feedForm) end() string {
	end := map[string]string{"csv": ".csv", "plain": ".txt", "jsonl": ".jsonl"}[f.format]
	switch f.numbers {
	case "digits":
		return ".digits" + end
	case "national":
		return "." + strings.ToLower(f.region.String()) + end
	}
	return end
}

// text returns what writes numbers. It counts those that have no national form.
func (f feedForm) text(notNational *uint64) func(uint64) string {
	switch f.numbers {
	case "digits":
		return func(n uint64) string { return strconv.FormatUint(n, 10) }
	case "national":
		return func(n uint64) string {
			if text, ok := national.Format(phone.Number(n), f.region); ok {
				return text
			}
			*notNational++
			return phone.Number(n).E164()
		}
	}
	return func(n uint64) string { return phone.Number(n).E164() }
}

// feedRows writes rows of a feed, each as at most one line.
type feedRows interface {
	begin() error
	write(client.FeedRow) (wrote bool, err error)
	end() error
}

// blocking returns what writes rows that block.
func (f feedForm) blocking(notNational *uint64) func(io.Writer) feedRows {
	text := f.text(notNational)
	return func(w io.Writer) feedRows {
		switch f.format {
		case "csv":
			return &csvRows{Writer: csv.NewWriter(w), text: text}
		case "jsonl":
			return &jsonRows{out: w, text: text}
		}
		return &plainRows{out: w, text: text}
	}
}

// freeing returns what writes numbers that nothing blocks any more.
func (f feedForm) freeing(notNational *uint64) func(io.Writer) feedRows {
	head := ""
	if f.format == "csv" {
		head = "number\n"
	}
	text := f.text(notNational)
	return func(w io.Writer) feedRows { return &plainRows{out: w, text: text, head: head} }
}

// csvRows writes number, scope, source and until.
type csvRows struct {
	*csv.Writer
	text func(uint64) string
}

func (w *csvRows) begin() error { return w.Write([]string{"number", "scope", "source", "until"}) }

func (w *csvRows) write(r client.FeedRow) (bool, error) {
	return true, w.Write([]string{w.text(r.Number), r.Scope, r.Source, csvTime(r.Until)})
}

func (w *csvRows) end() error {
	w.Flush()
	return w.Error()
}

// plainRows writes numbers. One that comes several times in a row is written once.
type plainRows struct {
	out  io.Writer
	text func(uint64) string
	head string
	last uint64
}

func (w *plainRows) begin() error {
	_, err := io.WriteString(w.out, w.head)
	return err
}

func (w *plainRows) write(r client.FeedRow) (bool, error) {
	if r.Number == w.last {
		return false, nil
	}
	w.last = r.Number
	return true, writeNumber(w.out, w.text(r.Number))
}

func (w *plainRows) end() error { return nil }

// jsonRows writes an object a line.
type jsonRows struct {
	out  io.Writer
	text func(uint64) string
}

// rowObject is a row of a feed as json.
type rowObject struct {
	Number  string  `json:"number"`
	Scope   string  `json:"scope"`
	Source  string  `json:"source"`
	Until   *string `json:"until"`
	Removed bool    `json:"removed"`
	Blocked bool    `json:"blocked"` // by any row
}

func (w *jsonRows) begin() error { return nil }

func (w *jsonRows) write(r client.FeedRow) (bool, error) {
	line, err := json.Marshal(rowObject{
		w.text(r.Number), r.Scope, r.Source, unlessZero(csvTime(r.Until)), r.Removed, r.StillBlocked || !r.Removed,
	})
	if err == nil {
		_, err = w.out.Write(append(line, '\n'))
	}
	return true, err
}

func (w *jsonRows) end() error { return nil }
