package main

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/dncd/dncd/client"
)

// reportText writes a report as tables.
func reportText(w io.Writer, r *client.Report) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, line := range describeReport(r) {
		fmt.Fprintln(t, line)
	}
	fmt.Fprintln(t, "\nFrom received to recorded\nDESK\tCHANNEL\tAS\tOBJECTIONS\tMEDIAN\tP95\tWORST")
	for _, d := range r.Desks {
		fmt.Fprintf(t, "%s\t%s\t%s\t%d\t%s\n", deskName(d), orDash(lower(d.Channel)), cameAs(d.Imported), d.OptOuts, spreadColumns(d.ReceivedToRecorded))
	}
	fmt.Fprintln(t, "\nFrom recorded to acknowledged\nBASE\tSTAGE\tAS\tACKNOWLEDGED\tMEDIAN\tP95\tWORST\tCLAIMED\tPENDING\tLATE")
	for _, s := range r.Subscribers {
		for _, stage := range concerned(s) {
			fmt.Fprintf(t, "%s\t%s\t%s\t%d\t%s\t%d\t%s\t%d\n", baseName(s), lower(stage.Stage), cameAs(stage.Imported), acknowledged(stage),
				spreadColumns(stage.RecordedToAcknowledged), stage.Claimed, pendingSince(r, stage), stage.Late)
		}
	}
	fmt.Fprintln(t, "\nCalling bases now\nBASE\tKIND\tOWNER\tDEADLINE\tLATE\tCOMPARED\tFOUND")
	for _, s := range r.Subscribers {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", baseName(s), lower(s.Kind), orDash(s.Owner), span(s.Deadline), yesOrDash(s.Late), compared(s), found(s))
	}
	return t.Flush()
}

// describeReport says what a report is about, in sentences.
func describeReport(r *client.Report) []string {
	to := r.To
	if to.IsZero() {
		to = r.Time
	}
	return []string{
		fmt.Sprintf("Objections recorded from %s to before %s: %d.", stamp(r.From), stamp(to), r.OptOuts),
		fmt.Sprintf("Of these %d are rows of files, and %d have expired. Withdrawals in the period: %d.", r.Imported, r.Expired, r.Withdrawals),
		fmt.Sprintf("As of %s, revision %d.", stamp(r.Time), r.Revision),
	}
}

// concerned are the lines of the stages with objections that concerned a base.
func concerned(s client.ReportSubscriber) (lines []client.ReportStage) {
	for _, stage := range s.Stages {
		if stage.RecordedToAcknowledged != nil || stage.Pending > 0 {
			lines = append(lines, stage)
		}
	}
	return lines
}

func acknowledged(s client.ReportStage) uint64 {
	if s.RecordedToAcknowledged == nil {
		return 0
	}
	return s.RecordedToAcknowledged.Count
}

func deskName(d client.ReportDesk) string {
	if d.Desk == (client.EventID{}) {
		return "unknown"
	}
	return d.Name + removedNote(d.RemovedAt)
}

func baseName(s client.ReportSubscriber) string { return s.Name + removedNote(s.RemovedAt) }

func removedNote(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return note("removed " + at.UTC().Format(time.DateOnly))
}

func cameAs(imported bool) string {
	if imported {
		return "rows of files"
	}
	return "single"
}

func yesOrDash(is bool) string {
	if is {
		return "late"
	}
	return "-"
}

func compared(s client.ReportSubscriber) string {
	if s.ComparedAt.IsZero() {
		return "never"
	}
	return stamp(s.ComparedAt)
}

func found(s client.ReportSubscriber) string {
	if s.ComparedAt.IsZero() {
		return "-"
	}
	return fmt.Sprintf("%d missing of %d", s.Missing, s.Expected)
}

// pendingSince is how many objections are pending, and how old the oldest is.
func pendingSince(r *client.Report, s client.ReportStage) string {
	if s.Pending == 0 {
		return "-"
	}
	return fmt.Sprintf("%d, oldest %s", s.Pending, took(r.Time.Sub(s.OldestPending)))
}

func spreadColumns(s *client.Spread) string {
	if s == nil {
		return "-\t-\t-"
	}
	return took(s.Median) + "\t" + took(s.P95) + "\t" + took(s.Worst)
}

// took is a length of time for people: "3d4h", "1h5m0s", "12ms".
func took(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d >= 2*day:
		return fmt.Sprintf("%dd%dh", d/day, d%day/time.Hour)
	case d >= time.Minute:
		return d.Round(time.Second).String()
	}
	return d.Round(time.Millisecond).String()
}

// reportJSON writes one object a line; "line" says what it is about.
func reportJSON(w io.Writer, r *client.Report) error {
	line := func(about string, object any) error {
		text, err := json.Marshal(object)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(w, "{\"line\":%q,%s\n", about, text[1:])
		return err
	}
	for _, d := range r.Desks {
		if err := line("desk", d); err != nil {
			return err
		}
	}
	for _, s := range r.Subscribers {
		if err := line("subscriber", s); err != nil {
			return err
		}
	}
	return line("summary", r.ReportSummary)
}

var reportColumns = []string{
	"line", "id", "name", "removed_at", "channel", "stage", "imported", "objections", "measured", "median_seconds", "p95_seconds", "worst_seconds",
	"claimed", "pending", "oldest_pending", "late", "late_now", "compared_at", "expected", "missing", "expired", "withdrawals", "from", "to", "time",
}

// reportCSV writes one table. A line has the columns that are about it.
func reportCSV(w io.Writer, r *client.Report) error {
	out := csv.NewWriter(w)
	line := func(values map[string]string) {
		row := make([]string, len(reportColumns))
		for i, column := range reportColumns {
			row[i] = values[column]
		}
		_ = out.Write(row) // Flush keeps the error
	}
	_ = out.Write(reportColumns)
	for _, d := range r.Desks {
		line(deskCells(d))
	}
	for _, s := range r.Subscribers {
		for _, stage := range s.Stages {
			line(stageCells(s, stage))
		}
		line(map[string]string{
			"line": "subscriber", "id": eventCell(s.Subscriber), "name": s.Name, "removed_at": timeCell(s.RemovedAt), "late_now": strconv.FormatBool(s.Late),
			"compared_at": timeCell(s.ComparedAt), "expected": fmt.Sprint(s.Expected), "missing": fmt.Sprint(s.Missing),
		})
	}
	line(map[string]string{
		"line": "summary", "objections": fmt.Sprint(r.OptOuts), "expired": fmt.Sprint(r.Expired), "withdrawals": fmt.Sprint(r.Withdrawals),
		"from": timeCell(r.From), "to": timeCell(r.To), "time": timeCell(r.Time),
	})
	out.Flush()
	return out.Error()
}

func deskCells(d client.ReportDesk) map[string]string {
	cells := map[string]string{
		"line": "desk", "name": "unknown", "removed_at": timeCell(d.RemovedAt), "channel": string(d.Channel),
		"imported": strconv.FormatBool(d.Imported), "objections": fmt.Sprint(d.OptOuts),
	}
	if d.Desk != (client.EventID{}) {
		cells["id"], cells["name"] = eventCell(d.Desk), d.Name
	}
	spreadCells(cells, d.ReceivedToRecorded)
	return cells
}

func stageCells(s client.ReportSubscriber, stage client.ReportStage) map[string]string {
	cells := map[string]string{
		"line": "stage", "id": eventCell(s.Subscriber), "name": s.Name, "removed_at": timeCell(s.RemovedAt),
		"stage": string(stage.Stage), "imported": strconv.FormatBool(stage.Imported), "objections": fmt.Sprint(acknowledged(stage) + stage.Pending),
		"claimed": fmt.Sprint(stage.Claimed), "pending": fmt.Sprint(stage.Pending), "oldest_pending": timeCell(stage.OldestPending), "late": fmt.Sprint(stage.Late),
	}
	spreadCells(cells, stage.RecordedToAcknowledged)
	return cells
}

func spreadCells(cells map[string]string, s *client.Spread) {
	if s == nil {
		cells["measured"] = "0"
		return
	}
	seconds := func(d time.Duration) string { return strconv.FormatFloat(d.Seconds(), 'f', -1, 64) }
	cells["measured"] = fmt.Sprint(s.Count)
	cells["median_seconds"], cells["p95_seconds"], cells["worst_seconds"] = seconds(s.Median), seconds(s.P95), seconds(s.Worst)
}

func eventCell(id client.EventID) string { return fmt.Sprintf("%d.%d", id.Revision, id.Index) }

func timeCell(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}
