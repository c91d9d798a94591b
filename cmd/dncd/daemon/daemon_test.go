package daemon_test

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/dncd/dncd/cmd/dncd/daemon"
	"github.com/dncd/dncd/internal/testparallel"
	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
)

// asProgram makes the test binary run dncd, for tests that need a process.
const asProgram = "DNCTEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		os.Exit(daemon.Run(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
	}
	testparallel.Raise()
	os.Exit(m.Run())
}

// patience is how long something may take on a busy machine before a test considers it stuck.
const patience = 2 * time.Minute

// run runs dncd in this process until it ends.
func run(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = daemon.Run(testContext(t), args, &out, &errs) // a server that should not have started is stopped
	return code, out.String(), errs.String()
}

// process is a dncd in a process of its own.
type process struct {
	t         *testing.T
	cmd       *exec.Cmd
	line      string // the line that says that it serves
	addr, web string
	stderr    *bytes.Buffer
	ended     chan struct{}
}

var serving = regexp.MustCompile(`^dncd serves (\S+) \(http (\S+)\), data \S+, revision \d+, [\d,]+ numbers, opened in \S+; no policy: country rules are not applied$`)

func startProcess(t *testing.T, args ...string) *process {
	t.Helper()
	return startCommand(t, exec.Command(os.Args[0], args...))
}

func startCommand(t *testing.T, cmd *exec.Cmd) *process {
	t.Helper()
	p := &process{t: t, cmd: cmd, stderr: new(bytes.Buffer), ended: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), asProgram+"=1")
	p.cmd.Stderr = p.stderr
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.cmd.Process.Kill() }) // it fails if the process has ended
	r := bufio.NewReader(stdout)
	p.line, _ = r.ReadString('\n')
	p.line = strings.TrimSpace(p.line)
	go func() {
		_, _ = io.Copy(io.Discard, r)
		_ = p.cmd.Wait() // the exit code has the result
		close(p.ended)
	}()
	m := serving.FindStringSubmatch(p.line)
	if m == nil {
		t.Fatalf("got line %q, stderr %s", p.line, p.stderr)
	}
	p.addr, p.web = m[1], "http://"+m[2]
	return p
}

// stop sends SIGTERM and returns the exit code.
func (p *process) stop() int {
	p.t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		p.t.Fatal(err)
	}
	select {
	case <-p.ended:
		return p.cmd.ProcessState.ExitCode()
	case <-time.After(patience):
		p.t.Fatalf("does not stop: %s", p.stderr)
		return -1
	}
}

func serveArgs(dir string, more ...string) []string {
	return append([]string{"--init", "--data", dir, "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0"}, more...)
}

func dial(t *testing.T, addr string) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func testContext(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

func TestServeFromEmptyToRestart(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	p := startProcess(t, serveArgs(dir)...)
	for path, want := range map[string]int{"/readyz": 200, "/healthz": 200, "/metrics": 200, "/none": 404} {
		resp, err := http.Get(p.web + path)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("%s: got %d, want %d", path, resp.StatusCode, want)
		}
	}
	record := dncv1.NewRecordServiceClient(dial(t, p.addr))
	if _, err := record.RecordOptOut(testContext(t), &dncv1.RecordOptOutRequest{Number: "+33199001234"}); err != nil {
		t.Fatal(err)
	}

	code, _, stderr := run(t, serveArgs(dir)...)
	if code != 2 || !strings.Contains(stderr, "in use by another process") || !strings.Contains(stderr, dir) || !strings.Contains(stderr, "hint: ") {
		t.Errorf("a second one on the directory: got %d and %q", code, stderr)
	}
	code, _, stderr = run(t, "fsck", "--data", dir)
	if code != 2 || !strings.Contains(stderr, "in use") {
		t.Errorf("fsck of a running server: got %d and %q", code, stderr)
	}
	if code := p.stop(); code != 0 {
		t.Errorf("SIGTERM: got exit code %d, stderr %s", code, p.stderr)
	}

	p = startProcess(t, serveArgs(dir)...)
	if !strings.Contains(p.line, "revision 1, 1 numbers") {
		t.Errorf("after the restart: got %q", p.line)
	}
	got, err := dncv1.NewCheckServiceClient(dial(t, p.addr)).CheckNumber(testContext(t), &dncv1.CheckNumberRequest{Number: "+33199001234"})
	if err != nil || got.GetVerdict() != dncv1.Verdict_VERDICT_BLOCK {
		t.Errorf("after the restart: got %v and %v, want BLOCK", got, err)
	}
	if code := p.stop(); code != 0 {
		t.Errorf("SIGTERM: got exit code %d", code)
	}

	code, stdout, stderr := run(t, "fsck", "--data", dir)
	if code != 0 || !strings.Contains(stdout, "is whole: revision 1") {
		t.Errorf("fsck: got %d, %q and %q", code, stdout, stderr)
	}
	if err := os.Remove(filepath.Join(dir, "mark")); err != nil {
		t.Fatal(err)
	}
	code, stdout, _ = run(t, "fsck", "--data", dir)
	if code != 1 || !strings.Contains(stdout, "problem: ") || !strings.Contains(stdout, "--repair") {
		t.Errorf("fsck without the mark: got %d and %q", code, stdout)
	}
}

func TestNotReadyOverDamage(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := startProcess(t, serveArgs(dir)...)
	if _, err := dncv1.NewRecordServiceClient(dial(t, p.addr)).RecordOptOut(testContext(t), &dncv1.RecordOptOutRequest{Number: "+33199001234"}); err != nil {
		t.Fatal(err)
	}
	p.stop()
	if err := os.Remove(filepath.Join(dir, "mark")); err != nil {
		t.Fatal(err)
	}
	p = startProcess(t, serveArgs(dir)...)
	resp, err := http.Get(p.web + "/readyz")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("/readyz: got %d, want 503", resp.StatusCode)
	}
	if code := p.stop(); code != 0 {
		t.Errorf("SIGTERM: got exit code %d", code)
	}
	if got := p.stderr.String(); !strings.Contains(got, "dncd: not ready") || !strings.Contains(got, "hint: dncd fsck --data "+dir) {
		t.Errorf("stderr lacks what to do: %s", got)
	}
}

func TestListenOnUnixSocket(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("", "dncd") // t.TempDir may be too long for a socket's name
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	socket := filepath.Join(dir, "s")
	stale, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	stale.SetUnlinkOnClose(false)
	stale.Close() // a killed process leaves its socket behind
	p := startProcess(t, "--init", "--data", filepath.Join(dir, "data"), "--listen", "unix://"+socket, "--http", "127.0.0.1:0")
	if p.addr != "unix://"+socket {
		t.Errorf("got address %s", p.addr)
	}
	if _, err := dncv1.NewAdminServiceClient(dial(t, p.addr)).GetStats(testContext(t), &dncv1.GetStatsRequest{}); err != nil {
		t.Error(err)
	}
	p.stop()
}

func TestEnvironmentIsBehindFlags(t *testing.T) {
	t.Setenv("DNCD_DATA", filepath.Join(t.TempDir(), "data"))
	t.Setenv("DNCD_LISTEN", "127.0.0.1:0")
	t.Setenv("DNCD_HTTP", "127.0.0.1:1") // a flag overrides it
	t.Setenv("DNCD_LOG_FORMAT", "json")
	t.Setenv("DNCD_INIT", "true")
	p := startProcess(t, "--http", "127.0.0.1:0")
	p.stop()
	if !strings.Contains(p.stderr.String(), `"msg":"stopped"`) {
		t.Errorf("got log %s, want JSON", p.stderr)
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	tests := []struct {
		name string
		args []string
		want []string
	}{
		{"unknown flag", []string{"--nonsense"}, []string{"unknown flag", "hint: dncd --help lists the flags"}},
		{"argument of init", []string{"init", dir}, []string{"unknown command", "hint: dncd init --help lists the flags"}},
		{"argument", []string{"serve"}, []string{"unknown command", "hint: "}},
		{"history", serveArgs(dir, "--history", "1830d"), []string{"--history", "not built yet"}},
		{"rate", serveArgs(dir, "--filter-fpr", "0"), []string{"--filter-fpr"}},
		{"size", serveArgs(dir, "--min-free", "much"), []string{"--min-free", "2GiB"}},
		{"level", serveArgs(dir, "--log-level", "loud"), []string{"--log-level"}},
		{"format", serveArgs(dir, "--log-format", "xml"), []string{"--log-format"}},
		{"no key", serveArgs(dir, "--tls-cert", "c.pem"), []string{"certificate and its key", "--tls-key"}},
		{"listen in the open", []string{"--data", dir, "--listen", "0.0.0.0:0", "--http", ""}, []string{"--listen", "no TLS", "--insecure"}},
		{"listen anywhere", []string{"--data", dir, "--listen", ":0", "--http", ""}, []string{"--listen", "--insecure"}},
		{"http in the open", []string{"--data", dir, "--listen", "127.0.0.1:0", "--http", "0.0.0.0:0"}, []string{"--http", "--insecure"}},
		{"address taken", []string{"--data", dir, "--listen", taken.Addr().String()}, []string{"in use", "hint: "}},
		{"accept-loss alone", []string{"fsck", "--data", dir, "--accept-loss"}, []string{"--repair"}},
		{"listen on nothing", []string{"--data", dir, "--listen", ""}, []string{"--listen", "DNCD_LISTEN", "is empty"}},
		{"listen on blanks", []string{"--data", dir, "--listen", " "}, []string{"--listen", "is empty"}},
		{"listen without a port", serveArgs(dir, "--listen", "127.0.0.1:"), []string{"--listen", "names no port"}},
		{"http without a port", serveArgs(dir, "--http", "127.0.0.1:"), []string{"--http", "names no port"}},
		{"socket without a name", serveArgs(dir, "--listen", "unix://"), []string{"--listen", "names no socket"}},
		{"no client authority", serveArgs(dir, "--tls-client-ca", ""), []string{"--tls-client-ca", "is empty"}},
		{"no certificate", serveArgs(dir, "--tls-cert", "", "--tls-key", ""), []string{"--tls-", "is empty"}},
		{"data nowhere", []string{"--data", ""}, []string{"--data", "is empty"}},
		{"fsck nowhere", []string{"fsck", "--data", ""}, []string{"--data", "is empty"}},
		{"repair and restored", []string{"fsck", "--data", dir, "--repair", "--restored"}, []string{"--repair and --restored", "hint: dncd fsck --help lists the flags"}},
		{"fsck of nothing", []string{"fsck", "--data", filepath.Join(dir, "none")}, []string{"no store there", "dncd init"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			code, _, stderr := run(t, tt.args...)
			if code != 2 || !strings.Contains(stderr, "dncd: ") {
				t.Errorf("got %d and %q", code, stderr)
			}
			for _, want := range tt.want {
				if !strings.Contains(stderr, want) {
					t.Errorf("stderr lacks %q: %s", want, stderr)
				}
			}
		})
	}
}

func TestVersion(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"version"}, {"--version"}} {
		if code, stdout, _ := run(t, args...); code != 0 || !strings.HasPrefix(stdout, "dncd ") || len(stdout) < 8 {
			t.Errorf("%v: got %d and %q", args, code, stdout)
		}
	}
	if code, stdout, _ := run(t, "completion", "bash"); code != 0 || !strings.Contains(stdout, "dncd") {
		t.Errorf("completion: got %d", code)
	}
}

// An insecure server beyond this machine is served when --insecure is given.
func TestInsecureIsObeyed(t *testing.T) {
	t.Parallel()
	p := startProcess(t, "--init", "--data", t.TempDir(), "--listen", "0.0.0.0:0", "--http", "127.0.0.1:0", "--insecure", "--min-free", "0", "--block-cache", "1MiB")
	p.stop()
}
