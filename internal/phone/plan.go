package phone

// plan is the numbering plan of one calling code; plans[0] is that of an unknown one.
type plan struct {
	code    uint16
	digits  uint8  // of the calling code
	lengths uint16 // bit i: a national number may have i digits
	refused uint16 // bit d: no national number begins with digit d, which is the trunk prefix or 0
	zero    uint16 // bit d: no national number begins with 0 and d, though some begin with 0
	regions uint16 // a table entry, see regionsAt
}

// planOf returns the plan of a number of that many digits.
func planOf(u uint64, digits int) *plan {
	if digits < 3 || digits > MaxDigits {
		return &plans[0]
	}
	return &plans[planByLead[without(u, digits-3)%1000]]
}

// Canada's 310 numbers have no area code. No other number of +1 has seven national digits.
const (
	firstCanada310 = 1_310_0000
	lastCanada310  = 1_310_9999
)

func isCanada310(u uint64) bool { return u >= firstCanada310 && u <= lastCanada310 }

func validate(u uint64, digits int) (Number, error) {
	if digits > MaxDigits {
		return 0, errLong
	}
	p := planOf(u, digits)
	if p.code == 0 {
		return 0, unknownCode(digits)
	}
	national := digits - int(p.digits)
	if p.lengths>>national&1 == 0 && !isCanada310(u) {
		return p.withoutOldPrefix(u, national)
	}
	if p.hasTrunk(u, national) {
		return 0, ErrTrunk
	}
	return p.respell(u, national)
}

// hasTrunk reports a trunk prefix before the national digits of u: "+49 030" instead of "+49 30". Stored, it would make
// two numbers of one.
func (p *plan) hasTrunk(u uint64, national int) bool {
	if national < 2 {
		return false
	}
	lead := without(u, national-2) % 100
	return p.refused>>(lead/10)&1 == 1 || lead < 10 && p.zero>>lead&1 == 1
}

func unknownCode(digits int) error {
	if digits < 3 {
		return errShort
	}
	return ErrCallingCode
}

func (p *plan) lengthError(national int) error {
	if p.lengths>>national == 0 {
		return errLong
	}
	return errShort
}
