package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/dncd/dncd/client"
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

// describeResult is the text of a check: what decided it.
func describeResult(r client.Result) string {
	parts := make([]string, len(r.Reasons))
	for i, reason := range r.Reasons {
		parts[i] = describeReason(reason)
	}
	text := strings.Join(parts, "; ")
	if r.Cause != "" {
		text = strings.TrimSuffix(string(r.Cause)+": "+text, ": ")
	}
	if !r.OpensAt.IsZero() {
		text = strings.TrimPrefix(text+"; opens "+stamp(r.OpensAt), "; ")
	}
	return text
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
	case client.ReasonDataDamaged:
		return "damaged data" + note(r.List)
	case client.ReasonCallingHours:
		return "outside calling hours" + note(r.Rule)
	}
	scope := ""
	if r.Scope != "" {
		scope = "for " + r.Scope
	}
	return r.List + note(lower(r.Kind), dated("snapshot", r.SnapshotDate), scope)
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
	case "":
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
