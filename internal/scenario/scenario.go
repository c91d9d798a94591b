// Package scenario reads scenarios: what is known of a number, when it is checked, and what the answer must be by the law as it
// was read. Tests run them against the decision alone and against a server.
package scenario

import (
	"embed"
	"fmt"
	"strings"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/dncd/dncd/internal/place"
	"github.com/dncd/dncd/internal/policy"
	"github.com/dncd/dncd/internal/policydoc"
)

//go:embed testdata/*.txtar
var files embed.FS

// Scenario is a policy and cases under it.
type Scenario struct {
	Name, Title string
	Policy      []byte // the document: presets, and what is added to them; nil: none
	Cases       []policydoc.Case
}

// All are the scenarios, by name.
func All() (all []Scenario, err error) {
	entries, err := files.ReadDir("testdata")
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		text, err := files.ReadFile("testdata/" + e.Name())
		if err != nil {
			return nil, err
		}
		s, err := read(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", e.Name(), err)
		}
		s.Name = strings.TrimSuffix(e.Name(), ".txtar")
		all = append(all, s)
	}
	return all, nil
}

func read(text []byte) (s Scenario, err error) {
	archive := txtar.Parse(text)
	s.Title, _, _ = strings.Cut(string(archive.Comment), ".\n")
	for line := range strings.Lines(string(archive.Comment)) {
		if names, found := strings.CutPrefix(strings.TrimSpace(line), "presets: "); found {
			if s.Policy, err = policydoc.Preset(strings.Split(names, ", ")...); err != nil {
				return s, err
			}
		}
	}
	for _, f := range archive.Files {
		switch f.Name {
		case "policy.yaml":
			s.Policy = append(s.Policy, f.Data...)
		case "cases.yaml":
			if s.Cases, err = policydoc.ParseCases(f.Data, place.At); err != nil {
				return s, err
			}
		default:
			return s, fmt.Errorf("a scenario has no %s", f.Name)
		}
	}
	return s, nil
}

// Compile is the policy of the scenario; nil: none.
func (s *Scenario) Compile() (*policy.Policy, error) {
	if s.Policy == nil {
		return nil, nil
	}
	doc, err := policydoc.Parse(s.Policy, place.Holidays)
	if err != nil {
		return nil, err
	}
	return doc.Compile("scenario", place.Holidays), nil
}
