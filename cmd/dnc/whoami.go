package main

import (
	"github.com/spf13/cobra"

	"github.com/dncd/dncd/client"
)

func (a *app) whoamiCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "whoami",
		Short: "Show who you are to the server, and what you may do",
		Example: `  dnc whoami
  dnc whoami --token-file dialer.token`,
		Args: counted(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.connect()
			if err != nil {
				return err
			}
			me, err := c.WhoAmI(cmd.Context())
			if err != nil {
				return err
			}
			return a.print(me, func() string { return describeIdentity(me) })
		},
		ValidArgsFunction: cobra.NoFileCompletions,
	}
}

func describeIdentity(me client.Identity) string {
	text := callerText(me.Name, me.Kind) + "  " + describeGrant(me.Roles, me.Scopes, me.ExpiresAt)
	if me.AnonymousAllowed {
		text += "\nthis server lets callers in that show neither a token nor a certificate: they may do everything"
	}
	return text
}

// callerText names a caller: "ann (token)", or "anonymous" for one that showed nothing.
func callerText(name string, kind client.CredentialKind) string {
	if kind == "" {
		return "anonymous"
	}
	return name + " (" + lower(kind) + ")"
}
