// Package daemon builds the real dncd and dnc and runs them as processes of their
// own, as those who use them do.
package daemon

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/dncd/dncd/bench/internal/process"
)

const project = "github.com/dncd/dncd"

// Programs are the paths of the built programs.
type Programs struct {
	dncd, dnc string
}

// Build builds both programs into a directory, from the project that the module
// of the working directory is built with.
func Build(ctx context.Context, dir string) (Programs, error) {
	source, err := output(exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", project))
	if err != nil {
		return Programs{}, fmt.Errorf("find the project, which `go run .` in bench does: %w", err)
	}
	// In the project's own module: bench may need other versions of what it uses.
	build := exec.CommandContext(ctx, "go", "build", "-o", dir, "./cmd/dncd", "./cmd/dnc")
	build.Dir = strings.TrimSpace(source)
	if _, err := output(build); err != nil {
		return Programs{}, fmt.Errorf("build dncd: %w", err)
	}
	return Programs{dncd: filepath.Join(dir, "dncd"), dnc: filepath.Join(dir, "dnc")}, nil
}

// output runs a command and returns what it wrote, or an error with what it said.
func output(cmd *exec.Cmd) (string, error) {
	var said process.Tail
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w: %s", filepath.Base(cmd.Path), err, said.String())
	}
	return string(out), nil
}
