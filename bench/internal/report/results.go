package report

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
)

// Results are rows that measurements printed as JSON.
type Results struct {
	Loads     []Load // of dncd
	Checks    []Check
	Overloads []Overload
	Soaks     []Soak

	// commands, and the machine, by kind of row, each once.
	from map[string][]Machine
}

// Read adds rows. One that says what an earlier one said, of the same load, takes its place. Rows of other kinds are
// passed over.
func (r *Results) Read(from io.Reader) error {
	var on Machine
	for lines := json.NewDecoder(from); ; {
		var raw json.RawMessage
		if err := lines.Decode(&raw); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("read results: %w", err)
		}
		if err := r.add(raw, &on); err != nil {
			return fmt.Errorf("read results: %w", err)
		}
	}
}

// Kinds of rows.
const (
	kindLoad     = "load"
	kindCheck    = "check"
	kindOverload = CaseOverload
	kindSoak     = CaseSoak
)

func (r *Results) add(raw json.RawMessage, on *Machine) error {
	var head struct {
		Case    string `json:"case"`
		Loop    string `json:"loop"`
		Callers int    `json:"callers"`
	}
	if err := json.Unmarshal(raw, &head); err != nil {
		return err
	}
	switch {
	case head.Case == CaseMachine:
		*on = Machine{}
		return json.Unmarshal(raw, on)
	case head.Case == CaseDncd:
		return take(r, kindLoad, *on, raw, &r.Loads, func(a, b Load) bool { return a.Numbers == b.Numbers && a.Order == b.Order })
	case head.Case == CaseOverload:
		return take(r, kindOverload, *on, raw, &r.Overloads, func(a, b Overload) bool { return a.Offered == b.Offered })
	case head.Case == CaseSoak, head.Case == CaseSoakTotal:
		return take(r, kindSoak, *on, raw, &r.Soaks, func(a, b Soak) bool { return a.Case == b.Case && a.At == b.At })
	case head.Loop != "" && head.Callers > 0:
		return take(r, kindCheck, *on, raw, &r.Checks, func(a, b Check) bool { return a.key(a.Case) == b.key(b.Case) })
	}
	return nil
}

// take adds a row, or puts it into the place of one that is about the same.
func take[R any](r *Results, kind string, on Machine, raw json.RawMessage, rows *[]R, same func(a, b R) bool) error {
	var row R
	if err := json.Unmarshal(raw, &row); err != nil {
		return err
	}
	if at := slices.IndexFunc(*rows, func(other R) bool { return same(row, other) }); at >= 0 {
		(*rows)[at] = row
	} else {
		*rows = append(*rows, row)
	}
	if r.from == nil {
		r.from = map[string][]Machine{}
	}
	if !slices.Contains(r.from[kind], on) {
		r.from[kind] = append(r.from[kind], on)
	}
	return nil
}
