package feed

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Rotation says that the key of a server was replaced. The old key signs it: a base that knows that one accepts the new one.
type Rotation struct {
	Journal string // of the server, when its key was replaced
	Old     PublicKey
	New     PublicKey
	Time    time.Time
	Note    string // as it was signed; empty: it is not
}

// rotationOrigin is the last part of the first line, where a checkpoint has a subscriber.
const rotationOrigin = "server-key"

// Text is the text that is signed.
func (r Rotation) Text() string {
	return fmt.Sprintf("dncd/%s/%s\nold %s\nnew %s\ntime %s\n", r.Journal, rotationOrigin, r.Old.Text(), r.New.Text(), appendTime(nil, r.Time))
}

// Sign returns the rotation as a note that its old key signed.
func (r Rotation) Sign(key PrivateKey) ([]byte, error) {
	text := r.Text()
	if _, err := parseRotation(text); err != nil {
		return nil, err
	}
	if key.Public().Text() != r.Old.Text() {
		return nil, fmt.Errorf("rotation: %w: only the old key signs it", ErrKey)
	}
	return sign(text, key)
}

// OpenRotation reads a rotation, and verifies that its old key signed it. Whether that key may be trusted is for Successors.
func OpenRotation(msg []byte) (Rotation, error) {
	text, _, err := readNote(msg, MaxNote)
	if err != nil {
		return Rotation{}, fmt.Errorf("rotation: %w", err)
	}
	r, err := parseRotation(text)
	if err != nil {
		return Rotation{}, err
	}
	if _, _, err := openNote(msg, MaxNote, []PublicKey{r.Old}); err != nil {
		return Rotation{}, fmt.Errorf("rotation: %w", err)
	}
	r.Note = string(msg)
	return r, nil
}

// IsRotation reports whether a note may be a rotation, and nothing else.
func IsRotation(msg []byte) bool {
	first, _, _ := strings.Cut(string(msg[:min(len(msg), MaxNote)]), "\n")
	return strings.HasPrefix(first, "dncd/") && strings.HasSuffix(first, "/"+rotationOrigin)
}

func parseRotation(text string) (Rotation, error) {
	f := splitNote(text)
	var r Rotation
	parts := strings.Split(f.take(), "/")
	if len(parts) != 3 || parts[0] != "dncd" || parts[2] != rotationOrigin {
		f.fail(malformed("the first line is dncd/JOURNAL/" + rotationOrigin))
		parts = make([]string, 3)
	}
	r.Journal = value(f, parts[1], parseJournal)
	r.Old = value(f, f.after("old"), ParsePublicKey)
	r.New = value(f, f.after("new"), ParsePublicKey)
	r.Time = value(f, f.after("time"), parseTime)
	if r.Time.IsZero() || f.err == nil && r.Old.raw == r.New.raw {
		f.fail(malformed("a rotation has a time, and another new key than the old one"))
	}
	if err := f.end(); err != nil {
		return Rotation{}, fmt.Errorf("rotation: %w", err)
	}
	if err := again([]byte(r.Text()), text); err != nil {
		return Rotation{}, fmt.Errorf("rotation: %w", err)
	}
	return r, nil
}

// SplitNotes returns the notes of a text that holds one after the other.
func SplitNotes(text string) (notes []string) {
	begin, at := 0, 0
	for line := range strings.Lines(text) {
		at += len(line)
		if strings.HasPrefix(line, "— ") {
			notes = append(notes, text[begin:at])
			begin = at
		}
	}
	if begin < len(text) {
		notes = append(notes, text[begin:])
	}
	return notes
}

// OpenRotations reads rotations.
func OpenRotations[T []byte | string](notes []T) (all []Rotation, err error) {
	for _, note := range notes {
		r, err := OpenRotation([]byte(note))
		if err != nil {
			return nil, err
		}
		all = append(all, r)
	}
	return all, nil
}

// Successors are the keys, and those that follow from them by rotations, in any number of steps.
func Successors(keys []PublicKey, rotations []Rotation) []PublicKey {
	all := slices.Clone(keys)
	for i := 0; i < len(all); i++ { // all grows
		for _, r := range rotations {
			if r.Old.Text() == all[i].Text() && !HoldsKey(all, r.New) {
				all = append(all, r.New)
			}
		}
	}
	return all
}

// Unreplaced are the keys that no rotation replaces.
func Unreplaced(keys []PublicKey, rotations []Rotation) []PublicKey {
	return slices.DeleteFunc(slices.Clone(keys), func(k PublicKey) bool {
		return slices.ContainsFunc(rotations, func(r Rotation) bool { return r.Old.Text() == k.Text() })
	})
}

// HoldsKey reports whether a key is among others.
func HoldsKey(keys []PublicKey, key PublicKey) bool {
	return slices.ContainsFunc(keys, func(k PublicKey) bool { return k.Text() == key.Text() })
}
