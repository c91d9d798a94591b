package main

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/dncd/dncd/client"
)

// sampleReport has names that would break out of a page.
func sampleReport() *client.Report {
	evil := `"><script src="http://evil.example/x.js">alert(1)</script>&'`
	spread := &client.Spread{Count: 3, Median: time.Second, P95: time.Hour, Worst: 3 * time.Hour}
	r := &client.Report{ReportSummary: client.ReportSummary{Time: time.Date(2026, 9, 10, 12, 0, 0, 0, time.UTC), OptOuts: 6}}
	r.Desks = []client.ReportDesk{
		{Desk: client.EventID{Revision: 1}, Name: evil, Channel: client.ChannelWeb, OptOuts: 4, ReceivedToRecorded: spread}, {OptOuts: 2, Imported: true},
	}
	r.Subscribers = []client.ReportSubscriber{{
		Name: "north", Owner: evil, Kind: "INTERNAL", Deadline: time.Hour, Late: true,
		Stages: []client.ReportStage{
			{Stage: "RECEIVED", RecordedToAcknowledged: spread}, {Stage: "RECEIVED", Imported: true},
			{Stage: "APPLIED", Pending: 3, OldestPending: r.Time.Add(-3 * time.Hour), Late: 3},
		},
	}}
	return r
}

// The page is whole, runs nothing and fetches nothing, whatever the names are.
func TestReportPageStandsAlone(t *testing.T) {
	t.Parallel()
	var page bytes.Buffer
	if err := reportHTML(&page, sampleReport()); err != nil {
		t.Fatal(err)
	}
	outside := regexp.MustCompile(`(?i)^(on.*|src|href|xlink:href|action|data|srcset)$`)
	elements := map[string]int{}
	for d := xml.NewDecoder(bytes.NewReader(page.Bytes())); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("the page does not parse: %v", err)
		}
		start, ok := token.(xml.StartElement)
		if !ok {
			continue
		}
		elements[start.Name.Local]++
		for _, a := range start.Attr {
			if outside.MatchString(a.Name.Local) || strings.Contains(a.Value, "://") || strings.Contains(a.Value, "javascript:") {
				t.Errorf("<%s> has %s=%q", start.Name.Local, a.Name.Local, a.Value)
			}
		}
	}
	for _, name := range []string{"script", "link", "img", "iframe", "object", "embed", "image", "use", "foreignObject"} {
		if elements[name] > 0 {
			t.Errorf("got <%s>", name)
		}
	}
	if elements["svg"] != 2 || elements["rect"] != 4 || elements["tr"] != 3+2+2+1 {
		t.Errorf("got %v, want two plots of two bars each, and three tables", elements)
	}
	if text := page.String(); strings.Contains(text, "url(") || strings.Contains(text, "@import") || !strings.Contains(text, "3, oldest 3h0m0s") {
		t.Error("the page refers to something outside, or lacks what is pending")
	}
}

// Bars stay within the plot, and the median before the p95.
func TestReportPlots(t *testing.T) {
	t.Parallel()
	desks, bases := deskPlot(sampleReport()), basePlot(sampleReport())
	if desks.Bars[0].Length != plotWidth || desks.Bars[1].Length != plotWidth/2 {
		t.Errorf("got %+v", desks.Bars)
	}
	if b := bases.Bars[0]; b.Length != plotWidth || b.Mark <= 0 || b.Mark >= b.Length {
		t.Errorf("got %+v, want a median within the longest bar", b)
	}
	if b := bases.Bars[1]; b.Length != 0 || b.Value != "nothing acknowledged" {
		t.Errorf("got %+v", b)
	}
	if last := bases.Ticks[len(bases.Ticks)-1]; last.Label != "1h0m0s" || last.X != plotWidth {
		t.Errorf("got %+v, want the last tick at an hour", bases.Ticks)
	}
}

// A length of time is short, and not too short.
func TestTook(t *testing.T) {
	t.Parallel()
	for want, d := range map[string]time.Duration{
		"0s": 0, "12ms": 12 * time.Millisecond, "1.5s": 1500 * time.Millisecond, "1h0m0s": time.Hour, "47h0m0s": 47 * time.Hour, "3d4h": 76 * time.Hour,
	} {
		if got := took(d); got != want {
			t.Errorf("%s: got %s, want %s", strconv.FormatInt(int64(d), 10), got, want)
		}
	}
}
