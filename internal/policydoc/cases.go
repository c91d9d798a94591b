package policydoc

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/dncd/dncd/internal/phone"
	"github.com/dncd/dncd/internal/policy"
)

// maxCases is how long a file of cases is at most.
const maxCases = 4 << 20

// Case is what a policy should answer.
type Case struct {
	Name   string
	Line   int // where it begins
	Number phone.Number
	Facts  policy.Facts
	Now    time.Time
	Want   Want

	Place string // that the caller names; empty: none
}

// Want is the answer. What is empty is not compared.
type Want struct {
	Verdict policy.Verdict
	Cause   policy.Cause
	Reason  policy.ReasonKind   // that is among the reasons
	Reasons []policy.ReasonKind // all of them, in their order
	Opens   time.Time
	Until   time.Time // valid_until
}

// Places says where the person of a number is: at a place that the caller names, or, if that is empty, where the number may be.
type Places func(n phone.Number, named string) (policy.Place, error)

// The words of cases, by the value that each stands for.
var (
	verdictWords = []string{policy.Allow: "ALLOW", policy.Block: "BLOCK", policy.NotNow: "NOT_NOW", policy.Unknown: "UNKNOWN"}
	causeWords   = []string{
		policy.NoTimeZone: "NO_TIME_ZONE", policy.StaleList: "STALE_LIST", policy.NotCovered: "NOT_COVERED",
		policy.NotLoaded: "NOT_LOADED", policy.NoRule: "NO_RULE", policy.PolicyUnreadable: "POLICY_UNREADABLE", policy.DataDamaged: "DATA_DAMAGED",
	}
	reasonWords = []string{
		policy.OptedOut: "OPT_OUT", policy.Listed: "LISTED", policy.ConsentRequired: "CONSENT_REQUIRED", policy.ConsentCounts: "CONSENT",
		policy.ListNotCovering: "NOT_COVERED", policy.ListStale: "STALE_LIST", policy.ListNotLoaded: "NOT_LOADED",
		policy.CountryWithoutRule: "NO_RULE", policy.Damage: "DATA_DAMAGED", policy.CallingHours: "CALLING_HOURS",
		policy.BannedSector: "BANNED_SECTOR", policy.ListClear: "LIST_CLEAR", policy.HoursOpen: "HOURS_OPEN",
		policy.HoursNotChecked: "HOURS_NOT_CHECKED", policy.ServicePermitted: "SERVICE_PERMITTED", policy.NothingSpeaks: "NOTHING_SPEAKS",
	}
	purposeWords = []string{policy.Marketing: "marketing", policy.Service: "service"}
	recordKinds  = []string{"opt-out", policy.Permission: "permission", policy.Purchase: "purchase", policy.Inquiry: "inquiry", policy.Contract: "contract"}
)

// ParseCases reads a file of cases. The error is an *Error.
func ParseCases(text []byte, places Places) ([]Case, error) {
	r := caseReader{places: places}
	if root := r.root(text, maxCases); root != nil {
		r.mapping(root, "a file of cases", fields{"cases": func(n *yaml.Node) { r.items(n, "cases", r.one) }})
		if len(r.cases) == 0 && len(r.problems) == 0 {
			r.wrong(root, "there is no case in it")
		}
	}
	return r.cases, r.result()
}

type caseReader struct {
	reader
	places Places
	cases  []Case
}

func (r *caseReader) one(n *yaml.Node) {
	c := Case{Line: n.Line}
	r.mapping(n, "a case", fields{
		"name":    r.text("name", &c.Name),
		"number":  func(n *yaml.Node) { c.Number = r.phone(n) },
		"scope":   func(n *yaml.Node) { c.Facts.Scope = r.scope(n, "scope") },
		"purpose": word(&r.reader, "purpose", purposeWords, &c.Facts.Purpose),
		"now":     r.time("now", &c.Now),
		"place":   r.text("place", &c.Place),
		"records": func(n *yaml.Node) {
			r.items(n, "records", func(n *yaml.Node) { c.Facts.Records = append(c.Facts.Records, r.record(n)) })
		},
		"lists": func(n *yaml.Node) { r.items(n, "lists", func(n *yaml.Node) { r.list(n, &c.Facts) }) },
		"want":  func(n *yaml.Node) { c.Want = r.want(n) },
	})
	for _, key := range []string{"name", "number", "now", "want"} {
		if n.Kind == yaml.MappingNode && !hasKey(n, key) {
			r.wrong(n, "a case needs name, number, now and want: %s is missing", key)
		}
	}
	r.complete(n, &c)
	r.cases = append(r.cases, c)
}

// complete works out what the number says.
func (r *caseReader) complete(n *yaml.Node, c *Case) {
	if c.Number == 0 {
		return
	}
	c.Facts.Regions = c.Number.Regions()
	for i := range c.Facts.Lists {
		m := &c.Facts.Lists[i]
		m.Outside = !m.List.SpeaksFor(c.Facts.Regions)
		m.Covered = m.Covered && !m.Outside
	}
	place, err := r.places(c.Number, c.Place)
	if err != nil {
		r.wrong(n, "place: %v", err)
	}
	c.Facts.Place = place
}

func (r *caseReader) phone(n *yaml.Node) phone.Number {
	if n.Kind != yaml.ScalarNode || n.ShortTag() == "!!int" {
		r.wrong(n, `number must be in quotes, with + and its country code, such as "+33199001234"`)
		return 0
	}
	number, err := phone.Parse(n.Value)
	if err != nil {
		r.wrong(n, "number: %v", err)
	}
	return number
}

func (r *reader) time(what string, out *time.Time) func(*yaml.Node) {
	return func(n *yaml.Node) {
		t, err := time.Parse(time.RFC3339, n.Value)
		if day, wrong := time.Parse(time.DateOnly, n.Value); wrong == nil {
			t, err = day, nil
		}
		if n.Kind != yaml.ScalarNode || err != nil {
			r.wrong(n, "%s must be a time such as 2026-11-30T10:00:00+01:00, or a day, which begins at 0:00 UTC", what)
		}
		*out = t.UTC()
	}
}

func (r *caseReader) record(n *yaml.Node) policy.Record {
	var kind uint8
	rec, consent := policy.Record{Kind: policy.RecordOptOut}, policy.Consent{}
	r.mapping(n, "a record", fields{
		"kind":     word(&r.reader, "kind", recordKinds, &kind),
		"scope":    func(n *yaml.Node) { rec.Scope = r.scope(n, "scope") },
		"at":       r.time("at", &rec.ReceivedAt),
		"until":    r.time("until", &rec.ExpiresAt),
		"form":     word(&r.reader, "form", consentForms, &consent.Form),
		"may_lift": r.bool("may_lift", &consent.MayLift),
		"from":     r.time("from", &consent.From),
		"to":       r.time("to", &consent.Until),
	})
	if n.Kind == yaml.MappingNode && (!hasKey(n, "kind") || !hasKey(n, "at")) {
		r.wrong(n, "a record needs kind and at")
	}
	if kind != 0 {
		consent.Kind = policy.ConsentKind(kind)
		rec.Kind, rec.Consent = policy.RecordConsent, &consent
	}
	return rec
}

// list reads what a list says of the number.
func (r *caseReader) list(n *yaml.Node, f *policy.Facts) {
	l, m := &policy.List{Loaded: true}, policy.Membership{Covered: true}
	r.mapping(n, "a list", fields{
		"name":         r.text("name", &l.Name),
		"kind":         word(&r.reader, "kind", listKinds, &l.Kind),
		"snapshot":     r.date("snapshot", &l.SnapshotDate),
		"max_age_days": r.number("max_age_days", maxAge, &l.MaxAgeDays),
		"loaded":       r.bool("loaded", &l.Loaded),
		"listed":       r.bool("listed", &m.Listed),
		"covered":      r.bool("covered", &m.Covered),
		"jurisdiction": func(n *yaml.Node) {
			code, _ := r.scalar(n, "jurisdiction")
			regions, err := phone.Jurisdiction(code)
			if err != nil {
				r.wrong(n, "jurisdiction: %v", err)
			}
			l.Jurisdiction = regions
		},
	})
	m.List = l
	f.Lists = append(f.Lists, m)
}

func (r *caseReader) want(n *yaml.Node) (w Want) {
	r.mapping(n, "want", fields{
		"verdict": word(&r.reader, "verdict", verdictWords, &w.Verdict),
		"cause":   word(&r.reader, "cause", causeWords, &w.Cause),
		"reason":  word(&r.reader, "reason", reasonWords, &w.Reason),
		"reasons": func(n *yaml.Node) {
			r.items(n, "reasons", func(n *yaml.Node) {
				var kind policy.ReasonKind
				word(&r.reader, "reasons", reasonWords, &kind)(n)
				w.Reasons = append(w.Reasons, kind)
			})
		},
		"opens":       r.time("opens", &w.Opens),
		"valid_until": r.time("valid_until", &w.Until),
	})
	if n.Kind == yaml.MappingNode && !hasKey(n, "verdict") {
		r.wrong(n, "want needs a verdict: ALLOW, BLOCK, NOT_NOW or UNKNOWN")
	}
	return w
}

// Run decides the case by a policy, and says what is not as wanted; empty: nothing.
func (c *Case) Run(p *policy.Policy) string {
	d := policy.Decide(&c.Facts, p, c.Now)
	return c.Compare(&d)
}

// Compare says what a decision has that is not as wanted; empty: nothing.
func (c *Case) Compare(d *policy.Decision) string {
	var got []string
	differ := func(what, is, want string) {
		if is != want {
			got = append(got, fmt.Sprintf("%s %s, want %s", what, cmp.Or(is, "none"), cmp.Or(want, "none")))
		}
	}
	differ("verdict", textOf(verdictWords, d.Verdict), textOf(verdictWords, c.Want.Verdict))
	if c.Want.Cause != policy.CauseNone {
		differ("cause", textOf(causeWords, d.Cause), textOf(causeWords, c.Want.Cause))
	}
	if !c.Want.Opens.IsZero() {
		differ("opens", timeText(d.OpensAt), timeText(c.Want.Opens))
	}
	if !c.Want.Until.IsZero() {
		differ("valid_until", timeText(d.ValidUntil), timeText(c.Want.Until))
	}
	reasons := reasonsText(d.Reasons)
	if c.Want.Reasons != nil {
		differ("reasons", reasons, wordsOf(c.Want.Reasons))
	}
	if c.Want.Reason != policy.ReasonUnspecified && !slices.ContainsFunc(d.Reasons, func(r policy.Reason) bool { return r.Kind == c.Want.Reason }) {
		got = append(got, fmt.Sprintf("reasons %s, want %s among them", cmp.Or(reasons, "none"), textOf(reasonWords, c.Want.Reason)))
	} else if len(got) > 0 {
		got = append(got, "reasons "+cmp.Or(reasons, "none"))
	}
	return strings.Join(got, "; ")
}

// CauseWord is a cause as the contract names it.
func CauseWord(c policy.Cause) string { return textOf(causeWords, c) }

func timeText(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// reasonsText names the kinds of reasons, each once.
func reasonsText(reasons []policy.Reason) string {
	var kinds []policy.ReasonKind
	for i := range reasons {
		if !slices.Contains(kinds, reasons[i].Kind) {
			kinds = append(kinds, reasons[i].Kind)
		}
	}
	return wordsOf(kinds)
}

func wordsOf(kinds []policy.ReasonKind) string {
	words := make([]string, len(kinds))
	for i, kind := range kinds {
		words[i] = textOf(reasonWords, kind)
	}
	return strings.Join(words, " ")
}

func textOf[T ~uint8](words []string, value T) string {
	if int(value) < len(words) && words[value] != "" {
		return words[value]
	}
	return "none"
}
