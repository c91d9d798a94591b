package main

import (
	_ "embed"
	"html/template"
	"io"
	"math"
	"time"

	"github.com/dncd/dncd/client"
)

//go:embed report.html
var reportPage string

var reportTemplate = template.Must(template.New("report").Funcs(template.FuncMap{
	"about": describeReport, "desk": deskName, "base": baseName, "as": cameAs, "took": took, "stamp": stamp, "span": span,
	"channel": func(c client.Channel) string { return orDash(lower(c)) }, "stage": lower[client.Stage],
	"kind": lower[client.SubscriberKind], "orDash": orDash, "late": yesOrDash,
	"concerned": concerned, "acknowledged": acknowledged, "pending": pendingSince, "compared": compared, "found": found,
}).Parse(reportPage))

// reportHTML writes a report as one page to print: it holds no script, and refers to nothing outside of it.
func reportHTML(w io.Writer, r *client.Report) error {
	return reportTemplate.Execute(w, struct {
		*client.Report
		DeskPlot, BasePlot plot
	}{r, deskPlot(r), basePlot(r)})
}

// plot is horizontal bars, a row each, in pixels.
type plot struct {
	Height int
	Bars   []plotBar
	Ticks  []plotTick
}

type plotBar struct {
	Label, Value string
	Y, Length    int
	Mark         int // the median within the bar; 0: none
}

type plotTick struct {
	Label string
	X     int
}

const (
	plotWidth = 420 // of the longest bar
	plotRow   = 18
)

func (p *plot) add(b plotBar) {
	b.Y = len(p.Bars) * plotRow
	p.Bars = append(p.Bars, b)
	p.Height = len(p.Bars)*plotRow + plotRow // and the ticks
}

// deskPlot shows how many objections came in by desk and channel.
func deskPlot(r *client.Report) (p plot) {
	most := uint64(1)
	for _, d := range r.Desks {
		most = max(most, d.OptOuts)
	}
	for _, d := range r.Desks {
		label := deskName(d) + note(lower(d.Channel), map[bool]string{true: "files"}[d.Imported])
		p.add(plotBar{Label: label, Value: count(d.OptOuts, "objection"), Length: int(float64(plotWidth) * float64(d.OptOuts) / float64(most))})
	}
	return p
}

// basePlot shows how long objections took to each stage of each base: bars to the p95 with a mark at the median. Its scale is
// logarithmic: milliseconds and days are on one page.
func basePlot(r *client.Report) (p plot) {
	longest := time.Second
	for _, s := range r.Subscribers {
		for _, stage := range concerned(s) {
			if spread := stage.RecordedToAcknowledged; spread != nil {
				longest = max(longest, spread.P95)
			}
		}
	}
	x := func(d time.Duration) int {
		log := func(d time.Duration) float64 { return math.Log1p(float64(d) / float64(time.Millisecond)) }
		return int(plotWidth * log(d) / log(longest))
	}
	for _, s := range r.Subscribers {
		for _, stage := range concerned(s) {
			b := plotBar{Label: baseName(s) + ", " + lower(stage.Stage) + note(map[bool]string{true: "files"}[stage.Imported]), Value: "nothing acknowledged"}
			if spread := stage.RecordedToAcknowledged; spread != nil {
				b.Length, b.Mark, b.Value = x(spread.P95), x(spread.Median), took(spread.Median)+" and "+took(spread.P95)
			}
			p.add(b)
		}
	}
	for _, t := range []time.Duration{10 * time.Millisecond, time.Second, time.Minute, time.Hour, 24 * time.Hour, 30 * 24 * time.Hour} {
		if t <= longest {
			p.Ticks = append(p.Ticks, plotTick{took(t), x(t)})
		}
	}
	return p
}
