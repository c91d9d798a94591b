package client

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"time"
)

// decode reads what encode wrote into the struct that v points to: null and what is missing are the zero value, and a
// name that this version does not know is passed over. After an error the struct is zero.
func decode(text []byte, v any) error {
	target := reflect.ValueOf(v).Elem()
	target.SetZero()
	if err := readStruct(text, target); err != nil {
		target.SetZero()
		return fmt.Errorf("read the JSON of a %s: %w", target.Type().Name(), err)
	}
	return nil
}

func readStruct(text []byte, v reflect.Value) error {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(text, &members); err != nil {
		return err
	}
	for name, field := range fieldsOf(v) {
		member, ok := members[name]
		if !ok {
			continue
		}
		if err := readValue(member, field.value); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

func readValue(text []byte, v reflect.Value) (err error) {
	if string(text) == "null" {
		return nil
	}
	switch v.Interface().(type) {
	case time.Time:
		return json.Unmarshal(text, v.Addr().Interface())
	case time.Duration:
		d, err := readSeconds(string(text))
		v.SetInt(int64(d))
		return err
	}
	switch v.Kind() {
	case reflect.Slice:
		return readSlice(text, v)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		return readStruct(text, v.Elem())
	case reflect.Struct:
		return readStruct(text, v)
	case reflect.Interface:
		var item itemError
		err := readStruct(text, reflect.ValueOf(&item).Elem())
		v.Set(reflect.ValueOf(&Error{Reason: item.Reason, Message: item.Message, code: codeOfItem(item.Reason)}))
		return err
	}
	return json.Unmarshal(text, v.Addr().Interface())
}

func readSlice(text []byte, v reflect.Value) error {
	var members []json.RawMessage
	if err := json.Unmarshal(text, &members); err != nil {
		return err
	}
	v.Set(reflect.MakeSlice(v.Type(), len(members), len(members)))
	for i, member := range members {
		if err := readValue(member, v.Index(i)); err != nil {
			return fmt.Errorf("%d: %w", i, err)
		}
	}
	return nil
}

// readSeconds reads a number of seconds: exactly, in the form in which appendDuration writes it.
func readSeconds(number string) (time.Duration, error) {
	if d, err := time.ParseDuration(number + "s"); err == nil {
		return d, nil
	}
	seconds, err := strconv.ParseFloat(number, 64)
	if d := math.Round(seconds * float64(time.Second)); err == nil && math.Abs(d) < math.MaxInt64 {
		return time.Duration(d), nil
	}
	return 0, fmt.Errorf("%.40s is not a number of seconds", number)
}
