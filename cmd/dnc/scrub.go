package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/dncd/dncd/client"
	"github.com/dncd/dncd/internal/phone"
	"github.com/dncd/dncd/internal/registry"
)

// checkFile answers each row of a file, in order and in bounded memory.
func (a *app) checkFile(cmd *cobra.Command, args []string, flags checkFlags) (err error) {
	if len(args) > 0 {
		return usagef(cmd, "give numbers or --file, not both")
	}
	if err := refuseInput("out", flags.out, flags.file); err != nil {
		return err
	}
	rows, err := openRows(flags)
	if err != nil {
		return err
	}
	defer rows.Close()
	if err := checkTitles(rows.Header(), a.output); err != nil {
		return err
	}
	c, err := a.connect()
	if err != nil {
		return err
	}
	out, err := a.openOut(flags.out)
	if err != nil {
		return err
	}
	defer out.abandon()
	bar := a.startProgress(func() progressState {
		return progressState{what: "checking", done: rows.BytesRead(), total: rows.TotalBytes(), isBytes: true}
	})
	answers := a.newAnswers(out, rows.Delimiter(), rows.Choice().Numbers)
	s := newScrub(rows, newLayout(rows, a.output == "json"), answers)
	s.client, s.options = c, flags.options()
	err = s.run(cmd.Context())
	bar.stop()
	if err != nil {
		return err
	}
	if answers.rows() == 0 && !rows.IsKnown() {
		return errors.New("no column holds a number, and no row follows: export the file again, or use --column")
	}
	if err := out.keep(); err != nil {
		return err
	}
	if choice := rows.Choice(); choice.Layout.Width > 1 {
		sayChoices(a.stderr, []registry.Choice{choice}, describeNumbers)
	}
	fmt.Fprintln(a.stderr, answers.summary())
	if n := answers.rows(); n > 0 && answers.counts[invalid] == n {
		return errors.New("no row holds a number: use --column if another column does, and --region for national numbers")
	}
	return nil
}

func openRows(flags checkFlags) (*registry.Rows, error) {
	region, err := parseRegion(flags.region)
	if err != nil {
		return nil, err
	}
	delimiter, err := parseDelimiter(flags.delimiter)
	if err != nil {
		return nil, err
	}
	return registry.OpenRows(flags.file, registry.Options{
		Format: registry.CSV, Column: flags.column, Region: region, Delimiter: delimiter,
	})
}

func parseRegion(code string) (phone.Region, error) {
	if code == "" {
		return 0, nil
	}
	region, err := phone.ParseRegion(code)
	if err != nil {
		return 0, fmt.Errorf("--region %q: %w", code, err)
	}
	return region, nil
}

// lotsAhead bounds the lots that are read and not yet written, and so the memory.
const lotsAhead = 6

// scrub is one pass over a file. One goroutine reads rows into lots, each lot is
// checked by one of its own, and the caller of run writes them in order.
type scrub struct {
	rows    *registry.Rows
	layout  *layout // of the goroutine that reads
	client  *client.Client
	options []client.CheckOption
	answers *answers
	begun   bool // a lot was answered

	free   chan *lot
	asked  chan *lot // in order; closed after the last
	failed error     // of reading, once asked is closed
}

func newScrub(rows *registry.Rows, how *layout, to *answers) *scrub {
	s := &scrub{rows: rows, layout: how, answers: to, free: make(chan *lot, lotsAhead), asked: make(chan *lot, lotsAhead)}
	for range lotsAhead {
		s.free <- new(lot)
	}
	return s
}

// run answers every row. On an error what is written ends with an answered row.
func (s *scrub) run(ctx context.Context) error {
	err := s.pass(ctx)
	switch {
	case err != nil && ctx.Err() != nil:
		err = fmt.Errorf("stopped before the end of the file: %w", ctx.Err())
		return withHint(err, "run it again: a check changes nothing on the server")
	case s.begun && errors.Is(err, client.ErrUnavailable):
		return withHint(err, "the server went away in the middle of the file: run it again when it is back")
	}
	return err
}

func (s *scrub) pass(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if err := s.answers.header(s.rows.Header()); err != nil {
		return err
	}
	go s.read(ctx)
	for {
		l, err := s.next(ctx)
		if l == nil {
			return err
		}
		s.begun = true
		if err := s.answers.write(l); err != nil {
			return err
		}
		s.free <- l
	}
}

// next returns the next lot once it is answered, nil after the last or with an error.
func (s *scrub) next(ctx context.Context) (*lot, error) {
	select {
	case l, more := <-s.asked:
		if !more {
			return nil, s.failed
		}
		if <-l.done; l.err != nil {
			return nil, l.err
		}
		return l, nil
	case <-ctx.Done(): // also while a terminal or a pipe is read
		return nil, ctx.Err()
	}
}

// read reads the file to its end and has each lot checked.
func (s *scrub) read(ctx context.Context) {
	defer close(s.asked)
	for s.failed == nil {
		select {
		case l := <-s.free:
			s.failed = l.fill(s.rows, s.layout)
			go l.ask(ctx, s.client, s.options)
			s.asked <- l // never blocks: as many places as lots
		case <-ctx.Done():
			s.failed = ctx.Err()
		}
	}
	if errors.Is(s.failed, io.EOF) {
		s.failed = nil
	}
}
