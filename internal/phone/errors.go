package phone

import (
	"errors"
	"fmt"
)

// Errors of Parse, FromDigits and package national, for errors.Is. None repeats a digit of the input.
var (
	ErrEmpty       = errors.New("phone number is empty: give one with + and the country code")
	ErrNoPlus      = errors.New("phone number needs + and the country code, or a region: add one of them")
	ErrSyntax      = errors.New("not a phone number: write + and plain digits, with spaces, dots, dashes, brackets or a slash between them")
	ErrCallingCode = errors.New("unknown country code: check the digits after the +")
	ErrLength      = errors.New("phone number has a length that its country code does not have: check it for missing or extra digits")

	// ErrTrunk: a trunk prefix, which is dialled inside a country only, stands after the country code.
	ErrTrunk = errors.New("trunk prefix after the country code: leave out the zero (or other prefix) that is dialled inside the country only")
	// ErrRegion: a region that has no telephone numbers of its own.
	ErrRegion = errors.New("unknown region: use a two-letter ISO code such as FR, US or GB")
	// ErrPrefix: not a coverage prefix.
	ErrPrefix = errors.New("not a prefix of phone numbers: write digits that begin with the country code, such as the country code and an area code")

	// ErrExtension, ErrSpreadsheet: kinds of ErrSyntax.
	ErrExtension   = fmt.Errorf("phone number with an extension, which a list cannot hold: leave the extension out (%w)", ErrSyntax)
	ErrSpreadsheet = fmt.Errorf("spreadsheet damage, the cell became a decimal number and digits are lost: export the column as text (%w)", ErrSyntax)
)

var (
	errLetters       = fmt.Errorf("phone number contains letters: write its digits (%w)", ErrSyntax)
	errForeignDigits = fmt.Errorf("phone number contains full-width or other digits that are not ASCII: type it with plain digits (%w)", ErrSyntax)
	errInvisible     = fmt.Errorf("phone number contains an invisible character: type it again instead of pasting it (%w)", ErrSyntax)

	errShort = fmt.Errorf("phone number is too short: give it whole, with its area code (%w)", ErrLength)
	errLong  = fmt.Errorf("phone number is too long: give a single number without extension (%w)", ErrLength)

	errMarshal = errors.New("a phone number is not encoded by itself, being personal data: encode its E164 form where that is meant")
)
