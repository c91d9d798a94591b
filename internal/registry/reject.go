package registry

import (
	"errors"

	"github.com/dncd/dncd/internal/phone"
)

// Reject is a line or record that is not a number.
type Reject struct {
	File   string // base name; of a zip's member, "archive.zip/member.txt"
	Source int    // its place among the sources, from 0
	Line   int64  // from 1; of a record over several lines, its first
	Reason string // short, stable, no digits: one of those below or of phone.Reason
	// Text is what the file holds there, at most 64 KiB. It may be a phone
	// number: for the reject file only, never for a log.
	Text string
}

// The reasons of texts that are no number: some of those of phone.Reason, which gives them everywhere.
var (
	ReasonEmpty        = phone.Reason(phone.ErrEmpty)
	ReasonSyntax       = phone.Reason(phone.ErrSyntax)
	ReasonNational     = phone.Reason(phone.ErrNoPlus)
	ReasonCallingCode  = phone.Reason(phone.ErrCallingCode)
	ReasonLength       = phone.Reason(phone.ErrLength)
	ReasonTrunk        = phone.Reason(phone.ErrTrunk)
	ReasonSpreadsheet  = phone.Reason(phone.ErrSpreadsheet)
	ReasonExtension    = phone.Reason(phone.ErrExtension)
	ReasonSeveral      = phone.Reason(phone.ErrSeveral)
	ReasonNoSuchNumber = phone.Reason(phone.ErrNoSuchNumber)
)

// The other reasons of rejects, and of remarks: those of a row whose number is read, though not all of the rest.
const (
	ReasonNotFTC     = "not an area code and seven digits"
	ReasonTooLong    = "line too long"
	ReasonCut        = "the file ends inside this line"
	ReasonQuotes     = "quotes do not match"
	ReasonColumns    = "the number's column is missing"
	ReasonNotChange  = "not an area code, seven digits, a date and A or D"
	ReasonAction     = "the action is neither A nor D"
	ReasonXMLNumber  = "ph without a val of seven digits"
	ReasonXMLArea    = "not inside an ac with a val of three digits"
	ReasonShifted    = "more columns than the header has"
	ReasonShiftedRow = "more columns than the header has: only its number counts"
	ReasonDate       = "not a date: use year-month-day"
	ReasonDateOrder  = "which is the day? use --date-order day or month"
	ReasonXMLOther   = "neither ac nor ph"
	ReasonNotObject  = "not a JSON object"
	ReasonNoKey      = "the number's key is missing"
	ReasonKeys       = "more than one key could be meant"
)

// errRejected says that the line or record at hand went to the rejects.
var errRejected = errors.New("rejected")

// refuse makes a reject of the line that was read last.
func (c *content) refuse(reason string, text []byte) error {
	c.reject(c.lines.number, reason, text)
	return errRejected
}
