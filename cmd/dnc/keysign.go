package main

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/dncd/dncd/internal/feed"
)

// signFlags are those of `dnc key sign`.
type signFlags struct{ stage, key, outcomes string }

func (a *app) keySignCommand() *cobra.Command {
	var flags signFlags
	cmd := &cobra.Command{
		Use:   "sign NOTE --stage STAGE --key FILE",
		Short: "Sign that this base has reached a checkpoint",
		Long: `Sign an acknowledgement: that this base has every change up to the checkpoint in NOTE, at a stage. It is
written to standard output; what was signed is written to standard error. NOTE is a file, or - for
standard input. The server's signature on it is not verified: the server verifies its own.

Stages are cumulative:
  received  the changes have arrived
  durable   they survive a crash of the base
  applied   the dialers of the base obey them

--outcomes names a file that the base keeps, such as the result of its own import. Only its SHA-256 is
signed.`,
		Example: `  dnc key sign checkpoint.note --stage applied --key acme-south.key > checkpoint.note.ack
  dnc key sign - --stage durable --key acme-south.key --outcomes load.log < checkpoint.note > checkpoint.note.ack`,
		Args: counted(1, 1, "note"),
		RunE: func(cmd *cobra.Command, args []string) error { return a.keySign(cmd, args[0], flags) },
	}
	f := cmd.Flags()
	f.StringVar(&flags.stage, "stage", "", "what this base has done with the changes: received, durable or applied (required)")
	f.StringVar(&flags.key, "key", "", "`file` of the private key, which only its owner can read (required)")
	f.StringVar(&flags.outcomes, "outcomes", "", "`file` whose SHA-256 is signed with it")
	complete(cmd, "stage", feed.StageNames()...)
	return cmd
}

func (a *app) keySign(cmd *cobra.Command, name string, flags signFlags) error {
	ack, err := flags.acknowledgement(cmd)
	if err != nil {
		return err
	}
	key, err := readKey(flags.key)
	if err != nil {
		return err
	}
	msg, err := readNote(cmd, name)
	if err != nil {
		return err
	}
	var by feed.Signature
	ack.Checkpoint, by, err = feed.ReadCheckpoint(msg)
	if err != nil {
		return withHint(fmt.Errorf("%s: %w", noteName(name), err), "NOTE is a checkpoint as the server signed it, unchanged")
	}
	note, err := ack.Sign(key)
	if err != nil {
		return err
	}
	if a.output == "text" {
		a.saySigned(ack, key, by)
	}
	if err := a.print(newSignedNote(ack, key, note), func() string { return strings.TrimSuffix(string(note), "\n") }); err != nil {
		return fmt.Errorf("write the acknowledgement: %w", err)
	}
	return nil
}

// saySigned writes to standard error what is signed, and what was not verified.
func (a *app) saySigned(ack feed.Acknowledgement, key feed.PrivateKey, by feed.Signature) {
	c := ack.Checkpoint
	fmt.Fprintf(a.stderr, "%s signs: subscriber %s of journal %s, position %d, %s since revision %d, %s\n", key,
		feed.FormatEventID(c.Subscriber), c.Journal, c.Revision, count(c.Changes, "change"), c.Epoch, ack.Stage)
	fmt.Fprintf(a.stderr, "the signature of the checkpoint, by %s, was not verified\n", by)
}

// acknowledgement is what the flags say of it.
func (f signFlags) acknowledgement(cmd *cobra.Command) (a feed.Acknowledgement, err error) {
	switch {
	case f.stage == "":
		return a, usagef(cmd, "--stage is missing: received, durable or applied")
	case f.key == "":
		return a, usagef(cmd, "--key is missing: the file of the private key that `dnc key new` made")
	}
	if a.Stage, err = feed.ParseStage(f.stage); err != nil {
		return a, usagef(cmd, "--stage is received, durable or applied, not %q", f.stage)
	}
	if f.outcomes != "" {
		if a.Outcomes, err = hashFile(f.outcomes); err != nil {
			return a, fmt.Errorf("--outcomes: %w", err)
		}
	}
	a.Signed = time.Now().UTC().Truncate(time.Second)
	return a, nil
}

func hashFile(path string) (feed.Hash, error) {
	file, err := os.Open(path)
	if err != nil {
		return feed.Hash{}, err
	}
	defer file.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, file); err != nil {
		return feed.Hash{}, err
	}
	return feed.Hash(sum.Sum(nil)), nil
}

// readKey reads a private key from a file that nobody but its owner can read.
func readKey(path string) (feed.PrivateKey, error) {
	key, _, err := readKeyText(path)
	return key, err
}

// readKeyText also returns the text of the file, which is the secret.
func readKeyText(path string) (key feed.PrivateKey, secret string, err error) {
	file, err := os.Open(path)
	if err != nil {
		return key, "", fmt.Errorf("--key: %w", err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return key, "", fmt.Errorf("--key: %w", err)
	}
	text, err := io.ReadAll(io.LimitReader(file, feed.MaxNote))
	if err != nil {
		return key, "", fmt.Errorf("--key: %w", err)
	}
	key, err = feed.ParsePrivateKey(string(text))
	if err != nil {
		return key, "", withHint(fmt.Errorf("--key: %s: %w", path, err), "name the file that `dnc key new` made, not the one that ends with .pub")
	}
	if perm := info.Mode().Perm(); perm&0o077 != 0 && runtime.GOOS != "windows" {
		return key, "", withHint(fmt.Errorf("--key: others than its owner can read or change %s: its mode is %04o", path, perm),
			"`chmod 600` it; if it may have been copied, make another key and register that")
	}
	return key, string(text), nil
}

// readNote reads a file, or standard input for a dash.
func readNote(cmd *cobra.Command, name string) ([]byte, error) {
	from := cmd.InOrStdin()
	if name != "-" {
		file, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer file.Close()
		from = file
	}
	msg, err := io.ReadAll(io.LimitReader(from, feed.MaxNote+1))
	if err == nil && len(msg) == 0 {
		err = errors.New("it is empty")
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", noteName(name), err)
	}
	return msg, nil
}

func noteName(name string) string {
	if name == "-" {
		return "standard input"
	}
	return name
}

// signedNote is an acknowledgement as one object.
type signedNote struct {
	Subscriber string `json:"subscriber"`
	Journal    string `json:"journal_id"`
	Epoch      uint64 `json:"epoch"`
	Revision   uint64 `json:"revision"`
	Changes    uint64 `json:"changes"`
	Stage      string `json:"stage"`
	Key        string `json:"key"`
	Note       string `json:"note"`
}

func newSignedNote(a feed.Acknowledgement, key feed.PrivateKey, note []byte) signedNote {
	c := a.Checkpoint
	return signedNote{feed.FormatEventID(c.Subscriber), c.Journal, c.Epoch, c.Revision, c.Changes, a.Stage.String(), key.Name(), string(note)}
}
