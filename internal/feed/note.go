package feed

import (
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/mod/sumdb/note"
)

// MaxNote is more than the bytes of any checkpoint or acknowledgement.
const MaxNote = 4 << 10

// Signature says which key signed a note.
type Signature struct {
	Name string // of the key
	Hash uint32 // the short hash in the text of the key
}

// String is "NAME+HASH", as the text of the public key begins.
func (s Signature) String() string { return fmt.Sprintf("%s+%08x", s.Name, s.Hash) }

// By is the one of some keys that made the signature; false: none of them did.
func (s Signature) By(keys []PublicKey) (PublicKey, bool) {
	i := slices.IndexFunc(keys, func(k PublicKey) bool { return k.Name() == s.Name && k.Hash() == s.Hash })
	if i < 0 {
		return PublicKey{}, false
	}
	return keys[i], true
}

// isOf reports whether the key with this text made the signature.
func (s Signature) isOf(text string) bool {
	key, err := ParsePublicKey(text)
	if err != nil {
		return false
	}
	_, is := s.By([]PublicKey{key})
	return is
}

// sign returns the note of a text.
func sign(text string, key note.Signer) ([]byte, error) {
	msg, err := note.Sign(&note.Note{Text: text}, key)
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	return msg, nil
}

// openNote returns the text of a note that one of the keys has signed, and that has at most most bytes.
func openNote(msg []byte, most int, keys []PublicKey) (string, Signature, error) {
	verifiers := make([]note.Verifier, len(keys))
	for i, k := range keys {
		verifiers[i] = k.verifier
	}
	text, signature, err := readNote(msg, most)
	if err != nil {
		return "", Signature{}, err
	}
	_, err = note.Open(msg, note.VerifierList(verifiers...))
	var unverified *note.UnverifiedNoteError
	var invalid *note.InvalidSignatureError
	switch {
	case errors.As(err, &unverified):
		return "", signature, fmt.Errorf("%w: %s is not one of the keys to verify with", ErrUnknown, signature)
	case errors.As(err, &invalid):
		return "", signature, fmt.Errorf("%w: the text is not what %s signed, or the signature is of another text", ErrSignature, signature.Name)
	case err != nil:
		return "", signature, fmt.Errorf("%w: %w", ErrSignature, err)
	}
	return text, signature, nil
}

// readNote returns the text of a note and whose signature it says it has, without verifying it. There is exactly one
// signature, written as note.Sign writes it, so that nobody can change a byte of a note that still verifies.
func readNote(msg []byte, most int) (string, Signature, error) {
	if len(msg) > most {
		return "", Signature{}, malformed(fmt.Sprintf("this note has at most %d KiB", most>>10))
	}
	_, err := note.Open(msg, note.VerifierList())
	var unverified *note.UnverifiedNoteError
	if !errors.As(err, &unverified) {
		return "", Signature{}, malformed("not a signed note: a text, an empty line and a line with a signature, each ending with a line feed")
	}
	n := unverified.Note
	if len(n.UnverifiedSigs) != 1 {
		return "", Signature{}, malformed("a note has one signature")
	}
	s := n.UnverifiedSigs[0]
	if err := again(rewritten(n.Text, s), string(msg)); err != nil {
		return "", Signature{}, err
	}
	return n.Text, Signature{s.Name, s.Hash}, nil
}

// rewritten is the note as note.Sign writes it.
func rewritten(text string, s note.Signature) []byte {
	raw, err := base64.StdEncoding.DecodeString(s.Base64)
	if err != nil {
		return nil
	}
	return []byte(text + "\n— " + s.Name + " " + base64.StdEncoding.EncodeToString(raw) + "\n")
}

// splitNote returns the lines of a note's text.
func splitNote(text string) *fields {
	body, ok := strings.CutSuffix(text, "\n")
	if !ok {
		return &fields{err: malformed("the last line has no line feed")}
	}
	return &fields{next: strings.Split(body, "\n")}
}
