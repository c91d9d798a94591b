package place

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/dncd/dncd/internal/phone"
)

// TablesVersion names the built-in tables that answers rest on: of each its name and the beginning of a hash of what is in it. Phone
// is libphonenumber's metadata, zones the time zones of numbers and of subdivisions, tzdata the clocks of the zones, holidays the
// public holidays.
var TablesVersion = sync.OnceValue(func() string {
	return fmt.Sprintf("phone:%s,zones:%s,tzdata:%s,holidays:%s",
		phone.TablesVersion, hashOf(withoutComments(zonesText+subdivisionsText)), hashOf(zoneinfo), hashOf(withoutComments(holidaysText)))
})

// hashOf is the beginning of the hash of a table.
func hashOf(table string) string {
	hash := sha256.Sum256([]byte(table))
	return fmt.Sprintf("%x", hash[:4])
}

// withoutComments is a text without its lines of comment, which say where it is from.
func withoutComments(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "#") {
			b.WriteString(line)
		}
	}
	return b.String()
}

// ErrTablesVersion is returned for text that is not what TablesVersion returns, in this version or another one.
var ErrTablesVersion = errors.New("must be the tables_version of an answer, such as " +
	"phone:0a1b2c3d,zones:0a1b2c3d,tzdata:0a1b2c3d,holidays:0a1b2c3d")

// maxTablesVersion is longer than any version of the tables.
const maxTablesVersion = 256

// TablesDifference are the names of the tables that are not those of a version. Tables that only one side has differ.
func TablesDifference(version string) (names []string, err error) {
	then, err := readTables(version)
	if err != nil {
		return nil, err
	}
	now, err := readTables(TablesVersion())
	if err != nil {
		return nil, err
	}
	for _, t := range now {
		if then.hash(t.name) != t.hash {
			names = append(names, t.name)
		}
	}
	for _, t := range then {
		if now.hash(t.name) == "" {
			names = append(names, t.name)
		}
	}
	return names, nil
}

// tableList is what a version says of each table.
type tableList []struct{ name, hash string }

// hash is what a version says of a table; empty: nothing.
func (l tableList) hash(name string) string {
	for _, t := range l {
		if t.name == name {
			return t.hash
		}
	}
	return ""
}

func readTables(version string) (list tableList, err error) {
	if len(version) > maxTablesVersion {
		return nil, ErrTablesVersion
	}
	for part := range strings.SplitSeq(version, ",") {
		name, hash, _ := strings.Cut(part, ":")
		if !isWord(name) || !isWord(hash) || list.hash(name) != "" {
			return nil, ErrTablesVersion
		}
		list = append(list, struct{ name, hash string }{name, hash})
	}
	return list, nil
}

// isWord reports whether text is letters and digits.
func isWord(text string) bool {
	return text != "" && strings.Trim(text, "abcdefghijklmnopqrstuvwxyz0123456789") == ""
}
