// Command gen writes package phone's tables of calling codes and regions from libphonenumber's metadata.
//
// The output depends only on the metadata. With -check it writes nothing and fails if the file differs from the output.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// module has the metadata.
const module = "github.com/nyaruka/phonenumbers"

func main() {
	out := flag.String("o", "tables.go", "file to write")
	check := flag.Bool("check", false, "compare instead of writing")
	flag.Parse()
	if err := run(*out, *check); err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

var errOutdated = errors.New("tables are not up to date: run go generate ./internal/phone")

func run(out string, check bool) error {
	want, err := generate()
	if err != nil {
		return err
	}
	if !check {
		return os.WriteFile(out, want, 0o644)
	}
	got, err := os.ReadFile(out)
	if err != nil {
		return err
	}
	if !bytes.Equal(got, want) {
		return errOutdated
	}
	return nil
}

func generate() ([]byte, error) {
	plans, err := loadPlans()
	if err != nil {
		return nil, err
	}
	version, err := exec.Command("go", "list", "-m", "-f", "{{.Version}}", module).Output() //nolint:gosec // a constant
	if err != nil {
		return nil, fmt.Errorf("find %s: %w", module, err)
	}
	return newTables(plans).source(strings.TrimSpace(string(version)))
}
