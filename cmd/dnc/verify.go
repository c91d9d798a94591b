package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/dncd/dncd/internal/feed"
)

func (a *app) verifyCommand() *cobra.Command {
	var keys string
	cmd := &cobra.Command{
		Use:   "verify FILE... --keys FILE",
		Short: "Verify checkpoints, acknowledgements and dossiers, without a server",
		Long: `Verify signed notes, without a server: checkpoints, acknowledgements, and dossiers as json or html. FILE may
be - for standard input.

It verifies the signature of each note; that the proofs of a dossier lead from the hash before an event
to the hash that the base signed; that what the dossier says is what the base signed; and that no two
notes contradict each other: one log has one hash after N changes, and never has fewer later.

--keys names a file of public keys, one a line: the server's, and those of the bases. Compare their
fingerprints with the contracts: ` + "`dnc key show FILE.pub`" + `. What was not signed by one of them is a finding.

Each finding is a line. Exit code: 0 when nothing was found, 1 when something was, 2 when a file could
not be read.`,
		Example: `  cat signing-key.pub acme-south.key.pub > keys.txt
  dnc verify dossier.json --keys keys.txt
  dnc verify checkpoint.note checkpoint.note.ack dossier.html --keys keys.txt`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error { return a.verify(cmd, args, keys) },
	}
	cmd.Flags().StringVar(&keys, "keys", "", "`file` of public keys, one a line (required)")
	return cmd
}

// verifyFinding is a finding as one object.
type verifyFinding struct {
	File    string `json:"file"`
	Finding string `json:"finding"`
}

// verifiedFile is a file in which nothing was found.
type verifiedFile struct {
	File string `json:"file"`
	What string `json:"what"`
}

func (a *app) verify(cmd *cobra.Command, files []string, keysFile string) error {
	switch {
	case len(files) == 0:
		return usagef(cmd, "a file is missing")
	case keysFile == "":
		return usagef(cmd, "--keys is missing: a file with the public keys of the server and of the bases")
	}
	keys, err := readPublicKeys(keysFile)
	if err != nil {
		return err
	}
	v := verifier{keys: keys}
	for _, file := range files {
		content, err := readVerified(cmd, file)
		if err != nil {
			return err
		}
		what, findings := v.file(noteName(file), content)
		if err := a.printVerified(noteName(file), what, findings); err != nil {
			return err
		}
	}
	return nil
}

func (a *app) printVerified(file, what string, findings []string) error {
	for _, f := range findings {
		a.end(exitNo)
		if err := a.print(verifyFinding{file, f}, func() string { return file + ": " + f }); err != nil {
			return err
		}
	}
	if len(findings) > 0 {
		return nil
	}
	return a.print(verifiedFile{file, what}, func() string { return file + ": verified, " + what })
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
	keys    []feed.PublicKey
	witness feed.Witness
}

// file verifies one file, and says what it is.
func (v *verifier) file(name string, content []byte) (what string, findings []string) {
	if note, isPage := noteOfPage(content); isPage {
		d, findings := v.dossier(name, note)
		if d != nil && !isPageOf(content, d, note) {
			findings = append(findings, "the page does not say what the note in it says, or another version of dnc wrote it")
		}
		return "a page of a dossier", findings
	}
	switch {
	case feed.IsDossier(content):
		_, findings = v.dossier(name, content)
		return "a dossier", findings
	case bytes.Contains(content, []byte("\nstage ")):
		ack, _, err := feed.OpenAcknowledgement(content, v.keys...)
		return "an acknowledgement", v.checkpoint(name, ack.Checkpoint, err)
	}
	c, _, err := feed.OpenCheckpoint(content, v.keys...)
	return "a checkpoint", v.checkpoint(name, c, err)
}

func (v *verifier) checkpoint(name string, c feed.Checkpoint, err error) []string {
	if err != nil {
		return []string{err.Error()}
	}
	return v.witness.Add(name, c)
}

// dossier returns the dossier too, unless its signature is wrong.
func (v *verifier) dossier(name string, note []byte) (*feed.Dossier, []string) {
	d, _, err := feed.OpenDossier(note, v.keys...)
	if err != nil {
		return nil, []string{err.Error()}
	}
	findings := d.Verify(v.keys)
	for _, c := range d.Checkpoints() {
		findings = append(findings, v.witness.Add(name, c)...)
	}
	return d, findings
}
