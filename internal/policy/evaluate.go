package policy

import "time"

// evaluation is the way to a decision under one rule.
type evaluation struct {
	f    *Facts
	rule *Rule
	now  time.Time

	against      int       // where the reasons against a call begin in f.reasons
	grounds      int       // where the reasons for one begin in f.grounds
	cause        Cause     // of doubt
	blockedUntil time.Time // when a block by opt-outs ends; zero: never
	until        time.Time // the first instant at which the grounds could change; zero: never
	opens        time.Time
	appointed    *Record   // the consent with the next appointment that is not over; nil: none
	ends         time.Time // when that appointment is over
}

// decide evaluates one rule.
func decide(f *Facts, rule *Rule, now time.Time) Decision {
	e := evaluation{f: f, rule: rule, now: now, against: len(f.reasons), grounds: len(f.grounds)}
	if rule.Hours != nil {
		e.meet()
	}
	v := e.verdict()
	d := Decision{Verdict: v, Cause: e.cause, Reasons: tail(f.reasons, e.against), ValidUntil: e.until, OpensAt: e.opens}
	switch v {
	case Allow:
		d.Reasons = tail(f.grounds, e.grounds)
	case Block:
		d.ValidUntil = e.blockedUntil
	}
	return d
}

// tail is what was appended since a place. Nothing is appended into it.
func tail(reasons []Reason, from int) []Reason { return reasons[from:len(reasons):len(reasons)] }

func (e *evaluation) verdict() Verdict {
	switch {
	case e.banned(), e.optedOut(), e.lacksConsent(), e.listed():
		return Block
	case e.doubtful():
		return Unknown
	case e.closed():
		return NotNow
	}
	e.explain()
	return Allow
}

// speak completes a reason with the rule.
func (e *evaluation) speak(r Reason) Reason {
	if e.rule != noPolicy {
		r.Rule = e.rule
	}
	return r
}

// object adds a reason against a call.
func (e *evaluation) object(r Reason) { e.f.reasons = append(e.f.reasons, e.speak(r)) }

// rest adds a reason for a call, that holds until an instant; zero: without end.
func (e *evaluation) rest(r Reason, until time.Time) {
	e.f.grounds = append(e.f.grounds, e.speak(r))
	e.until = earlier(e.until, until)
}

// doubt adds a reason for which nothing can be known.
func (e *evaluation) doubt(r Reason) {
	e.cause = max(e.cause, r.Cause)
	e.object(r)
}

// isService reports whether the call is for a service that the rule permits.
func (e *evaluation) isService() bool { return e.f.Purpose == Service && e.rule.Service.Permitted }

// banned reports whether a sector that the caller belongs to may not call.
func (e *evaluation) banned() bool {
	if e.isService() {
		return false
	}
	for i := range e.rule.Banned {
		b := &e.rule.Banned[i]
		if !b.stands(e.f.Scope) {
			continue
		}
		r, until := e.consent(b.Except)
		if r == nil {
			e.object(Reason{Kind: BannedSector, Source: b.Source})
			return true
		}
		e.rest(Reason{Kind: ConsentCounts, Record: r, Source: b.Source}, until)
	}
	return false
}

// optedOut reports whether own opt-outs in force stand against the caller that no permission lifts.
func (e *evaluation) optedOut() bool {
	now := e.early()
	blocked, forever := false, false
	for i := range e.f.Records {
		r := &e.f.Records[i]
		if r.Kind != RecordOptOut || !r.InForce(now) {
			continue
		}
		at, against := e.rule.OptOuts.Reach.stands(r.Scope, e.f.Scope)
		if !against {
			continue
		}
		if lift, until := e.lift(r, at); lift != nil {
			e.rest(Reason{Kind: ConsentCounts, Record: lift, Source: e.rule.OptOuts.Source}, until)
			continue
		}
		e.object(Reason{Kind: OptedOut, Record: r, Source: e.rule.OptOuts.Source})
		blocked, forever = true, forever || r.ExpiresAt.IsZero()
		if r.ExpiresAt.After(e.blockedUntil) {
			e.blockedUntil = r.ExpiresAt
		}
	}
	switch {
	case forever:
		e.blockedUntil = time.Time{}
	case blocked:
		e.blockedUntil = e.blockedUntil.Add(e.f.Ahead)
	}
	return blocked
}

// lift is the permission that lifts an opt-out, which stands at a scope, and until when; nil: none does.
func (e *evaluation) lift(optOut *Record, at Scope) (found *Record, until time.Time) {
	for i := range e.f.Records {
		r := &e.f.Records[i]
		if r.Kind != RecordConsent || !r.covers(e.f.Scope) {
			continue
		}
		if end, is := e.rule.OptOuts.lifts(r, optOut, at, e.now); is && (found == nil || later(end, until)) {
			found, until = r, end
		}
	}
	return found, until
}

// consent is the consent that counts for the caller by one of the rules, of several the one that counts longest; nil: none.
func (e *evaluation) consent(rules []Counts) (found *Record, until time.Time) {
	for i := range e.f.Records {
		r := &e.f.Records[i]
		if r.Kind != RecordConsent || !r.covers(e.f.Scope) {
			continue
		}
		if end, is := accept(rules, r, e.now); is && (found == nil || later(end, until)) {
			found, until = r, end
		}
	}
	return found, until
}

// lacksConsent reports whether the rule requires a consent, and none counts. What cannot be read may hold one: that is doubt.
func (e *evaluation) lacksConsent() bool {
	rule := &e.rule.Consent
	if !rule.Required || e.isService() {
		return false
	}
	r, until := e.consent(rule.Counts)
	if r != nil {
		e.rest(Reason{Kind: ConsentCounts, Record: r, Source: rule.Source}, until)
		return false
	}
	if e.f.Damaged {
		return false
	}
	e.object(Reason{Kind: ConsentRequired, Source: rule.Source})
	return true
}

// listed reports whether the number is on a list that no consent overrides.
func (e *evaluation) listed() (blocked bool) {
	for i := range e.f.Lists {
		m := &e.f.Lists[i]
		if !m.Listed {
			continue
		}
		rule := e.rule.list(m.List)
		r, until := e.consent(rule.Overridden)
		if r == nil {
			e.object(Reason{Kind: Listed, List: m.List, Source: rule.Source})
			blocked = true
			continue
		}
		e.rest(Reason{Kind: ConsentCounts, Record: r, List: m.List, Source: rule.Source}, until)
	}
	return blocked
}

// doubtful reports whether something cannot be known.
func (e *evaluation) doubtful() bool {
	before := len(e.f.reasons)
	if e.f.Damaged {
		e.doubt(Reason{Kind: Damage, Cause: DataDamaged})
	}
	if e.rule.unread {
		e.doubt(Reason{Kind: PolicyUnread, Cause: PolicyUnreadable})
	}
	if e.rule.missing {
		e.doubt(Reason{Kind: CountryWithoutRule, Cause: NoRule})
	}
	for i := range e.f.Lists {
		m := &e.f.Lists[i]
		rule := e.rule.list(m.List)
		if kind, cause := m.doubt(rule, &e.f.Place, e.now); cause != CauseNone {
			e.doubt(Reason{Kind: kind, Cause: cause, List: m.List, Source: rule.Source})
		}
	}
	for i := range e.rule.Lists {
		if rule := &e.rule.Lists[i]; rule.Required && !e.has(rule) {
			e.doubt(Reason{Kind: ListNotLoaded, Cause: NotLoaded, List: &rule.Absent, Source: rule.Source})
		}
	}
	if len(e.f.reasons) == before && e.hours() != nil && len(e.f.Place.Zones) == 0 && !e.meets() {
		e.doubt(Reason{Kind: CallingHours, Cause: NoTimeZone, Source: e.rule.Hours.Source})
		if e.appointed != nil {
			e.until = earlier(e.until, e.appointed.Consent.From.Add(e.f.Ahead))
		}
	}
	return len(e.f.reasons) > before
}

// has reports whether a list that a rule requires is there.
func (e *evaluation) has(rule *ListRule) bool {
	for i := range e.f.Lists {
		if e.rule.list(e.f.Lists[i].List) == rule {
			return true
		}
	}
	return false
}

// closed reports whether the rule's calling hours do not permit a call now. An appointment that the person agreed to does.
func (e *evaluation) closed() bool {
	hours := e.hours()
	if hours == nil {
		return false
	}
	if e.meets() {
		e.rest(Reason{Kind: HoursOpen, Record: e.appointed, Source: hours.Source}, e.ends)
		return false
	}
	open, until, zone := hours.at(e.early(), e.now, &e.f.Place)
	if open {
		e.rest(Reason{Kind: HoursOpen, Zone: zone, Source: hours.Source}, until)
		return false
	}
	e.object(Reason{Kind: CallingHours, Zone: zone, Source: hours.Source})
	e.opens = e.opening()
	e.until = earlier(e.until, earlier(e.opens, e.now.Add(horizon*24*time.Hour)))
	for i := range e.f.Lists {
		e.ages(&e.f.Lists[i])
	}
	return true
}

// opening is when the calling hours, which do not permit a call now, next do, or an appointment does; zero: not known.
func (e *evaluation) opening() time.Time {
	opens := e.rule.Hours.opening(e.now, &e.f.Place)
	if !opens.IsZero() && !opens.After(e.now) { // they may be open for less time than the clock may be ahead
		opens = e.rule.Hours.opening(e.early(), &e.f.Place).Add(e.f.Ahead)
	}
	if e.appointed != nil {
		opens = earlier(opens, e.appointed.Consent.From.Add(e.f.Ahead))
	}
	return opens
}

// early is the earliest that the true time may be.
func (e *evaluation) early() time.Time { return e.now.Add(-e.f.Ahead) }

// hours are those that are for the call; nil: none.
func (e *evaluation) hours() *Hours {
	if e.isService() {
		return nil
	}
	return e.rule.Hours
}

// meets reports whether an appointment is taking place.
func (e *evaluation) meets() bool {
	return e.appointed != nil && !e.early().Before(e.appointed.Consent.From)
}

// meet finds the consent with the next appointment that is not over. Where the rule requires a consent, that of the appointment
// has to count too: what a person agreed to and has since lapsed opens nothing.
func (e *evaluation) meet() {
	for i := range e.f.Records {
		r := &e.f.Records[i]
		if r.Kind != RecordConsent || !r.Consent.hasAppointment() || !r.covers(e.f.Scope) || e.now.Before(r.ReceivedAt) {
			continue
		}
		ends := earlier(r.Consent.Until, r.ExpiresAt)
		if e.rule.Consent.Required {
			lapses, counts := accept(e.rule.Consent.Counts, r, e.now)
			if !counts {
				continue
			}
			ends = earlier(ends, lapses)
		}
		isToCome := e.now.Before(ends) && r.Consent.From.Before(ends)
		if isToCome && (e.appointed == nil || r.Consent.From.Before(e.appointed.Consent.From)) {
			e.appointed, e.ends = r, ends
		}
	}
}

// explain adds what an Allow rests on beside consents and hours.
func (e *evaluation) explain() {
	spoken := e.rule != noPolicy
	for i := range e.f.Lists {
		m := &e.f.Lists[i]
		if m.Outside {
			continue
		}
		e.ages(m)
		spoken = true
		if !m.Listed { // else the consent that overrides it says so
			e.rest(Reason{Kind: ListClear, List: m.List, Source: e.rule.list(m.List).Source}, time.Time{})
		}
	}
	switch {
	case e.isService():
		e.rest(Reason{Kind: ServicePermitted, Source: e.rule.Service.Source}, time.Time{})
	case e.rule.Hours == nil:
		e.rest(Reason{Kind: HoursNotChecked}, time.Time{})
	}
	if !spoken {
		e.rest(Reason{Kind: NothingSpeaks}, time.Time{})
	}
}

// ages notes when a list within whose jurisdiction the number is will be too old. Where the called party is matters only if
// that is what changes first.
func (e *evaluation) ages(m *Membership) {
	if m.Outside {
		return
	}
	rule := e.rule.list(m.List)
	if from := rule.staleInUTC(m.List); !from.IsZero() && (e.until.IsZero() || from.Add(-maxAhead).Before(e.until)) {
		e.until = earlier(e.until, rule.staleFrom(m.List, &e.f.Place))
	}
}
