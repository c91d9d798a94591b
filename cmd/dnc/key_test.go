package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dncd/dncd/internal/feed"
)

// What `dnc key sign` writes verifies with the file that `dnc key new` wrote, and with no other key.
func TestSignedNoteVerifies(t *testing.T) {
	t.Parallel()
	const checkpoint = "../../internal/feed/testdata/vectors/checkpoint.note"
	file := filepath.Join(t.TempDir(), "acme.key")
	shown := offline(t, "key", "new", file)
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the mode of the secret is %v, %v, want 0600", info.Mode(), err)
	}
	text, err := os.ReadFile(file + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	public, err := feed.ParsePublicKey(string(text))
	if err != nil || shown != "acme  "+public.Fingerprint()+"\n" {
		t.Errorf("shown as %q, %v, want the fingerprint %s", shown, err, public.Fingerprint())
	}
	msg, err := os.ReadFile(checkpoint)
	if err != nil {
		t.Fatal(err)
	}
	want, _, err := feed.ReadCheckpoint(msg)
	if err != nil {
		t.Fatal(err)
	}
	for _, stage := range []feed.Stage{feed.Received, feed.Durable, feed.Applied} {
		note := offline(t, "key", "sign", checkpoint, "--stage", stage.String(), "--key", file)
		a, by, err := feed.OpenAcknowledgement([]byte(note), public)
		if err != nil || by.Name != "acme" {
			t.Fatalf("%v by %s, want acme", err, by.Name)
		}
		if err := a.Check(want, stage); err != nil {
			t.Error(err)
		}
		if age := time.Since(a.Signed); age < 0 || age > patience {
			t.Errorf("signed %v ago", age)
		}
		_, other, err := feed.NewKey("acme")
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := feed.OpenAcknowledgement([]byte(note), other); err == nil {
			t.Error("it verifies with another key")
		}
	}
}

// offline runs dnc without a server, and returns its standard output.
func offline(t *testing.T, args ...string) string {
	t.Helper()
	var out, errs bytes.Buffer
	if code := run(t.Context(), args, &out, &errs); code != exitDone {
		t.Fatalf("dnc %s: exit code %d: %s", strings.Join(args, " "), code, errs.String())
	}
	return out.String()
}
