package main

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func TestTablesAreUpToDate(t *testing.T) {
	if err := run("../../tables.go", true); err != nil {
		t.Fatal(err)
	}
}

func TestCheckSeesAChange(t *testing.T) {
	out := filepath.Join(t.TempDir(), "tables.go")
	if err := run(out, false); err != nil {
		t.Fatal(err)
	}
	if err := run(out, true); err != nil {
		t.Errorf("check of what was just written: %v", err)
	}
	src, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(out, append(src, '\n'), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := run(out, true); !errors.Is(err, errOutdated) {
		t.Errorf("check of a changed file: %v, want errOutdated", err)
	}
}
