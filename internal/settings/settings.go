// Package settings sets the flags of a program from environment variables and from a YAML file. Flags on the command line
// override variables, and variables override the file: call Environment first, then File.
package settings

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"
)

// Environment sets each flag of set that was not given and whose variable is set. variable returns the name of a flag's
// variable; empty: it has none. An error names the variable.
func Environment(set *pflag.FlagSet, variable func(*pflag.Flag) string) error {
	var failed error
	set.VisitAll(func(f *pflag.Flag) {
		name := variable(f)
		value, ok := os.LookupEnv(name)
		if name == "" || !ok || f.Changed || failed != nil {
			return
		}
		if err := set.Set(f.Name, value); err != nil {
			failed = fmt.Errorf("%s: %w", name, reason(err))
		}
	})
	return failed
}

// reason returns why a value was refused. pflag's own error also names the flag, which was not given.
func reason(err error) error {
	var invalid *pflag.InvalidValueError
	if errors.As(err, &invalid) {
		return invalid.Unwrap()
	}
	return err
}

// Unknown returns the variables that begin with prefix and that known does not know, sorted.
func Unknown(prefix string, known func(name string) bool) []string {
	var unknown []string
	for _, pair := range os.Environ() {
		name, _, _ := strings.Cut(pair, "=")
		if strings.HasPrefix(name, prefix) && !known(name) {
			unknown = append(unknown, name)
		}
	}
	slices.Sort(unknown)
	return unknown
}

// File sets flags from a YAML file: a mapping of flags' names to values. The file may name any flag of all; File sets those that
// are also in set and were not set before. The file may be empty. An error about a setting names the file, the line and the
// column.
func File(path string, all, set *pflag.FlagSet) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	var doc, more yaml.Node
	decoder := yaml.NewDecoder(f)
	switch err := decoder.Decode(&doc); {
	case errors.Is(err, io.EOF):
		return nil
	case err != nil:
		return fmt.Errorf("%s: %w", path, err)
	}
	if err := decoder.Decode(&more); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%s: holds more than one document", path)
	}
	return setAll(path, doc.Content[0], all, set)
}

func setAll(path string, mapping *yaml.Node, all, set *pflag.FlagSet) error {
	if mapping.Kind != yaml.MappingNode {
		return at(path, mapping, "is not a mapping: write lines such as data: /var/lib/dncd")
	}
	seen := map[string]bool{}
	for i := 0; i < len(mapping.Content); i += 2 {
		key, value := mapping.Content[i], mapping.Content[i+1]
		switch {
		case all.Lookup(key.Value) == nil || isOfCommand(key.Value):
			return at(path, key, fmt.Sprintf("%q is not a setting: settings have the names of the flags", key.Value))
		case seen[key.Value]:
			return at(path, key, key.Value+" is set twice")
		case value.Kind != yaml.ScalarNode || value.Tag == "!!null":
			return at(path, value, key.Value+" needs one value")
		}
		seen[key.Value] = true
		if f := set.Lookup(key.Value); f == nil || f.Changed {
			continue
		}
		if err := set.Set(key.Value, value.Value); err != nil {
			return at(path, value, fmt.Sprintf("%s: %v", key.Value, reason(err)))
		}
	}
	return nil
}

// isOfCommand reports whether a flag is about one run of the program, and so not a setting.
func isOfCommand(name string) bool { return name == "help" || name == "version" || name == "config" }

func at(path string, node *yaml.Node, message string) error {
	return fmt.Errorf("%s:%d:%d: %s", path, node.Line, node.Column, message)
}
