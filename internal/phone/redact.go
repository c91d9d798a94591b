package phone

import (
	"fmt"
	"log/slog"
	"strconv"
	"strings"
)

// String returns the calling code with a star for each other digit, "+1**********". It may go into logs and messages.
func (n Number) String() string {
	digits := n.Digits()
	p := planOf(uint64(n), digits)
	if p.code == 0 {
		return "+?"
	}
	return "+" + strconv.Itoa(int(p.code)) + strings.Repeat("*", digits-int(p.digits))
}

// Format writes String, whatever the verb and its flags.
func (n Number) Format(f fmt.State, _ rune) { fmt.Fprint(f, n.String()) }

// LogValue is String.
func (n Number) LogValue() slog.Value { return slog.StringValue(n.String()) }

// MarshalText always fails: neither a redacted number nor the full one should be stored by accident.
func (n Number) MarshalText() ([]byte, error) { return nil, errMarshal }

// MarshalJSON always fails, as MarshalText does.
func (n Number) MarshalJSON() ([]byte, error) { return nil, errMarshal }
