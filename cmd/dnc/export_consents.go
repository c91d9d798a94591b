package main

import (
	"bufio"
	"context"
	"encoding/csv"
	"strconv"
	"strings"

	"github.com/dncd/dncd/client"
)

// consentColumns are the columns of consents as csv. Import reads the first fourteen; the rest is for people.
var consentColumns = []string{
	"number", "scope", "kind", "form", "channel", "desk", "obtained_at", "evidence", "expires_at", "note", "goods", "third_parties",
	"appointment_from", "appointment_until", "may_lift", "recorded_at", "recorded_by", "recorded_by_proven", "revision", "index",
}

func (a *app) exportConsents(ctx context.Context, c *client.Client, format string, out *bufio.Writer) error {
	plain, table := plainOptOuts{out: out}, csv.NewWriter(out)
	write := map[string]func(client.ConsentRecord) error{
		"csv":   func(r client.ConsentRecord) error { return table.Write(consentCells(&r)) },
		"plain": func(r client.ConsentRecord) error { return plain.write(client.OptOutRecord{Number: r.Number}) },
		"jsonl": func(r client.ConsentRecord) error { return a.printTo(out, r) },
	}[format]
	if format == "csv" {
		if err := table.Write(consentColumns); err != nil {
			return err
		}
	}
	for record, err := range c.ExportConsents(ctx) {
		if err == nil {
			err = write(record)
		}
		if err != nil {
			return err
		}
	}
	table.Flush()
	return table.Error()
}

func consentCells(r *client.ConsentRecord) []string {
	return []string{
		r.Number, r.Scope, strings.ToLower(string(r.Kind)), strings.ToLower(string(r.Form)), strings.ToLower(string(r.Channel)), r.Desk, csvTime(r.ObtainedAt),
		r.Evidence, csvTime(r.ExpiresAt), r.Note, r.Goods, r.ThirdParties, csvTime(r.AppointmentFrom), csvTime(r.AppointmentUntil),
		strconv.FormatBool(r.MayLift), csvTime(r.RecordedAt), r.RecordedBy, strconv.FormatBool(r.RecordedByProven),
		strconv.FormatUint(r.ID.Revision, 10), strconv.FormatUint(uint64(r.ID.Index), 10),
	}
}
