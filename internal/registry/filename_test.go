package registry

import "testing"

func TestSnapshotDate(t *testing.T) {
	tests := []struct {
		names []string
		want  string
		ok    bool
	}{
		{[]string{"2026-9-9_818_guid.txt.zip"}, "2026-09-09", true},
		{[]string{"2026-10-31_guid.txt"}, "2026-10-31", true},
		{[]string{"dir/2026-9-10_415_a.txt", "2026-9-9_818_b.txt", "2026-11-1_212_c.txt"}, "2026-09-09", true},
		{[]string{"2026-9-9_818_a.txt.zip/2026-9-8_818_a.txt"}, "2026-09-08", true},
		{[]string{"2026-9-9_818_a.txt.zip/818.txt"}, "2026-09-09", true},
		{[]string{"2026-9-9_818_a.txt", "415.txt"}, "", false},
		{[]string{"2026-2-30_818_a.txt"}, "", false},
		{[]string{"2026-13-1_818_a.txt"}, "", false},
		{[]string{"26-9-9_818_a.txt"}, "", false},
		{[]string{"list-2026-9-9_818_a.txt"}, "", false},
		{[]string{"2026-9-9.txt"}, "", false},
		{[]string{"-"}, "", false},
		{nil, "", false},
	}
	for _, tt := range tests {
		if got, ok := SnapshotDate(tt.names); got != tt.want || ok != tt.ok {
			t.Errorf("%v: got %q, %v, want %q, %v", tt.names, got, ok, tt.want, tt.ok)
		}
	}
}

func TestNameArea(t *testing.T) {
	tests := map[string]int{
		"2026-9-9_818_a.txt":  818,
		"2026-9-9_818.txt":    818,
		"2026-9-9_nation.txt": -1,
		"818.txt":             818,
		"818.txt.gz":          818,
		"818 leads.txt":       -1,
		"818_leads.txt":       -1,
		"8180.txt":            -1,
		"a818.txt":            -1,
		"2026-9-9_8180_a.txt": -1,
		"2026-9-9_8181a2b3-77d1-4a3b-9f6c-0b1a2c3d4e5f.txt": -1,
	}
	for name, want := range tests {
		if got := nameArea(name); got != want {
			t.Errorf("%s: got %d, want %d", name, got, want)
		}
	}
}
