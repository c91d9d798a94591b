package national

import (
	"strings"

	"github.com/nyaruka/phonenumbers"

	"github.com/dncd/dncd/internal/phone"
)

// Format returns a number as it is written inside the region, digits only. It is false for a number that has no such form, or
// one that Parse would read as another number: two numbers never have the same form.
func Format(n phone.Number, region phone.Region) (string, bool) {
	if region == phone.World {
		return "", false
	}
	r := &rules()[region]
	inside, isInside := strings.CutPrefix(n.E164(), "+"+r.code)
	if r.code == "" || !isInside {
		return "", false
	}
	text := r.write(n, inside)
	back, err := Parse(text, region)
	return text, err == nil && back == n
}

// write puts the trunk prefix before a national number, where it is written.
func (d *dialling) write(n phone.Number, inside string) string {
	switch {
	case d.code == "1":
		return inside
	case d.simple:
		return d.trunk + inside
	}
	parsed, err := phonenumbers.Parse(n.E164(), "")
	if err != nil {
		return inside
	}
	isDigit := func(r rune) rune {
		if r < '0' || r > '9' {
			return -1
		}
		return r
	}
	return strings.Map(isDigit, phonenumbers.Format(parsed, phonenumbers.NATIONAL))
}
