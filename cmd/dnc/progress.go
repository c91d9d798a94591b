package main

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

const (
	redraw    = 150 * time.Millisecond // of the bar on a terminal
	lineEvery = 5 * time.Second        // elsewhere
)

// progressState is how far some work is.
type progressState struct {
	what    string
	done    int64
	total   int64 // 0: not known
	isBytes bool

	counts             bool // the two below are known
	accepted, rejected uint64
}

// description is what is done, and what became of it so far.
func (s *progressState) description() string {
	if !s.counts {
		return s.what
	}
	return fmt.Sprintf("%s %s accepted, %s rejected", s.what, short(s.accepted), short(s.rejected))
}

// progress shows how far work is: a bar on a terminal, else a line now and then.
type progress struct {
	state func() progressState
	out   io.Writer
	quit  chan struct{}
	ended sync.WaitGroup

	what  string    // that was shown last
	since time.Time // its first showing, at from
	from  int64
	bar   *progressbar.ProgressBar // of what; nil before the first
}

// startProgress shows what state returns until stop is called.
func (a *app) startProgress(state func() progressState) *progress {
	p := &progress{state: state, out: a.stderr, quit: make(chan struct{})}
	show, every := p.line, lineEvery
	if file, ok := a.stderr.(*os.File); ok && term.IsTerminal(int(file.Fd())) {
		show, every = p.draw, redraw
	}
	p.ended.Go(func() { p.run(show, every) })
	return p
}

func (p *progress) run(show func(), every time.Duration) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			show()
		case <-p.quit:
			return
		}
	}
}

// stop ends it, and clears the bar.
func (p *progress) stop() {
	close(p.quit)
	p.ended.Wait()
	if p.bar != nil {
		_ = p.bar.Clear()
	}
}

// next is the state to be shown, and whether other work began.
func (p *progress) next() (s progressState, isNew bool) {
	s = p.state()
	if isNew = p.what != s.what; isNew {
		p.what, p.since, p.from = s.what, time.Now(), s.done
	}
	return s, isNew
}

func (p *progress) line() {
	s, _ := p.next()
	fmt.Fprintln(p.out, describeProgress(s, s.done-p.from, time.Since(p.since)))
}

// describeProgress is a state as text. The work did so much of it in the time given.
func describeProgress(s progressState, did int64, took time.Duration) string {
	text := s.what
	switch {
	case s.total == 0 && (s.isBytes || s.done > 0):
		text = fmt.Sprintf("%s %s", s.what, amount(s.done, s.isBytes))
	case s.total > 0:
		text = fmt.Sprintf("%s %d %% of %s", s.what, 100*s.done/s.total, amount(s.total, s.isBytes))
	}
	if rate := float64(did) / took.Seconds(); did > 0 && took >= time.Second {
		text += fmt.Sprintf(", %s/s", amount(int64(rate), s.isBytes))
		if s.total > s.done {
			left := time.Duration(float64(s.total-s.done) / rate * float64(time.Second))
			text += fmt.Sprintf(", %s left", left.Round(time.Second))
		}
	}
	if s.counts {
		text += fmt.Sprintf(", %d accepted, %d rejected", s.accepted, s.rejected)
	}
	return text
}

func (p *progress) draw() {
	s, isNew := p.next()
	if isNew {
		if p.bar != nil {
			_ = p.bar.Clear()
		}
		p.bar = newBar(s, p.out)
	}
	p.bar.Describe(s.description())
	_ = p.bar.Set64(s.done)
}

func newBar(s progressState, out io.Writer) *progressbar.ProgressBar {
	total := s.total
	if total == 0 {
		total = -1 // a spinner
	}
	options := []progressbar.Option{
		progressbar.OptionSetWriter(out),
		progressbar.OptionSetDescription(s.description()),
		progressbar.OptionSetSpinnerChangeInterval(0), // it would draw by itself, over the next bar too
		progressbar.OptionShowBytes(s.isBytes),
		progressbar.OptionSetWidth(30),
		progressbar.OptionClearOnFinish(),
	}
	if !s.isBytes && total > 0 {
		options = append(options, progressbar.OptionShowIts(), progressbar.OptionSetItsString("numbers"))
	}
	if s.isBytes || total > 0 {
		options = append(options, progressbar.OptionShowCount())
	}
	return progressbar.NewOptions64(total, options...)
}

// amount is a number of bytes in the unit that fits, or of other things.
func amount(n int64, isBytes bool) string {
	switch {
	case !isBytes:
		return fmt.Sprint(n)
	case n < 1e6:
		return fmt.Sprintf("%d kB", n/1e3)
	case n < 1e9:
		return fmt.Sprintf("%.1f MB", float64(n)/1e6)
	}
	return fmt.Sprintf("%.1f GB", float64(n)/1e9)
}

// short is a count in few characters, cut off and not rounded up.
func short(n uint64) string {
	switch {
	case n < 100_000:
		return fmt.Sprint(n)
	case n < 10_000_000:
		return fmt.Sprintf("%d.%dM", n/1_000_000, n/100_000%10)
	}
	return fmt.Sprintf("%dM", n/1_000_000)
}
