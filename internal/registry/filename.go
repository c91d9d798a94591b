package registry

import (
	"regexp"
	"strconv"
	"strings"
	"time"
)

// The FTC names its files year-month-day_area code_id, month and day without
// a leading zero; the file for the whole nation has no area code there, only the id.
// Canada has a file an area code in its zip, named for nothing else.
var (
	datedName  = regexp.MustCompile(`^(\d{4})-(\d{1,2})-(\d{1,2})_`)
	areaName   = regexp.MustCompile(`^(?:\d{4}-\d{1,2}-\d{1,2}_(\d{3})[_.]|(\d{3})\.)`)
	nationName = regexp.MustCompile(`(?i)^\d{4}-\d{1,2}-\d{1,2}_[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\.`)
)

// nameDate returns the date that a base name begins with, as YYYY-MM-DD.
func nameDate(name string) (string, bool) {
	m := datedName.FindStringSubmatch(name)
	if m == nil {
		return "", false
	}
	date := m[1] + "-" + pad(m[2]) + "-" + pad(m[3])
	_, err := time.Parse(time.DateOnly, date)
	return date, err == nil
}

func pad(digits string) string {
	if len(digits) == 1 {
		return "0" + digits
	}
	return digits
}

// nameArea returns the area code that a base name says, or -1.
func nameArea(name string) int {
	m := areaName.FindStringSubmatch(name)
	if m == nil {
		return -1
	}
	area, _ := strconv.Atoi(m[1] + m[2])
	return area
}

// SnapshotDate returns the registry's date of files with these names, as
// YYYY-MM-DD: the oldest. It is unknown (false) when any of the names has none.
// A name may have directories, and "archive.zip/member.txt" counts as both.
func SnapshotDate(names []string) (string, bool) {
	oldest := ""
	for _, name := range names {
		date, ok := pathDate(name)
		if !ok {
			return "", false
		}
		if oldest == "" || date < oldest {
			oldest = date
		}
	}
	return oldest, oldest != ""
}

// pathDate returns the oldest date among the parts of a path.
func pathDate(path string) (string, bool) {
	oldest := ""
	for _, part := range strings.FieldsFunc(path, isSlash) {
		if date, ok := nameDate(part); ok && (oldest == "" || date < oldest) {
			oldest = date
		}
	}
	return oldest, oldest != ""
}

func isSlash(r rune) bool { return r == '/' || r == '\\' }
