package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/dncd/dncd/internal/feed"
)

func (a *app) keyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "key",
		Short: "Make the key of a calling base, and sign acknowledgements with it",
		Long: `Make the key of a calling base, and sign acknowledgements with it. These commands need no server: run them
where the base is. docs/subscribers.md says what is signed, and verifies it with other tools.`,
		Example: `  dnc key new acme-south.key
  dnc key sign checkpoint.note --stage applied --key acme-south.key > checkpoint.note.ack`,
	}
	requireSubcommand(cmd)
	cmd.AddCommand(a.keyNewCommand(), a.keyShowCommand(), a.keySignCommand())
	return cmd
}

func (a *app) keyNewCommand() *cobra.Command {
	var name string
	cmd := &cobra.Command{
		Use:   "new FILE",
		Short: "Make a key: FILE is the secret, FILE.pub verifies what it signs",
		Long: `Make an Ed25519 key. FILE is the secret: only its owner can read it, and it stays at the base. FILE.pub
verifies what it signs: it is needed to register the base. The fingerprint is printed: put it in the
contract with the base, so that FILE.pub can be compared with it. No file is overwritten.

The name of a key is part of every signature. Choose one that says whose key it is and since when, such as
acme-south-2026: 1 to 64 of a-z, 0-9, dot, dash and underscore, and no phone number.`,
		Example: "  dnc key new acme-south.key\n  dnc key new /etc/dnc/key --name acme-south-2026",
		Args:    counted(1, 1, "file"),
		RunE: func(_ *cobra.Command, args []string) error {
			if name == "" {
				name = strings.TrimSuffix(filepath.Base(args[0]), filepath.Ext(args[0]))
			}
			return a.keyNew(args[0], name)
		},
	}
	cmd.Flags().StringVar(&name, "name", "", "the name of the key (default: that of FILE, without what follows its last dot)")
	complete(cmd, "name")
	return cmd
}

func (a *app) keyNew(file, name string) error {
	private, public, err := feed.NewKey(name)
	if errors.Is(err, feed.ErrKeyName) {
		return withHint(fmt.Errorf("%q: %w", name, err), "choose one with --name, such as --name acme-south-2026")
	}
	if err != nil {
		return err
	}
	if err := writeKeys(file, private, public.Text()); err != nil {
		return err
	}
	if a.output == "text" {
		fmt.Fprintf(a.stderr, "%s is the secret and stays here; %s.pub is to be registered, and this fingerprint belongs in the contract:\n", file, file)
	}
	return a.printKey(public)
}

// writeKeys writes both halves of a key, or neither.
func writeKeys(file, private, public string) error {
	if err := createFile(file, private, 0o600); err != nil {
		return err
	}
	if err := createFile(file+".pub", public, 0o644); err != nil {
		return errors.Join(err, os.Remove(file))
	}
	return nil
}

// createFile writes a line to a file that must not be there yet, and syncs it.
func createFile(path, line string, perm os.FileMode) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, perm)
	if errors.Is(err, os.ErrExist) {
		return withHint(fmt.Errorf("%s is there already", path), "choose another file: a key is never overwritten")
	}
	if err != nil {
		return err
	}
	_, err = f.WriteString(line + "\n")
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return errors.Join(fmt.Errorf("write %s: %w", path, err), os.Remove(path))
	}
	return nil
}

func (a *app) keyShowCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "show FILE",
		Short: "Show the name and the fingerprint of a key, private or public",
		Long: `Show the name and the fingerprint of a key, of its private or its public file. Compare the fingerprint of
a public file that you were sent with the one in the contract before you register it. No secret is shown.`,
		Example: "  dnc key show acme-south.key.pub",
		Args:    counted(1, 1, "file"),
		RunE: func(_ *cobra.Command, args []string) error {
			text, err := os.ReadFile(args[0])
			if err != nil {
				return err
			}
			if private, err := feed.ParseSigningKey(string(text)); err == nil {
				return a.printKey(private.Public())
			}
			public, err := feed.ParsePublicKey(string(text))
			if err != nil {
				return withHint(fmt.Errorf("%s: %w", args[0], err), "`dnc key new FILE` makes FILE and FILE.pub")
			}
			return a.printKey(public)
		},
	}
}

func (a *app) printKey(k feed.PublicKey) error {
	shown := shownKey{k.Name(), k.Fingerprint(), k.Text()}
	return a.print(shown, func() string { return shown.Name + "  " + shown.Fingerprint })
}

type shownKey struct {
	Name        string `json:"name"`
	Fingerprint string `json:"fingerprint"`
	PublicKey   string `json:"public_key"`
}
