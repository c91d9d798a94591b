package feed

import (
	"fmt"
	"strings"
	"time"
)

// SigningKey is the key with which a server signs, and how it follows from the keys before it. Both are in one file, so that no
// crash and no copy has one without the other.
type SigningKey struct {
	PrivateKey
	Rotations []string // notes, the oldest first; none: it is the first key
}

// ParseSigningKey reads the text of the file: a private key, and the notes after it.
func ParseSigningKey(text string) (SigningKey, error) {
	line, rest, _ := strings.Cut(text, "\n")
	private, err := ParsePrivateKey(line)
	if err != nil {
		return SigningKey{}, err
	}
	k := SigningKey{private, SplitNotes(rest)}
	rotations, err := OpenRotations(k.Rotations)
	if err != nil {
		return SigningKey{}, err
	}
	for i, r := range rotations {
		next := private.Public()
		if i+1 < len(rotations) {
			next = rotations[i+1].Old
		}
		if r.New.Text() != next.Text() {
			return SigningKey{}, fmt.Errorf("%w: the notes after the private key do not lead to it: put the file back as `dncd rotate-key` wrote it", ErrKey)
		}
	}
	return k, nil
}

// Rotate makes the key that replaces this one at the server with that journal. It returns the text of the file that holds it.
func (k SigningKey) Rotate(journal, name string, now time.Time) (file string, next SigningKey, err error) {
	private, public, err := NewKey(name)
	if err != nil {
		return "", SigningKey{}, err
	}
	r := Rotation{Journal: journal, Old: k.Public(), New: public, Time: now.UTC().Truncate(time.Second)}
	note, err := r.Sign(k.PrivateKey)
	if err != nil {
		return "", SigningKey{}, err
	}
	file = private + "\n" + strings.Join(k.Rotations, "") + string(note)
	next, err = ParseSigningKey(file)
	return file, next, err
}
