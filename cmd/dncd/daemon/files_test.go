//go:build unix

package daemon_test

import (
	"crypto/sha256"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
)

// limited is a dncd that may open that many files.
func limited(files int, args ...string) *exec.Cmd {
	shell := []string{"-c", `ulimit -n "$0" && exec "$@"`, strconv.Itoa(files), os.Args[0]}
	return exec.Command("sh", append(shell, args...)...)
}

func TestTooFewFilesAreRefused(t *testing.T) {
	for _, files := range []int{64, 100, 400} {
		cmd := limited(files, serveArgs(t.TempDir())...)
		cmd.Env = append(os.Environ(), asProgram+"=1")
		out, err := cmd.CombinedOutput()
		if cmd.ProcessState.ExitCode() != 2 || !strings.Contains(string(out), "may open "+strconv.Itoa(files)+" files") || !strings.Contains(string(out), "ulimit -n") {
			t.Errorf("%d files: got %v and %s", files, err, out)
		}
	}
}

// TestIdleConnectionsLeaveFilesForTheStore: at the smallest accepted limit, idle connections take all the files they
// can get, and opt-outs, a load and a scrape are still served.
func TestIdleConnectionsLeaveFilesForTheStore(t *testing.T) {
	const files = 512
	p := startCommand(t, limited(files, serveArgs(t.TempDir())...))
	conn := dial(t, p.addr)
	admin := dncv1.NewAdminServiceClient(conn)
	if _, err := admin.GetStats(testContext(t), &dncv1.GetStatsRequest{}); err != nil {
		t.Fatal(err)
	}
	for range files {
		idle, err := net.Dial("tcp", p.addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { idle.Close() })
	}
	for i := range 20 {
		number := "+3319900" + strconv.Itoa(1000+i)
		if _, err := dncv1.NewRecordServiceClient(conn).RecordOptOut(testContext(t), &dncv1.RecordOptOutRequest{Number: number}); err != nil {
			t.Fatal(err)
		}
	}
	lists := dncv1.NewListServiceClient(conn)
	for i := range 10 {
		name := "list-" + strconv.Itoa(i)
		if _, err := lists.CreateList(testContext(t), &dncv1.CreateListRequest{Name: name, Kind: dncv1.ListKind_LIST_KIND_SUPPRESSION}); err != nil {
			t.Fatal(err)
		}
		importOne(t, lists, name)
	}
	if _, err := admin.GetStats(testContext(t), &dncv1.GetStatsRequest{}); err != nil {
		t.Error(err)
	}
	if code := p.stop(); code != 0 || strings.Contains(p.stderr.String(), "too many") {
		t.Errorf("got exit code %d and %s", code, p.stderr)
	}
}

// importOne loads a list with one number.
func importOne(t *testing.T, lists dncv1.ListServiceClient, name string) {
	t.Helper()
	stream, err := lists.Import(testContext(t))
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte(name))
	for _, r := range []*dncv1.ImportRequest{
		{Frame: &dncv1.ImportRequest_Header{Header: &dncv1.ImportHeader{List: name}}},
		{Frame: &dncv1.ImportRequest_Chunk{Chunk: &dncv1.ImportChunk{Seq: 1, Add: &dncv1.NumberSet{Numbers: []uint64{14155550100}}}}},
		{Frame: &dncv1.ImportRequest_Commit{Commit: &dncv1.ImportCommit{
			Chunks: 1, Read: 1, Sources: []*dncv1.ImportSource{{Name: "one.txt", Sha256: sum[:], Size: 12}},
		}}},
	} {
		_ = stream.Send(r) // Recv returns the reason
	}
	for {
		got, err := stream.Recv()
		if err != nil {
			t.Fatalf("import into %s: %v", name, err)
		}
		if got.GetResult() != nil {
			return
		}
	}
}
