package client

import "testing"

func TestIsLocal(t *testing.T) {
	t.Parallel()
	tests := map[string]bool{
		"127.0.0.1:7362":           true,
		"127.8.9.1:7362":           true,
		"[::1]:7362":               true,
		"localhost:7362":           true,
		"localhost":                true,
		"unix:///run/dncd.sock":    true,
		"unix:run/dncd.sock":       true,
		"dns:///localhost:7362":    true,
		"passthrough:///127.0.0.1": true,
		"dncd.example:7362":        false,
		"10.0.0.1:7362":            false,
		"0.0.0.0:7362":             false,
		"dns:///dncd.example:7362": false,
		"localhost.example:7362":   false,
		"":                         false,
	}
	for target, want := range tests {
		if got := isLocal(target); got != want {
			t.Errorf("isLocal(%q) is %v, want %v", target, got, want)
		}
	}
}

func TestPlainTextStaysOnTheMachine(t *testing.T) {
	t.Parallel()
	if _, err := New("dncd.example:7362"); err == nil {
		t.Error("New connects to another machine in plain text")
	}
	for _, opts := range [][]Option{{WithInsecure()}, {WithTLS(nil)}} {
		c, err := New("dncd.example:7362", opts...)
		if err != nil {
			t.Errorf("New: %v", err)
			continue
		}
		c.Close()
	}
}

func TestTLSFilesThatAreMissing(t *testing.T) {
	t.Parallel()
	for _, opt := range []Option{WithTLSFiles("no-such-file", "", ""), WithTLSFiles("", "cert-without-key", "")} {
		if _, err := New("127.0.0.1:1", opt); err == nil {
			t.Error("New takes certificates that are not there")
		}
	}
}

func TestIsBalanced(t *testing.T) {
	t.Parallel()
	for target, want := range map[string]bool{
		"dns:///dncd.example:7362": true,
		"dns:dncd.example:7362":    true,
		"xds:///dncd":              true,
		"dncd.example:7362":        false,
		"127.0.0.1:7362":           false,
		"localhost:7362":           false,
		"unix:///run/dncd.sock":    false,
		"unix:run/dncd.sock":       false,
		"passthrough:///127.0.0.1": false,
	} {
		if got := isBalanced(target); got != want {
			t.Errorf("isBalanced(%q): got %v, want %v", target, got, want)
		}
	}
}
