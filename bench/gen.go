package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// generator makes list files. The same generator makes the same files.
type generator struct {
	numbers int
	layout  layout
	date    time.Time // the registry's date, in the names of the files
	seed    uint64
	zip     bool
	order   string // sorted or shuffled
	out     string
}

// made is what a generator wrote.
type made struct {
	files   int
	numbers int
	bytes   int64
}

func genCommand() *cobra.Command {
	var g generator
	var format, date string
	cmd := &cobra.Command{
		Use:   "gen --numbers N --out DIR",
		Short: "Make list files as large as a national registry",
		Long: `Make list files as large as a national registry, one file an area code.

The numbers are drawn at random from real area codes (ftc) or from mobile
ranges of real countries (plain, csv), about 740,000 of each before the next
one is opened, as dense as the US registry. Within a file they are sorted. The
same numbers, format, seed and date make the same files.`,
		Example: `  go run . gen --numbers 1000000 --format ftc --out /tmp/us
  go run . gen --numbers 258000000 --format ftc --out /tmp/us --date 2026-09-09 --zip`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var err error
			if g.layout, err = findLayout(format); err != nil {
				return err
			}
			if g.date, err = time.Parse(time.DateOnly, date); err != nil {
				return fmt.Errorf("--date: write it as 2026-09-09")
			}
			start := time.Now()
			m, err := g.run(cmd.Context())
			if err != nil {
				return err
			}
			seconds := time.Since(start).Seconds()
			fmt.Fprintf(cmd.OutOrStdout(), "%d numbers in %d files, %.1f MB, %.2f s, %.1f million numbers/s\n",
				m.numbers, m.files, float64(m.bytes)/1e6, seconds, float64(m.numbers)/1e6/seconds)
			return nil
		},
	}
	f := cmd.Flags()
	f.IntVar(&g.numbers, "numbers", 1_000_000, "how many numbers")
	f.StringVar(&format, "format", "ftc", "layout of the files: "+strings.Join(layoutNames(), ", "))
	f.StringVar(&g.out, "out", "", "directory to make the files in: a new or an empty one")
	f.StringVar(&date, "date", time.Now().UTC().Format(time.DateOnly), "the registry's date, for the names of the files")
	f.Uint64Var(&g.seed, "seed", 1, "where the random numbers start")
	f.StringVar(&g.order, "order", sorted, "sorted, or shuffled over all files")
	f.BoolVar(&g.zip, "zip", false, "pack each file into a zip of its own, as the registry does")
	if err := cmd.MarkFlagRequired("out"); err != nil {
		panic(err) // the flag is defined above
	}
	return cmd
}
