package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/dncd/dncd/client"
	"github.com/dncd/dncd/internal/feed"
)

// verifyFlags are those of `dnc verify`.
type verifyFlags struct {
	keys   string
	server bool
}

func (a *app) verifyCommand() *cobra.Command {
	var flags verifyFlags
	cmd := &cobra.Command{
		Use:   "verify FILE... --keys FILE",
		Short: "Verify checkpoints, acknowledgements and dossiers, without a server or against one",
		Long: `Verify signed notes, without a server: checkpoints, acknowledgements, dossiers as json or html, and the
notes by which a server replaced its key. FILE may be - for standard input.

It verifies the signature of each note; that the proofs of a dossier lead from the hash before an event
to the hash that the base signed; that what the dossier says is what the base signed; and that no two
notes contradict each other: one log has one hash after N changes, and never has fewer later.

--keys names a file of public keys, one a line: the server's, and those of the bases. Compare their
fingerprints with the contracts: ` + "`dnc key show FILE.pub`" + `. What was not signed by one of them is a finding.
A key of the server that follows from one of them counts too, by notes of the same journal: those of a
dossier, of the server with --server, or a FILE, such as NAME.server-key of ` + "`dnc feed`" + `.
The output names the key that signed each file, and for a dossier the key that signed for each base: any of the keys can
sign any note, so look whether it is the right one.

--server also has the server compute the log of each base again from its journal, and compares it with each
note: a journal that was rewritten after a base had signed is found. It needs the role officer or admin.

Each finding is a line. Exit code: 0 when nothing was found, 1 when something was, 2 when a file could
not be read.`,
		Example: `  cat signing-key.pub acme-south.key.pub > keys.txt
  dnc verify dossier.json --keys keys.txt
  dnc verify checkpoint.note checkpoint.note.ack dossier.html --keys keys.txt`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error { return a.verify(cmd, args, flags) },
	}
	cmd.Flags().BoolVar(&flags.server, "server", false, "compare each note with what the server computes from its journal")
	cmd.Flags().StringVar(&flags.keys, "keys", "", "`file` of public keys, one a line (required)")
	return cmd
}

// verifyFinding is a finding as one object.
type verifyFinding struct {
	File    string `json:"file"`
	Finding string `json:"finding"`
}

// verifiedFile is a file in which nothing was found.
type verifiedFile struct {
	File     string   `json:"file"`
	What     string   `json:"what"`
	SignedBy []string `json:"signed_by"` // the key of the file, and of a dossier those of the bases
}

func (a *app) verify(cmd *cobra.Command, files []string, flags verifyFlags) error {
	switch {
	case len(files) == 0:
		return usagef(cmd, "a file is missing")
	case flags.keys == "":
		return usagef(cmd, "--keys is missing: a file with the public keys of the server and of the bases")
	}
	keys, err := readPublicKeys(flags.keys)
	if err != nil {
		return err
	}
	v := verifier{keys: keys}
	if flags.server {
		if v.server, err = a.connect(); err != nil {
			return err
		}
	}
	contents := make([][]byte, len(files))
	for i, file := range files {
		if contents[i], err = readVerified(cmd, file); err != nil {
			return err
		}
		v.learn(contents[i])
	}
	for i, file := range files {
		what, findings, seen := v.file(noteName(file), contents[i])
		against, err := v.against(cmd.Context(), seen)
		if err != nil {
			return err
		}
		findings = append(findings, against...)
		if err := a.printVerified(verifiedFile{noteName(file), what, v.signers}, findings); err != nil {
			return err
		}
	}
	return nil
}

func (a *app) printVerified(file verifiedFile, findings []string) error {
	for _, f := range findings {
		a.end(exitNo)
		if err := a.print(verifyFinding{file.File, f}, func() string { return file.File + ": " + f }); err != nil {
			return err
		}
	}
	if len(findings) > 0 {
		return nil
	}
	return a.print(file, func() string {
		return fmt.Sprintf("%s: verified, %s, signed by %s", file.File, file.What, strings.Join(file.SignedBy, "; "))
	})
}

// readPublicKeys reads public keys, one a line. Lines that are empty or begin with # are left out.
func readPublicKeys(path string) (keys []feed.PublicKey, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("--keys: %w", err)
	}
	for i, line := range strings.Split(string(text), "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		key, err := feed.ParsePublicKey(line)
		if err != nil {
			return nil, fmt.Errorf("--keys: line %d of %s: %w", i+1, path, err)
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("--keys: %s holds no key", path)
	}
	return keys, nil
}

// maxVerified bounds a file: a page holds a dossier, escaped, and what it says in words.
const maxVerified = 8 * feed.MaxDossier

func readVerified(cmd *cobra.Command, name string) ([]byte, error) {
	from := cmd.InOrStdin()
	if name != "-" {
		file, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer file.Close()
		from = file
	}
	content, err := io.ReadAll(io.LimitReader(from, maxVerified))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", noteName(name), err)
	}
	return content, nil
}

// verifier verifies files, and remembers their checkpoints.
type verifier struct {
	keys      []feed.PublicKey // that were named
	rotations []feed.Rotation  // of all files
	witness   feed.Witness
	server    *client.Client // nil: none is asked
	signers   []string       // of the file
}

// file verifies one file, and says what it is and which checkpoints it holds.
func (v *verifier) file(name string, content []byte) (what string, findings []string, seen []feed.Checkpoint) {
	v.signers = nil
	note, isPage := noteOfPage(content)
	switch {
	case isPage:
		d, findings := v.dossier(note)
		if d != nil && !isPageOf(content, d, note) {
			findings = append(findings, "the page does not say what the note in it says, or another version of dnc wrote it")
		}
		return v.remember(name, "a page of a dossier", findings, d.Checkpoints())
	case feed.IsDossier(content):
		d, findings := v.dossier(content)
		return v.remember(name, "a dossier", findings, d.Checkpoints())
	case feed.IsRotation(content):
		return "how the server's key was replaced", v.ofRotations(feed.SplitNotes(string(content))), nil
	case bytes.Contains(content, []byte("\nstage ")):
		ack, by, err := feed.OpenAcknowledgement(content, v.keys...)
		v.sign("", by, "")
		return v.note(name, "an acknowledgement", ack.Checkpoint, err)
	}
	c, by, err := v.checkpoint(content)
	v.sign("", by, c.Journal)
	return v.note(name, "a checkpoint", c, err)
}

func (v *verifier) checkpoint(note []byte) (feed.Checkpoint, feed.Signature, error) {
	claimed, by, err := feed.ReadCheckpoint(note)
	if err != nil {
		return claimed, by, err
	}
	return feed.OpenCheckpoint(note, v.serverKeys(claimed.Journal)...)
}

// sign notes who signed the file, or in it for a base. A person has to compare that: any of the keys may sign any file.
func (v *verifier) sign(base string, by feed.Signature, journal string) {
	if base != "" {
		base += " by "
	}
	key, _ := by.By(v.serverKeys(journal))
	v.signed(base + key.NameAndFingerprint())
}

func (v *verifier) signed(by string) {
	if !slices.Contains(v.signers, by) {
		v.signers = append(v.signers, by)
	}
}

func (v *verifier) note(name, what string, c feed.Checkpoint, err error) (string, []string, []feed.Checkpoint) {
	if err != nil {
		return what, []string{err.Error()}, nil
	}
	return v.remember(name, what, nil, []feed.Checkpoint{c})
}

// dossier returns the dossier too, unless its signature is wrong.
func (v *verifier) dossier(note []byte) (*feed.Dossier, []string) {
	claimed, _, err := feed.ReadDossier(note)
	if err != nil {
		return nil, []string{err.Error()}
	}
	d, by, err := feed.OpenDossier(note, v.serverKeys(claimed.JournalID)...)
	if err != nil {
		return nil, []string{err.Error()}
	}
	v.sign("", by, d.JournalID)
	for _, sub := range d.Subscribers {
		for _, by := range sub.Signatures() {
			v.sign(sub.Name, by, "")
		}
	}
	findings := d.Verify(v.keys)
	return d, findings
}

// remember adds what checkpoints contradict.
func (v *verifier) remember(name, what string, findings []string, seen []feed.Checkpoint) (string, []string, []feed.Checkpoint) {
	for _, c := range seen {
		findings = append(findings, v.witness.Add(name, c)...)
	}
	return what, findings, seen
}

// against compares checkpoints with what the server computes.
func (v *verifier) against(ctx context.Context, seen []feed.Checkpoint) (findings []string, err error) {
	if v.server == nil {
		return nil, nil
	}
	asked := map[feed.Checkpoint]bool{}
	for _, c := range seen {
		if asked[c] {
			continue
		}
		asked[c] = true
		why, err := v.compare(ctx, c)
		if err != nil {
			return nil, err
		}
		if why != nil {
			findings = append(findings, fmt.Sprintf("base %s, revision %d: the server's journal holds another log: %v", feed.FormatEventID(c.Subscriber), c.Revision, why))
		}
	}
	return findings, nil
}

// lost are the errors of a server whose journal does not hold what was signed.
var lost = []error{client.ErrSubscriberNotFound, client.ErrFilterChanged, client.ErrJournalForked, client.ErrHistoryGone}

// compare says in what a checkpoint differs from the server's; nil: in nothing.
func (v *verifier) compare(ctx context.Context, c feed.Checkpoint) (why, err error) {
	note, rotations, err := v.server.GetCheckpoint(ctx, client.EventID{Revision: c.Subscriber.Revision, Index: c.Subscriber.Index}, c.Epoch, c.Revision)
	for _, is := range lost {
		if errors.Is(err, is) {
			return err, nil
		}
	}
	if err != nil {
		return nil, err
	}
	v.learnRotations(rotations)
	now, _, err := v.checkpoint(note)
	if err != nil {
		return err, nil
	}
	return c.Same(now), nil
}
