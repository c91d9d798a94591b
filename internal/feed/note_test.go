package feed

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
)

// Keys of this test, which are secret to nobody.
const (
	serverSecret = "PRIVATE+KEY+dncd+3ac3e19f+AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB"
	baseSecret   = "PRIVATE+KEY+acme-callcentre+5d722df7+AQICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgIC"
)

var serverKey, baseKey = mustKey(serverSecret), mustKey(baseSecret)

func sampleCheckpoint() Checkpoint {
	return Checkpoint{
		Journal: "00112233445566778899aabbccddeeff", Subscriber: EventID{Revision: 5}, Epoch: 5, Revision: 12, Tag: Tag{0xde, 0xad, 7: 1},
		Changes: 3, Hash: someHash, Filter: Filter{Scopes: []Scope{"acme"}}.Hash(), Time: someTime,
	}
}

func sampleAcknowledgement() Acknowledgement {
	return Acknowledgement{Checkpoint: sampleCheckpoint(), Stage: Durable, Signed: someTime.Add(time.Second)}
}

func TestCheckpointIsReadAsSigned(t *testing.T) {
	t.Parallel()
	want := sampleCheckpoint()
	msg, err := want.Sign(serverKey)
	if err != nil {
		t.Fatal(err)
	}
	got, signature, err := OpenCheckpoint(msg, baseKey.Public(), serverKey.Public())
	if err != nil || got != want || signature != (Signature{"dncd", serverKey.KeyHash()}) {
		t.Errorf("opened: %+v by %v, %v, want %+v", got, signature, err, want)
	}
	if got, signature, err = ReadCheckpoint(msg); err != nil || got != want || signature.Name != "dncd" {
		t.Errorf("read: %+v by %v, %v, want %+v", got, signature, err, want)
	}
}

func TestAcknowledgementIsReadAsSigned(t *testing.T) {
	t.Parallel()
	for _, stage := range []Stage{Received, Durable, Applied} {
		for _, outcomes := range []Hash{{}, someHash} {
			for _, digest := range []Digest{{}, NewDigester().Digest(), {7, someHash}} {
				want := Acknowledgement{sampleCheckpoint(), stage, someTime, outcomes, digest}
				msg, err := want.Sign(baseKey)
				if err != nil {
					t.Fatal(err)
				}
				got, _, err := OpenAcknowledgement(msg, baseKey.Public())
				if err != nil || got != want {
					t.Errorf("got %+v, %v, want %+v", got, err, want)
				}
				if err := got.Check(sampleCheckpoint(), stage); err != nil {
					t.Error(err)
				}
			}
		}
	}
}

// others are the acknowledgement of the sample with one thing changed, by the name of what the error names.
func others() map[string]Acknowledgement {
	change := func(f func(a *Acknowledgement)) Acknowledgement {
		a := sampleAcknowledgement()
		f(&a)
		return a
	}
	return map[string]Acknowledgement{
		"journal":           change(func(a *Acknowledgement) { a.Checkpoint.Journal = "ff112233445566778899aabbccddeeff" }),
		"subscriber":        change(func(a *Acknowledgement) { a.Checkpoint.Subscriber.Index = 1 }),
		"epoch":             change(func(a *Acknowledgement) { a.Checkpoint.Epoch = 6 }),
		"position":          change(func(a *Acknowledgement) { a.Checkpoint.Tag[3]++ }),
		"number of changes": change(func(a *Acknowledgement) { a.Checkpoint.Changes++ }),
		"hash of changes":   change(func(a *Acknowledgement) { a.Checkpoint.Hash[3]++ }),
		"filter":            change(func(a *Acknowledgement) { a.Checkpoint.Filter[3]++ }),
		"time":              change(func(a *Acknowledgement) { a.Checkpoint.Time = someTime.Add(1) }),
		"stage":             change(func(a *Acknowledgement) { a.Stage = Applied }),
	}
}

// An acknowledgement of anything else is signed all the same and is refused, and its signature fits no other text.
func TestAcknowledgementOfAnythingElseIsRefused(t *testing.T) {
	t.Parallel()
	mine, err := sampleAcknowledgement().Sign(baseKey)
	if err != nil {
		t.Fatal(err)
	}
	replays := others()
	later := sampleAcknowledgement()
	later.Checkpoint.Revision++
	for field, other := range map[string]Acknowledgement{"position": later} {
		replays[field+" later"] = other
	}
	for field, other := range replays {
		msg, err := other.Sign(baseKey)
		if err != nil {
			t.Fatalf("%s: %v", field, err)
		}
		a, _, err := OpenAcknowledgement(msg, baseKey.Public())
		if err != nil || a != other {
			t.Errorf("%s: %v", field, err)
		}
		var mismatch *MismatchError
		if err := a.Check(sampleCheckpoint(), Durable); !errors.As(err, &mismatch) || mismatch.Field != strings.TrimSuffix(field, " later") {
			t.Errorf("%s: %v, want that it is of another", field, err)
		}
		if _, _, err := OpenAcknowledgement(graft(other.Text(), mine), baseKey.Public()); !errors.Is(err, ErrSignature) {
			t.Errorf("%s: the signature of another text: %v, want ErrSignature", field, err)
		}
	}
	for name, of := range map[string]func(*Acknowledgement){
		"outcomes": func(a *Acknowledgement) { a.Outcomes = someHash },
		"digest":   func(a *Acknowledgement) { a.Digest = Digest{1, someHash} },
		"signed":   func(a *Acknowledgement) { a.Signed = a.Signed.Add(1) },
	} {
		other := sampleAcknowledgement()
		of(&other)
		if _, _, err := OpenAcknowledgement(graft(other.Text(), mine), baseKey.Public()); !errors.Is(err, ErrSignature) {
			t.Errorf("%s: the signature of another text: %v, want ErrSignature", name, err)
		}
	}
}

// graft puts the signature of a note under another text.
func graft(text string, msg []byte) []byte {
	return append([]byte(text), msg[bytes.Index(msg, []byte("\n\n"))+1:]...)
}

func TestForeignKeyIsRefused(t *testing.T) {
	t.Parallel()
	msg, err := sampleAcknowledgement().Sign(serverKey)
	if err != nil {
		t.Fatal(err)
	}
	for name, keys := range map[string][]PublicKey{"another": {baseKey.Public()}, "none": nil} {
		if a, _, err := OpenAcknowledgement(msg, keys...); !errors.Is(err, ErrUnknown) || a != (Acknowledgement{}) {
			t.Errorf("%s: %v, %v, want ErrUnknown", name, a, err)
		}
	}
	// Another key under the name of the one that is known.
	_, impostor, err := NewKey(baseKey.Name())
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := OpenAcknowledgement(msg, impostor); !errors.Is(err, ErrUnknown) {
		t.Errorf("a key of the same name: %v, want ErrUnknown", err)
	}
	// The line of the signature names the known key, over bytes that another key has signed.
	raw := signatureOf(t, msg)
	forged := fmt.Appendf(nil, "%s\n— %s %s\n", sampleAcknowledgement().Text(), baseKey.Name(),
		base64.StdEncoding.EncodeToString(append([]byte{byte(baseKey.KeyHash() >> 24), byte(baseKey.KeyHash() >> 16), byte(baseKey.KeyHash() >> 8), byte(baseKey.KeyHash())}, raw[4:]...)))
	if _, _, err := OpenAcknowledgement(forged, baseKey.Public()); !errors.Is(err, ErrSignature) {
		t.Errorf("a forged signature: %v, want ErrSignature", err)
	}
}

func signatureOf(t *testing.T, msg []byte) []byte {
	t.Helper()
	text := strings.TrimSuffix(string(msg), "\n")
	raw, err := base64.StdEncoding.DecodeString(text[strings.LastIndex(text, " ")+1:])
	if err != nil || len(raw) != 68 {
		t.Fatalf("%d bytes, %v", len(raw), err)
	}
	return raw
}

// What was signed as one kind of text is not the other kind, even under one key.
func TestCheckpointIsNoAcknowledgement(t *testing.T) {
	t.Parallel()
	checkpoint, err := sampleCheckpoint().Sign(baseKey)
	if err != nil {
		t.Fatal(err)
	}
	if a, _, err := OpenAcknowledgement(checkpoint, baseKey.Public()); !errors.Is(err, ErrMalformed) || a != (Acknowledgement{}) {
		t.Errorf("a checkpoint as an acknowledgement: %v, %v, want ErrMalformed", a, err)
	}
	ack, err := sampleAcknowledgement().Sign(baseKey)
	if err != nil {
		t.Fatal(err)
	}
	if c, _, err := OpenCheckpoint(ack, baseKey.Public()); !errors.Is(err, ErrMalformed) || c != (Checkpoint{}) {
		t.Errorf("an acknowledgement as a checkpoint: %v, %v, want ErrMalformed", c, err)
	}
	if c, _, err := ReadCheckpoint(ack); !errors.Is(err, ErrMalformed) || c != (Checkpoint{}) {
		t.Errorf("an acknowledgement read as a checkpoint: %v, %v, want ErrMalformed", c, err)
	}
}

// Every prefix of a note, and every note with one byte changed, is refused.
func TestChangedNoteIsRefused(t *testing.T) {
	t.Parallel()
	a := sampleAcknowledgement()
	a.Outcomes, a.Digest = someHash, Digest{7, someHash}
	msg, err := a.Sign(baseKey)
	if err != nil {
		t.Fatal(err)
	}
	for i := range msg {
		if _, _, err := OpenAcknowledgement(msg[:i], baseKey.Public()); err == nil {
			t.Errorf("the first %d of %d bytes are accepted", i, len(msg))
		}
		for bit := range 8 {
			changed := bytes.Clone(msg)
			changed[i] ^= 1 << bit
			if _, _, err := OpenAcknowledgement(changed, baseKey.Public()); err == nil {
				t.Errorf("bit %d of byte %d changed, and it is accepted", bit, i)
			}
		}
	}
}

// A note has one form: what could be appended to it or written otherwise, and would still verify, is refused.
func TestNoteHasOneForm(t *testing.T) {
	t.Parallel()
	msg, err := sampleAcknowledgement().Sign(baseKey)
	if err != nil {
		t.Fatal(err)
	}
	other, err := sampleAcknowledgement().Sign(serverKey)
	if err != nil {
		t.Fatal(err)
	}
	line := string(msg[bytes.Index(msg, []byte("\n\n"))+2:])
	foreign := string(other[bytes.Index(other, []byte("\n\n"))+2:])
	// The last digit before the padding has two bits that no byte holds.
	at := len(msg) - len("?=\n")
	if !strings.HasSuffix(string(msg), "=\n") || strings.HasSuffix(string(msg), "==\n") {
		t.Fatalf("a signature ends with %q", msg[at:])
	}
	bits := bytes.Clone(msg)
	bits[at]++
	for name, text := range map[string]string{
		"its signature twice":     string(msg) + line,
		"a foreign one behind it": string(msg) + foreign,
		"a foreign one before it": strings.Replace(string(msg), line, foreign+line, 1),
		"other bits":              string(bits),
		"CR":                      strings.ReplaceAll(string(msg), "\n", "\r\n"),
		"a space behind it":       strings.TrimSuffix(string(msg), "\n") + " \n",
		"a line feed behind it":   string(msg) + "\n",
		"no line feed":            strings.TrimSuffix(string(msg), "\n"),
		"no signature":            sampleAcknowledgement().Text(),
		"an empty signature":      sampleAcknowledgement().Text() + "\n",
		"nothing":                 "",
		"too long":                strings.Repeat("x", MaxNote) + string(msg),
	} {
		if a, _, err := OpenAcknowledgement([]byte(text), baseKey.Public()); !errors.Is(err, ErrMalformed) || a != (Acknowledgement{}) {
			t.Errorf("%s: %v, %v, want ErrMalformed", name, a, err)
		}
	}
}

// A text that means what another one means is refused, even when it is signed.
func TestTextIsStrict(t *testing.T) {
	t.Parallel()
	a := sampleAcknowledgement()
	a.Digest = Digest{7, someHash}
	text := a.Text()
	lines := strings.SplitAfter(strings.TrimSuffix(text, "\n"), "\n")
	swapped := strings.Replace(text, lines[1]+lines[2], lines[2]+lines[1], 1)
	for name, changed := range map[string]string{
		"an unknown line":        text + "note x\n",
		"an unknown line before": "note x\n" + text,
		"an empty line":          text + "\n",
		"two digests":            text + lines[len(lines)-1] + "\n",
		"lines swapped":          swapped,
		"a trailing space":       strings.Replace(text, "\nepoch 5\n", "\nepoch 5 \n", 1),
		"two spaces":             strings.Replace(text, "\nepoch 5\n", "\nepoch  5\n", 1),
		"a tab":                  strings.Replace(text, "\nepoch 5\n", "\nepoch\t5\n", 1),
		"leading zeros":          strings.Replace(text, "\nepoch 5\n", "\nepoch 05\n", 1),
		"a sign":                 strings.Replace(text, "\nepoch 5\n", "\nepoch +5\n", 1),
		"no epoch":               strings.Replace(text, "\nepoch 5\n", "\nepoch 0\n", 1),
		"before its epoch":       strings.Replace(text, "\nposition 12 ", "\nposition 4 ", 1),
		"a line missing":         strings.Replace(text, "\nepoch 5\n", "\n", 1),
		"capital hexadecimals":   strings.Replace(text, "dead", "DEAD", 1),
		"a short tag":            strings.Replace(text, "dead", "de", 1),
		"no tag":                 strings.Replace(text, " dead000000000001\n", "\n", 1),
		"three words":            strings.Replace(text, " dead000000000001\n", " dead000000000001 1\n", 1),
		"a short journal":        strings.Replace(text, "dncd/00", "dncd/", 1),
		"capital journal":        strings.Replace(text, "aabb", "AABB", 1),
		"another origin":         strings.Replace(text, "dncd/", "dnce/", 1),
		"four parts of origin":   strings.Replace(text, "/5.0\n", "/5.0/1\n", 1),
		"a name as subscriber":   strings.Replace(text, "/5.0\n", "/acme\n", 1),
		"no hash":                strings.Replace(text, "hash "+someSum, "hash -", 1),
		"no filter":              strings.Replace(text, "filter "+sampleCheckpoint().Filter.String(), "filter -", 1),
		"no time":                strings.Replace(text, "time 2026-11-29T21:00:00.5Z", "time -", 1),
		"another zone":           strings.Replace(text, "time 2026-11-29T21:00:00.5Z", "time 2026-11-29T22:00:00.5+01:00", 1),
		"no signer's time":       strings.Replace(text, "signed 2026-11-29T21:00:01.5Z", "signed -", 1),
		"no stage":               strings.Replace(text, "stage durable", "stage none", 1),
		"an unknown stage":       strings.Replace(text, "stage durable", "stage done", 1),
		"a stage in capitals":    strings.Replace(text, "stage durable", "stage Durable", 1),
		"no outcomes":            strings.Replace(text, "outcomes -\n", "", 1),
		"a digest without hash":  strings.Replace(text, "digest 7 "+someSum, "digest 7 -", 1),
		"a digest without count": strings.Replace(text, "digest 7 ", "digest ", 1),
		"no line feed":           strings.TrimSuffix(text, "\n"),
		"nothing":                "",
	} {
		if changed == text {
			t.Errorf("%s: the text is unchanged", name)
		}
		if got, err := ParseAcknowledgement(changed); !errors.Is(err, ErrMalformed) || got != (Acknowledgement{}) {
			t.Errorf("%s: %v, %v, want ErrMalformed", name, got, err)
		}
		if msg, err := note.Sign(&note.Note{Text: changed}, baseKey); err == nil {
			if _, _, err := OpenAcknowledgement(msg, baseKey.Public()); !errors.Is(err, ErrMalformed) {
				t.Errorf("%s, signed: %v, want ErrMalformed", name, err)
			}
		}
	}
}

// What could not be read again is not signed.
func TestWhatIsNotWholeIsNotSigned(t *testing.T) {
	t.Parallel()
	for name, of := range map[string]func(*Acknowledgement){
		"no checkpoint": func(a *Acknowledgement) { a.Checkpoint = Checkpoint{} },
		"no journal":    func(a *Acknowledgement) { a.Checkpoint.Journal = "" },
		"two lines":     func(a *Acknowledgement) { a.Checkpoint.Journal += "\nx" },
		"no subscriber": func(a *Acknowledgement) { a.Checkpoint.Subscriber = EventID{} },
		"no hash":       func(a *Acknowledgement) { a.Checkpoint.Hash = Hash{} },
		"no stage":      func(a *Acknowledgement) { a.Stage = 0 },
		"unknown stage": func(a *Acknowledgement) { a.Stage = Applied + 1 },
		"no time":       func(a *Acknowledgement) { a.Signed = time.Time{} },
		"half a digest": func(a *Acknowledgement) { a.Digest.Count = 1 },
	} {
		a := sampleAcknowledgement()
		of(&a)
		if msg, err := a.Sign(baseKey); !errors.Is(err, ErrMalformed) || msg != nil {
			t.Errorf("%s: %q, %v, want ErrMalformed", name, msg, err)
		}
	}
	if msg, err := (Checkpoint{}).Sign(serverKey); !errors.Is(err, ErrMalformed) || msg != nil {
		t.Errorf("no checkpoint: %q, %v, want ErrMalformed", msg, err)
	}
}

func TestStagesAreCumulative(t *testing.T) {
	t.Parallel()
	stages := []Stage{0, Received, Durable, Applied}
	for i, s := range stages {
		for j, r := range stages {
			if got, want := s.Includes(r), j > 0 && i >= j; got != want {
				t.Errorf("%v includes %v: %v, want %v", s, r, got, want)
			}
		}
		if got, err := ParseStage(s.String()); i > 0 && (got != s || err != nil) || i == 0 && err == nil {
			t.Errorf("%v is read as %v, %v", s, got, err)
		}
	}
	if (Applied + 1).Includes(Received) {
		t.Error("an unknown stage includes one that is known")
	}
}

func FuzzNote(f *testing.F) {
	f.Add(sampleCheckpoint().Text())
	a := sampleAcknowledgement()
	f.Add(a.Text())
	a.Digest = Digest{7, someHash}
	f.Add(a.Text())
	msg, err := a.Sign(baseKey)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(msg))
	f.Fuzz(func(t *testing.T, text string) {
		if c, err := ParseCheckpoint(text); err == nil && c.Text() != text {
			t.Fatalf("checkpoint %q is written as %q", text, c.Text())
		}
		if a, err := ParseAcknowledgement(text); err == nil && a.Text() != text {
			t.Fatalf("acknowledgement %q is written as %q", text, a.Text())
		}
		if got, _, err := OpenAcknowledgement([]byte(text), baseKey.Public()); err == nil && got != a {
			t.Fatalf("%q verifies, and was never signed", text)
		}
	})
}
