package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/dncd/dncd/client"
)

func (a *app) tokenCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "token",
		Short: "Grant roles to tokens and client certificates, and revoke them",
		Example: `  dnc token new dialer --role checker --scope acme > dialer.token
  dnc token ls
  dnc token revoke dialer`,
	}
	requireSubcommand(cmd)
	cmd.AddCommand(a.tokenNewCommand(), a.tokenLsCommand(), a.tokenRevokeCommand())
	return cmd
}

// roles are those of the contract, as they are typed.
var roles = []string{"checker", "recorder", "loader", "subscriber", "officer", "admin"}

func (a *app) tokenNewCommand() *cobra.Command {
	var spec client.TokenSpec
	var given []string
	var expires string
	var certificate bool
	cmd := &cobra.Command{
		Use:   "new NAME --role ROLE[,ROLE]",
		Short: "Make a token, or grant roles to a client certificate",
		Long: `Make a token, or grant roles to a client certificate.

The token is printed once, on standard output; everything else is printed on
standard error. The server keeps only its SHA-256 and cannot show it again.

Each role counts at the scopes that --scope names, and below them. No role includes another:
  checker     checks numbers, and sees what is recorded for one, without its stories
  recorder    records and withdraws opt-outs and consents, one by one and by file; reads history
  loader      creates, changes, deletes, loads and exports lists; imports opt-outs
  subscriber  follows the feed of the subscriber whose identity it is, and acknowledges it
  officer     checks, audits, and reads everything: stories, history, exports, the journal,
              the access log; records consents, also such that may lift an opt-out
  admin       grants and revokes; registers bases and desks; sets the policy, if it is bound
              to no scope; reads the journal`,
		Example: `  dnc token new dialer --role checker --scope acme > dialer.token
  dnc token new desk-1 --role checker,recorder --scope acme --expires 90d
  dnc token new "Jane Doe" --role admin --certificate`,
		Args: counted(1, 1, "one name"),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			spec.Name, spec.Kind = args[0], client.CredentialToken
			if certificate {
				spec.Kind = client.CredentialCertificate
			}
			if spec.Roles, err = parseRoles(cmd, given); err != nil {
				return err
			}
			if spec.ExpiresAt, err = parseMoment(cmd, "expires", expires, time.Now().Add); err != nil {
				return err
			}
			return a.tokenNew(cmd, spec)
		},
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	f := cmd.Flags()
	f.StringSliceVar(&given, "role", nil, strings.Join(roles[:len(roles)-1], ", ")+" or admin (required)")
	f.StringArrayVar(&spec.Scopes, "scope", nil, "where it has them: this scope and below; may be repeated (default: everywhere)")
	f.StringVar(&expires, "expires", "", "when it ends: after days such as 90d, at a time, or a date in UTC (default: never)")
	f.BoolVar(&certificate, "certificate", false, "NAME is the common name of a client certificate, or its first DNS name")
	complete(cmd, "role", roles...)
	return cmd
}

func parseRoles(cmd *cobra.Command, given []string) ([]client.Role, error) {
	if len(given) == 0 {
		return nil, usagef(cmd, "--role is missing: %s or admin", strings.Join(roles[:len(roles)-1], ", "))
	}
	var out []client.Role
	for _, r := range given {
		if r == "" {
			return nil, usagef(cmd, "--role %q names an empty role", strings.Join(given, ","))
		}
		if err := oneOf(cmd, "role", r, roles); err != nil {
			return nil, err
		}
		out = append(out, client.Role(r))
	}
	return out, nil
}

// tokenNew makes a grant, and prints the secret once the server has it.
func (a *app) tokenNew(cmd *cobra.Command, spec client.TokenSpec) error {
	c, err := a.connect()
	if err != nil {
		return err
	}
	var token string
	if spec.Kind == client.CredentialToken {
		token, spec.SecretSHA256 = client.NewToken()
	}
	made, err := c.CreateToken(cmd.Context(), spec)
	var e *client.Error
	if errors.As(err, &e) && e.OutcomeUnknown() {
		return withHint(err, "`dnc token ls` shows whether it was made; its secret was not printed: if it was made, revoke it and make another")
	}
	if err != nil {
		return err
	}
	if err := a.printSecret(token, made); err != nil {
		return withHint(fmt.Errorf("%s was made, and its secret could not be written: %w", made.Name, err),
			"`dnc token revoke` and make another: no server can show the secret")
	}
	return nil
}

// printSecret writes the secret to standard output, and the grant to standard error.
func (a *app) printSecret(token string, made client.TokenReceipt) error {
	if a.output == "json" {
		return a.printTo(a.stdout, madeToken{token, made})
	}
	fmt.Fprintf(a.stderr, "%s granted %s  revision %d\n", made.Name, describeGrant(made.Roles, made.Scopes, made.ExpiresAt), made.Revision)
	if token == "" {
		return nil
	}
	fmt.Fprintln(a.stderr, "its token, which is not shown again:")
	_, err := fmt.Fprintln(a.stdout, token)
	return err
}

// madeToken is a receipt with the secret, which only dnc knows.
type madeToken struct {
	secret string
	client.TokenReceipt
}

// MarshalJSON puts "token" before the keys of the receipt; it is null for a certificate.
func (m madeToken) MarshalJSON() ([]byte, error) {
	receipt, err := m.TokenReceipt.MarshalJSON()
	if err != nil {
		return nil, err
	}
	token := []byte("null")
	if m.secret != "" {
		token, err = json.Marshal(m.secret)
	}
	return fmt.Appendf(nil, `{"token":%s,%s`, token, receipt[1:]), err
}

// describeGrant returns a grant in words: "checker, recorder at acme until 2027-01-01T00:00:00Z".
func describeGrant(roles []client.Role, scopes []string, expires time.Time) string {
	text := lowerAll(roles) + " " + where(scopes)
	if !expires.IsZero() {
		text += " " + until(expires)
	}
	return text
}

func where(scopes []string) string {
	if len(scopes) == 0 {
		return "everywhere"
	}
	return "at " + strings.Join(scopes, ", ")
}

func lowerAll(roles []client.Role) string {
	names := make([]string, len(roles))
	for i, r := range roles {
		names[i] = lower(r)
	}
	return strings.Join(names, ", ")
}

func (a *app) tokenLsCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "ls",
		Short:   "Show what tokens and client certificates are granted; no secret is shown",
		Example: "  dnc token ls\n  dnc token ls -o json",
		Args:    counted(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			tokens, err := a.tokens(cmd.Context())
			if err != nil {
				return err
			}
			if a.output == "text" {
				return a.tokenTable(tokens)
			}
			for _, t := range tokens {
				if err := a.print(t, nil); err != nil {
					return err
				}
			}
			return nil
		},
		ValidArgsFunction: cobra.NoFileCompletions,
	}
}

// tokens returns the server's grants.
func (a *app) tokens(ctx context.Context) ([]client.Token, error) {
	c, err := a.connect()
	if err != nil {
		return nil, err
	}
	var tokens []client.Token
	for t, err := range c.Tokens(ctx) {
		if err != nil {
			return nil, err
		}
		tokens = append(tokens, t)
	}
	return tokens, nil
}

func (a *app) tokenTable(tokens []client.Token) error {
	if len(tokens) == 0 {
		fmt.Fprintln(a.stdout, "no tokens")
		return nil
	}
	w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "NAME\tKIND\tROLES\tSCOPES\tEXPIRES\tCREATED\tBY")
	for _, t := range tokens {
		expires := stamp(t.ExpiresAt)
		if t.Expired {
			expires += " (expired)"
		}
		scopes := strings.Join(t.Scopes, ",")
		if scopes == "" {
			scopes = "everywhere"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", t.Name, lower(t.Kind), strings.ReplaceAll(lowerAll(t.Roles), ", ", ","), scopes,
			expires, stamp(t.CreatedAt), orDash(t.CreatedBy))
	}
	return w.Flush()
}

func (a *app) tokenRevokeCommand() *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use:   "revoke NAME",
		Short: "End a token, or what a client certificate is granted",
		Long: `End a token, or what a client certificate is granted. Calls that begin afterwards
are refused, and open streams end within 5 seconds. When no admin would be left, it requires
--yes: the server then writes a new token for an admin when it starts next.`,
		Example: "  dnc token revoke dialer",
		Args:    counted(1, 1, "one name"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.tokenRevoke(cmd, args[0], yes)
		},
		ValidArgsFunction: a.firstIsToken,
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "yes, even if no admin is left")
	return cmd
}

func (a *app) tokenRevoke(cmd *cobra.Command, name string, yes bool) error {
	c, err := a.connect()
	if err != nil {
		return err
	}
	gone, err := c.RevokeToken(cmd.Context(), name, yes)
	if errors.Is(err, client.ErrConfirmationRequired) {
		return explainConfirmation(err)
	}
	if err != nil {
		return err
	}
	return a.print(gone, func() string { return fmt.Sprintf("%s revoked  revision %d", name, gone.Revision) })
}

// firstIsToken completes the first argument to what is granted, briefly: completion must not hang.
func (a *app) firstIsToken(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 || a.readSettings(cmd) != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), 500*time.Millisecond)
	defer cancel()
	tokens, _ := a.tokens(ctx)
	var names []string
	for _, t := range tokens {
		names = append(names, cobra.CompletionWithDesc(t.Name, describeGrant(t.Roles, t.Scopes, t.ExpiresAt)))
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
