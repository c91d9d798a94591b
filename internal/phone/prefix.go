package phone

import "strconv"

// Prefix is the first digits of numbers, calling code first, such as 1415: what a list covers. It has 1 to 15 digits.
// The zero Prefix is none, and contains nothing.
type Prefix uint64

// ParsePrefix returns the prefix of these ASCII digits, with or without a plus before them. The errors are ErrPrefix,
// ErrCallingCode if no calling code begins with them, and ErrTrunk.
func ParsePrefix(s string) (Prefix, error) {
	if len(s) > 0 && s[0] == '+' {
		s = s[1:]
	}
	if len(s) == 0 || len(s) > MaxDigits {
		return 0, ErrPrefix
	}
	var u uint64
	for i := range len(s) {
		d := s[i] - '0'
		if d > 9 {
			return 0, ErrPrefix
		}
		u = u*10 + uint64(d)
	}
	if s[0] == '0' {
		return 0, ErrCallingCode
	}
	if err := Prefix(u).check(len(s)); err != nil {
		return 0, err
	}
	return Prefix(u), nil
}

// check finds out whether a number could begin with the prefix.
func (p Prefix) check(digits int) error {
	if digits < 3 {
		return p.checkLead(digits)
	}
	plan := planOf(uint64(p), digits)
	if plan.code == 0 {
		return ErrCallingCode
	}
	if plan.hasTrunk(uint64(p), digits-int(plan.digits)) {
		return ErrTrunk
	}
	return nil
}

func (p Prefix) checkLead(digits int) error {
	width := pow10[3-digits]
	for lead := uint64(p) * width; lead < (uint64(p)+1)*width; lead++ {
		if planByLead[lead] != 0 {
			return nil
		}
	}
	return ErrCallingCode
}

// Contains reports whether n begins with p.
func (p Prefix) Contains(n Number) bool {
	more := n.Digits() - p.Digits()
	return p != 0 && more >= 0 && without(uint64(n), more) == uint64(p)
}

// Digits returns how many digits the prefix has.
func (p Prefix) Digits() int { return decimalLen(uint64(p)) }

// String returns the digits.
func (p Prefix) String() string { return strconv.FormatUint(uint64(p), 10) }
