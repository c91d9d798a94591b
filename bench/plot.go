package main

import (
	"io"
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
			var files []io.Reader
			for _, path := range args {
				file, err := os.Open(path)
				if err != nil {
					return err
				}
				defer file.Close()
				files = append(files, file)
			}
			rows, err := report.ReadLoads(io.MultiReader(files...))
			if err != nil {
				return err
			}
			return report.PlotLoads(cmd.OutOrStdout(), rows)
		},
	}
}
