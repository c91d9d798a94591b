package national

import (
	"errors"
	"strings"

	"github.com/nyaruka/phonenumbers"

	"github.com/dncd/dncd/internal/phone"
)

// slow reads digits as libphonenumber does, and refuses what it reads only for want of a check.
func (d *dialling) slow(digits string) (phone.Number, error) {
	parsed, err := phonenumbers.ParseAndKeepRawInput(digits, d.region)
	if err != nil {
		return 0, libraryError(err)
	}
	national := phonenumbers.GetNationalSignificantNumber(parsed)
	n, err := phone.Parse(phonenumbers.Format(parsed, phonenumbers.E164))
	if errors.Is(err, phone.ErrNoPlus) {
		return 0, ErrNoSuchNumber // a run of zeros has no E.164 form
	}
	if err != nil {
		return 0, err
	}
	if !d.whole(parsed, national, digits) || d.hasCode(digits) && digits == national {
		return 0, ErrNoSuchNumber
	}
	return n, nil
}

// whole reports that no digit is missing from the number: it came with a prefix before it, or libphonenumber knows
// it, or it is as long as the region's numbers get. Numbers that are in no plan yet, or that are kept for fiction,
// pass; seven digits without their area code, or an Italian number without its zero, do not.
func (d *dialling) whole(parsed *phonenumbers.PhoneNumber, national, digits string) bool {
	switch parsed.GetCountryCodeSource() {
	case phonenumbers.PhoneNumber_FROM_NUMBER_WITH_IDD:
		return true
	case phonenumbers.PhoneNumber_FROM_DEFAULT_COUNTRY:
		if d.trunk != "" && digits == d.trunk+national {
			return true
		}
	}
	return len(national) == d.full || phonenumbers.IsValidNumber(parsed)
}

// hasCode reports digits that are a number with the calling code of the region before it. If they were read as one
// without it, both may be meant: 49 211 23456 is Dusseldorf, or Emden without its zero.
func (d *dialling) hasCode(digits string) bool {
	if !strings.HasPrefix(digits, d.code) {
		return false
	}
	n, err := phone.Parse("+" + digits)
	return err == nil && isKnown(n)
}

// isKnown reports a number in a range that libphonenumber knows to be given out.
func isKnown(n phone.Number) bool {
	parsed, err := phonenumbers.Parse(n.E164(), "")
	return err == nil && phonenumbers.IsValidNumber(parsed)
}

func libraryError(err error) error {
	switch {
	case errors.Is(err, phonenumbers.ErrInvalidCountryCode):
		return phone.ErrCallingCode
	case errors.Is(err, phonenumbers.ErrTooShortNSN), errors.Is(err, phonenumbers.ErrTooShortAfterIDD),
		errors.Is(err, phonenumbers.ErrNumTooLong):
		return phone.ErrLength
	}
	return ErrNoSuchNumber
}
