package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/dncd/dncd/internal/settings"
)

// readSettings sets the global flags that were not given: from DNC_* and then from the file of settings. A variable that
// is empty counts as not set.
func (a *app) readSettings(cmd *cobra.Command) error {
	global := cmd.Root().PersistentFlags()
	err := settings.Environment(cmd.Flags(), func(f *pflag.Flag) string {
		if name := variable(f); global.Lookup(f.Name) != nil && os.Getenv(name) != "" {
			return name
		}
		return ""
	})
	if err != nil {
		return usagef(cmd, "%v", err)
	}
	path, wanted := a.file, true
	if path == "" {
		path, wanted = defaultFile(), false
	}
	if path == "" {
		return nil
	}
	err = settings.File(path, global, cmd.Flags())
	if errors.Is(err, fs.ErrNotExist) && !wanted {
		return nil
	}
	if err != nil {
		return usagef(cmd, "--config: %v", err)
	}
	return nil
}

// variable is the environment variable of a global flag.
func variable(f *pflag.Flag) string {
	if f.Name == "by" {
		return "DNC_USER"
	}
	return "DNC_" + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
}

const defaultFileText = "dnc/config.yaml in the user's configuration directory"

// defaultFile is the file of settings that is read without --config; empty: there is no place for it.
func defaultFile() string {
	dir, err := os.UserConfigDir()
	if err != nil {
		return ""
	}
	return filepath.Join(dir, "dnc", "config.yaml")
}
