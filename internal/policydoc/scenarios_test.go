package policydoc_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/dncd/dncd/internal/phone"
	"github.com/dncd/dncd/internal/place"
	"github.com/dncd/dncd/internal/policy"
	"github.com/dncd/dncd/internal/policydoc"
)

// where is the place that a case names, else what the number says.
func where(n phone.Number, named string) (policy.Place, error) {
	if named == "" {
		return place.Of(n), nil
	}
	at, err := place.Parse(named)
	if err != nil {
		return policy.Place{}, err
	}
	return *at, nil
}

// scenario is a file of testdata/scenarios: a policy, made of presets and what is added to them, and cases.
type scenario struct {
	policy, cases []byte
}

func readScenario(t *testing.T, path string) (s scenario) {
	t.Helper()
	archive, err := txtar.ParseFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(archive.Comment)) {
		if names, found := strings.CutPrefix(strings.TrimSpace(line), "presets: "); found {
			if s.policy, err = policydoc.Preset(strings.Split(names, ", ")...); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, f := range archive.Files {
		switch f.Name {
		case "policy.yaml":
			s.policy = append(s.policy, f.Data...)
		case "cases.yaml":
			s.cases = f.Data
		default:
			t.Fatalf("a scenario has no %s", f.Name)
		}
	}
	return s
}

// The scenarios hold the presets and the decision to the law as it was read.
func TestScenarios(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/scenarios/*.txtar")
	if err != nil || len(files) < 60 {
		t.Fatalf("%d scenarios, %v", len(files), err)
	}
	for _, path := range files {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			s := readScenario(t, path)
			var p *policy.Policy
			if s.policy != nil {
				doc, err := policydoc.Parse(s.policy, place.Holidays)
				if err != nil {
					t.Fatal(err)
				}
				p = doc.Compile("scenario", place.Holidays)
			}
			cases, err := policydoc.ParseCases(s.cases, where)
			if err != nil {
				t.Fatal(err)
			}
			for i := range cases {
				if differs := cases[i].Run(p); differs != "" {
					t.Errorf("%s: %s", cases[i].Name, differs)
				}
			}
		})
	}
}
