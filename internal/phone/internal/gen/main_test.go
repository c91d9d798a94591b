package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func TestTablesAreUpToDate(t *testing.T) {
	out := filepath.Join(t.TempDir(), "tables.go")
	if err := run(out, false); err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile("../../tables.go")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error(errOutdated)
	}
	if err := os.WriteFile(out, append(want, '\n'), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := run(out, true); !errors.Is(err, errOutdated) {
		t.Errorf("check of a changed file: %v, want errOutdated", err)
	}
}
