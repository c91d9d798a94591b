package daemon_test

import (
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

func settingsFile(t *testing.T, lines ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "dncd.yaml")
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestFileOfSettingsIsBehindVariables(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	t.Setenv("DNCD_CONFIG", settingsFile(t,
		"data: "+data, "init: true", "listen: 127.0.0.1:1 # a flag overrides it", "http: 127.0.0.1:2 # a variable overrides it",
		"log-format: json"))
	t.Setenv("DNCD_HTTP", "127.0.0.1:0")
	p := startProcess(t, "--listen", "127.0.0.1:0")
	p.stop()
	if got := p.stderr.String(); !strings.Contains(got, `"msg":"stopped"`) {
		t.Errorf("got log %s, want JSON", got)
	}
	if _, err := os.Stat(filepath.Join(data, "mark")); err != nil {
		t.Errorf("got no store in the file's data directory: %v", err)
	}
	t.Setenv("DNCD_HTTP", "") // empty means none
	code, stdout, stderr := run(t, "fsck")
	if code != 0 || !strings.Contains(stdout, "whole") {
		t.Errorf("fsck by the same file: got code %d, %s%s, want 0 and a whole store", code, stdout, stderr)
	}
}

func TestSettingsThatAreRefused(t *testing.T) {
	dir := t.TempDir()
	t.Run("an unknown variable", func(t *testing.T) {
		t.Setenv("DNCD_LISTN", "127.0.0.1:0")
		for _, args := range [][]string{serveArgs(dir), {"fsck", "--data", dir}} {
			code, _, stderr := run(t, args...)
			if code != 2 || !strings.Contains(stderr, "DNCD_LISTN: no such variable") {
				t.Errorf("%s: got code %d, %s, want 2 and the variable's name", args[0], code, stderr)
			}
		}
	})
	for _, c := range []struct{ name, line, want string }{
		{"an unknown key", "listn: 127.0.0.1:0", `:1:1: "listn" is not a setting`},
		{"a command's flag", "repair: true", `:1:1: "repair" is not a setting`},
		{"a bad value", "min-free: much", ":1:11: min-free: write it as 64MiB"},
		{"an empty value", "tls-client-ca: ''", "--tls-client-ca (DNCD_TLS_CLIENT_CA): is empty"},
		{"a value that no server can have", "filter-fpr: 3", "--filter-fpr: must be"},
	} {
		t.Run(c.name, func(t *testing.T) {
			code, _, stderr := run(t, serveArgs(dir, "--config", settingsFile(t, c.line))...)
			if code != 2 || !strings.Contains(stderr, c.want) {
				t.Errorf("got code %d, %s, want 2 and %s", code, stderr, c.want)
			}
		})
	}
	code, _, stderr := run(t, serveArgs(dir, "--config", filepath.Join(dir, "none.yaml"))...)
	if code != 2 || !strings.Contains(stderr, "none.yaml") {
		t.Errorf("a file that is not there: got code %d, %s, want 2 and its name", code, stderr)
	}
}

// TestVariablesOfKubernetes: a service with the name dncd puts these into every container of its namespace.
func TestVariablesOfKubernetes(t *testing.T) {
	for name, value := range map[string]string{
		"DNCD_SERVICE_HOST": "10.0.0.1", "DNCD_SERVICE_PORT": "7362", "DNCD_SERVICE_PORT_GRPC": "7362",
		"DNCD_PORT": "tcp://10.0.0.1:7362", "DNCD_PORT_7362_TCP": "tcp://10.0.0.1:7362", "DNCD_PORT_7362_TCP_ADDR": "10.0.0.1",
	} {
		t.Setenv(name, value)
	}
	startProcess(t, serveArgs(filepath.Join(t.TempDir(), "data"))...).stop()
}

func TestSocketHasItsModeAndGroup(t *testing.T) {
	dir, err := os.MkdirTemp("", "dncd") // t.TempDir may be too long for a socket's name
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	group := strconv.Itoa(os.Getgid())
	for i, c := range []struct {
		args []string
		want fs.FileMode
	}{
		{[]string{"--socket-mode", "0600"}, 0o600},
		{[]string{"--socket-mode", "666"}, 0o666},
		{[]string{"--socket-group", group}, 0o660},
		{[]string{"--socket-group", group, "--socket-mode", "0620"}, 0o620},
	} {
		socket := filepath.Join(dir, fmt.Sprint(i))
		args := append([]string{"--init", "--data", filepath.Join(dir, "data"), "--listen", "unix://" + socket, "--http", ""}, c.args...)
		p := startProcess(t, args...)
		info, err := os.Stat(socket)
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != c.want {
			t.Errorf("%v: got mode %v, want %v", c.args, got, c.want)
		}
		p.stop()
	}
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"--socket-mode", "0999"}, "octal"},
		{[]string{"--socket-mode", "0"}, "octal"},
		{[]string{"--socket-group", "no such group"}, "--socket-group"},
	} {
		args := append([]string{"--data", filepath.Join(dir, "data"), "--listen", "unix://" + filepath.Join(dir, "x"), "--http", ""}, c.args...)
		if code, _, stderr := run(t, args...); code != 2 || !strings.Contains(stderr, c.want) {
			t.Errorf("%v: got code %d, %s, want 2 and %s", c.args, code, stderr, c.want)
		}
	}
	code, _, stderr := run(t, serveArgs(filepath.Join(dir, "data"), "--socket-mode", "0660")...)
	if code != 2 || !strings.Contains(stderr, "neither --listen nor --http is a unix socket") {
		t.Errorf("without a socket: got code %d, %s, want 2 and why", code, stderr)
	}
}

func TestHangupDoesNotEndTheServer(t *testing.T) {
	p := startProcess(t, serveArgs(filepath.Join(t.TempDir(), "data"))...)
	for range 3 {
		if err := p.cmd.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
	}
	select {
	case <-p.ended:
		t.Fatalf("SIGHUP ended it: %s", p.stderr)
	case <-time.After(200 * time.Millisecond):
	}
	resp, err := http.Get(p.web + "/readyz")
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("after SIGHUP: got %v, %v, want ready", resp, err)
	}
	resp.Body.Close()
	if code := p.stop(); code != 0 || !strings.Contains(p.stderr.String(), "SIGHUP ignored") {
		t.Errorf("got code %d, log %s, want 0 and a line about SIGHUP", code, p.stderr)
	}
}
