package policy

import (
	"errors"
	"fmt"
	"strings"
)

// Limits of a scope.
const (
	MaxScopeBytes    = 255
	MaxScopeSegments = 8
)

// ErrScope is returned for a scope that is not a path of at most 8 segments of [a-z0-9._-] and 255 bytes.
var ErrScope = errors.New("invalid scope")

// Scope says who may not call: a path such as "acme/telecom/winter-campaign". The empty scope is everyone.
// An opt-out at a scope blocks that scope and all below it.
type Scope string

// ParseScope folds ASCII upper case and checks s. It allocates only when it folds.
func ParseScope(s string) (Scope, error) {
	if s == "" {
		return "", nil
	}
	if len(s) > MaxScopeBytes {
		return "", fmt.Errorf("%w: longer than %d bytes", ErrScope, MaxScopeBytes)
	}
	segments, segment, fold := 1, 0, false
	for i := range len(s) {
		switch c := s[i]; {
		case c == '/':
			if segment == 0 {
				return "", fmt.Errorf("%w: empty segment; write it as acme/telecom", ErrScope)
			}
			segments, segment = segments+1, 0
		case 'A' <= c && c <= 'Z':
			fold = true
			segment++
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '.', c == '_', c == '-':
			segment++
		default:
			return "", fmt.Errorf("%w: byte %d is not one of a-z 0-9 . _ - /", ErrScope, i)
		}
	}
	if segment == 0 {
		return "", fmt.Errorf("%w: ends with a slash", ErrScope)
	}
	if segments > MaxScopeSegments {
		return "", fmt.Errorf("%w: more than %d segments", ErrScope, MaxScopeSegments)
	}
	if fold {
		s = strings.ToLower(s)
	}
	return Scope(s), nil
}

// Holds reports whether t is s or is below it. The empty scope holds every scope.
func (s Scope) Holds(t Scope) bool {
	if s == "" || s == t {
		return true
	}
	return len(t) > len(s) && t[len(s)] == '/' && t[:len(s)] == s
}

// Blocks reports whether an opt-out or a list at s stands against a caller at scope caller.
// A caller that names no scope is blocked by every scope.
func (s Scope) Blocks(caller Scope) bool { return caller == "" || s.Holds(caller) }

// Brand is the first segment: the organisation that the scope belongs to.
func (s Scope) Brand() Scope {
	if i := strings.IndexByte(string(s), '/'); i >= 0 {
		return s[:i]
	}
	return s
}
