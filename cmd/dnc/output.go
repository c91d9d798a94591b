package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/dncd/dncd/client"
	atlas "github.com/dncd/dncd/internal/place"
)

// print writes one object as a line of JSON, or what text returns.
func (a *app) print(object any, text func() string) error {
	if a.output == "json" {
		return a.printTo(a.stdout, object)
	}
	_, err := fmt.Fprintln(a.stdout, text())
	return err
}

// printTo writes one object as a line of JSON.
func (a *app) printTo(w io.Writer, object any) error {
	line, err := json.Marshal(object)
	if err != nil {
		return err
	}
	_, err = w.Write(append(line, '\n'))
	return err
}

// describeVerdict is a verdict with what it rests on.
func describeVerdict(r client.Result) string {
	return strings.TrimSuffix(string(r.Verdict)+"  "+describeResult(r), "  ")
}

// describeResult is the text of a check: what decided it.
func describeResult(r client.Result) string {
	var parts []string
	if !r.OpensAt.IsZero() {
		parts = append(parts, "opens "+byTheirClock(r))
	}
	asked := 0
	for _, reason := range r.Reasons {
		if reason.Kind == client.ReasonListClear {
			asked++
		}
		parts = append(parts, describeReason(reason))
	}
	text := strings.Join(parts, "; ")
	if asked > fewLists {
		text = strings.Join(slices.DeleteFunc(parts, func(s string) bool { return strings.HasPrefix(s, notOn) }), "; ")
		text = fmt.Sprintf("%s%d lists; %s", notOn, asked, text)
	}
	if r.Cause != "" {
		text = strings.TrimSuffix(string(r.Cause)+": "+text, ": ")
	}
	return strings.TrimSuffix(text, "; ")
}

// fewLists is how many lists that a number is not on are named.
const fewLists = 3

const notOn = "not on "

// byTheirClock is when calls are next permitted, by the clock of the called party.
func byTheirClock(r client.Result) string {
	for _, reason := range r.Reasons {
		if reason.TimeZone == "" {
			continue
		}
		if zone, err := atlas.Location(reason.TimeZone); err == nil {
			return r.OpensAt.In(zone).Format("2006-01-02 15:04") + " (" + reason.TimeZone + ")"
		}
	}
	return stamp(r.OpensAt)
}

// describeRules is a line for each reason that a rule gives, with its source.
func describeRules(r client.Result) string {
	var lines strings.Builder
	for _, reason := range r.Reasons {
		if reason.Rule != "" {
			lines.WriteString("\n    " + lower(reason.Kind) + ": rule " + reason.Rule + dated(",", reason.Source))
		}
	}
	return lines.String()
}

func describeReason(r client.Reason) string {
	switch r.Kind {
	case client.ReasonOptOut:
		return "opt-out for " + forWhom(r.Scope) + note(by(r.Channel), since(r.Since), until(r.ExpiresAt))
	case client.ReasonConsent:
		return "consent for " + forWhom(r.Scope) + note(lower(r.ConsentKind), since(r.Since), until(r.ExpiresAt))
	case client.ReasonConsentRequired:
		return "consent required" + note(r.Rule)
	case client.ReasonNoRule:
		return "no rule for its country"
	case client.ReasonPolicyUnreadable:
		return "the server cannot read the policy that is in force"
	case client.ReasonDataDamaged:
		return "damaged data" + note(r.List)
	case client.ReasonCallingHours:
		return "outside calling hours" + note(r.Rule)
	case client.ReasonListClear:
		return notOn + r.List + note(dated("snapshot", r.SnapshotDate))
	}
	if text, ok := ruleReasons[r.Kind]; ok {
		return text + note(r.Rule, r.TimeZone)
	}
	scope := ""
	if r.Scope != "" {
		scope = "for " + r.Scope
	}
	return r.List + note(lower(r.Kind), dated("snapshot", r.SnapshotDate), scope)
}

// ruleReasons are reasons that name nothing beside the rule.
var ruleReasons = map[client.ReasonKind]string{
	client.ReasonBannedSector:     "banned sector",
	client.ReasonHoursOpen:        "within calling hours",
	client.ReasonHoursNotChecked:  "calling hours not checked",
	client.ReasonServicePermitted: "calls for service permitted",
	client.ReasonNothingSpeaks:    "no list and no rule for its country",
}

// note puts what is known into brackets.
func note(facts ...string) string {
	known := facts[:0]
	for _, fact := range facts {
		if fact != "" {
			known = append(known, fact)
		}
	}
	if len(known) == 0 {
		return ""
	}
	return " (" + strings.Join(known, ", ") + ")"
}

func forWhom(scope string) string {
	if scope == "" {
		return "everyone"
	}
	return scope
}

// by is how something came in.
func by(c client.Channel) string {
	switch c {
	case "", "UNSPECIFIED": // the latter in dossiers
		return ""
	case client.ChannelInPerson:
		return "in person"
	case client.ChannelWeb:
		return "on the web"
	case client.ChannelOther:
		return "by other means"
	}
	return "by " + lower(c)
}

func since(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return "since " + t.UTC().Format(time.DateOnly)
}

func until(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return "until " + stamp(t)
}

func dated(what, date string) string {
	if date == "" {
		return ""
	}
	return what + " " + date
}

// lower is an enum's value for people: NOT_COVERED is "not covered".
func lower[S ~string](value S) string {
	return strings.ToLower(strings.ReplaceAll(string(value), "_", " "))
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format(time.RFC3339)
}

// orDash stands in for what a table has not.
func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// count is a number with its noun: 1 number, 2 numbers.
func count(n uint64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
