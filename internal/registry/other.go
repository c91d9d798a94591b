package registry

import (
	"bytes"
	"errors"
)

// What is given instead of a table, or is left behind by a download that failed.
var (
	errArray  = errors.New("a JSON array, and of JSON only an object a line is read: write it so, as jq -c '.[]' does, or save it as csv")
	errObject = errors.New("JSON, not csv: load it with --format jsonl if it has an object a line, else save it as csv")
	errMarkup = errors.New("HTML or XML, such as the error page of a download that failed: fetch or export the file again, as csv")
)

// refuseOther refuses content that is no table.
func (l *lines) refuseOther() error {
	const enough = 1 << 10
	for len(l.window()) < enough && l.fill() {
	}
	switch text := bytes.TrimSpace(l.window()[:min(len(l.window()), enough)]); {
	case isArray(text):
		return errArray
	case bytes.HasPrefix(text, []byte("{")):
		return errObject
	case bytes.HasPrefix(text, []byte("<")):
		return errMarkup
	}
	return nil
}

// isArray reports the beginning of a JSON array. A title may stand in brackets too, but no value can be one.
func isArray(text []byte) bool {
	inner, ok := bytes.CutPrefix(text, []byte("["))
	inner = bytes.TrimSpace(inner)
	return ok && (len(inner) == 0 || bytes.IndexByte([]byte(`{["]+-0123456789`), inner[0]) >= 0)
}
