package server

import (
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/dncd/dncd/internal/phone"
	"github.com/dncd/dncd/internal/phone/national"
	"github.com/dncd/dncd/internal/policy"
)

// Limits of texts, in bytes, as in the contract.
const (
	maxNumber     = 64
	maxDesk       = 256
	maxEvidence   = 1024
	maxNote       = 4096
	maxReason     = 1024
	maxRequestID  = 128
	maxRecordedBy = 256
)

// field is one text of a request with its limit.
type field struct {
	name  string
	value string
	max   int
	lines bool // line feed and tab are allowed
}

// checkText refuses a text that is too long or holds control characters. Decoding has checked that it is UTF-8.
func checkText(fields ...field) error {
	for _, f := range fields {
		if len(f.value) > f.max {
			return tooLong(f.name, len(f.value), f.max)
		}
		if strings.ContainsFunc(f.value, f.forbids) {
			return invalidField(f.name, "holds a control character: leave it out")
		}
	}
	return nil
}

func (f field) forbids(r rune) bool {
	return unicode.IsControl(r) && !(f.lines && (r == '\n' || r == '\t'))
}

// allowed returns the text without control characters and without what exceeds the limit.
func (f field) allowed() string {
	text := strings.Map(func(c rune) rune {
		if f.forbids(c) {
			return ' '
		}
		return c
	}, f.value)
	for len(text) > f.max {
		_, size := utf8.DecodeLastRuneInString(text)
		text = text[:len(text)-size]
	}
	return text
}

func tooLong(name string, actual, limit int) error {
	return invalidField(name, fmt.Sprintf("is longer than %d bytes: shorten it", limit)).
		with("limit", fmt.Sprint(limit)).with("actual", fmt.Sprint(actual))
}

// parseRegion reads the region of a request. The empty region is none.
func parseRegion(code string) (phone.Region, error) {
	if code == "" {
		return 0, nil
	}
	r, err := phone.ParseRegion(code)
	if err != nil {
		return 0, faultOf(err).with("field", "region")
	}
	return r, nil
}

// parseNumber reads a number: in international form, or in national form when there is a region.
func parseNumber(s string, region phone.Region) (phone.Number, error) {
	if len(s) > maxNumber {
		return 0, phone.ErrLength
	}
	return national.Parse(s, region)
}

// numberOf reads the number of a request about one number.
func numberOf(s, regionCode string) (phone.Number, error) {
	region, err := parseRegion(regionCode)
	if err != nil {
		return 0, err
	}
	n, err := parseNumber(s, region)
	if err != nil {
		return 0, faultOf(err).with("field", "number")
	}
	return n, nil
}

func scopeOf(s string) (policy.Scope, error) {
	scope, err := policy.ParseScope(s)
	if err != nil {
		return "", faultOf(err).with("field", "scope")
	}
	return scope, nil
}

// timeOf reads a time of a request. Unset is the zero time.
func timeOf(name string, t *timestamppb.Timestamp) (time.Time, error) {
	if t == nil {
		return time.Time{}, nil
	}
	if t.CheckValid() != nil || t.AsTime().Unix() <= 0 || t.AsTime().Year() > 2200 {
		return time.Time{}, invalidField(name, "is no time between 1970 and 2200")
	}
	return t.AsTime(), nil
}

// stamp is t on the wire. The zero time is unset.
func stamp(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}
