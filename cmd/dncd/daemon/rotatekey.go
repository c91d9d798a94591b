package daemon

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/dncd/dncd/internal/feed"
	"github.com/dncd/dncd/store"
)

func rotateKeyCommand(c *config) *cobra.Command {
	var name string
	cmd := &cobra.Command{
		Use:   "rotate-key",
		Short: "Replace the key with which a stopped server signs",
		Long: `rotate-key makes a new key, and has the old one sign a note that names it. The server serves that note, so bases
that know the old key accept the new one automatically. The server must be stopped, and signs with the new key from its
next start on.

The file of the key is replaced atomically: after a crash it holds the old key or the new one with its note. The secret half
of the old key is gone then. Its public half is kept in a file of its own: it verifies what was signed before.

Keep the new file when you put a backup back: bases refuse a key that was replaced.`,
		Example: `  dncd rotate-key --data /var/lib/dncd
  dncd rotate-key --data /var/lib/dncd --signing-key /etc/dncd/signing-key --name dncd-2027`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := c.rotateKey(name, cmd.OutOrStdout(), cmd.ErrOrStderr()); err != nil {
				return dataError{c.data, err}
			}
			return nil
		},
	}
	addSigningKey(cmd.Flags(), &c.signingKey)
	cmd.Flags().StringVar(&name, "name", "", "the name of the new key (default: that of the old one)")
	return cmd
}

func (c *config) rotateKey(name string, stdout, stderr io.Writer) error {
	log, err := newLogger(stderr, c.logLevel, c.logFormat)
	if err != nil {
		return err
	}
	path := c.signingKeyPath()
	return store.Stopped(c.data, func(journalID string) error {
		key, err := readSigningKey(path, log)
		if errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("there is no signing key %s to replace: name its file with --signing-key, or start dncd, which makes one", path)
		}
		if err == nil {
			err = ownedByCaller(path)
		}
		if err != nil {
			return fmt.Errorf("signing key %s: %w", path, err)
		}
		return replaceKey(path, journalID, name, key, stdout)
	})
}

// replaceKey writes the public half of the old key to a file of its own, then the new key, then its public half.
func replaceKey(path, journalID, name string, old feed.SigningKey, stdout io.Writer) error {
	if name == "" {
		name = old.Name()
	}
	file, next, err := old.Rotate(journalID, name, time.Now())
	if errors.Is(err, feed.ErrKeyName) {
		return usageError{fmt.Errorf("--name: %w", err)}
	}
	if err != nil {
		return err
	}
	kept := fmt.Sprintf("%s.%08x.pub", path, old.Public().Hash())
	err = os.WriteFile(kept, []byte(old.Public().Text()+"\n"), 0o644)
	if err == nil {
		err = writeSecret(path, strings.TrimSuffix(file, "\n"))
	}
	if err == nil {
		err = writePublic(path, next.Public())
	}
	if err != nil {
		return fmt.Errorf("replace the signing key: %w", err)
	}
	fmt.Fprintf(stdout, "replaced %s+%08x %s, kept in %s\n", old.Name(), old.Public().Hash(), old.Public().Fingerprint(), kept)
	fmt.Fprintf(stdout, "by %s+%08x %s\n", next.Name(), next.Public().Hash(), next.Public().Fingerprint())
	fmt.Fprintf(stdout, "start dncd: bases that know the old key accept this one; give %s to those that begin\n", publicFile(path))
	return nil
}
