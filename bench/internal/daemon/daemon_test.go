package daemon

import (
	"os/exec"
	"strings"
	"testing"
)

func TestAddressIn(t *testing.T) {
	tests := []struct {
		line, want string
		ok         bool
	}{
		{"dncd serves 127.0.0.1:40001 (http off), data /tmp/x, revision 0, 0 numbers, opened in 5ms\n", "127.0.0.1:40001", true},
		{"dncd serves unix:///tmp/s (http off), data /tmp/x\n", "unix:///tmp/s", true},
		{"dncd serves", "", false},
		{"", "", false},
	}
	for _, tt := range tests {
		if got, ok := addressIn(tt.line); ok != tt.ok || ok && got != tt.want {
			t.Errorf("%q: got %q, %v; want %q, %v", tt.line, got, ok, tt.want, tt.ok)
		}
	}
}

func TestStartTellsWhatAProgramSaidThatDoesNotServe(t *testing.T) {
	ls, err := exec.LookPath("ls")
	if err != nil {
		t.Skip("there is no ls to fail")
	}
	_, err = Programs{dncd: ls}.Start(t.Context(), "x")
	if err == nil || !strings.Contains(err.Error(), "does not serve") || !strings.Contains(err.Error(), "data") {
		t.Errorf("got %v, want what it said about --data", err)
	}
}

func TestImportFailsAsDncDoes(t *testing.T) {
	fails, err := exec.LookPath("false")
	if err != nil {
		t.Skip("there is no false")
	}
	if i, err := (Programs{dnc: fails}).Import(t.Context(), "127.0.0.1:1", "l", nil); err == nil {
		t.Errorf("got %+v of a program that failed", i)
	}
}
