package daemon

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/dncd/dncd/store"
)

func initCommand(c *config) *cobra.Command {
	return &cobra.Command{
		Use:   "init",
		Short: "Make a store in a directory that has none",
		Long: `init makes a store in a directory that is empty or not there. What a file system puts into its root,
lost+found, counts as empty.

dncd makes a store automatically only in its default directory: any other directory without a store may be a
disk that is not mounted.`,
		Example: `  dncd init --data /var/lib/dncd`,
		Args:    usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			log, err := newLogger(cmd.ErrOrStderr(), c.logLevel, c.logFormat)
			if err != nil {
				return err
			}
			journal, err := c.makeStore(log)
			if err != nil {
				return dataError{c.data, err}
			}
			fmt.Fprintf(cmd.OutOrStdout(), "made a store in %s, journal %s\n", c.data, journal)
			return nil
		},
	}
}

// makeStore makes a store and opens it once, so that a directory that cannot hold one is reported now.
func (c *config) makeStore(log *slog.Logger) (journal string, err error) {
	if err := store.Init(c.data); err != nil {
		return "", err
	}
	s, err := store.Open(c.data, c.storeOptions(log))
	if err != nil {
		return "", err
	}
	return s.View().JournalID(), s.Close()
}

// findStore makes the store if that was requested, and refuses to serve a directory without one.
func (c *config) findStore(log *slog.Logger) error {
	err := store.Find(c.data)
	if !errors.Is(err, store.ErrNoStore) {
		return err
	}
	if !c.init && !(filepath.Clean(c.data) == filepath.Clean(defaultData) && errors.Is(err, fs.ErrNotExist)) {
		return err
	}
	log.Info("making a new store", "data", c.data)
	return store.Init(c.data)
}
