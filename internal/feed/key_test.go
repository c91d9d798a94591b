package feed

import (
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"
)

func mustKey(text string) PrivateKey {
	k, err := ParsePrivateKey(text)
	if err != nil {
		panic(err)
	}
	return k
}

func TestKeyIsReadAsMade(t *testing.T) {
	t.Parallel()
	private, public, err := NewKey("acme-callcentre-2026")
	if err != nil {
		t.Fatal(err)
	}
	for _, end := range []string{"", "\n", "\r\n"} {
		k, err := ParsePrivateKey(private + end)
		if err != nil || k.Public().Text() != public.Text() || k.Name() != "acme-callcentre-2026" {
			t.Errorf("private half with %q: %v, %v", end, k, err)
		}
		p, err := ParsePublicKey(public.Text() + end)
		if err != nil || p.Text() != public.Text() || p.Fingerprint() != public.Fingerprint() || p.Hash() != k.KeyHash() {
			t.Errorf("public half with %q: %v, %v", end, p, err)
		}
	}
	if text := fmt.Sprintf("%v %+v %#v %s", mustKey(private), mustKey(private), mustKey(private), mustKey(private)); strings.Contains(text, private[len(private)-40:]) {
		t.Errorf("a private key prints its secret")
	}
}

// The fingerprint is of the key and not of its name, and is what other tools compute: see docs/subscribers.md.
func TestFingerprintIsOfTheKey(t *testing.T) {
	t.Parallel()
	raw := baseKey.Public().raw
	renamed, err := note.NewEd25519VerifierKey("other", raw[:])
	if err != nil {
		t.Fatal(err)
	}
	p, err := ParsePublicKey(renamed)
	if err != nil || p.Fingerprint() != baseKey.Public().Fingerprint() || p.Hash() == baseKey.Public().Hash() {
		t.Errorf("%v: fingerprint %s, want %s", err, p.Fingerprint(), baseKey.Public().Fingerprint())
	}
	if f := p.Fingerprint(); !strings.HasPrefix(f, "SHA256:") || len(f) != len("SHA256:")+43 {
		t.Errorf("got %q", f)
	}
}

func TestKeyNames(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]error{
		"dncd": nil, "acme-callcentre-2026": nil, "base.example": nil, "a": nil, "2026-11-29": nil, strings.Repeat("a", 64): nil,
		"": ErrKeyName, strings.Repeat("a", 65): ErrKeyName, "Acme": ErrKeyName, "acme call": ErrKeyName, "acme+x": ErrKeyName, "-acme": ErrKeyName,
		"acme/x": ErrKeyName, "acmé": ErrKeyName, "acme\n": ErrKeyName,
		"14155550123": ErrKeyName, "tel-1-415-555-0123": ErrKeyName, "33.1.99.00.12.34": ErrKeyName,
	} {
		if err := CheckKeyName(name); !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", name, err, want)
		}
		_, public, err := NewKey(name)
		if !errors.Is(err, want) || want == nil && public.Name() != name {
			t.Errorf("a key of %q: %v, want %v", name, err, want)
		}
	}
	// A key that another tool made has to have a good name too.
	private, public, err := note.GenerateKey(zeros{}, "14155550123")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ParsePrivateKey(private); !errors.Is(err, ErrKeyName) {
		t.Errorf("private: %v, want ErrKeyName", err)
	}
	if _, err := ParsePublicKey(public); !errors.Is(err, ErrKeyName) {
		t.Errorf("public: %v, want ErrKeyName", err)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestTextThatIsNoKeyIsRefused(t *testing.T) {
	t.Parallel()
	private, public, err := NewKey("acme")
	if err != nil {
		t.Fatal(err)
	}
	name, rest, _ := strings.Cut(public.Text(), "+")
	short, data, _ := strings.Cut(rest, "+")
	for _, text := range []string{
		"", "\n", "acme", public.Text() + "\n\n", " " + public.Text(), public.Text() + " ", private, public.Text() + "\n" + public.Text(),
		name + "+" + strings.ToUpper(short) + "x+" + data, "other+" + short + "+" + data, name + "+" + short + "+" + data[:20], name + "+" + short + "+",
		public.Text()[:len(public.Text())-1], public.Text() + "=",
	} {
		if k, err := ParsePublicKey(text); !errors.Is(err, ErrKey) {
			t.Errorf("%q: %v, %v, want ErrKey", text, k, err)
		}
	}
	upper := mustPublic(t, "dncd")
	if _, err := ParsePublicKey(strings.Replace(upper, "+"+strings.SplitN(upper, "+", 3)[1]+"+", "+"+strings.ToUpper(strings.SplitN(upper, "+", 3)[1])+"+", 1)); !errors.Is(err, ErrKey) {
		t.Errorf("a hash in capitals: %v, want ErrKey", err)
	}
	for _, text := range []string{"", "\n", public.Text(), private[:len(private)-2], strings.Replace(private, "acme", "acmf", 1), private + "\n\n", "x" + private} {
		_, err := ParsePrivateKey(text)
		if !errors.Is(err, ErrKey) {
			t.Errorf("%v, want ErrKey", err)
		}
		if err != nil && len(text) > 60 && strings.Contains(err.Error(), text[len(text)-30:]) {
			t.Errorf("the error repeats the key")
		}
	}
}

// mustPublic is the text of a public key whose short hash has a letter.
func mustPublic(t *testing.T, name string) string {
	t.Helper()
	for {
		_, public, err := NewKey(name)
		if err != nil {
			t.Fatal(err)
		}
		if short := strings.SplitN(public.Text(), "+", 3)[1]; strings.ToUpper(short) != short {
			return public.Text()
		}
	}
}

// A public key of small order is refused: for each of them, one signature that no private key made fits some texts.
func TestWeakKeysAreRefused(t *testing.T) {
	t.Parallel()
	signature := make([]byte, ed25519.SignatureSize)
	signature[0] = 1 // R is the neutral point, S is zero
	for _, y := range smallOrder {
		for _, sign := range []byte{0, 0x80} {
			raw, err := hex.DecodeString(y)
			if err != nil || len(raw) != ed25519.PublicKeySize {
				t.Fatalf("%s: %v", y, err)
			}
			raw[31] |= sign
			if fits := fits(raw, signature); fits == 0 && sign == 0 {
				t.Errorf("%s: the signature fits no text: it is no point of small order", y)
			}
			text, err := note.NewEd25519VerifierKey("acme", raw)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := ParsePublicKey(text); !errors.Is(err, ErrKey) {
				t.Errorf("%s: %v, want ErrKey", y, err)
			}
		}
	}
	if raw := baseKey.Public().raw; fits(raw[:], signature) != 0 {
		t.Error("the signature fits a text under a key that was made")
	}
}

// fits counts the texts of 256 that a signature fits.
func fits(key, signature []byte) (n int) {
	for i := range 256 {
		if ed25519.Verify(key, []byte{byte(i)}, signature) {
			n++
		}
	}
	return n
}
