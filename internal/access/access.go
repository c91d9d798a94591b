// Package access says who may do what: roles, grants, and the table of which role may call which RPC. It holds no state
// and does no I/O.
package access

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/dncd/dncd/internal/policy"
)

// Role is one thing that a caller may do. No role includes another.
type Role uint8

// The roles, as the contract's dnc.v1.Role numbers them.
const (
	Checker Role = iota + 1
	Recorder
	Loader
	Subscriber
	Officer
	Admin
)

var roleNames = [...]string{Checker: "checker", Recorder: "recorder", Loader: "loader", Subscriber: "subscriber", Officer: "officer", Admin: "admin"}

// String returns the role's name on the command line.
func (r Role) String() string {
	if r == 0 || int(r) >= len(roleNames) {
		return "unknown"
	}
	return roleNames[r]
}

// Roles is a set of roles, a bit each.
type Roles uint16

// RolesOf returns the set of these roles.
func RolesOf(roles ...Role) (set Roles) {
	for _, r := range roles {
		set |= 1 << r
	}
	return set
}

// Everything is every role.
var Everything = RolesOf(Checker, Recorder, Loader, Subscriber, Officer, Admin)

// Has reports whether the set holds r.
func (s Roles) Has(r Role) bool { return s&(1<<r) != 0 }

// Any reports whether the sets share a role.
func (s Roles) Any(t Roles) bool { return s&t != 0 }

// Each returns the set's roles, in the order of their numbers.
func (s Roles) Each() (roles []Role) {
	for r := Checker; int(r) < len(roleNames); r++ {
		if s.Has(r) {
			roles = append(roles, r)
		}
	}
	return roles
}

// String names the roles: "recorder or officer".
func (s Roles) String() string {
	var names []string
	for _, r := range s.Each() {
		names = append(names, r.String())
	}
	return strings.Join(names, " or ")
}

// Kind is how a caller shows who it is.
type Kind uint8

// The kinds, as the contract's dnc.v1.CredentialKind numbers them.
const (
	Anonymous Kind = iota
	Token
	Certificate
)

// Secret is the SHA-256 of a token.
type Secret [sha256.Size]byte

// Prefix is how every token begins, so that scanners for secrets find one that was leaked.
const Prefix = "dncd_"

// SecretOf returns the SHA-256 of a token, its prefix included.
func SecretOf(token string) Secret { return sha256.Sum256([]byte(token)) }

// Grant is what one token or certificate may do, and where. It never changes once it is made.
type Grant struct {
	ID        policy.EventID // of the event that granted it; zero for callers that showed nothing
	Name      string
	Kind      Kind
	Secret    Secret // of a token
	Roles     Roles
	Scopes    []policy.Scope // at these and below; empty: everywhere
	ExpiresAt time.Time      // zero: never
	CreatedAt time.Time
}

// Open is the grant of callers that show nothing, where the server asks for nothing.
var Open = &Grant{Roles: Everything}

// Expired reports whether the grant has ended at now.
func (g *Grant) Expired(now time.Time) bool { return !g.ExpiresAt.IsZero() && !now.Before(g.ExpiresAt) }

// Everywhere reports whether no scope bounds the grant.
func (g *Grant) Everywhere() bool { return len(g.Scopes) == 0 }

// Holds reports whether scope is one of the grant's, or below one.
func (g *Grant) Holds(scope policy.Scope) bool {
	if len(g.Scopes) == 0 {
		return true
	}
	return slices.ContainsFunc(g.Scopes, func(s policy.Scope) bool { return s.Holds(scope) })
}

// Sees reports whether an entry at scope concerns the grant: scope is within the grant's scopes, or above one of them, where an
// entry blocks the caller too.
func (g *Grant) Sees(scope policy.Scope) bool {
	return g.Holds(scope) || slices.ContainsFunc(g.Scopes, scope.Holds)
}

// MayGrant reports whether an admin with the grant may grant and revoke other: other must not reach beyond the admin's scopes.
// It says nothing of roles.
func (g *Grant) MayGrant(other *Grant) bool {
	if g.Everywhere() {
		return true
	}
	return !other.Everywhere() && g.HoldsAll(other.Scopes)
}

// HoldsAll reports whether every scope is one of the grant's, or below one.
func (g *Grant) HoldsAll(scopes []policy.Scope) bool {
	return !slices.ContainsFunc(scopes, func(s policy.Scope) bool { return !g.Holds(s) })
}

// Limits of a grant.
const (
	MaxTokenName       = 128 // bytes
	MaxCertificateName = 256 // bytes
	MaxScopes          = 32
	maxDigits          = 8 // without a letter between them: more could be a person's number
)

// ErrGrant is returned for a grant that cannot be made; the message says why.
var ErrGrant = errors.New("invalid grant")

// Check refuses a grant that breaks these limits, has no role, or whose secret does not fit its kind. Errors: ErrGrant.
func (g *Grant) Check() error {
	if err := checkName(g.Name, g.Kind); err != nil {
		return err
	}
	switch {
	case g.Roles == 0:
		return fmt.Errorf("%w: it needs at least one role", ErrGrant)
	case g.Roles&^Everything != 0:
		return fmt.Errorf("%w: unknown role", ErrGrant)
	case len(g.Scopes) > MaxScopes:
		return fmt.Errorf("%w: more than %d scopes", ErrGrant, MaxScopes)
	case slices.Contains(g.Scopes, ""):
		return fmt.Errorf("%w: an empty scope; leave the scopes out to grant it everywhere", ErrGrant)
	case g.Kind == Token && g.Secret == Secret{}:
		return fmt.Errorf("%w: a token needs the SHA-256 of its secret", ErrGrant)
	case g.Kind == Certificate && g.Secret != Secret{}:
		return fmt.Errorf("%w: a certificate has no secret", ErrGrant)
	}
	return nil
}

// CheckName refuses what no token or certificate can be named. Errors: ErrGrant.
func CheckName(name string) error { return checkName(name, Certificate) }

func checkName(name string, kind Kind) error {
	most, allowed := MaxTokenName, isOfTokenName
	switch kind {
	case Token:
	case Certificate:
		most, allowed = MaxCertificateName, unicode.IsPrint
	default:
		return fmt.Errorf("%w: neither a token nor a certificate", ErrGrant)
	}
	switch {
	case name == "" || len(name) > most || !utf8.ValidString(name):
		return fmt.Errorf("%w: a name has 1 to %d bytes", ErrGrant, most)
	case strings.ContainsFunc(name, func(r rune) bool { return !allowed(r) }):
		return fmt.Errorf("%w: a character that a name cannot hold", ErrGrant)
	case MayBeNumber(name):
		return fmt.Errorf("%w: more than %d digits without a letter between them: a name must not hold a phone number", ErrGrant, maxDigits)
	}
	return nil
}

func isOfTokenName(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("._@-", r)
}

// MayBeNumber reports whether a text could hold a phone number: more than 8 digits without a letter between them.
func MayBeNumber(s string) bool {
	digits := 0
	for _, r := range s {
		switch {
		case unicode.IsDigit(r):
			digits++
		case unicode.IsLetter(r):
			digits = 0
		}
		if digits > maxDigits {
			return true
		}
	}
	return false
}
