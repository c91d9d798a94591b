package main

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
)

func TestHintOfAnInterrupt(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	list, optOuts := writeTemp(t, "list.txt", "+14155550100\n"), writeTemp(t, "optouts.csv", "phone\n+14155550100\n")
	for _, tt := range []struct {
		args []string
		hint string
	}{
		{[]string{"import", list, "--list", "mine"}, "the same command resumes where it stopped"},
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
	t.Parallel()
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

// TestHintsOfConnections: each cause has the hint that helps against it.
func TestHintsOfConnections(t *testing.T) {
	t.Parallel()
	web, gone := httptest.NewServer(http.NotFoundHandler()), httptest.NewServer(nil)
	t.Cleanup(web.Close)
	gone.Close()
	tests := []struct{ name, addr, hint string }{
		{"the port of HTTP", web.Listener.Addr().String(), "this port speaks HTTP"},
		{"a name that is not known", "no-such-host.invalid:7362", "the host name in --addr is not known"},
		{"no server", gone.Listener.Addr().String(), "start the server"},
		{"no socket", "unix:" + filepath.Join(t.TempDir(), "s"), "start the server"},
	}
	for _, tt := range tests {
		var out, errs strings.Builder
		code := run(t.Context(), []string{"stats", "--insecure", "--addr", tt.addr}, &out, &errs)
		if code != exitError || !strings.Contains(errs.String(), "hint: "+tt.hint) {
			t.Errorf("%s: exit code %d with %q, want 2 and the hint %q", tt.name, code, errs.String(), tt.hint)
		}
	}
	const denied = "dial unix /run/dncd.sock: connect: permission denied" // root is never denied
	if hint := new(app).hintUnavailable(denied); !strings.Contains(hint, "may not open the socket") {
		t.Errorf("%s: got the hint %q", denied, hint)
	}
}

// TestHintWhenTimeIsOver: only of a write is it unknown whether it counted.
func TestHintWhenTimeIsOver(t *testing.T) {
	t.Parallel()
	silent, err := net.Listen("tcp", "127.0.0.1:0") // it takes connections and never answers
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { silent.Close() })
	tests := []struct {
		args  []string
		write bool
	}{
		{[]string{"check", "+14155550100"}, false},
		{[]string{"stats"}, false},
		{[]string{"list", "ls"}, false},
		{[]string{"optout", "add", "+14155550100"}, true},
		{[]string{"optout", "withdraw", "+14155550100", "--reason", "asked"}, true},
		{[]string{"list", "create", "mine", "--kind", "suppression"}, true},
		{[]string{"list", "delete", "mine", "--yes"}, true},
	}
	for _, tt := range tests {
		var out, errs strings.Builder
		code := run(t.Context(), append(tt.args, "--timeout", "50ms", "--addr", silent.Addr().String()), &out, &errs)
		said := errs.String()
		if code != exitError || !strings.Contains(said, "in time") || strings.Contains(said, "may have counted") != tt.write {
			t.Errorf("%v: exit code %d with %q, want 2, and that it may have counted: %v", tt.args, code, said, tt.write)
		}
	}
}

func TestEncryptionFails(t *testing.T) {
	t.Parallel()
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
