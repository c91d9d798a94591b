package feed

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

// nextSecret is the key that replaces the server's.
const nextSecret = "PRIVATE+KEY+dncd-2027+7d04e24b+AQMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMD"

func sampleRotation(t *testing.T) Rotation {
	t.Helper()
	next, err := ParsePrivateKey(nextSecret)
	if err != nil {
		t.Fatal(err)
	}
	return Rotation{Journal: sampleCheckpoint().Journal, Old: serverKey.Public(), New: next.Public(), Time: someTime}
}

func TestRotationIsReadAsSigned(t *testing.T) {
	t.Parallel()
	want := sampleRotation(t)
	msg, err := want.Sign(serverKey)
	if err != nil {
		t.Fatal(err)
	}
	got, err := OpenRotation(msg)
	if err != nil || got.Text() != want.Text() || got.Note != string(msg) || !IsRotation(msg) {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	if note := signed(t, sampleCheckpoint(), serverKey); IsRotation([]byte(note)) {
		t.Error("a checkpoint is taken for a rotation")
	}
	if _, _, err := OpenCheckpoint(msg, serverKey.Public()); !errors.Is(err, ErrMalformed) {
		t.Errorf("a rotation opened as a checkpoint: %v", err)
	}
}

// A rotation counts only under the old key's own signature, and only that key is asked to make one.
func TestForgedRotationIsRefused(t *testing.T) {
	t.Parallel()
	r := sampleRotation(t)
	if _, err := r.Sign(baseKey); !errors.Is(err, ErrKey) {
		t.Errorf("signed by another key: %v, want ErrKey", err)
	}
	msg, err := r.Sign(serverKey)
	if err != nil {
		t.Fatal(err)
	}
	byAnother, err := sign(r.Text(), baseKey)
	if err != nil {
		t.Fatal(err)
	}
	other := r
	other.Journal = strings.Repeat("ab", 16)
	same := r
	same.New = r.Old
	for name, tt := range map[string]struct {
		note []byte
		want error
	}{
		"by another key":         {byAnother, ErrUnknown},
		"under another text":     {graft(other.Text(), msg), ErrSignature},
		"a byte of the text":     {[]byte(strings.Replace(string(msg), "time 2", "time 3", 1)), ErrSignature},
		"cut":                    {msg[:len(msg)-1], ErrMalformed},
		"a line more":            {[]byte(strings.Replace(string(msg), "\n\n", "\nmore\n\n", 1)), ErrMalformed},
		"of itself":              {graft(same.Text(), msg), ErrMalformed},
		"a weak key":             {graft(strings.Replace(r.Text(), r.New.Text(), "weak+7c98233a+AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", 1), msg), ErrKey},
		"a checkpoint":           {[]byte(signed(t, sampleCheckpoint(), serverKey)), ErrMalformed},
		"no note":                {[]byte("x"), ErrMalformed},
		"more than a note holds": {[]byte(strings.Repeat("x", MaxNote+1)), ErrMalformed},
	} {
		if _, err := OpenRotation(tt.note); !errors.Is(err, tt.want) {
			t.Errorf("%s: got %v, want %v", name, err, tt.want)
		}
	}
}

// rotated replaces a key several times, and returns every one.
func rotated(t *testing.T, times int) (keys []SigningKey, file string) {
	t.Helper()
	file = serverSecret
	for range times + 1 {
		k, err := ParseSigningKey(file)
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, k)
		if len(keys) <= times {
			if file, _, err = k.Rotate(sampleCheckpoint().Journal, "dncd", someTime); err != nil {
				t.Fatal(err)
			}
		}
	}
	return keys, file
}

func TestSuccessors(t *testing.T) {
	t.Parallel()
	keys, _ := rotated(t, 3)
	all, err := OpenRotations(keys[3].Rotations)
	if err != nil || len(all) != 3 {
		t.Fatalf("%d rotations, %v", len(all), err)
	}
	backwards := slices.Clone(all)
	slices.Reverse(backwards)
	for name, tt := range map[string]struct {
		from      PublicKey
		rotations []Rotation
		want      int  // keys
		reaches   bool // the last one
	}{
		"from the first":     {keys[0].Public(), all, 4, true},
		"in any order":       {keys[0].Public(), backwards, 4, true},
		"from the middle":    {keys[2].Public(), all, 2, true},
		"from the last":      {keys[3].Public(), all, 1, true},
		"one left out":       {keys[0].Public(), []Rotation{all[0], all[2]}, 2, false},
		"from another":       {baseKey.Public(), all, 1, false},
		"without a rotation": {keys[0].Public(), nil, 1, false},
	} {
		got := Successors([]PublicKey{tt.from}, tt.rotations)
		if len(got) != tt.want || HoldsKey(got, keys[3].Public()) != tt.reaches {
			t.Errorf("%s: %d keys, the last one among them: %v", name, len(got), HoldsKey(got, keys[3].Public()))
		}
	}
	if left := Unreplaced(Successors([]PublicKey{keys[0].Public()}, all), all); len(left) != 1 || !HoldsKey(left, keys[3].Public()) {
		t.Errorf("%d keys are not replaced, want the last one", len(left))
	}
}

// The file of a key holds how it came, and nothing else.
func TestSigningKeyFile(t *testing.T) {
	t.Parallel()
	keys, file := rotated(t, 2)
	if got := keys[2]; len(got.Rotations) != 2 || !strings.HasPrefix(file, "PRIVATE+KEY+dncd+") || strings.Contains(file, serverSecret) {
		t.Errorf("%d rotations in a file of %d bytes", len(got.Rotations), len(file))
	}
	first := keys[2].Rotations[0]
	for name, text := range map[string]string{
		"another key before the notes": nextSecret + "\n" + strings.Join(keys[2].Rotations, ""),
		"a note left out":              strings.Replace(file, first, "", 1) + first,
		"a note changed":               strings.Replace(file, "time 2", "time 3", 1),
		"a line more":                  file + "more\n",
		"the notes alone":              strings.Join(keys[2].Rotations, ""),
		"empty":                        "",
	} {
		if _, err := ParseSigningKey(text); err == nil {
			t.Errorf("%s: it is taken", name)
		} else if strings.Contains(err.Error(), "PRIVATE+KEY+dncd+") {
			t.Errorf("%s: the error repeats the secret: %v", name, err)
		}
	}
}

func FuzzParseSigningKey(f *testing.F) {
	f.Add(serverSecret + "\n")
	f.Add("PRIVATE+KEY+x\n\n— \n")
	f.Fuzz(func(t *testing.T, text string) {
		if k, err := ParseSigningKey(text); err == nil && k.Signer == nil {
			t.Error("a key that does not sign")
		}
	})
}
