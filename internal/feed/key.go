package feed

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/mod/sumdb/note"

	"github.com/dncd/dncd/internal/policy"
)

// PublicKey verifies what one key has signed. Make one with ParsePublicKey.
type PublicKey struct {
	text     string
	raw      [ed25519.PublicKeySize]byte
	verifier note.Verifier
}

// PrivateKey signs notes: it is a note.Signer. Make one with NewKey or ParsePrivateKey. It prints as its name.
type PrivateKey struct {
	note.Signer
	public PublicKey
}

// CheckKeyName returns ErrKeyName unless a key may have that name. A good name says whose key it is and since when, such as
// acme-callcentre-2026: it is in every signature. It follows the rules of a list's name.
func CheckKeyName(name string) error {
	if !policy.IsName(name) {
		return ErrKeyName
	}
	return nil
}

// NewKey makes an Ed25519 key, and returns the text of its private half, which is a secret.
func NewKey(name string) (private string, public PublicKey, err error) {
	if err := CheckKeyName(name); err != nil {
		return "", PublicKey{}, err
	}
	private, text, err := note.GenerateKey(rand.Reader, name)
	if err != nil {
		return "", PublicKey{}, fmt.Errorf("make a key: %w", err)
	}
	public, err = ParsePublicKey(text)
	return private, public, err
}

// ParsePrivateKey reads the text of a private key, "PRIVATE+KEY+<name>+<hash>+<base64>", with or without a line break at its
// end. Its error repeats nothing of the text.
func ParsePrivateKey(text string) (PrivateKey, error) {
	text = trimBreak(text)
	signer, err := note.NewSigner(text)
	if err != nil {
		return PrivateKey{}, fmt.Errorf("%w: a private key begins with PRIVATE+KEY+ and is one line of `dnc key new`", ErrKey)
	}
	key, err := base64.StdEncoding.DecodeString(strings.SplitN(text, "+", 5)[4])
	if err != nil || len(key) != 1+ed25519.SeedSize {
		return PrivateKey{}, fmt.Errorf("%w: not an Ed25519 key", ErrKey)
	}
	if text != fmt.Sprintf("PRIVATE+KEY+%s+%08x+%s", signer.Name(), signer.KeyHash(), base64.StdEncoding.EncodeToString(key)) {
		return PrivateKey{}, fmt.Errorf("%w: it is spelled in another way than `dnc key new` does", ErrKey)
	}
	raw := ed25519.NewKeyFromSeed(key[1:]).Public().(ed25519.PublicKey)
	publicText, err := note.NewEd25519VerifierKey(signer.Name(), raw)
	if err != nil {
		return PrivateKey{}, fmt.Errorf("%w: %w", ErrKey, err)
	}
	public, err := ParsePublicKey(publicText)
	return PrivateKey{signer, public}, err
}

// Public returns the half that verifies.
func (k PrivateKey) Public() PublicKey { return k.public }

// String is the name.
func (k PrivateKey) String() string { return k.Name() }

// ParsePublicKey reads the text of a public key, "<name>+<hash>+<base64>", with or without a line break at its end. It refuses
// a key for which anybody can make signatures.
func ParsePublicKey(text string) (PublicKey, error) {
	text = trimBreak(text)
	verifier, err := note.NewVerifier(text)
	if err != nil {
		return PublicKey{}, fmt.Errorf("%w: a public key is one line, NAME+HASH+BASE64, of the file that ends with .pub", ErrKey)
	}
	if err := CheckKeyName(verifier.Name()); err != nil {
		return PublicKey{}, err
	}
	key, err := base64.StdEncoding.DecodeString(strings.SplitN(text, "+", 3)[2])
	if err != nil || len(key) != 1+ed25519.PublicKeySize {
		return PublicKey{}, fmt.Errorf("%w: not an Ed25519 key", ErrKey)
	}
	k := PublicKey{text: text, raw: [ed25519.PublicKeySize]byte(key[1:]), verifier: verifier}
	if canonical, err := note.NewEd25519VerifierKey(verifier.Name(), k.raw[:]); err != nil || canonical != text {
		return PublicKey{}, fmt.Errorf("%w: it is spelled in another way than `dnc key new` does", ErrKey)
	}
	if isWeak(k.raw) {
		return PublicKey{}, fmt.Errorf("%w: anybody can sign for this one: make another with `dnc key new`", ErrKey)
	}
	return k, nil
}

// Name returns the name of the key.
func (k PublicKey) Name() string { return k.verifier.Name() }

// Hash returns the short hash of name and key, by which a note names the key.
func (k PublicKey) Hash() uint32 { return k.verifier.KeyHash() }

// Text returns the text of the key: the content of its file, without the line break.
func (k PublicKey) Text() string { return k.text }

// Fingerprint is "SHA256:" and the hash of the 32 bytes of the key in base64 without padding. It does not depend on the name.
func (k PublicKey) Fingerprint() string {
	sum := sha256.Sum256(k.raw[:])
	return "SHA256:" + base64.RawStdEncoding.EncodeToString(sum[:])
}

// NameAndFingerprint shows a person which key it is.
func (k PublicKey) NameAndFingerprint() string {
	if k.verifier == nil {
		return "nobody"
	}
	return k.Name() + " " + k.Fingerprint()
}

// trimBreak removes one line break at the end.
func trimBreak(text string) string { return strings.TrimSuffix(strings.TrimSuffix(text, "\n"), "\r") }

// smallOrder are the y coordinates of the points of small order of the curve, and how else they can be written. With such a
// public key, one signature fits many texts.
var smallOrder = [...]string{
	"0000000000000000000000000000000000000000000000000000000000000000",
	"0100000000000000000000000000000000000000000000000000000000000000",
	"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
	"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
	"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
}

// isWeak reports whether a public key is a point of small order. The highest bit is the sign of x.
func isWeak(raw [ed25519.PublicKeySize]byte) bool {
	raw[len(raw)-1] &= 0x7f
	return slices.Contains(smallOrder[:], hex.EncodeToString(raw[:]))
}
