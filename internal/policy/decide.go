// Package policy turns what is known about a number into a verdict.
//
// It promises: Decide is a pure function of facts and time; doubt comes out as Unknown with its cause, never as Allow;
// the zero value of every type here is not callable.
package policy

import "time"

// Verdict answers whether a number may be called. The zero value is not callable.
type Verdict uint8

// The verdicts.
const (
	Unspecified Verdict = iota
	Allow
	Block
	NotNow
	Unknown
)

// Cause says why a verdict is Unknown. Where several hold, the largest is reported.
type Cause uint8

// The causes, in rising precedence.
const (
	CauseNone Cause = iota
	StaleList
	NotCovered
	NotLoaded
	DataDamaged
)

// Reason names one record or list behind a verdict. Exactly one of Record and List is set.
type Reason struct {
	Record *Record
	List   *List
	Cause  Cause // CauseNone: the record or list blocks
}

// Decision is the verdict with what led to it.
type Decision struct {
	Verdict    Verdict
	Cause      Cause
	Reasons    []Reason  // point into the Facts: valid as long as those
	ValidUntil time.Time // when the passing of time could change the verdict; zero: never
}

// Decide answers for one number at now. An own opt-out in force blocks. Then each list in scope is evaluated, and Block
// takes precedence over Unknown, and Unknown over Allow. An entry on a list always blocks. The absence of an entry
// means something only within the list's jurisdiction: outside it a list answers Block or nothing.
func Decide(f *Facts, now time.Time) Decision {
	if d := byRecords(f, now.Add(-f.Ahead)); d.Verdict == Block {
		return d
	}
	return byLists(f, now)
}

func byRecords(f *Facts, now time.Time) Decision {
	var d Decision
	forever := false
	for i := range f.Records {
		r := &f.Records[i]
		if r.Kind != RecordOptOut || !r.InForce(now) || !r.Scope.Blocks(f.Scope) {
			continue
		}
		d.Verdict = Block
		d.Reasons = append(d.Reasons, Reason{Record: r})
		forever = forever || r.ExpiresAt.IsZero()
		if r.ExpiresAt.After(d.ValidUntil) {
			d.ValidUntil = r.ExpiresAt
		}
	}
	if forever {
		d.ValidUntil = time.Time{}
	} else if d.Verdict == Block {
		d.ValidUntil = d.ValidUntil.Add(f.Ahead)
	}
	return d
}

func byLists(f *Facts, now time.Time) Decision {
	var unknown, block []Reason
	cause := CauseNone
	if f.Damaged {
		cause = DataDamaged
	}
	var until time.Time
	for i := range f.Lists {
		m := &f.Lists[i]
		if m.Listed {
			block = append(block, Reason{List: m.List})
			continue
		}
		if m.Outside && !m.Damaged {
			continue
		}
		stale := m.List.StaleFrom()
		if c := m.doubt(stale, now); c != CauseNone {
			unknown = append(unknown, Reason{List: m.List, Cause: c})
			cause = max(cause, c)
			continue
		}
		until = earlier(until, stale)
	}
	switch {
	case block != nil:
		return Decision{Verdict: Block, Reasons: block}
	case cause != CauseNone:
		return Decision{Verdict: Unknown, Cause: cause, Reasons: unknown}
	}
	return Decision{Verdict: Allow, ValidUntil: until}
}

// doubt is the cause for which a list that does not hold the number cannot clear it.
func (m *Membership) doubt(stale, now time.Time) Cause {
	switch {
	case m.Damaged:
		return DataDamaged
	case !m.List.Loaded:
		return NotLoaded
	case !m.Covered:
		return NotCovered
	case !stale.IsZero() && !now.Before(stale):
		return StaleList
	}
	return CauseNone
}

// earlier is the earlier of two instants, where zero means never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || (!b.IsZero() && b.Before(a)) {
		return b
	}
	return a
}
