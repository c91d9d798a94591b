package policydoc

import (
	"bytes"
	"embed"
	"fmt"
	"slices"
	"strings"
)

//go:embed presets/*.yaml
var presetFiles embed.FS

// Presets are the countries that there is a preset for, by code.
func Presets() (all []string) {
	entries, err := presetFiles.ReadDir("presets")
	if err != nil {
		panic(fmt.Sprintf("read the presets: %v", err)) // they are part of the program
	}
	for _, e := range entries {
		all = append(all, strings.TrimSuffix(e.Name(), ".yaml"))
	}
	slices.Sort(all)
	return all
}

// countriesLine is where the rules of a preset begin. What is before it is the same in all of them, but for comments.
const countriesLine = "\ncountries:\n"

// Preset is a document with the rules that are known of some countries, with comments.
func Preset(countries ...string) ([]byte, error) {
	var comments, rules bytes.Buffer
	for _, code := range countries {
		text, err := presetFiles.ReadFile("presets/" + code + ".yaml")
		if err != nil {
			return nil, fmt.Errorf("there is no preset for %q: there are %s", code, strings.Join(Presets(), ", "))
		}
		comment, rule, _ := strings.Cut(string(text), "format: 1\ndefault: unknown"+countriesLine)
		comments.WriteString(comment)
		rules.WriteString(rule)
	}
	return slices.Concat(comments.Bytes(), []byte("format: 1\ndefault: unknown"+countriesLine), rules.Bytes()), nil
}
