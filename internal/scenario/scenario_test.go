package scenario

import "testing"

// The scenarios hold the presets and the decision to the law as it was read.
func TestScenarios(t *testing.T) {
	t.Parallel()
	all, err := All()
	if err != nil || len(all) < 60 {
		t.Fatalf("%d scenarios, %v", len(all), err)
	}
	for _, s := range all {
		t.Run(s.Name, func(t *testing.T) {
			p, err := s.Compile()
			if err != nil {
				t.Fatal(err)
			}
			for i := range s.Cases {
				if differs := s.Cases[i].Run(p); differs != "" {
					t.Errorf("%s: %s", s.Cases[i].Name, differs)
				}
			}
		})
	}
}
