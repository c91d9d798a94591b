package daemon

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"

	"github.com/dncd/dncd/bench/internal/process"
)

// Record is a load, as `dnc imports` tells it.
type Record struct {
	State      string `json:"state"`
	Read       uint64 `json:"read"`
	Accepted   uint64 `json:"accepted"`
	Duplicates uint64 `json:"duplicates"`
	Rejected   uint64 `json:"rejected"`
	Numbers    uint64 `json:"numbers"`
}

// Imports tells the loads of a list with `dnc imports`, newest first.
func (p Programs) Imports(ctx context.Context, addr, list string) ([]Record, error) {
	cmd := exec.CommandContext(ctx, p.dnc, "imports", "--addr", addr, "--output", "json", "--", list)
	cmd.Env = environment()
	out, err := output(cmd)
	if err != nil {
		return nil, err
	}
	var records []Record
	for lines := json.NewDecoder(bytes.NewBufferString(out)); ; {
		var r Record
		err := lines.Decode(&r)
		if errors.Is(err, io.EOF) {
			return records, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read what dnc imports printed: %w", err)
		}
		records = append(records, r)
	}
}

// Export writes a list with `dnc export`, a number a line. A writer that fails ends it.
func (p Programs) Export(ctx context.Context, addr, list string, to io.Writer) error {
	cmd := exec.CommandContext(ctx, p.dnc, "export", "--addr", addr, "--format", "plain", "--list", list)
	cmd.Env = environment()
	var said process.Tail
	cmd.Stdout, cmd.Stderr = to, &said
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("dnc export: %w: %s", err, said.String())
	}
	return nil
}
