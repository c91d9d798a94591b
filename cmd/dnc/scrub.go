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
	if err := checkTitles(rows.Header(), a.output, answerColumns); err != nil {
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
	output := a.newScrubOutput(out, rows.Delimiter(), rows.Choice().Numbers)
	s := newScrub(rows, newLayout(rows, a.output == "json"), output)
	s.client, s.options = c, flags.options()
	err = s.run(cmd.Context())
	bar.stop()
	if err != nil {
		return err
	}
	if output.rows() == 0 && !rows.IsKnown() {
		return errors.New("no column holds a number, and no row follows: export the file again, or use --column")
	}
	if err := out.keep(); err != nil {
		return err
	}
	if choice := rows.Choice(); choice.Layout.Width > 1 || choice.Layout.Header != nil {
		sayChoices(a.stderr, []registry.Choice{choice}, describeRows)
	}
	fmt.Fprintln(a.stderr, output.summary()+flags.past.tablesLine(output.tables))
	if n := output.rows(); n > 0 && output.counts[invalid] == n {
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

// batchesAhead bounds the batches that are read and not yet written, and so the memory.
const batchesAhead = 6

// scrub is one pass over a file. One goroutine reads rows into batches, a goroutine for each
// batch checks it, and the caller of run writes them in order.
type scrub struct {
	rows    *registry.Rows
	layout  *layout // of the goroutine that reads
	client  *client.Client
	options []client.CheckOption
	output  *scrubOutput
	begun   bool // a batch was answered

	free   chan *rowBatch
	asked  chan *rowBatch // in order; closed after the last
	failed error          // of reading, once asked is closed
}

func newScrub(rows *registry.Rows, how *layout, to *scrubOutput) *scrub {
	s := &scrub{rows: rows, layout: how, output: to, free: make(chan *rowBatch, batchesAhead), asked: make(chan *rowBatch, batchesAhead)}
	for range batchesAhead {
		s.free <- new(rowBatch)
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
	if err := s.output.header(s.rows.Header()); err != nil {
		return err
	}
	go s.read(ctx)
	for {
		batch, err := s.next(ctx)
		if batch == nil {
			return err
		}
		s.begun = true
		if err := s.output.write(batch); err != nil {
			return err
		}
		s.free <- batch
	}
}

// next returns the next batch once it is answered, nil after the last or with an error.
func (s *scrub) next(ctx context.Context) (*rowBatch, error) {
	select {
	case batch, more := <-s.asked:
		if !more {
			return nil, s.failed
		}
		if <-batch.done; batch.err != nil {
			return nil, batch.err
		}
		return batch, nil
	case <-ctx.Done(): // also while a terminal or a pipe is read
		return nil, ctx.Err()
	}
}

// read reads the file to its end and starts the check of each batch.
func (s *scrub) read(ctx context.Context) {
	defer close(s.asked)
	for s.failed == nil {
		select {
		case batch := <-s.free:
			s.failed = batch.fill(s.rows, s.layout)
			go batch.ask(ctx, s.client, s.options)
			s.asked <- batch // never blocks: there is a place for every batch
		case <-ctx.Done():
			s.failed = ctx.Err()
		}
	}
	if errors.Is(s.failed, io.EOF) {
		s.failed = nil
	}
}
