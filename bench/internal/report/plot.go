package report

import (
	"bytes"
	"encoding/json"
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

// ReadLoads reads the rows of dncd among what load printed as JSON.
func ReadLoads(r io.Reader) ([]Load, error) {
	var rows []Load
	lines := json.NewDecoder(r)
	for {
		var raw json.RawMessage
		if err := lines.Decode(&raw); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, fmt.Errorf("read results: %w", err)
		}
		var row Load
		head := struct {
			Case string `json:"case"`
		}{}
		if err := json.Unmarshal(raw, &head); err != nil {
			return nil, fmt.Errorf("read results: %w", err)
		}
		if head.Case != CaseDncd {
			continue
		}
		if err := json.Unmarshal(raw, &row); err != nil {
			return nil, fmt.Errorf("read results: %w", err)
		}
		rows = append(rows, row)
	}
	if len(rows) == 0 {
		return nil, errors.New("no row of dncd in the results")
	}
	return rows, nil
}

// panel is one plot of a figure by size.
type panel struct {
	title  string
	figure func(Load) float64
	log    bool // the figure's axis; else it begins at 0
}

func panels() []panel {
	const mib = 1 << 20
	return []panel{
		{"seconds, text to served", func(l Load) float64 { return l.Seconds }, true},
		{"million numbers a second", func(l Load) float64 { return l.Rate / 1e6 }, false},
		{"bytes a number on disk", func(l Load) float64 { return l.BytesPerNumber }, false},
		{"server memory while loading, MiB", func(l Load) float64 { return l.ServerRSSPeak / mib }, false},
	}
}

// PlotLoads draws how loads go with their size, as an SVG: a panel a figure, a line
// an order. Sizes are on a logarithmic axis.
func PlotLoads(w io.Writer, rows []Load) error {
	const columns, width, height = 2, 4.2 * vg.Inch, 2.8 * vg.Inch
	all := slices.DeleteFunc(panels(), func(p panel) bool {
		return !slices.ContainsFunc(rows, func(l Load) bool { return p.figure(l) > 0 })
	})
	if len(all) == 0 {
		return errors.New("the results hold no figure")
	}
	tiles := draw.Tiles{
		Rows: (len(all) + columns - 1) / columns, Cols: columns,
		PadX: vg.Points(18), PadY: vg.Points(14), PadTop: vg.Points(8), PadBottom: vg.Points(8), PadLeft: vg.Points(8), PadRight: vg.Points(16),
	}
	canvas := vgsvg.New(width*columns, height*vg.Length(tiles.Rows))
	on := draw.New(canvas)
	on.FillPolygon(color.White, []vg.Point{{}, {X: on.Max.X}, on.Max, {Y: on.Max.Y}})
	for i, p := range all {
		drawn, err := p.plot(rows, i == 0)
		if err != nil {
			return fmt.Errorf("plot %s: %w", p.title, err)
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

func (p panel) plot(rows []Load, legend bool) (*plot.Plot, error) {
	drawn := plot.New()
	sans(drawn)
	drawn.Title.Text = p.title
	drawn.X.Label.Text = "numbers"
	drawn.X.Scale, drawn.X.Tick.Marker = plot.LogScale{}, sizes(rows)
	drawn.Add(plotter.NewGrid())
	for i, order := range orders(rows) {
		if err := p.addLine(drawn, rows, order, i, legend); err != nil {
			return nil, err
		}
	}
	drawn.Legend.Top, drawn.Legend.Left = true, true
	drawn.X.Min, drawn.X.Max = drawn.X.Min/1.3, drawn.X.Max*1.3
	if p.log {
		drawn.Y.Scale, drawn.Y.Tick.Marker = plot.LogScale{}, plot.LogTicks{Prec: -1}
		drawn.Y.Min, drawn.Y.Max = drawn.Y.Min/2, drawn.Y.Max*2
	} else {
		drawn.Y.Min, drawn.Y.Max = 0, drawn.Y.Max*1.15
	}
	return drawn, nil
}

func (p panel) addLine(drawn *plot.Plot, rows []Load, order string, i int, legend bool) error {
	var points plotter.XYs
	for _, l := range rows {
		if v := p.figure(l); l.Order == order && v > 0 {
			points = append(points, plotter.XY{X: float64(l.Numbers), Y: v})
		}
	}
	if len(points) == 0 {
		return nil
	}
	slices.SortStableFunc(points, func(a, b plotter.XY) int { return int(a.X - b.X) })
	line, dots, err := plotter.NewLinePoints(points)
	if err != nil {
		return err
	}
	// Of a palette that the colour-blind can tell apart.
	colors := []color.Color{color.RGBA{R: 0, G: 114, B: 178, A: 255}, color.RGBA{R: 213, G: 94, B: 0, A: 255}}
	shapes := []draw.GlyphDrawer{draw.CircleGlyph{}, draw.SquareGlyph{}}
	line.Color, line.Width = colors[i%len(colors)], vg.Points(1.5)
	dots.Color, dots.Shape, dots.Radius = line.Color, shapes[i%len(shapes)], vg.Points(3)
	drawn.Add(line, dots)
	if legend {
		drawn.Legend.Add(order, line, dots)
	}
	return nil
}

func orders(rows []Load) []string {
	var list []string
	for _, l := range rows {
		if !slices.Contains(list, l.Order) {
			list = append(list, l.Order)
		}
	}
	slices.Sort(list)
	slices.Reverse(list) // sorted, shuffled
	return list
}

// sizes are ticks at the sizes that were measured.
func sizes(rows []Load) plot.ConstantTicks {
	var ticks plot.ConstantTicks
	for _, l := range rows {
		tick := plot.Tick{Value: float64(l.Numbers), Label: sizeName(l.Numbers)}
		if !slices.Contains(ticks, tick) {
			ticks = append(ticks, tick)
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
