package main

import (
	"bufio"
	"context"
	"encoding/csv"
	"strconv"
	"strings"
	"time"

	"github.com/dncd/dncd/client"
)

// optOutColumns are the columns of opt-outs as csv. Import reads the first eight; the rest is for people.
var optOutColumns = []string{
	"number", "scope", "channel", "desk", "received_at", "evidence", "expires_at", "note",
	"recorded_at", "recorded_by", "recorded_by_proven", "revision", "index",
}

// optOutWriter writes opt-outs in one format. end is called when all were written.
type optOutWriter interface {
	write(client.OptOutRecord) error
	end() error
}

func (a *app) exportOptOuts(ctx context.Context, c *client.Client, format string, out *bufio.Writer) error {
	w, err := a.optOutWriter(format, out)
	if err != nil {
		return err
	}
	for record, err := range c.ExportOptOuts(ctx) {
		if err != nil {
			return err
		}
		if err := w.write(record); err != nil {
			return err
		}
	}
	return w.end()
}

func (a *app) optOutWriter(format string, out *bufio.Writer) (optOutWriter, error) {
	switch format {
	case "csv":
		w := csvOptOuts{csv.NewWriter(out)}
		err := w.Write(optOutColumns)
		return w, err
	case "plain":
		return &plainOptOuts{out: out}, nil
	}
	return jsonOptOuts{a, out}, nil
}

type csvOptOuts struct{ *csv.Writer }

func (w csvOptOuts) write(r client.OptOutRecord) error {
	return w.Write([]string{
		r.Number, r.Scope, strings.ToLower(string(r.Channel)), r.Desk, csvTime(r.ReceivedAt), r.Evidence, csvTime(r.ExpiresAt), r.Note,
		csvTime(r.RecordedAt), r.RecordedBy, strconv.FormatBool(r.RecordedByProven),
		strconv.FormatUint(r.ID.Revision, 10), strconv.FormatUint(uint64(r.ID.Index), 10),
	})
}

func (w csvOptOuts) end() error {
	w.Flush()
	return w.Error()
}

// plainOptOuts writes each number once.
type plainOptOuts struct {
	out  *bufio.Writer
	last string
}

func (w *plainOptOuts) write(r client.OptOutRecord) error {
	if r.Number == w.last {
		return nil
	}
	w.last = r.Number
	return writeNumber(w.out, r.Number)
}

func (w *plainOptOuts) end() error { return nil }

type jsonOptOuts struct {
	app *app
	out *bufio.Writer
}

func (w jsonOptOuts) write(r client.OptOutRecord) error { return w.app.printTo(w.out, r) }

func (w jsonOptOuts) end() error { return nil }

// csvTime keeps the full precision, so that an import recognizes the row.
func csvTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}
