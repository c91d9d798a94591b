package client_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
)

// The recipes of docs/integrating.md are run as they are written there: against a server, and against one that refuses
// the first call of each method and ends the first stream.
const recipes = "../docs/integrating.md"

func TestRecipesOfNode(t *testing.T) {
	t.Parallel()
	modules := os.Getenv("DNCTEST_NODE_MODULES")
	if _, err := os.Stat(filepath.Join(modules, "@grpc/grpc-js")); modules == "" || err != nil {
		t.Skip("DNCTEST_NODE_MODULES does not name a node_modules with @grpc/grpc-js and @grpc/proto-loader: install them with npm")
	}
	node := toolOrSkip(t, "node")
	dir := t.TempDir()
	if err := os.Symlink(modules, filepath.Join(dir, "node_modules")); err != nil {
		t.Fatal(err)
	}
	program, want := recipe(t, "js")
	runRecipe(t, want, node, write(t, dir, "recipe.mjs", program))
}

func TestRecipesOfPython(t *testing.T) {
	t.Parallel()
	python := pythonOrSkip(t)
	protoc, plugin := toolOrSkip(t, "protoc"), toolOrSkip(t, "grpc_python_plugin")
	protos, err := filepath.Glob("../proto/dnc/v1/*.proto")
	if err != nil || len(protos) == 0 {
		t.Fatalf("no protos: %v", err)
	}
	dir := t.TempDir()
	args := []string{"-I", "../proto", "--python_out=" + dir, "--grpc_python_out=" + dir, "--plugin=protoc-gen-grpc_python=" + plugin}
	if out, err := exec.CommandContext(t.Context(), protoc, append(args, protos...)...).CombinedOutput(); err != nil {
		t.Fatalf("protoc: %v\n%s", err, out)
	}
	program, want := recipe(t, "python")
	runRecipe(t, want, python, write(t, dir, "recipe.py", program)) // whose directory is on the path
}

// toolOrSkip is the path of a program.
func toolOrSkip(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("%s is not installed", name)
	}
	return path
}

// pythonOrSkip is a Python that has grpc: the one on the path, or the system's, whose modules Debian packages.
func pythonOrSkip(t *testing.T) string {
	t.Helper()
	for _, python := range []string{"python3", "/usr/bin/python3"} {
		if exec.CommandContext(t.Context(), python, "-c", "import grpc, google.protobuf").Run() == nil {
			return python
		}
	}
	t.Skip("no python3 has grpc: install Debian's python3-grpcio and python3-protobuf")
	return ""
}

// recipe is the block of that language in the document, and what the document says that it prints.
func recipe(t *testing.T, language string) (program, prints string) {
	t.Helper()
	text, err := os.ReadFile(recipes)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(text), "\n```"+language+"\n")
	program, rest, ended := strings.Cut(rest, "\n```\n")
	_, rest, said := strings.Cut(rest, "\n```text\n")
	prints, _, whole := strings.Cut(rest, "```\n")
	if !found || !ended || !said || !whole {
		t.Fatalf("%s has no block of %s with a block of text after it", recipes, language)
	}
	return program, prints
}

func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// runRecipe runs a program against new servers, and compares what it prints.
func runRecipe(t *testing.T, want, name string, args ...string) {
	t.Helper()
	runRecipeAt(t, serve(t), want, name, args...)
	u, addr := serveUnsteadily(t, serve(t))
	runRecipeAt(t, addr, want, name, args...)
	for method, calls := range map[string]int{
		dncv1.RecordService_RecordOptOut_FullMethodName: 2,
		dncv1.CheckService_CheckNumber_FullMethodName:   5, // the first refused, two for the stream
		dncv1.CheckService_CheckNumbers_FullMethodName:  2,
		dncv1.CheckService_StreamChecks_FullMethodName:  1,
	} {
		if got := u.calls(method); got != calls {
			t.Errorf("%d calls of %s, want %d", got, method, calls)
		}
	}
}

func runRecipeAt(t *testing.T, addr, want, name string, args ...string) {
	t.Helper()
	protos, err := filepath.Abs("../proto")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), "DNC_ADDR="+addr, "DNC_PROTO="+protos)
	cmd.WaitDelay = 10 * time.Second
	out, err := cmd.Output()
	var failed *exec.ExitError
	if errors.As(err, &failed) {
		t.Fatalf("%s: %v\n%s%s", name, err, out, failed.Stderr)
	}
	if err != nil {
		t.Fatal(err)
	}
	if string(out) != want {
		t.Errorf("the recipe printed:\n%swant:\n%s", out, want)
	}
}

// TestDialerExample builds the mini dialer and lets it dial: of four leads one has objected already, one objects on the
// phone, and one is no number.
func TestDialerExample(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("builds a program")
	}
	dir := t.TempDir()
	dialer := filepath.Join(dir, "dialer")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", dialer, ".")
	build.Dir = "../examples/dialer"
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	addr := serve(t)
	c := connect(t, addr)
	optOut(t, c, "+14155550123", "acme")
	leads := write(t, dir, "leads.csv", "id,number\n1,+14155550123\n2,+14155550100\n3,+14155550101\n5,hello\n")
	dial := func() string {
		t.Helper()
		out, err := exec.CommandContext(t.Context(), dialer, "--addr", addr, "--scope", "acme/telecom", "--lines", "1", leads).CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return string(out)
	}
	_, noNumber := c.Check(t.Context(), "hello")
	want := `lead 1: blocked (OPT_OUT)
lead 2: objected (recorded at revision 2)
lead 3: talked
lead 5: not a number (` + noNumber.Error() + `)
talked: 1
objected: 1
NOT RECORDED: 0
blocked: 1
later: 0
not a number: 1
`
	if got := dial(); got != want {
		t.Errorf("the dialer printed:\n%swant:\n%s", got, want)
	}
	if got := dial(); !strings.Contains(got, "lead 2: blocked (OPT_OUT)\n") {
		t.Errorf("the dialer printed:\n%swant lead 2, who has objected, to be blocked", got)
	}
}
