package policydoc

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/dncd/dncd/internal/policy"
)

// Problem is something in a text that is not as it must be.
type Problem struct {
	Line, Column int // from 1
	Text         string
}

func (p Problem) String() string {
	return fmt.Sprintf("line %d, column %d: %s", p.Line, p.Column, p.Text)
}

// maxProblems is how many problems of a text are reported.
const maxProblems = 20

// Error is what is wrong with a text, in its order. It has at least one problem.
type Error struct{ Problems []Problem }

func (e *Error) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// reader reads a tree of YAML and collects what is wrong with it.
type reader struct{ problems []Problem }

func (r *reader) wrong(n *yaml.Node, format string, args ...any) {
	if len(r.problems) < maxProblems {
		r.problems = append(r.problems, Problem{n.Line, n.Column, fmt.Sprintf(format, args...)})
	}
}

// result is the error for what was wrong; nil: nothing.
func (r *reader) result() error {
	if len(r.problems) == 0 {
		return nil
	}
	slices.SortStableFunc(r.problems, func(a, b Problem) int {
		if a.Line != b.Line {
			return a.Line - b.Line
		}
		return a.Column - b.Column
	})
	return &Error{r.problems}
}

var yamlLine = regexp.MustCompile(`^(?:yaml: )?(?:line (\d+): )?(.*)`)

// root is the one document of a text.
func (r *reader) root(text []byte, maxBytes int) *yaml.Node {
	start := &yaml.Node{Line: 1, Column: 1}
	if len(text) > maxBytes {
		r.wrong(start, "longer than %d KiB", maxBytes>>10)
		return nil
	}
	var doc, more yaml.Node
	d := yaml.NewDecoder(bytes.NewReader(text))
	err := d.Decode(&doc)
	switch {
	case errors.Is(err, io.EOF):
		r.wrong(start, "the file is empty: a policy begins with format: %d", Format)
	case err != nil:
		part := yamlLine.FindStringSubmatch(strings.ReplaceAll(err.Error(), "\n", " "))
		start.Line, _ = strconv.Atoi(part[1])
		start.Line = max(start.Line, 1)
		r.wrong(start, "not YAML: %s", part[2])
	case !errors.Is(d.Decode(&more), io.EOF):
		r.wrong(start, "more than one document in the file: write one, without a line of ---")
	default:
		return doc.Content[0]
	}
	return nil
}

// fields says who reads each key of a mapping.
type fields map[string]func(n *yaml.Node)

// mapping reads a mapping whose keys are known.
func (r *reader) mapping(n *yaml.Node, what string, known fields) {
	r.pairs(n, what, func(key, value *yaml.Node) {
		if read := known[key.Value]; read != nil {
			read(value)
			return
		}
		var names []string
		for name := range known {
			names = append(names, name)
		}
		slices.Sort(names)
		r.wrong(key, "%s has no key %q: it has %s", what, key.Value, strings.Join(names, ", "))
	})
}

// pairs yields the keys and values of a mapping, each key once.
func (r *reader) pairs(n *yaml.Node, what string, read func(key, value *yaml.Node)) {
	if n.Kind != yaml.MappingNode {
		r.wrong(n, "%s must be a mapping of keys to values", what)
		return
	}
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		first, twice := seen[key.Value]
		switch {
		case key.Kind != yaml.ScalarNode:
			r.wrong(key, "a key of %s must be a word", what)
		case twice:
			r.wrong(key, "%q is there twice in %s: first in line %d", key.Value, what, first)
		default:
			seen[key.Value] = key.Line
			read(key, value)
		}
	}
}

// items yields the items of a list.
func (r *reader) items(n *yaml.Node, what string, read func(item *yaml.Node)) {
	if n.Kind != yaml.SequenceNode {
		r.wrong(n, "%s must be a list", what)
		return
	}
	for _, item := range n.Content {
		read(item)
	}
}

// scalar is the text of a value that is not a mapping, a list, empty, or a reference to another.
func (r *reader) scalar(n *yaml.Node, what string) (string, bool) {
	if n.Kind != yaml.ScalarNode || n.ShortTag() == "!!null" {
		r.wrong(n, "%s must be a single value", what)
		return "", false
	}
	return n.Value, true
}

// maxText is how long a source or a note is at most.
const maxText = 4096

func (r *reader) text(what string, out *string) func(*yaml.Node) {
	return func(n *yaml.Node) {
		s, ok := r.scalar(n, what)
		if len(s) > maxText {
			r.wrong(n, "%s has more than %d bytes", what, maxText)
		}
		if ok {
			*out = strings.TrimSpace(s)
		}
	}
}

func (r *reader) bool(what string, out *bool) func(*yaml.Node) {
	return func(n *yaml.Node) {
		value := strings.ToLower(n.Value)
		if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!bool" || value != "true" && value != "false" {
			r.wrong(n, "%s must be true or false", what)
			return
		}
		*out = value == "true"
	}
}

// number reads a number from 1 to most.
func (r *reader) number(what string, most int, out *int) func(*yaml.Node) {
	return func(n *yaml.Node) {
		v, err := strconv.Atoi(n.Value)
		if n.Kind != yaml.ScalarNode || err != nil || v < 1 || v > most {
			r.wrong(n, "%s must be a whole number from 1 to %d", what, most)
			return
		}
		*out = v
	}
}

func (r *reader) date(what string, out *policy.Date) func(*yaml.Node) {
	return func(n *yaml.Node) {
		s, ok := r.scalar(n, what)
		d, err := policy.ParseDate(s)
		if ok && (err != nil || d == 0) {
			r.wrong(n, "%s must be a date such as 2026-11-30", what)
		}
		*out = d
	}
}

func (r *reader) period(what string, out *policy.Period) func(*yaml.Node) {
	return func(n *yaml.Node) {
		s, ok := r.scalar(n, what)
		if !ok {
			return
		}
		p, ok := parsePeriod(s)
		if !ok {
			r.wrong(n, "%s must be a period such as 31 days, 18 months or 1 year, not %q", what, s)
		}
		*out = p
	}
}

// word reads one of the words, whose places are the values.
func word[T ~uint8](r *reader, what string, words []string, out *T) func(*yaml.Node) {
	return func(n *yaml.Node) {
		s, ok := r.scalar(n, what)
		if !ok {
			return
		}
		i := position(words, s)
		if i < 0 {
			known := slices.DeleteFunc(slices.Clone(words), func(w string) bool { return w == "" })
			r.wrong(n, "%s must be %s, not %q", what, strings.Join(known, " or "), s)
			return
		}
		*out = T(i)
	}
}

// choice is word where there are two.
func (r *reader) choice(what string, words []string, out *bool) func(*yaml.Node) {
	return func(n *yaml.Node) {
		var second uint8
		word(r, what, words, &second)(n)
		*out = second == 1
	}
}

func (r *reader) scope(n *yaml.Node, what string) policy.Scope {
	if n.Kind != yaml.ScalarNode || n.ShortTag() == "!!null" {
		r.wrong(n, "%s must be a path such as acme/telecom", what)
		return ""
	}
	s, err := policy.ParseScope(n.Value)
	if err != nil {
		r.wrong(n, "%s: %v", what, err)
	}
	return s
}
