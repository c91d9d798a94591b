package phone

import (
	"errors"
	"fmt"
)

// Errors of Parse, FromDigits and package national, for errors.Is. None repeats a digit of the input.
var (
	ErrEmpty       = because("no number", "give one with + and the country code", nil)
	ErrNoPlus      = because("national number without a region", "write it with + and the country code, or name its region", nil)
	ErrSyntax      = because("not a phone number", "write + and plain digits, with spaces, dots, dashes, brackets or a slash between them", nil)
	ErrCallingCode = because("unknown calling code", "check the digits after the +", nil)
	ErrLength      = because("wrong length for its country", "check it for missing or extra digits", nil)

	// ErrTrunk: a trunk prefix, which is dialled only inside a country, follows the country code.
	ErrTrunk = because("trunk prefix after the calling code", "leave out the zero (or other prefix) that is dialled inside the country only", nil)
	// ErrNoSuchNumber: digits that are not a number of their country, or only part of one.
	ErrNoSuchNumber = because("no such number in its region", "check it, or write it with + and the country code", nil)
	// ErrRegion: a region that has no telephone numbers of its own.
	ErrRegion = errors.New("unknown region: use a two-letter ISO code such as FR, US or GB")
	// ErrPrefix: not a coverage prefix.
	ErrPrefix = errors.New("not a prefix of phone numbers: write digits that begin with the country code, such as the country code and an area code")

	// ErrExtension, ErrSpreadsheet, ErrSeveral: kinds of ErrSyntax.
	ErrExtension   = because("has an extension", "leave it out, a list holds only whole lines", ErrSyntax)
	ErrSpreadsheet = because("damaged by a spreadsheet", "digits are lost since the cell became a decimal number, so export the column as text", ErrSyntax)
	ErrSeveral     = because("holds two numbers", "write each one separately and in full", ErrSyntax)
)

var (
	errLetters       = because("contains letters", "write only digits", ErrSyntax)
	errForeignDigits = because("contains digits that are not ASCII", "type it with plain digits", ErrSyntax)
	errInvisible     = because("contains an invisible character", "type it again instead of pasting it", ErrSyntax)

	errShort = because(ErrLength.reason, "it is too short, give it whole, with its area code", ErrLength)
	errLong  = because(ErrLength.reason, "it is too long, give a single number without extension", ErrLength)
	errZero  = because(ErrNoSuchNumber.reason, "an Italian number keeps its leading zero after the calling code", ErrNoSuchNumber)

	errBracket = because(ErrNoSuchNumber.reason, "it may be one with and without the zero in brackets, so write only what is dialled from abroad", ErrNoSuchNumber)

	errMarshal = errors.New("a phone number is not encoded implicitly, being personal data: encode its E164 form if that is intended")
)

// Error says why a text or digits are not a number, and what to do next.
type Error struct {
	reason, advice string
	kind           error // the error that this is a kind of; may be nil
}

func because(reason, advice string, kind error) *Error { return &Error{reason, advice, kind} }

func (e *Error) Error() string { return fmt.Sprintf("%s: %s", e.reason, e.advice) }

// Unwrap returns the error that this is a kind of.
func (e *Error) Unwrap() error { return e.kind }

// Reason returns in a few words why a text is not a number: the reason in a file of rejects, and the first words of the
// error. For an error that is not of this package it is that of ErrSyntax.
func Reason(err error) string {
	var e *Error
	if errors.As(err, &e) {
		return e.reason
	}
	return ErrSyntax.reason
}
