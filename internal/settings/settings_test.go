package settings

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"
)

type values struct {
	addr    string
	tls     bool
	timeout time.Duration
}

func flagsOf(v *values) *pflag.FlagSet {
	set := pflag.NewFlagSet("test", pflag.ContinueOnError)
	set.StringVar(&v.addr, "addr", "default", "")
	set.BoolVar(&v.tls, "tls", false, "")
	set.DurationVar(&v.timeout, "timeout", time.Second, "")
	set.Bool("help", false, "")
	return set
}

func variable(f *pflag.Flag) string { return "DNCTEST_SETTINGS_" + strings.ToUpper(f.Name) }

func write(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestFlagsOverrideVariablesOverrideTheFile(t *testing.T) {
	for _, c := range []struct {
		name     string
		args     []string
		variable string
		file     string
		want     string
	}{
		{"nothing", nil, "", "", "default"},
		{"the file", nil, "", "addr: from-file\n", "from-file"},
		{"a variable and the file", nil, "from-variable", "addr: from-file\n", "from-variable"},
		{"all three", []string{"--addr", "from-flag"}, "from-variable", "addr: from-file\n", "from-flag"},
		{"a flag with the default's value", []string{"--addr", "default"}, "from-variable", "addr: from-file\n", "default"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.variable != "" {
				t.Setenv("DNCTEST_SETTINGS_ADDR", c.variable)
			}
			var v values
			set := flagsOf(&v)
			if err := set.Parse(c.args); err != nil {
				t.Fatal(err)
			}
			if err := Environment(set, variable); err != nil {
				t.Fatal(err)
			}
			if err := File(write(t, c.file), set, set); err != nil {
				t.Fatal(err)
			}
			if v.addr != c.want {
				t.Errorf("got %q, want %q", v.addr, c.want)
			}
		})
	}
}

func TestFileSetsEachKindOfFlag(t *testing.T) {
	t.Parallel()
	var v values
	set := flagsOf(&v)
	path := write(t, "# a comment\naddr: \"127.0.0.1:7362\"\ntls: true\ntimeout: 1m30s\n")
	if err := File(path, set, set); err != nil {
		t.Fatal(err)
	}
	if want := (values{"127.0.0.1:7362", true, 90 * time.Second}); v != want {
		t.Errorf("got %+v, want %+v", v, want)
	}
}

// TestFileOfAllCommandsServesEach: the file may name a flag that this command does not have.
func TestFileOfAllCommandsServesEach(t *testing.T) {
	t.Parallel()
	var all, own values
	set := pflag.NewFlagSet("command", pflag.ContinueOnError)
	set.StringVar(&own.addr, "addr", "", "")
	if err := File(write(t, "addr: here\ntls: true\n"), flagsOf(&all), set); err != nil {
		t.Fatal(err)
	}
	if own.addr != "here" {
		t.Errorf("got %q, want here", own.addr)
	}
}

func TestFilesThatAreRefused(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, content, want string }{
		{"an unknown key", "addr: x\ncolour: y\n", `:2:1: "colour" is not a setting`},
		{"a flag of one call", "help: true\n", `:1:1: "help" is not a setting`},
		{"a key twice", "addr: x\naddr: y\n", ":2:1: addr is set twice"},
		{"no value", "addr:\n", ":1:6: addr needs one value"},
		{"a list", "addr: [a, b]\n", ":1:7: addr needs one value"},
		{"a mapping", "addr:\n  host: x\n", ":2:3: addr needs one value"},
		{"a value that does not parse", "tls: perhaps\n", ":1:6: tls: "},
		{"a list at the top", "- addr\n", ":1:1: is not a mapping"},
		{"two documents", "addr: x\n---\naddr: y\n", "more than one document"},
		{"no YAML", "addr: 'x\n", "yaml: "},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var v values
			set := flagsOf(&v)
			path := write(t, c.content)
			err := File(path, set, set)
			if err == nil || !strings.HasPrefix(err.Error(), path) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %s ... %s", err, path, c.want)
			}
		})
	}
	if err := File(filepath.Join(t.TempDir(), "none.yaml"), nil, nil); !os.IsNotExist(err) {
		t.Errorf("a file that is not there: got %v, want %v", err, fs.ErrNotExist)
	}
}

func TestVariableThatDoesNotParseIsNamed(t *testing.T) {
	t.Setenv("DNCTEST_SETTINGS_TIMEOUT", "soon")
	var v values
	err := Environment(flagsOf(&v), variable)
	if err == nil || !strings.HasPrefix(err.Error(), "DNCTEST_SETTINGS_TIMEOUT: ") || strings.Contains(err.Error(), "--timeout") {
		t.Errorf("got %v, want the variable's name and the reason", err)
	}
}

func TestUnknownVariables(t *testing.T) {
	t.Setenv("DNCTEST_UNKNOWN_B", "")
	t.Setenv("DNCTEST_UNKNOWN_A", "1")
	t.Setenv("DNCTEST_UNKNOWN_KNOWN", "1")
	got := Unknown("DNCTEST_UNKNOWN_", func(name string) bool { return strings.HasSuffix(name, "_KNOWN") })
	if want := []string{"DNCTEST_UNKNOWN_A", "DNCTEST_UNKNOWN_B"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
