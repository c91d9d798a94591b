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
}

// progress shows how far work is: a bar on a terminal, else a line now and then.
type progress struct {
	state func() progressState
	out   io.Writer
	quit  chan struct{}
	ended sync.WaitGroup

	bar  *progressbar.ProgressBar // of what; nil before the first
	what string
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

func (p *progress) line() {
	s := p.state()
	switch {
	case s.total > 0:
		fmt.Fprintf(p.out, "%s %d %%\n", s.what, 100*s.done/s.total)
	case s.isBytes:
		fmt.Fprintf(p.out, "%s %d MB\n", s.what, s.done/1e6)
	default:
		fmt.Fprintf(p.out, "%s %d\n", s.what, s.done)
	}
}

func (p *progress) draw() {
	s := p.state()
	if p.bar == nil || p.what != s.what {
		p.what = s.what
		p.bar = newBar(s, p.out)
	}
	_ = p.bar.Set64(s.done)
}

func newBar(s progressState, out io.Writer) *progressbar.ProgressBar {
	total := s.total
	if total == 0 {
		total = -1 // a spinner
	}
	return progressbar.NewOptions64(total,
		progressbar.OptionSetWriter(out),
		progressbar.OptionSetDescription(s.what),
		progressbar.OptionShowBytes(s.isBytes),
		progressbar.OptionShowCount(),
		progressbar.OptionSetWidth(30),
		progressbar.OptionClearOnFinish(),
	)
}
