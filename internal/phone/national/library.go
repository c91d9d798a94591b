package national

import (
	"errors"
	"strings"

	"github.com/nyaruka/phonenumbers"

	"github.com/dncd/dncd/internal/phone"
)

// slow reads digits as libphonenumber does, and refuses what it reads only for want of a check.
func (d *dialling) slow(digits string) (phone.Number, error) {
	n, err := d.read(digits)
	if rest, ok := strings.CutPrefix(digits, "00"); ok && err != nil {
		if n, err := phone.Parse("+" + rest); err == nil {
			return n, nil
		}
	}
	return n, err
}

func (d *dialling) read(digits string) (phone.Number, error) {
	parsed, err := phonenumbers.ParseAndKeepRawInput(digits, d.region)
	if err != nil {
		return 0, libraryError(err)
	}
	national := phonenumbers.GetNationalSignificantNumber(parsed)
	if d.french && parsed.GetCountryCodeSource() == phonenumbers.PhoneNumber_FROM_DEFAULT_COUNTRY {
		parsed = d.inFrenchPlan(parsed)
	}
	n, err := phone.Parse(phonenumbers.Format(parsed, phonenumbers.E164))
	if errors.Is(err, phone.ErrNoPlus) {
		return 0, ErrNoSuchNumber // zeros alone have no E.164 form
	}
	if err != nil {
		return 0, err
	}
	if !d.whole(parsed, national, digits) {
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
