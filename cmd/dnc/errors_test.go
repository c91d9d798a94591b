package main

import (
	"context"
	"strings"
	"testing"
)

func TestHintOfAnInterrupt(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	list, optOuts := writeTemp(t, "list.txt", "+14155550100\n"), writeTemp(t, "optouts.csv", "phone\n+14155550100\n")
	for _, tt := range []struct {
		args []string
		hint string
	}{
		{[]string{"stats"}, "a write may have been done"},
		{[]string{"import", list, "--list", "mine"}, "the same command goes on where it stopped"},
		{[]string{"import", optOuts, "--opt-outs"}, "it is safe to run the same command again"},
	} {
		var out, errs strings.Builder
		code := run(ctx, append(tt.args, "--addr", "127.0.0.1:1"), &out, &errs)
		if code != exitError || !strings.Contains(errs.String(), "hint: "+tt.hint) {
			t.Errorf("%s: exit code %d with %q, want 2 and the hint %q", tt.args[0], code, errs.String(), tt.hint)
		}
	}
}

func TestCheckAddr(t *testing.T) {
	for addr, want := range map[string]bool{
		"127.0.0.1:7362": true, "[::1]:7362": true, "dncd.example:7362": true, ":7362": true, "dns:7362": true,
		"unix:///run/dncd.sock": true, "unix:run/dncd.sock": true, "dns:///dncd.example": true, "dns:dncd.example:7362": true,
		"passthrough:///127.0.0.1": true,
		"":                         false, "127.0.0.1": false, "localhost": false, "localhost:": false, "::1": false, "[::1]": false, "/run/dncd.sock": false,
	} {
		if err := checkAddr(addr); (err == nil) != want {
			t.Errorf("--addr %q: %v, want it taken: %v", addr, err, want)
		}
	}
}

func TestEncryptionFails(t *testing.T) {
	tests := []struct {
		message     string
		encrypted   bool
		wantFailure bool
	}{
		{"authentication handshake failed: tls: failed to verify certificate: x509: certificate signed by unknown authority", true, true},
		{"remote error: tls: certificate required", true, true},
		{"error reading server preface: EOF", false, true},
		{"write tcp: write: broken pipe", false, true},
		{"connection reset by peer", true, true},
		{"connection reset by peer", false, false},
		{"dial tcp 127.0.0.1:1: connect: connection refused", true, false},
	}
	for _, tt := range tests {
		a := &app{tls: tt.encrypted}
		if got := a.encryptionFails(tt.message); got != tt.wantFailure {
			t.Errorf("%q with TLS %v: got %v, want %v", tt.message, tt.encrypted, got, tt.wantFailure)
		}
	}
}
