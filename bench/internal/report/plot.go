package report

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"image/color"
	"io"
	"math"
	"slices"
	"strconv"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// chart is one plot: lines over an axis.
type chart struct {
	title, x   string
	logX, logY bool // an axis that is not logarithmic begins at 0
	lines      []line
}

// line is a series of points.
type line struct {
	name   string
	points plotter.XYs
}

// add adds a point to the line of that name. What is 0 is not known.
func (c *chart) add(name string, x, y float64) {
	if y == 0 {
		return
	}
	at := slices.IndexFunc(c.lines, func(l line) bool { return l.name == name })
	if at < 0 {
		at = len(c.lines)
		c.lines = append(c.lines, line{name: name})
	}
	c.lines[at].points = append(c.lines[at].points, plotter.XY{X: x, Y: y})
}

// drawCharts writes charts beside each other as an SVG, without those that hold no line.
func drawCharts(w io.Writer, charts []chart) error {
	const width, height = 4.6 * vg.Inch, 3 * vg.Inch
	charts = slices.DeleteFunc(charts, func(c chart) bool { return len(c.lines) == 0 })
	if len(charts) == 0 {
		return errors.New("the results hold no figure")
	}
	columns := min(2, len(charts))
	tiles := draw.Tiles{
		Rows: (len(charts) + columns - 1) / columns, Cols: columns,
		PadX: vg.Points(18), PadY: vg.Points(14), PadTop: vg.Points(8), PadBottom: vg.Points(8), PadLeft: vg.Points(8), PadRight: vg.Points(16),
	}
	canvas := vgsvg.New(width*vg.Length(columns), height*vg.Length(tiles.Rows))
	on := draw.New(canvas)
	on.FillPolygon(color.White, []vg.Point{{}, {X: on.Max.X}, on.Max, {Y: on.Max.Y}})
	for i, c := range charts {
		drawn, err := c.plot()
		if err != nil {
			return fmt.Errorf("plot %s: %w", c.title, err)
		}
		drawn.Draw(tiles.At(on, i%columns, i/columns))
	}
	var svg bytes.Buffer
	if _, err := canvas.WriteTo(&svg); err != nil {
		return err
	}
	// A reader's system has some of these, and rarely the first.
	_, err := w.Write(bytes.ReplaceAll(svg.Bytes(), []byte("font-family:Liberation Sans"),
		[]byte("font-family:Liberation Sans,Arial,Helvetica,sans-serif")))
	return err
}

// sans sets every text of a plot without serifs.
func sans(drawn *plot.Plot) {
	for _, style := range []*text.Style{
		&drawn.Title.TextStyle, &drawn.Legend.TextStyle, &drawn.X.Label.TextStyle, &drawn.X.Tick.Label,
		&drawn.Y.Label.TextStyle, &drawn.Y.Tick.Label,
	} {
		style.Font.Variant = "Sans"
	}
}

func (c chart) plot() (*plot.Plot, error) {
	drawn := plot.New()
	sans(drawn)
	drawn.Title.Text, drawn.X.Label.Text = c.title, c.x
	drawn.Add(plotter.NewGrid())
	for i, l := range c.lines {
		if err := l.add(drawn, i); err != nil {
			return nil, err
		}
	}
	drawn.Legend.Top, drawn.Legend.Left = true, true
	const readable = 8
	if ticks := c.ticks(); c.logX || len(ticks) <= readable {
		drawn.X.Tick.Marker = ticks
	}
	if c.logX {
		drawn.X.Scale = plot.LogScale{}
		drawn.X.Min, drawn.X.Max = drawn.X.Min/1.3, drawn.X.Max*1.3
	} else {
		drawn.X.Min = 0
	}
	if c.logY {
		drawn.Y.Scale, drawn.Y.Tick.Marker = plot.LogScale{}, plot.LogTicks{Prec: -1}
		drawn.Y.Min, drawn.Y.Max = drawn.Y.Min/2, drawn.Y.Max*4
	} else {
		drawn.Y.Min, drawn.Y.Max = 0, drawn.Y.Max*1.3
	}
	return drawn, nil
}

// palette can be told apart by the colour-blind.
var palette = []color.Color{
	color.RGBA{R: 0, G: 114, B: 178, A: 255}, color.RGBA{R: 213, G: 94, B: 0, A: 255}, color.RGBA{R: 0, G: 158, B: 115, A: 255},
	color.RGBA{R: 204, G: 121, B: 167, A: 255}, color.RGBA{R: 86, G: 180, B: 233, A: 255}, color.RGBA{R: 0, G: 0, B: 0, A: 255},
}

func (l line) add(drawn *plot.Plot, i int) error {
	slices.SortStableFunc(l.points, func(a, b plotter.XY) int { return cmp.Compare(a.X, b.X) })
	curve, dots, err := plotter.NewLinePoints(l.points)
	if err != nil {
		return err
	}
	shapes := []draw.GlyphDrawer{draw.CircleGlyph{}, draw.SquareGlyph{}, draw.TriangleGlyph{}}
	curve.Color, curve.Width = palette[i%len(palette)], vg.Points(1.5)
	dots.Color, dots.Shape, dots.Radius = curve.Color, shapes[i%len(shapes)], vg.Points(2.5)
	drawn.Add(curve, dots)
	drawn.Legend.Add(l.name, curve, dots)
	return nil
}

// ticks are at the places that were measured.
func (c chart) ticks() plot.ConstantTicks {
	var ticks plot.ConstantTicks
	for _, l := range c.lines {
		for _, p := range l.points {
			tick := plot.Tick{Value: p.X, Label: sizeName(int(p.X))}
			if !slices.Contains(ticks, tick) {
				ticks = append(ticks, tick)
			}
		}
	}
	return ticks
}

func sizeName(n int) string {
	if n >= 1e6 {
		return strconv.FormatFloat(math.Round(float64(n)/1e5)/10, 'g', -1, 64) + " M"
	}
	return strconv.Itoa(n)
}

const mib = 1 << 20

// loadCharts draw how loads go with their size, a line an order.
func loadCharts(rows []Load) []chart {
	charts := []chart{
		{title: "seconds, text to served", logY: true}, {title: "million numbers a second"},
		{title: "bytes a number on disk"}, {title: "server memory while loading, MiB"},
	}
	for i := range charts {
		charts[i].x, charts[i].logX = "numbers", true
		for _, l := range rows {
			figure := []float64{l.Seconds, l.Rate / 1e6, l.BytesPerNumber, l.ServerRSSPeak / mib}[i]
			charts[i].add(l.Order, float64(l.Numbers), figure)
		}
	}
	return charts
}

// callerCharts draw throughput and latency by callers, a line a case.
func callerCharts(rows []Check) []chart {
	rate := chart{title: "thousand numbers a second", x: "callers", logX: true}
	p99 := chart{title: "p99 of a call, ms", x: "callers", logX: true, logY: true}
	for _, c := range rows {
		rate.add(c.Case, float64(c.Callers), c.Rate/1e3)
		p99.add(c.Case, float64(c.Callers), c.P99/1e3)
	}
	return []chart{rate, p99}
}

// rateCharts draw latency by load, a line a case.
func rateCharts(rows []Check) []chart {
	p50 := chart{title: "p50 of a call, ms", x: "thousand numbers a second offered", logY: true}
	p99 := chart{title: "p99 of a call, ms", x: "thousand numbers a second offered", logY: true}
	for _, c := range rows {
		p50.add(c.Case, c.Offered/1e3, c.P50/1e3)
		p99.add(c.Case, c.Offered/1e3, c.P99/1e3)
	}
	return []chart{p50, p99}
}

// sizeCharts draw what a number costs by how many are stored.
func sizeCharts(rows []Check) []chart {
	cpu := chart{title: "server's processor time a number, µs", x: "numbers stored", logX: true, logY: true}
	rate := chart{title: "thousand numbers a second", x: "numbers stored", logX: true, logY: true}
	for _, c := range rows {
		cpu.add(c.Case, float64(c.Numbers), c.ServerCPU)
		rate.add(c.Case, float64(c.Numbers), c.Rate/1e3)
	}
	return []chart{cpu, rate}
}

func overloadCharts(rows []Overload) []chart {
	fate := chart{title: "checks a second", x: "offered, times the capacity"}
	p99 := chart{title: "latency of what is answered, ms", x: "offered, times the capacity"}
	for _, o := range rows {
		fate.add("answered", o.Times, o.Goodput)
		fate.add("refused", o.Times, o.Refused)
		fate.add("expired", o.Times, o.Expired)
		p99.add("p50", o.Times, o.P50/1e3)
		p99.add("p99", o.Times, o.P99/1e3)
	}
	return []chart{fate, p99}
}

func soakCharts(rows []Soak) []chart {
	latency := chart{title: "latency, ms", x: "seconds", logY: true}
	memory := chart{title: "server memory, MiB", x: "seconds"}
	for _, s := range rows {
		latency.add("p50", s.At, s.P50/1e3)
		latency.add("p99", s.At, s.P99/1e3)
		memory.add("resident", s.At, s.ServerRSS/mib)
		memory.add("anonymous", s.At, s.ServerAnon/mib)
	}
	return []chart{latency, memory}
}
