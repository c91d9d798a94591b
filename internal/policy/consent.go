package policy

import "time"

// ConsentKind is what a consent rests on; the numbers are stored.
type ConsentKind uint8

// The kinds of consent.
const (
	ConsentUnspecified ConsentKind = iota
	Permission                     // the person's own; the only kind that can lift an older opt-out
	Purchase                       // a purchase, a delivery or a payment
	Inquiry                        // an inquiry or an application
	Contract                       // a contract that is running
)

// ConsentForm is how a consent was given; the numbers are stored.
type ConsentForm uint8

// The forms.
const (
	FormUnspecified ConsentForm = iota
	Oral
	Written
)

// Consent is what a record of a consent states beyond what every record does.
type Consent struct {
	Kind ConsentKind
	Form ConsentForm
	// MayLift: it was recorded with evidence, by a person who may lift an opt-out. Only a permission has it.
	MayLift bool
	// The appointment that the person agreed to: calls from From until Until. Both zero: none.
	From, Until time.Time
	// What a permission was given for, as it was recorded. A decision does not read it.
	Goods        string
	ThirdParties string
}

// hasAppointment reports whether the person agreed to precise times.
func (c *Consent) hasAppointment() bool { return !c.Until.IsZero() }

// covers reports whether the consent stands for a caller: one at or above the caller's scope. A caller that names no scope
// is covered only by a consent for everyone.
func (r *Record) covers(caller Scope) bool {
	if caller == "" {
		return r.Scope == ""
	}
	return r.Scope.Holds(caller)
}

// Period is a length of calendar time. The zero value is without end.
type Period struct{ Months, Days int }

// IsZero reports whether it is without end.
func (p Period) IsZero() bool { return p == Period{} }

// After is the instant a period after t, in UTC. A month that lacks the day ends it on its last day.
func (p Period) After(t time.Time) time.Time {
	t = t.UTC()
	y, m, d := t.Date()
	m += time.Month(p.Months)
	if d > 28 { // the month may lack it
		d = min(d, time.Date(y, m+1, 0, 0, 0, 0, 0, time.UTC).Day())
	}
	hour, minute, second := t.Clock()
	return time.Date(y, m, d+p.Days, hour, minute, second, t.Nanosecond(), time.UTC)
}

// Counts says which consents of one kind count for something, and for how long.
type Counts struct {
	Kind     ConsentKind
	Form     ConsentForm // that it must have; FormUnspecified: any
	Valid    Period      // from when it was obtained; zero: until it expires
	AfterEnd Period      // how long it still counts after it expired, for a contract that ended
}

// end is when a consent stops counting; zero: never.
func (c *Counts) end(r *Record) time.Time {
	end := r.ExpiresAt
	if !end.IsZero() && !c.AfterEnd.IsZero() {
		end = c.AfterEnd.After(end)
	}
	if !c.Valid.IsZero() {
		end = earlier(end, c.Valid.After(r.ReceivedAt))
	}
	return end
}

// accepts reports whether a record, which is a consent, counts at now, and until when; zero: without end.
func (c *Counts) accepts(r *Record, now time.Time) (until time.Time, counts bool) {
	if r.Consent.Kind != c.Kind || c.Form != FormUnspecified && r.Consent.Form != c.Form || now.Before(r.ReceivedAt) {
		return time.Time{}, false
	}
	until = c.end(r)
	return until, until.IsZero() || now.Before(until)
}

// accept reports whether a record, which is a consent, counts at now by one of the rules, and until when by the one that lets it
// count longest; zero: without end.
func accept(rules []Counts, r *Record, now time.Time) (until time.Time, counts bool) {
	for i := range rules {
		if end, is := rules[i].accepts(r, now); is && (!counts || later(end, until)) {
			until, counts = end, true
		}
	}
	return until, counts
}
