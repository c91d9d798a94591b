package main

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/dncd/dncd/internal/registry"
)

// chooseFormat is the format that was asked for, or told by the first file.
func chooseFormat(paths []string, flags importFlags) (registry.Format, error) {
	switch name := strings.ToLower(flags.format); name {
	case "auto", "":
		return detectFormat(paths[0], flags)
	case "ftc-xml", "ftc-change", "lnnte":
		return "", withHint(fmt.Errorf("--format %s is not built yet", name), "formats that are: "+registry.FormatNames())
	default:
		format, err := registry.ParseFormat(name)
		if err != nil {
			return "", withHint(err, "see `dnc import --help`")
		}
		return format, nil
	}
}

var (
	areaAndNumber = regexp.MustCompile(`^\d{3},\d{7}$`)
	tenDigits     = regexp.MustCompile(`^\d{10}$`)
	letter        = regexp.MustCompile(`\pL`)
)

// errWhichFormat is the answer to a file that could be several things.
var errWhichFormat = errors.New("the format cannot be told from the file")

// sampleLines is how many lines tell the format.
const sampleLines = 20

// detectFormat tells the format by the first lines. Bare ten digits are an FTC file
// only under a name as the FTC gives it: elsewhere they could be another country's.
func detectFormat(path string, flags importFlags) (registry.Format, error) {
	if flags.column != "" {
		return registry.CSV, nil
	}
	if path == "-" {
		return "", withHint(errWhichFormat, "with standard input, say --format ftc, csv or plain")
	}
	lines, err := firstLines(path)
	if err != nil {
		return "", err
	}
	_, isDated := registry.SnapshotDate([]string{filepath.Base(path)})
	switch {
	case all(lines, areaAndNumber.MatchString):
		return registry.FTC, nil
	case all(lines, tenDigits.MatchString) && flags.region == "":
		if isDated {
			return registry.FTC, nil
		}
		return "", withHint(errWhichFormat, "--format ftc for a file of the FTC; for national numbers their --region, such as --region GB")
	case all(lines, isPlain):
		return registry.Plain, nil
	}
	return registry.CSV, nil
}

// isPlain is for a line that holds one value and no title.
func isPlain(line string) bool {
	return !strings.ContainsAny(line, ",;\t") && !letter.MatchString(strings.TrimPrefix(line, "tel:"))
}

func all(lines []string, is func(string) bool) bool {
	return len(lines) > 0 && !slices.ContainsFunc(lines, func(line string) bool { return !is(line) })
}

func firstLines(path string) ([]string, error) {
	rows, err := registry.OpenRows(path, registry.Options{Format: registry.Plain})
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var lines []string
	for len(lines) < sampleLines {
		row, err := rows.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
		lines = append(lines, strings.TrimSpace(row.Fields[0]))
	}
	return lines, nil
}
