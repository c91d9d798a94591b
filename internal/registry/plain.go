package registry

import (
	"errors"
	"io"

	"github.com/dncd/dncd/internal/phone"
)

// plain reads one number a line.
type plain struct {
	content
}

func openPlain(in content) (decoder, error) { return &plain{in}, nil }

func (d *plain) next(batch []phone.Number) (int, error) {
	return fill(batch, d.one)
}

func (d *plain) one() (phone.Number, error) {
	line, err := d.lines.filled()
	if errors.Is(err, errLongLine) {
		return 0, d.refuse(ReasonTooLong, line)
	}
	if err != nil {
		return 0, err
	}
	number, reason := parseValue(line, d.opts.Region, d.lines.cut)
	if reason != "" {
		return 0, d.refuse(reason, line)
	}
	return number, nil
}

// fill calls one until batch is full or the file ends, over its rejects.
func fill[T any](batch []T, one func() (T, error)) (int, error) {
	for n := 0; n < len(batch); {
		item, err := one()
		switch {
		case err == nil:
			batch[n] = item
			n++
		case errors.Is(err, errRejected):
		case err == io.EOF && n > 0:
			return n, nil
		default:
			return 0, err
		}
	}
	return len(batch), nil
}
