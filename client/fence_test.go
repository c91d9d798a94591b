package client_test

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// TestFence holds what an integrator inherits: neither the store nor the server, and
// at most eight modules.
func TestFence(t *testing.T) {
	t.Parallel()
	out, err := exec.Command("go", "list", "-deps", "-f", "{{.ImportPath}} {{with .Module}}{{.Path}}{{end}}", ".").Output()
	if err != nil {
		t.Skipf("go list: %v", err)
	}
	const self = "github.com/dncd/dncd"
	var modules []string
	for line := range strings.Lines(string(out)) {
		pkg, module, _ := strings.Cut(strings.TrimSpace(line), " ")
		for _, fence := range []string{"github.com/dgraph-io", self + "/store", self + "/server", self + "/internal/registry", self + "/internal/phone/national"} {
			if strings.HasPrefix(pkg, fence) {
				t.Errorf("client reaches %s", pkg)
			}
		}
		if module != "" && module != self && !slices.Contains(modules, module) {
			modules = append(modules, module)
		}
	}
	if len(modules) == 0 || len(modules) > 8 {
		t.Errorf("client links %d modules, want 1 to 8: %v", len(modules), modules)
	}
}
