// Package feed holds the texts that a server and its subscribers hash and sign: the rows and changes of a feed, its filter,
// checkpoints and acknowledgements.
//
// It promises:
//   - One meaning has one text. A parser accepts exactly what the encoder of its type writes, and refuses everything
//     else: another order, a trailing space, an unknown line, a second spelling of a number or a time.
//   - A text that was signed names the journal, the subscriber, the epoch, the position, the filter and, in an
//     acknowledgement, the stage. A signature over one of them is no signature over another.
//   - It does no I/O, except for the random bytes of a new key, and imports neither a database nor gRPC: server, client and
//     command line compute the same bytes with the same code.
//   - No error repeats a number.
//
// A line is fields separated by one tab, or by one space in a note, and ends with a line feed. Numbers have a plus, the
// empty scope is an empty field, times are RFC 3339 in UTC with as many decimals as needed, hashes are base64 of RFC 4648
// with padding. A value that is not there is a dash.
package feed

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"strconv"

	"github.com/dncd/dncd/internal/policy"
)

// Errors of this package, for errors.Is.
var (
	ErrMalformed = errors.New("malformed text")
	ErrOrder     = errors.New("rows are not in order")
	ErrFilter    = errors.New("invalid filter")
	ErrSignature = errors.New("invalid signature")
	ErrUnknown   = errors.New("signed by an unknown key")
	ErrKey       = errors.New("malformed key")
	ErrKeyName   = errors.New("invalid name of a key: use 1 to 64 of a-z, 0-9, dot, dash and underscore, beginning with a letter or digit, and no phone number")
)

// Scope is that of package policy, so that client need not import it.
type Scope = policy.Scope

// EventID is that of package policy.
type EventID = policy.EventID

// Hash is a SHA-256, or the output of HMAC-SHA-256. The zero Hash is none.
type Hash [sha256.Size]byte

// IsZero reports whether h is none.
func (h Hash) IsZero() bool { return h == Hash{} }

// String is base64, or a dash for none.
func (h Hash) String() string { return string(h.append(nil)) }

func (h Hash) append(b []byte) []byte {
	if h.IsZero() {
		return append(b, none...)
	}
	return base64.StdEncoding.AppendEncode(b, h[:])
}

// ParseHash reads what String writes.
func ParseHash(s string) (Hash, error) {
	var h Hash
	if s == none {
		return h, nil
	}
	raw, err := base64.StdEncoding.DecodeString(s)
	if err != nil || len(raw) != len(h) {
		return h, malformed("a hash is 32 bytes in base64")
	}
	copy(h[:], raw)
	if h.String() != s {
		return Hash{}, malformed("a hash is written with another base64 than this")
	}
	return h, nil
}

// Blind is the key of one change for one subscriber: HMAC-SHA-256 under the journal's secret. Who knows the hash of a leaf
// and not its blind cannot find the number by trying all of them.
func Blind(secret []byte, subscriber, event EventID) Hash {
	mac := hmac.New(sha256.New, secret)
	b := appendID([]byte("dncd blind\n"), subscriber)
	mac.Write(appendID(append(b, '\n'), event))
	return Hash(mac.Sum(nil))
}

// Leaf is the hash of one change: SHA-256 over its text and its blind.
func Leaf(change []byte, blind Hash) Hash {
	var room [256]byte // more than most have, on the stack
	return sha256.Sum256(append(append(room[:0], change...), blind[:]...))
}

// Next is h(n): SHA-256 over h(n-1) and the leaf of the n-th change.
func Next(h, leaf Hash) Hash {
	var b [2 * sha256.Size]byte
	copy(b[:], h[:])
	copy(b[sha256.Size:], leaf[:])
	return sha256.Sum256(b[:])
}

// Start is h(0) of an epoch: SHA-256 over the subscriber, the epoch, the hash of its filter, and the SHA-256 of the
// snapshot at the epoch's revision, whose rows a Digester hashes.
func Start(subscriber EventID, epoch uint64, filter, snapshot Hash) Hash {
	b := appendID([]byte("dncd feed\n"), subscriber)
	b = strconv.AppendUint(append(b, '\n'), epoch, 10)
	b = append(append(append(b, '\n'), filter[:]...), snapshot[:]...)
	return sha256.Sum256(b)
}
