package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/dncd/dncd/client"
)

// namesList gives the error for an unknown list the name that was typed: the server's message has none.
func namesList(err error, list string) error {
	if !errors.Is(err, client.ErrListNotFound) {
		return err
	}
	return &reworded{fmt.Sprintf("there is no list %q", list), err}
}

// hinted is an error with what to do next.
type hinted struct {
	error
	hint string
}

func (h *hinted) Unwrap() error { return h.error }

// reworded is an error in words of dnc instead of the server's.
type reworded struct {
	text string
	error
}

func (r *reworded) Error() string { return r.text }

func (r *reworded) Unwrap() error { return r.error }

func withHint(err error, hint string) error { return &hinted{err, hint} }

// usagef is an error in how dnc was called.
func usagef(cmd *cobra.Command, format string, args ...any) error {
	return withHint(fmt.Errorf(format, args...), fmt.Sprintf("see `%s --help`", cmd.CommandPath()))
}

func flagError(cmd *cobra.Command, err error) error {
	if strings.Contains(err.Error(), "unknown shorthand flag") {
		return withHint(err, "put -- before an argument that begins with a dash")
	}
	return usagef(cmd, "%v", err)
}

// oneOf refuses a value that is not one of a flag's choices. The empty value is the default.
func oneOf(cmd *cobra.Command, flag, value string, choices []string) error {
	if value == "" || slices.Contains(choices, strings.ReplaceAll(strings.ToLower(value), "_", "-")) {
		return nil
	}
	last := len(choices) - 1
	return usagef(cmd, "--%s is %s or %s, not %q", flag, strings.Join(choices[:last], ", "), choices[last], value)
}

// requireSubcommand makes a command refuse to be called without one of its subcommands.
func requireSubcommand(cmd *cobra.Command) {
	cmd.Args = cobra.ArbitraryArgs
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) > 0 {
			return usagef(cmd, "unknown command %q: %s", args[0], commandsOf(cmd))
		}
		return usagef(cmd, "a command is missing: %s", commandsOf(cmd))
	}
}

// commandsOf names the subcommands of a command.
func commandsOf(cmd *cobra.Command) string {
	var names []string
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() {
			names = append(names, c.Name())
		}
	}
	last := len(names) - 1
	if last == 0 {
		return names[0]
	}
	return strings.Join(names[:last], ", ") + " or " + names[last]
}

// counted refuses arguments unless there are least to most. noun is what one of them is; "" when there may be none.
func counted(least, most int, noun string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < least:
			return usagef(cmd, "a %s is missing", noun)
		case len(args) <= most:
			return nil
		case most == 0:
			return usagef(cmd, "%s takes no arguments", cmd.Name())
		case most == 1:
			return usagef(cmd, "too many arguments: `%s` takes one %s", cmd.CommandPath(), noun)
		}
		return usagef(cmd, "too many arguments: `%s` takes at most %d %ss", cmd.CommandPath(), most, noun)
	}
}

// report writes an error and its hint, and sets the exit code that it means.
func (a *app) report(err error) {
	code := exitError
	if errors.Is(err, client.ErrConfirmationRequired) {
		code = exitNo
	}
	a.end(code)
	a.complain(err)
}

// complain writes an error and its hint.
func (a *app) complain(err error) {
	fmt.Fprintf(a.stderr, "dnc: %v\n", err)
	if hint := a.hintFor(err); hint != "" {
		fmt.Fprintf(a.stderr, "hint: %s\n", hint)
	}
}

func (a *app) hintFor(err error) string {
	var h *hinted
	if errors.As(err, &h) {
		return h.hint
	}
	var e *client.Error
	switch {
	case !errors.As(err, &e):
		return ""
	case e.OutcomeUnknown():
		return hintUnknown
	case errors.Is(err, context.Canceled):
		return ""
	case errors.Is(err, client.ErrUnavailable):
		return a.hintUnavailable(e.Message)
	}
	return hints[e.Reason]
}

const hintUnknown = "`dnc history NUMBER` shows whether an opt-out was recorded, `dnc imports LIST` what became of a load; " +
	"recording an opt-out twice does no harm; --timeout allows more time"

// hintUnavailable says what helps when no server answered, if the connection's error shows why.
func (a *app) hintUnavailable(message string) string {
	for _, h := range []struct{ text, hint string }{
		{"HTTP/1.1 header", "this port speaks HTTP, not gRPC: --addr is the address after `dncd serves`, port 7362 by default"},
		{"no such host", hintName},
		{"produced zero addresses", hintName},
		{"permission denied", "this user may not open the socket in --addr: ask the server's operator for access"},
	} {
		if strings.Contains(message, h.text) {
			return h.hint
		}
	}
	if a.encryptionFails(message) {
		return hintTLS
	}
	return "start the server with `dncd`, or say where it is with --addr"
}

const hintName = "the host name in --addr is not known: check its spelling, or give the IP address"

const hintTLS = "server and dnc do not agree on encryption: --tls-ca FILE names the CA of the server's certificate, " +
	"--tls-cert and --tls-key are this client's; a server without TLS accepts none of them"

// encryptionFails reports whether a connection most likely failed because of encryption:
// servers with and without TLS do not always say so.
func (a *app) encryptionFails(message string) bool {
	message = strings.ToLower(message)
	has := func(text string) bool { return strings.Contains(message, text) }
	if slices.ContainsFunc([]string{"tls", "x509", "certificate", "handshake", "server preface", "broken pipe"}, has) {
		return true
	}
	return a.encrypted() && slices.ContainsFunc([]string{"connection reset", "eof", "closed"}, has)
}

// hints say, by the reason of an error, which flag or command helps.
var hints = map[string]string{
	"DEADLINE":               "allow more time with --timeout",
	"NUMBER_NO_COUNTRY":      "write the number with + and its country code, or name its region, such as --region US",
	"REGION_INVALID":         "a region is a two-letter ISO code, such as --region US",
	"SCOPE_INVALID":          "write a scope such as acme or acme/telecom: a-z, 0-9, dot, dash and underscore between slashes",
	"JOURNAL_FORKED":         "an older copy of the store was put back and continued, or its secret was lost: ask without a position, and tell the person who runs the server",
	"REVISION_NOT_REACHED":   "allow more time with --timeout, or ask without --min-revision",
	"NOTHING_TO_WITHDRAW":    "`dnc show NUMBER` shows the scopes of its opt-outs and consents; --scope names exactly one",
	"LIST_NOT_FOUND":         "`dnc list ls` shows the lists, `dnc list create` makes one",
	"LIST_EXISTS":            "`dnc list show NAME` shows it, `dnc list update NAME` changes it",
	"JURISDICTION_REQUIRED":  "name the regions that the registry covers, such as --jurisdiction US",
	"CONFIRMATION_REQUIRED":  "--yes confirms it",
	"IMPORT_RUNNING":         "wait for its end: `dnc imports NAME` shows its state",
	"IMPORT_NOT_FOUND":       "`dnc imports LIST` shows what the list became meanwhile; the same command loads the files anyway",
	"SNAPSHOT_DATE_REQUIRED": "give the registry's own date of the files with --snapshot-date YYYY-MM-DD",
	"SNAPSHOT_DATE_INVALID":  "give the registry's own date of the files with --snapshot-date YYYY-MM-DD",
	"UNAUTHENTICATED":        "show a token with --token-file FILE or DNC_TOKEN, or a client certificate with --tls-cert and --tls-key",
	"PERMISSION_DENIED":      "`dnc whoami` shows your roles and scopes; an admin grants others with `dnc token new`",
	"TOKEN_EXISTS":           "`dnc token ls` shows it; revoke it first, or choose another name",
	"TOKEN_NOT_FOUND":        "`dnc token ls` shows the names",
	"SUBSCRIBER_NOT_FOUND":   "`dnc subscriber ls` shows the names",
	"FEED_NOT_READY":         "checks continue; try again after a pause, and look at the server's log if it lasts",
	"DESK_NOT_FOUND":         "`dnc desk ls` shows the names",
	"POLICY_INVALID":         "`dnc policy test FILE` checks a policy without a server; docs/policies.md describes it",
	"POLICY_CHANGED":         "`dnc policy diff FILE` shows what yours would change now",
	"ACCESS_LOG_FAILED":      "look at the server's log and its disk; checks and writes continue meanwhile",
	"CLOCK_JUMPED":           "correct the server's clock, or restart dncd if it is right now; checks continue meanwhile",
	"DISK_FULL":              "free space on the server's disk; checks continue meanwhile",
	"STORE_DAMAGED":          "stop the server and run `dncd fsck --data DIR` on it",
	"STORIES_DAMAGED":        "checks continue; stop the server and run `dncd fsck --data DIR` on it",
}
