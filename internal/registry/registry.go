// Package registry reads the files that do-not-call lists come in and yields
// their numbers.
//
// What it promises:
//
//   - Every line or record is a number or a reject: Totals.Numbers +
//     Totals.Rejects is what was read. Blank lines and the header line of a
//     csv are not counted.
//   - A reject has its file, its line and a reason. It never becomes a number,
//     whole or in part.
//   - A file that was cut short is an error (zip) or ends in a reject (text):
//     never a shorter number, never a silent end.
//   - Memory does not grow with the input: lines, records and archives are
//     read in bounded pieces.
//   - Nothing is guessed: a format that does not fit gives rejects, a column
//     that is not plain is an error.
package registry

import (
	"errors"
	"fmt"
	"strings"

	"github.com/dncd/dncd/internal/phone"
)

// Format names the layout of a list file.
type Format string

// The formats that can be read.
const (
	// FTC is the text of the US registry: `AAA,NNNNNNN` or `AAANNNNNNN` a line.
	FTC Format = "ftc"
	// CSV has one number a record, in a column of any name.
	CSV Format = "csv"
	// Plain has one number a line.
	Plain Format = "plain"
)

// format is what a layout must bring: see CONTRIBUTING.md, "add a list format".
type format struct {
	name Format
	// open starts reading the content of one file.
	open func(in content) (decoder, error)
	// byArea says that the files are made an area code at a time, so that the
	// area codes seen tell what the list covers.
	byArea bool
}

// decoder yields the numbers of one file.
type decoder interface {
	// next fills batch from the start and returns how many it filled: 0 only
	// with an error, which is io.EOF after the last number.
	next(batch []phone.Number) (int, error)
}

// content is one unpacked file, as a decoder gets it.
type content struct {
	lines  *lines
	opts   Options
	areas  *areas // filled by formats by area code
	reject func(line int64, reason string, text []byte)
}

// areas are the area codes of +1 that hold a number.
type areas [1000]bool

// errRejected says that the line or record at hand went to the rejects.
var errRejected = errors.New("rejected")

// refuse makes a reject of the line that was read last.
func (c *content) refuse(reason string, text []byte) error {
	c.reject(c.lines.number, reason, text)
	return errRejected
}

// formats lists every format. Adding one is one file and one entry here.
func formats() []format {
	return []format{
		{name: FTC, open: openFTC, byArea: true},
		{name: CSV, open: openCSV},
		{name: Plain, open: openPlain},
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

// ParseFormat returns the format with that name.
func ParseFormat(name string) (Format, error) {
	f, err := Format(strings.ToLower(name)).lookup()
	return f.name, err
}

// FormatNames returns the formats that can be read, for help and errors.
func FormatNames() string {
	names := make([]string, 0, 3)
	for _, f := range formats() {
		names = append(names, string(f.name))
	}
	return strings.Join(names, ", ")
}

// Options says how to read list files.
type Options struct {
	Format Format
	// Column of a csv that holds the number: a name of the header (any case)
	// or an index from 1. Empty: the only column, or the only one with an
	// obvious name.
	Column string
	// Region for national numbers in csv and plain files. Zero: numbers must
	// be international.
	Region phone.Region
	// Delimiter of a csv. Zero: found in the first line.
	Delimiter rune
	// OnReject is called for each reject, in order, by the goroutine that
	// calls Next. May be nil.
	OnReject func(Reject)
}

// Reject is a line or record that is not a number.
type Reject struct {
	File   string // base name; of a zip's member, "archive.zip/member.txt"
	Line   int64  // from 1; of a record over several lines, its first
	Reason string // one of the Reason constants: short, stable, no digits
	// Text is what the file holds there, at most 64 KiB. It may be a phone
	// number: for the reject file only, never for a log.
	Text string
}

// The reasons of rejects.
const (
	ReasonEmpty        = "no number"
	ReasonNotFTC       = "not an area code and seven digits"
	ReasonSyntax       = "not a phone number"
	ReasonNational     = "national number without a region"
	ReasonCallingCode  = "unknown calling code"
	ReasonLength       = "wrong length for its country"
	ReasonTrunk        = "trunk prefix after the calling code"
	ReasonSpreadsheet  = "damaged by a spreadsheet"
	ReasonExtension    = "has an extension"
	ReasonNoSuchNumber = "no such number in its region"
	ReasonTooLong      = "line too long"
	ReasonCut          = "the file ends inside this line"
	ReasonQuotes       = "quotes do not match"
	ReasonColumns      = "the number's column is missing"
)

// Totals counts what was read so far.
type Totals struct {
	Numbers int64 // numbers yielded, repeated ones too
	Rejects int64
}

// Read is the number of lines or records read.
func (t Totals) Read() int64 { return t.Numbers + t.Rejects }
