package main

import (
	"bytes"
	"os"

	"github.com/spf13/cobra"

	"github.com/dncd/dncd/bench/internal/report"
)

func plotCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "plot-load RESULTS...",
		Short:   "Draw how loads go with their size, as an SVG, from what load --json printed",
		Example: "  go run . plot-load results.json > ../docs/load.svg",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var results bytes.Buffer
			for _, path := range args {
				content, err := os.ReadFile(path)
				if err != nil {
					return err
				}
				results.Write(content)
			}
			rows, err := report.ReadLoads(&results)
			if err != nil {
				return err
			}
			return report.PlotLoads(cmd.OutOrStdout(), rows)
		},
	}
}
