// Package registry reads the files that do-not-call lists come in and yields their numbers.
//
// It promises:
//
//   - Every line, or cell that could hold a number, is a number, a reject or
//     empty: their sum is Totals.Read. Blank lines and the header line of a
//     csv are not counted.
//   - A number that a file removes is never yielded as one to add.
//   - A reject has its file, its line and a reason. It never becomes a number,
//     whole or in part.
//   - A file that was cut short is an error (compressed files, XML) or ends in a
//     reject (text): never a shorter number, never a silent end.
//   - Memory does not grow with the input: lines, records and archives are
//     read in bounded pieces.
//   - Nothing is guessed in silence: a format that does not fit gives rejects, a
//     column or an order of dates that is not clear is an error, and a Choice
//     says how each column was read.
package registry

import (
	"fmt"
	"strings"

	"github.com/dncd/dncd/internal/phone"
)

// Format names the layout of a list file.
type Format string

// The formats that can be read.
const (
	// Auto is the format that the files' content shows: see Reader.Format.
	Auto Format = "auto"
	// FTC is the text of the US registry: `AAA,NNNNNNN` or `AAANNNNNNN` a line.
	FTC Format = "ftc"
	// FTCXML is the same as XML: `<ac val='415'>` with `<ph val='5550100' />` in it.
	FTCXML Format = "ftc-xml"
	// FTCChange is the US registry's list of additions and deletions, comma-separated.
	FTCChange Format = "ftc-change"
	// LNNTE is the Canadian registry: the layout of FTC or of FTCXML.
	LNNTE Format = "lnnte"
	// CSV has one number a record, in a column of any name.
	CSV Format = "csv"
	// Plain has one number a line.
	Plain Format = "plain"
	// JSONL has one JSON object a line, with the number under the key "number".
	JSONL Format = "jsonl"
)

// format is what a layout must bring: see CONTRIBUTING.md, "add a list format".
type format struct {
	name Format
	// open starts reading the content of one file.
	open func(in content) (decoder, error)
	// byArea says that the files are made for one area code each, so that the area codes in them show what the list
	// covers.
	byArea bool
	// removes says that a file may take numbers away: its decoder is a changer.
	removes bool
}

// decoder yields the numbers of one file.
type decoder interface {
	// next fills batch from the start and returns how many it filled: 0 only
	// with an error, which is io.EOF after the last number.
	next(batch []phone.Number) (int, error)
}

// changer is a decoder of a format that removes.
type changer interface {
	decoder
	// nextChanges fills add and remove from the start until one of them is full
	// and returns how many it filled of each: 0 and 0 only with an error, which
	// is io.EOF after the last number.
	nextChanges(add, remove []phone.Number) (added, removed int, err error)
}

// content is one unpacked file, as a decoder gets it.
type content struct {
	lines  *lines
	opts   Options
	areas  *areas // filled by formats by area code
	reject func(line int64, reason string, text []byte)
	// again reads the same file once more, from its beginning.
	again func(open func(content) (decoder, error)) (*Reader, error)
	// account is where decoders count what is neither number nor reject.
	account *Totals
}

// areas are the area codes of +1 that hold a number.
type areas [1000]bool

// formats lists every format. Adding one is one file and one entry here.
func formats() []format {
	return []format{
		{name: FTC, open: openFTC, byArea: true},
		{name: FTCXML, open: openXML, byArea: true},
		{name: FTCChange, open: openChange, removes: true},
		{name: LNNTE, open: openLNNTE, byArea: true},
		{name: CSV, open: openCSV},
		{name: Plain, open: openPlain},
		{name: JSONL, open: openObjects},
	}
}

func (f Format) lookup() (format, error) {
	for _, known := range formats() {
		if known.name == f {
			return known, nil
		}
	}
	return format{}, fmt.Errorf("unknown list format %q: use %s", string(f), FormatNames())
}

// Removes reports whether files of the format may take numbers away, so that
// they are for NextChanges.
func (f Format) Removes() bool {
	known, err := f.lookup()
	return err == nil && known.removes
}

// ParseFormat returns the format with that name; Auto for an empty one.
func ParseFormat(name string) (Format, error) {
	if name == "" || strings.EqualFold(name, string(Auto)) {
		return Auto, nil
	}
	f, err := Format(strings.ToLower(name)).lookup()
	return f.name, err
}

// FormatNames returns the formats that can be read, for help and errors:
// without Auto.
func FormatNames() string {
	names := make([]string, 0, 7)
	for _, f := range formats() {
		names = append(names, string(f.name))
	}
	return strings.Join(names, ", ")
}

// Options says how to read list files.
type Options struct {
	Format Format
	// Column of a csv that holds the number: a name of the header (any case)
	// or an index from 1; several are separated by commas. Empty: the only column,
	// or the only one that could be meant. Of jsonl it is the key.
	Column string
	// Columns of a change list, in order: the names of ChangeColumns separated
	// by commas, "-" for a column to pass over. Empty: as the FTC is said to
	// order them, "area,number,date,action".
	Columns string
	// Region for national numbers in csv and plain files. Zero: numbers must
	// be international.
	Region phone.Region
	// Delimiter of a csv. Zero: found in the first line.
	Delimiter rune
	// OnReject is called for each reject, in order, by the goroutine that
	// calls Next. May be nil.
	OnReject func(Reject)

	hollow bool     // lines of nothing but delimiters are records of a csv: for Rows
	taken  []string // columns that the user named as something else than the number: of Records
}

// Totals counts what was read so far.
type Totals struct {
	Numbers int64 // numbers yielded, repeated ones too
	Rejects int64
	Empty   int64 // cells of a number with nothing in them

	beside int64 // cells beyond the first of their row
}

// Read is the number of lines, or of cells that could hold a number: Numbers + Rejects + Empty.
func (t Totals) Read() int64 { return t.Numbers + t.Rejects + t.Empty }

// Rows is the number of lines or records that were read.
func (t Totals) Rows() int64 { return t.Read() - t.beside }
