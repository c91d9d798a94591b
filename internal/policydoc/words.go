package policydoc

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/dncd/dncd/internal/policy"
)

// The words of a document, by the value that each stands for.
var (
	consentKinds = []string{
		policy.Permission: "permission", policy.Purchase: "purchase", policy.Inquiry: "inquiry", policy.Contract: "contract",
	}
	consentForms = []string{policy.Oral: "oral", policy.Written: "written"}
	listKinds    = []string{
		policy.ListRegistry: "registry", policy.ListSuppression: "suppression", policy.ListLitigator: "litigator",
	}
	reaches  = []string{policy.ReachScope: "scope", policy.ReachBrand: "brand", policy.ReachEveryone: "everyone"}
	reviews  = []string{NotReviewed: "not reviewed", Secondary: "secondary", Primary: "primary"}
	defaults = []string{"unknown", "allow"}
	closures = []string{"ignored", "closed"}
	regional = []string{"strict", "ignored"}
	proofs   = []string{"collection", "each use"}
	weekdays = []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}
)

// maxPeriod is the most days, months or years that a period may have. Its months and years together are at most maxPeriod years.
const maxPeriod = 1200

// parsePeriod reads a period such as 18 months, 1 year or 3 years 14 days.
func parsePeriod(s string) (p policy.Period, ok bool) {
	words := strings.Fields(s)
	if len(words) == 0 || len(words)%2 != 0 {
		return p, false
	}
	for i := 0; i < len(words); i += 2 {
		n, err := strconv.Atoi(words[i])
		if err != nil || n < 1 || n > maxPeriod || words[i][0] == '+' {
			return p, false
		}
		switch strings.TrimSuffix(words[i+1], "s") {
		case "year":
			p.Months += 12 * n
		case "month":
			p.Months += n
		case "day":
			p.Days += n
		default:
			return p, false
		}
	}
	return p, p.Months <= 12*maxPeriod && p.Days <= maxPeriod
}

// periodText is the inverse of parsePeriod.
func periodText(p policy.Period) string {
	var parts []string
	years, months := 0, p.Months
	if months > maxPeriod || months%12 == 0 && (months > 12 || p.Days > 0) {
		years, months = months/12, months%12
	}
	if years > 0 {
		parts = append(parts, plural(years, "year"))
	}
	if months > 0 {
		parts = append(parts, plural(months, "month"))
	}
	if p.Days > 0 {
		parts = append(parts, plural(p.Days, "day"))
	}
	return strings.Join(parts, " ")
}

func plural(n int, unit string) string {
	if n == 1 {
		return "1 " + unit
	}
	return strconv.Itoa(n) + " " + unit + "s"
}

// parseHonour reads how many days, such as 14 days or 10 business days.
func parseHonour(s string) (days int, business, ok bool) {
	words := strings.Fields(s)
	if business = len(words) == 3 && words[1] == "business"; business {
		words = []string{words[0], words[2]}
	}
	if len(words) != 2 || strings.TrimSuffix(words[1], "s") != "day" {
		return 0, false, false
	}
	days, err := strconv.Atoi(words[0])
	return days, business, err == nil && days > 0 && days <= maxPeriod
}

func honourText(days int, business bool) string {
	if business {
		return plural(days, "business day")
	}
	return plural(days, "day")
}

const minutesPerDay = 24 * 60

// parseSpan reads a part of a day such as 9:00-21:30; it may end at 24:00.
func parseSpan(s string) (policy.Span, bool) {
	from, to, both := strings.Cut(s, "-")
	a, ok := parseClock(from)
	b, fine := parseClock(to)
	return policy.Span{From: a, To: b}, both && ok && fine && a < b
}

func parseClock(s string) (minute int, ok bool) {
	hours, minutes, both := strings.Cut(strings.TrimSpace(s), ":")
	h, err := strconv.ParseUint(hours, 10, 8)
	m, wrong := strconv.ParseUint(minutes, 10, 8)
	minute = int(60*h + m)
	return minute, both && err == nil && wrong == nil && len(minutes) == 2 && len(hours) <= 2 && m < 60 && minute <= minutesPerDay
}

func spanText(s policy.Span) string { return clockText(s.From) + "-" + clockText(s.To) }

func clockText(minute int) string { return fmt.Sprintf("%d:%02d", minute/60, minute%60) }

// parseDays reads a day of the week, or a run of them such as mon-fri.
func parseDays(s string) (days []int, ok bool) {
	from, to, run := strings.Cut(s, "-")
	a, b := position(weekdays, from), position(weekdays, to)
	if !run {
		b = a
	}
	if a < 0 || b < 0 {
		return nil, false
	}
	for day := a; ; day = (day + 1) % len(weekdays) {
		days = append(days, day)
		if day == b {
			return days, true
		}
	}
}

// position is the place of a word among words; -1: it is none of them.
func position(words []string, word string) int {
	for i, w := range words {
		if w != "" && w == word {
			return i
		}
	}
	return -1
}
