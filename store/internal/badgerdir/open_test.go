package badgerdir

import (
	"bytes"
	"encoding/binary"
	"errors"
	"log/slog"
	"strings"
	"testing"
)

// Guarantee 8, where Badger writes the line: a key is the number itself, in whatever form it is printed.
func TestBadgerLogsNoKey(t *testing.T) {
	t.Parallel()
	type keyRange struct{ left, right []byte }
	key := binary.BigEndian.AppendUint64([]byte{'r'}, 14155550177)
	for _, c := range []struct {
		format string
		args   []any
		want   string
	}{
		{
			"Unable to read: Key: %v, Version : %v, meta: %v Error: %v\n", []any{key, uint64(7), byte(2), errors.New("EOF")},
			"Key: (withheld), Version : 7, meta: 2 Error: EOF",
		},
		{"While reading key: %x, got error: %s", []any{key, "broken"}, "key: (withheld), got error: broken"},
		{"While running compact def: %+v. Took %.1f", []any{struct{ r *keyRange }{&keyRange{key, key}}, 1.5}, "def: (withheld). Took 1.5"},
		{"keys: %v", []any{&keyRange{key, key}}, "keys: (withheld)"},
		{"nothing: %v", []any{nil}, "nothing: (withheld)"},
	} {
		var out bytes.Buffer
		badgerLog{slog.New(slog.NewTextHandler(&out, nil))}.Errorf(c.format, c.args...)
		if !strings.Contains(out.String(), c.want) {
			t.Errorf("%q logs %q, want %q in it", c.format, out.String(), c.want)
		}
	}
}
