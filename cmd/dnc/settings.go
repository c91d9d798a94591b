package main

import (
	"errors"
	"fmt"
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
	given := cmd.Flags().Changed("token-file")
	err := settings.Environment(cmd.Flags(), func(f *pflag.Flag) string {
		if name := variable(f); global.Lookup(f.Name) != nil && os.Getenv(name) != "" {
			return name
		}
		return ""
	})
	if err != nil {
		return usagef(cmd, "%v", err)
	}
	if !given {
		a.token = os.Getenv("DNC_TOKEN")
	}
	if a.token != "" && a.tokenFile != "" {
		return usagef(cmd, "DNC_TOKEN and DNC_TOKEN_FILE are both set: unset one")
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

// readToken returns the token that is shown to the server; empty: none. DNC_TOKEN overrides a file of the settings. The
// line break at the end of a file is no part of the token.
func (a *app) readToken() (string, error) {
	if a.token != "" || a.tokenFile == "" {
		return a.token, nil
	}
	text, err := os.ReadFile(a.tokenFile)
	if err != nil {
		return "", fmt.Errorf("--token-file: %w", err)
	}
	token := strings.TrimSuffix(strings.TrimSuffix(string(text), "\n"), "\r")
	if token == "" {
		return "", withHint(fmt.Errorf("--token-file: %s is empty", a.tokenFile), "write what `dnc token new` printed into it")
	}
	return token, nil
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
