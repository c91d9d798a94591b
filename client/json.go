package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// encode renders a struct of this package: every field, in order, under the name in its
// json tag; times in RFC 3339 UTC, durations in seconds; null for what is unset. An empty
// string is unset, unless a tag says that it is kept: a scope of "" is everyone. Zero is a
// number, unless a tag says that it is unset: no revision is 0. A duration of zero is unset,
// unless a tag says that it is kept.
func encode(v any) ([]byte, error) {
	return appendStruct(make([]byte, 0, 512), reflect.ValueOf(v))
}

func appendStruct(b []byte, v reflect.Value) (_ []byte, err error) {
	b = append(b, '{')
	for name, field := range fieldsOf(v) {
		if b[len(b)-1] != '{' {
			b = append(b, ',')
		}
		b = append(strconv.AppendQuote(b, name), ':')
		if field.value.IsZero() && field.unset {
			b = append(b, "null"...)
			continue
		}
		if field.value.IsZero() && field.kept {
			b = append(b, '0')
			continue
		}
		if b, err = appendValue(b, field.value, field.empty); err != nil {
			return nil, err
		}
	}
	return append(b, '}'), nil
}

// field is one field of a struct, with what its tags say.
type field struct {
	value reflect.Value
	empty bool // an empty string is kept
	unset bool // zero is null
	kept  bool // a duration of zero is 0
}

// fieldsOf yields the fields of a struct by their names in JSON, those of an embedded one among them.
func fieldsOf(v reflect.Value) iter.Seq2[string, field] {
	return func(yield func(string, field) bool) {
		for i := range v.NumField() {
			tag := v.Type().Field(i).Tag
			if v.Type().Field(i).Anonymous {
				for name, inner := range fieldsOf(v.Field(i)) {
					if !yield(name, inner) {
						return
					}
				}
			} else if !yield(tag.Get("json"), field{v.Field(i), tag.Get("empty") == "kept", tag.Get("zero") == "unset", tag.Get("zero") == "kept"}) {
				return
			}
		}
	}
}

func appendValue(b []byte, v reflect.Value, empty bool) ([]byte, error) {
	switch x := v.Interface().(type) {
	case time.Time:
		return appendTime(b, x), nil
	case time.Duration:
		return appendDuration(b, x), nil
	}
	switch v.Kind() {
	case reflect.Bool:
		return strconv.AppendBool(b, v.Bool()), nil
	case reflect.Int, reflect.Int32, reflect.Int64:
		return strconv.AppendInt(b, v.Int(), 10), nil
	case reflect.Uint, reflect.Uint32, reflect.Uint64:
		return strconv.AppendUint(b, v.Uint(), 10), nil
	case reflect.Float64:
		return strconv.AppendFloat(b, v.Float(), 'g', -1, 64), nil
	case reflect.String:
		return appendString(b, v.String(), empty)
	case reflect.Slice:
		return appendSlice(b, v)
	case reflect.Pointer:
		if v.IsNil() {
			return append(b, "null"...), nil
		}
		return appendStruct(b, v.Elem())
	case reflect.Interface:
		if v.IsNil() {
			return append(b, "null"...), nil
		}
		return appendStruct(b, reflect.ValueOf(itemOf(v.Interface().(error))))
	case reflect.Struct:
		if v.IsZero() {
			return append(b, "null"...), nil
		}
		return appendStruct(b, v)
	}
	return nil, fmt.Errorf("no JSON form for %s", v.Type())
}

// itemError is the JSON of an error that one number of many has. No struct here holds another interface.
type itemError struct {
	Reason  string `json:"reason"`
	Message string `json:"message"`
}

func itemOf(err error) itemError {
	var e *Error
	if errors.As(err, &e) {
		return itemError{e.Reason, e.Message}
	}
	return itemError{Message: err.Error()}
}

func appendTime(b []byte, t time.Time) []byte {
	if t.IsZero() {
		return append(b, "null"...)
	}
	b = t.UTC().AppendFormat(append(b, '"'), time.RFC3339Nano)
	return append(b, '"')
}

// appendDuration renders seconds, to the nanosecond. Zero is null, unless a tag keeps it.
func appendDuration(b []byte, d time.Duration) []byte {
	if d == 0 {
		return append(b, "null"...)
	}
	if d < 0 {
		b = append(b, '-')
	}
	b = strconv.AppendUint(b, uint64(max(d/time.Second, -(d/time.Second))), 10)
	if rest := max(d%time.Second, -(d % time.Second)); rest != 0 {
		b = append(b, strings.TrimRight(fmt.Sprintf(".%09d", rest), "0")...)
	}
	return b
}

func appendString(b []byte, s string, empty bool) ([]byte, error) {
	if s == "" && !empty {
		return append(b, "null"...), nil
	}
	quoted, err := json.Marshal(s)
	return append(b, quoted...), err
}

func appendSlice(b []byte, v reflect.Value) (_ []byte, err error) {
	b = append(b, '[')
	for i := range v.Len() {
		if i > 0 {
			b = append(b, ',')
		}
		if b, err = appendValue(b, v.Index(i), true); err != nil {
			return nil, err
		}
	}
	return append(b, ']'), nil
}
