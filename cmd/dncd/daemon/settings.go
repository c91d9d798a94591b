package daemon

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/dncd/dncd/internal/settings"
)

// readSettings sets the flags that were not given: from DNCD_* variables and then from the file of settings. Flags that only
// fsck has can be set in neither.
func readSettings(cmd *cobra.Command, c *config) error {
	all := serverFlags(cmd)
	if err := refuseUnknown(all); err != nil {
		return err
	}
	ofServer := func(f *pflag.Flag) string {
		if all.Lookup(f.Name) == nil {
			return ""
		}
		return variable(f)
	}
	if err := settings.Environment(cmd.Flags(), ofServer); err != nil {
		return usageError{err}
	}
	if err := refuseEmpty(cmd); err != nil || c.file == "" {
		return err
	}
	if err := settings.File(c.file, all, cmd.Flags()); err != nil {
		return usageError{fmt.Errorf("--config: %w", err)}
	}
	return refuseEmpty(cmd)
}

// serverFlags returns the flags of dncd that are settings: those of the root command.
func serverFlags(cmd *cobra.Command) *pflag.FlagSet {
	all := pflag.NewFlagSet("dncd", pflag.ContinueOnError)
	for _, set := range []*pflag.FlagSet{cmd.Root().Flags(), cmd.Root().PersistentFlags()} {
		set.VisitAll(func(f *pflag.Flag) {
			if f.Name != "help" && f.Name != "version" && all.Lookup(f.Name) == nil {
				all.AddFlag(f)
			}
		})
	}
	return all
}

const variablePrefix = "DNCD_"

func variable(f *pflag.Flag) string {
	return variablePrefix + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
}

// refuseUnknown refuses variables with dncd's prefix that are not settings. Most often a name is misspelt, and dncd would use the
// default instead. Kubernetes sets some variables for a service named dncd: those are ignored.
func refuseUnknown(all *pflag.FlagSet) error {
	known := map[string]bool{"DNCD_PORT": true}
	all.VisitAll(func(f *pflag.Flag) { known[variable(f)] = true })
	unknown := settings.Unknown(variablePrefix, func(name string) bool {
		return known[name] || strings.HasPrefix(name, "DNCD_SERVICE_") || strings.HasPrefix(name, "DNCD_PORT_")
	})
	if len(unknown) == 0 {
		return nil
	}
	return usageError{fmt.Errorf("%s: no such variable: variables have the names of the flags, DNCD_TLS_CERT for --tls-cert",
		strings.Join(unknown, ", "))}
}

// refuseEmpty refuses a setting that was given without a value. Most often a variable of the caller's shell is not set, and dncd
// would use the default instead: serve without asking for certificates, or on another address.
func refuseEmpty(cmd *cobra.Command) error {
	var failed error
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if f.Changed && strings.TrimSpace(f.Value.String()) == "" && f.Name != mayBeEmpty && failed == nil {
			failed = usageError{fmt.Errorf("--%s (%s): is empty; leave it out to have its default", f.Name, variable(f))}
		}
	})
	return failed
}

// mayBeEmpty is the flag whose empty value means none.
const mayBeEmpty = "http"
