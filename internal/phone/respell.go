package phone

// Some numbers can be written in several ways, each with the length of a number. Only one of them is stored, so that an
// opt-out counts whichever way the number is written.

// respell returns a number as it is stored, or the error for digits that are not a number although their length fits.
// That many of the digits are national.
func (p *plan) respell(u uint64, national int) (Number, error) {
	switch p.code {
	case 33, 262, 508, 590, 594, 596:
		if national == 9 {
			return inFrenchPlan(u % 1e9)
		}
	case 39:
		if !isItalian(u%pow10[national], national) {
			return 0, errZero
		}
	}
	return Number(u), nil
}

// isRespelled reports that respell depends on more than the first two national digits.
func (p *plan) isRespelled() bool {
	switch p.code {
	case 33, 262, 508, 590, 594, 596, 39:
		return true
	}
	return false
}

// withoutOldPrefix returns a number without the 1 that followed +52 for mobiles until 2019, if it has a length of its
// plan then; otherwise the error.
func (p *plan) withoutOldPrefix(u uint64, national int) (Number, error) {
	const digits = 10 // of a number of Mexico
	if p.code == 52 && national == 1+digits && u/pow10[digits]%10 == 1 {
		return validate(52*pow10[digits]+u%pow10[digits], 2+digits)
	}
	return 0, p.lengthError(national)
}

// inFrenchPlan returns the number with the calling code under which it is reached from abroad. Inside, the French plan
// is one: 0692 dialled in Paris rings on Reunion (+262 692), 01 dialled there rings in Paris (+33 1).
func inFrenchPlan(national uint64) (Number, error) {
	for _, o := range overseas {
		if national/pow10[9-o.digits] != o.lead {
			continue
		}
		if o.lead == 508 { // the six digits of Saint-Pierre-et-Miquelon
			return validate(o.code*1e6+national%1e6, 9)
		}
		return Number(o.code*1e9 + national), nil
	}
	return Number(33*1e9 + national), nil
}

// overseas are the ranges of the French plan that belong to departments and territories overseas, without the zero, the
// longer before the shorter. They are whole blocks; libphonenumber knows which numbers of them are assigned. Sources:
// Arcep's numbering plan (decision 2018-0881) and libphonenumber's metadata.
var overseas = [...]struct {
	lead   uint64
	digits int
	code   uint64
}{
	{70935, 5, 262}, {70936, 5, 262}, {70937, 5, 262}, // mobile, Mayotte
	{7084, 4, 508}, {7085, 4, 508}, {7090, 4, 590}, {7091, 4, 596}, {7092, 4, 262}, {7093, 4, 594}, // mobile
	{5987, 4, 590}, {5988, 4, 594}, {5989, 4, 596},
	{9395, 4, 590}, {9396, 4, 594}, {9397, 4, 596}, {9398, 4, 262}, {9399, 4, 262}, // over the internet
	{9475, 4, 590}, {9476, 4, 594}, {9477, 4, 596}, {9478, 4, 262}, {9479, 4, 262},
	{9760, 4, 590}, {9761, 4, 590}, {9762, 4, 262}, {9763, 4, 262}, {9764, 4, 594}, {9765, 4, 594},
	{9766, 4, 596}, {9767, 4, 596}, {9768, 4, 590}, {9769, 4, 262},
	{262, 3, 262}, {263, 3, 262}, {268, 3, 262}, {269, 3, 262}, {639, 3, 262}, {692, 3, 262}, {693, 3, 262},
	{508, 3, 508},
	{590, 3, 590}, {690, 3, 590}, {691, 3, 590},
	{594, 3, 594}, {694, 3, 594},
	{596, 3, 596}, {696, 3, 596}, {697, 3, 596},
}

// isItalian reports digits behind +39 that can be a number. A landline number begins with a zero, and is another number
// or none without it. A number that begins otherwise must be a mobile or a service, as libphonenumber knows them.
func isItalian(national uint64, digits int) bool {
	lead := func(n int) uint64 { return national / pow10[max(digits-n, 0)] }
	switch {
	case lead(1) == 0:
		return true
	case lead(1) == 3:
		return lead(2) == 31 && digits == 10 || lead(2) > 31 && digits >= 9
	case lead(2) == 43, lead(2) == 55:
		return digits == 10
	}
	switch lead(3) {
	case 144, 163, 164, 166, 199, 800, 899:
		return digits == 9
	case 178:
		return digits == 10
	case 803, 841, 847:
		return digits == 6
	case 840, 848:
		return digits == 9
	case 892, 893, 894, 895:
		return digits == 6 || digits == 8 || digits == 10
	}
	return false
}

// isLandlineOfItaly reports a number of +39 with the length of a landline, whose zero belongs to it. A longer number
// that begins with 03 may be a mobile with an extra zero.
func (n Number) isLandlineOfItaly() bool {
	return n.CallingCode() == 39 && n/1e8 == 3903
}
