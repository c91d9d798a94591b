package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"github.com/dncd/dncd/bench/internal/report"
)

func reportCommand() *cobra.Command {
	var results, page string
	cmd := &cobra.Command{
		Use:   "report",
		Short: "Write tables and plots of measurements into docs/performance.md",
		Long: `Write tables and plots of measurements into docs/performance.md.

It reads what check, overload, soak and load printed with --json, from all files
*.jsonl in --results by their names. A row about the same case and load as an earlier
one takes its place. The page keeps what stands outside the marks.`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return writeReport(results, page) },
	}
	cmd.Flags().StringVar(&results, "results", "results", "directory of the results")
	cmd.Flags().StringVar(&page, "page", filepath.Join("..", "docs", "performance.md"), "markdown to write into; the plots go into plots beside it")
	return cmd
}

func writeReport(results, page string) error {
	files, err := filepath.Glob(filepath.Join(results, "*.jsonl"))
	if err != nil {
		return err
	}
	if len(files) == 0 {
		return fmt.Errorf("--results: no *.jsonl in %s: measure with --json > %s/NAME.jsonl first", results, results)
	}
	slices.Sort(files)
	var all report.Results
	for _, path := range files {
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if err := all.Read(bytes.NewReader(content)); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	return all.WritePage(page)
}
