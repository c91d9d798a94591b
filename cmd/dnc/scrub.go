package main

import (
	"bufio"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/dncd/dncd/client"
	"github.com/dncd/dncd/internal/phone"
	"github.com/dncd/dncd/internal/registry"
)

// invalid is the verdict of a row without a valid number.
const invalid = "INVALID"

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
	s := &scrub{rows: rows, app: a, csv: csv.NewWriter(out), out: out, counts: map[string]uint64{}, width: len(rows.Header())}
	s.csv.Comma = rows.Delimiter()
	if err := s.writeHeader(); err != nil {
		return err
	}
	bar := a.startProgress(func() progressState {
		return progressState{what: "checking", done: rows.BytesRead(), total: rows.TotalBytes(), isBytes: true}
	})
	err = s.run(c.CheckAll(cmd.Context(), s.numbers(), flags.options()...))
	bar.stop()
	if err != nil {
		return err
	}
	if err := out.keep(); err != nil {
		return err
	}
	fmt.Fprintln(a.stderr, s.summary())
	return nil
}

func openRows(flags checkFlags) (*registry.Rows, error) {
	region, err := parseRegion(flags.region)
	if err != nil {
		return nil, err
	}
	return registry.OpenRows(flags.file, registry.Options{
		Format: registry.CSV, Column: flags.column, Region: region,
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

// scrub is one pass over a file.
type scrub struct {
	app    *app
	rows   *registry.Rows
	out    *outFile
	csv    *csv.Writer
	asked  []registry.Row // read and not yet answered, oldest first
	failed error          // of reading
	counts map[string]uint64
	width  int // columns of the file: of its header, else of its first row
}

// numbers yields the number of each row; "" keeps the place of a row that has none.
func (s *scrub) numbers() iter.Seq[string] {
	return func(yield func(string) bool) {
		for {
			row, err := s.rows.Next()
			if err != nil {
				if err != io.EOF {
					s.failed = err
				}
				return
			}
			s.fit(&row)
			s.asked = append(s.asked, row)
			number := ""
			if row.Reason == "" {
				number = row.Number.E164()
			}
			if !yield(number) {
				return
			}
		}
	}
}

// run writes a row for each result.
func (s *scrub) run(results iter.Seq2[client.Result, error]) error {
	for result, err := range results {
		if err != nil && !errors.Is(err, client.ErrInvalidNumber) {
			return err
		}
		row := s.asked[0]
		s.asked = s.asked[1:]
		if err := s.write(row, result, err); err != nil {
			return err
		}
	}
	s.csv.Flush()
	return errors.Join(s.failed, s.csv.Error())
}

func (s *scrub) write(row registry.Row, result client.Result, invalidity error) error {
	if invalidity != nil {
		return s.writeInvalid(row, invalidity)
	}
	s.counts[string(result.Verdict)]++
	if s.app.output == "json" {
		return s.app.printTo(s.out, result)
	}
	return s.writeRow(row, string(result.Verdict), describeResult(result), strconv.FormatUint(result.Revision, 10))
}

func (s *scrub) writeInvalid(row registry.Row, invalidity error) error {
	s.counts[invalid]++
	reason := row.Reason
	if reason == "" {
		reason = invalidity.Error()
	}
	if s.app.output == "json" {
		return s.app.printTo(s.out, badNumber{s.typed(row), itemError{invalid, reason}})
	}
	return s.writeRow(row, invalid, reason, "")
}

// typed is what the row has where its number should be.
func (s *scrub) typed(row registry.Row) string {
	if at := s.rows.Column(); at < len(row.Fields) {
		return row.Fields[at]
	}
	return ""
}

func (s *scrub) writeHeader() error {
	header := s.rows.Header()
	if header == nil || s.app.output == "json" {
		return nil
	}
	return s.csv.Write(append(header[:len(header):len(header)], answerColumns...))
}

// writeRow writes the row's own columns and three more.
func (s *scrub) writeRow(row registry.Row, verdict, reason, revision string) error {
	return s.csv.Write(append(row.Fields, verdict, reason, revision))
}

func (s *scrub) summary() string {
	total, parts := uint64(0), []string{}
	for _, verdict := range []string{"ALLOW", "BLOCK", "NOT_NOW", "UNKNOWN", invalid} {
		if n := s.counts[verdict]; n > 0 {
			total += n
			parts = append(parts, fmt.Sprintf("%s %d", verdict, n))
		}
	}
	if total == 0 {
		return "0 rows"
	}
	return count(total, "row") + ": " + strings.Join(parts, ", ")
}

// outFile is standard output, or a file that takes its name when it is whole.
type outFile struct {
	*bufio.Writer
	file *os.File // nil: standard output
	name string
}

func (a *app) openOut(name string) (*outFile, error) {
	if name == "" || name == "-" {
		return &outFile{Writer: bufio.NewWriter(a.stdout)}, nil
	}
	if info, err := os.Stat(name); err == nil && !info.Mode().IsRegular() {
		return nil, fmt.Errorf("--out %s is not a file", name)
	}
	file, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+".*")
	if err != nil {
		return nil, err
	}
	return &outFile{Writer: bufio.NewWriter(file), file: file, name: name}, nil
}

// keep gives the file its name.
func (o *outFile) keep() error {
	if err := o.Flush(); err != nil || o.file == nil {
		return err
	}
	if err := o.file.Close(); err != nil {
		return err
	}
	if err := os.Rename(o.file.Name(), o.name); err != nil {
		return err
	}
	o.file = nil
	return nil
}

// abandon removes a file that was not kept; what standard output has stays.
func (o *outFile) abandon() {
	if o.file == nil {
		o.Flush()
		return
	}
	o.file.Close()
	os.Remove(o.file.Name())
}
