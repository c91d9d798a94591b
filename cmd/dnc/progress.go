package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

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

// progress shows how far work is: a bar on a terminal, otherwise a line every few seconds.
type progress struct {
	state func() progressState
	out   io.Writer
	width func() int // of the terminal, in columns
	quit  chan struct{}
	ended sync.WaitGroup

	what  string    // that was shown last
	since time.Time // its first showing, at from
	from  int64
	drawn bool
}

// startProgress shows what state returns until stop is called.
func (a *app) startProgress(state func() progressState) *progress {
	p := &progress{state: state, out: a.stderr, quit: make(chan struct{})}
	show, every := p.line, lineEvery
	if file, ok := a.stderr.(*os.File); ok && term.IsTerminal(int(file.Fd())) {
		show, every = p.draw, redraw
		p.width = func() int { return widthOf(file) }
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
	if p.drawn {
		fmt.Fprint(p.out, clearLine)
	}
}

// next returns the state to be shown. It notes when other work began.
func (p *progress) next() progressState {
	s := p.state()
	if p.what != s.what {
		p.what, p.since, p.from = s.what, time.Now(), s.done
	}
	return s
}

func (p *progress) line() {
	s := p.next()
	fmt.Fprintln(p.out, describeProgress(s, s.done-p.from, time.Since(p.since), plain))
}

// describeProgress returns a state as text, with counts as written shows them. did is how much of the work was done in took.
func describeProgress(s progressState, did int64, took time.Duration, written func(uint64) string) string {
	number := func(n int64) string {
		if s.isBytes {
			return bytesText(n)
		}
		return written(uint64(n))
	}
	text := s.what
	switch {
	case s.total == 0 && (s.isBytes || s.done > 0):
		text = fmt.Sprintf("%s %s", s.what, number(s.done))
	case s.total > 0:
		text = fmt.Sprintf("%s %d %% of %s", s.what, 100*s.done/s.total, number(s.total))
	}
	if rate := float64(did) / took.Seconds(); rate >= 1 && took >= time.Second {
		text += fmt.Sprintf(", %s/s", number(int64(rate)))
		if s.total > s.done {
			left := time.Duration(float64(s.total-s.done) / rate * float64(time.Second))
			text += fmt.Sprintf(", %s left", left.Round(time.Second))
		}
	}
	if s.counts {
		text += fmt.Sprintf(", %s accepted, %s rejected", written(s.accepted), written(s.rejected))
	}
	return text
}

// clearLine goes back to the start of a terminal's line and empties it.
const clearLine = "\r\x1b[K"

// draw shows the state on one line of a terminal, whatever its width: a longer line would wrap, and stay.
func (p *progress) draw() {
	s := p.next()
	room := p.width() - 1 // a cursor behind the last column wraps on some
	text := describeProgress(s, s.done-p.from, time.Since(p.since), short)
	if left := room - len(text) - 1; s.total > 0 && left >= minBar {
		text = bar(s, min(left, maxBar)) + " " + text
	}
	fmt.Fprint(p.out, clearLine, text[:min(len(text), max(room, 0))])
	p.drawn = true
}

// minBar and maxBar bound the bar with its brackets, in columns.
const (
	minBar = 8
	maxBar = 32
)

// bar shows how far a state is, in that many columns.
func bar(s progressState, columns int) string {
	inside := columns - 2
	full := int(min(s.done, s.total) * int64(inside) / s.total)
	return "[" + strings.Repeat("#", full) + strings.Repeat("-", inside-full) + "]"
}

// widthOf is that of a terminal; 80 when it does not say.
func widthOf(file *os.File) int {
	if width, _, err := term.GetSize(int(file.Fd())); err == nil && width > 0 {
		return width
	}
	return 80
}

// bytesText is a number of bytes in the unit that fits.
func bytesText(n int64) string {
	switch {
	case n < 1e6:
		return fmt.Sprintf("%d kB", n/1e3)
	case n < 1e9:
		return fmt.Sprintf("%.1f MB", float64(n)/1e6)
	}
	return fmt.Sprintf("%.1f GB", float64(n)/1e9)
}

// plain is a count in full.
func plain(n uint64) string { return fmt.Sprint(n) }

// short is a count in few characters, cut off and not rounded up.
func short(n uint64) string {
	switch {
	case n < 100_000:
		return fmt.Sprint(n)
	case n < 1_000_000:
		return fmt.Sprintf("%dk", n/1000)
	case n < 10_000_000:
		return fmt.Sprintf("%d.%dM", n/1_000_000, n/100_000%10)
	}
	return fmt.Sprintf("%dM", n/1_000_000)
}
