package place

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dncd/dncd/internal/phone"
	"github.com/dncd/dncd/internal/policy"
)

// The version is that of the files themselves, so it cannot be forgotten when one changes; the test of internal/phone/internal/gen
// holds phone's.
func TestTablesVersionIsOfTheFiles(t *testing.T) {
	t.Parallel()
	comments := regexp.MustCompile(`(?m)^#.*\n`)
	hash := func(files ...string) string {
		var all []byte
		for _, name := range files {
			content, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			if filepath.Ext(name) == ".txt" {
				content = comments.ReplaceAll(content, nil)
			}
			all = append(all, content...)
		}
		return fmt.Sprintf("%x", sha256.Sum256(all))[:8]
	}
	want := "phone:" + phone.TablesVersion + ",zones:" + hash("zones.txt", "subdivisions.txt") + ",tzdata:" + hash("zoneinfo.zip") +
		",holidays:" + hash("holidays.txt")
	if got := TablesVersion(); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestTablesDifference(t *testing.T) {
	t.Parallel()
	now := TablesVersion()
	parts := strings.Split(now, ",")
	for _, tt := range []struct {
		version string
		want    []string
	}{
		{now, nil},
		{strings.Join([]string{parts[3], parts[1], parts[0], parts[2]}, ","), nil},
		{strings.Replace(now, "tzdata:", "tzdata:0", 1), []string{"tzdata"}},
		{"phone:1,zones:1,tzdata:1,holidays:1", []string{"phone", "zones", "tzdata", "holidays"}},
		{now + ",carriers:1", []string{"carriers"}},
		{strings.Join(parts[:3], ","), []string{"holidays"}},
	} {
		got, err := TablesDifference(tt.version)
		if err != nil || !slices.Equal(got, tt.want) {
			t.Errorf("%s: got %v, %v; want %v", tt.version, got, err, tt.want)
		}
	}
	for _, wrong := range []string{
		"", "phone", "phone:", ":1", "phone:1,", "phone:1,phone:1", "phone:1, zones:2", "phone:A", "phone:1:2", now + ",x:" + strings.Repeat("1", 256),
	} {
		if _, err := TablesDifference(wrong); err == nil {
			t.Errorf("%q was read as a version", wrong)
		}
	}
}

// zonesOfTheMachine is set in the process of a machine whose database says that Paris has the clocks of New York.
const zonesOfTheMachine = "DNCTEST_ZONES_OF_THE_MACHINE"

func TestZonesOfTheMachineAreNotRead(t *testing.T) {
	t.Parallel()
	if os.Getenv(zonesOfTheMachine) != "" {
		wantClocksOfParis(t)
		return
	}
	files, err := zoneFiles()
	if err != nil {
		t.Fatal(err)
	}
	newYork, err := files.Open("America/New_York")
	if err != nil {
		t.Fatal(err)
	}
	var content bytes.Buffer
	if _, err := content.ReadFrom(newYork); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "Europe"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "Europe", "Paris"), content.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$")
	child.Env = append(os.Environ(), "ZONEINFO="+dir, zonesOfTheMachine+"=1")
	if out, err := child.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func wantClocksOfParis(t *testing.T) {
	noon := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	machine, err := time.LoadLocation("Europe/Paris")
	if err != nil {
		t.Fatal(err)
	}
	if hour := noon.In(machine).Hour(); hour != 7 {
		t.Fatalf("the machine's Paris has %d o'clock: its database was not replaced", hour)
	}
	named, err := Parse("Europe/Paris")
	if err != nil {
		t.Fatal(err)
	}
	for name, zone := range map[string]*policy.Zone{"named": named.Zones[0], "of a number": Of(33199001234).Zones[0]} {
		if hour := noon.In(zone.Location()).Hour(); hour != 13 {
			t.Errorf("%s: it is %d o'clock there, want 13", name, hour)
		}
	}
}
