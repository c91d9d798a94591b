package main

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	atlas "github.com/dncd/dncd/internal/place"
	"github.com/dncd/dncd/internal/policy"
	"github.com/dncd/dncd/internal/policydoc"
)

// casesSuffix ends the name of the file with the cases of a policy.
const casesSuffix = ".test.yaml"

// maxCases is how long such a file is at most.
const maxCases = 4 << 20

func (a *app) policyTestCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "test FILE",
		Short: "Run the cases that are written beside a policy",
		Long: `Run the cases that are written beside the policy in FILE: those of policy.yaml are in policy.test.yaml. A case gives
a number, a time and what is recorded, and says what a check should answer. No server is asked.

The exit code is 0 when every case is answered as it says, 1 when one is not, and 2 when the policy or its cases cannot
be read.`,
		Example: "  dnc policy test policy.yaml",
		Args:    counted(1, 1, "file"),
		RunE: func(_ *cobra.Command, args []string) error {
			return a.policyTest(args[0])
		},
	}
}

func (a *app) policyTest(file string) error {
	_, doc, err := a.readPolicy(file)
	if err != nil {
		return err
	}
	beside := strings.TrimSuffix(file, filepath.Ext(file)) + casesSuffix
	text, err := readWhole(beside, maxCases)
	if errors.Is(err, fs.ErrNotExist) {
		return withHint(fmt.Errorf("the cases of %s are missing: there is no file %s", file, beside), "docs/policies.md shows how a case is written")
	}
	if err != nil {
		return err
	}
	cases, err := policydoc.ParseCases(text, atlas.At)
	if err != nil {
		return inFile(beside, err)
	}
	return a.runCases(beside, cases, doc.Compile("", atlas.Holidays))
}

// caseResult is one line of JSON.
type caseResult struct {
	Name   string  `json:"name"`
	Line   int     `json:"line"`
	Passed bool    `json:"passed"`
	Differ *string `json:"differs"`
}

func (a *app) runCases(file string, cases []policydoc.Case, p *policy.Policy) error {
	failed := 0
	for i := range cases {
		differs := cases[i].Run(p)
		if differs != "" {
			failed++
			a.end(exitNo)
		}
		if a.output == "json" {
			result := caseResult{Name: cases[i].Name, Line: cases[i].Line, Passed: differs == ""}
			if differs != "" {
				result.Differ = &differs
			}
			if err := a.print(result, nil); err != nil {
				return err
			}
		} else if differs != "" {
			fmt.Fprintf(a.stdout, "%s:%d: %s: %s\n", file, cases[i].Line, cases[i].Name, differs)
		}
	}
	if a.output == "text" {
		fmt.Fprintf(a.stdout, "%s, %d failed\n", count(uint64(len(cases)), "case"), failed)
	}
	return nil
}
