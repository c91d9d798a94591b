package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/dncd/dncd/client"
)

const (
	exitDone  = 0
	exitNo    = 1 // refused by a guard, or a checked number is not callable
	exitError = 2
)

// app is one run of dnc: its global flags and its outcome.
type app struct {
	stdout, stderr io.Writer

	addr     string
	output   string
	user     string
	timeout  time.Duration
	tls      bool
	tlsCA    string
	tlsCert  string
	tlsKey   string
	insecure bool
	file     string // of settings

	token     string // from DNC_TOKEN
	tokenFile string

	connected *client.Client
	code      int // exitNo or exitError once a command has said so

	warnedOfTables bool
}

// run executes dnc with these arguments and returns its exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	a := &app{stdout: stdout, stderr: stderr}
	root := a.rootCommand()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if a.connected != nil {
		a.connected.Close()
	}
	if err != nil {
		a.report(err)
	}
	return a.code
}

// end notes how a command ends; an error wins over a no.
func (a *app) end(code int) { a.code = max(a.code, code) }

func (a *app) rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "dnc",
		Short: "Ask a dncd server whether numbers may be called, and keep its lists and opt-outs",
		Long: `dnc asks a dncd server whether numbers may be called, and keeps its lists, opt-outs, consents and policy.

Exit code: 0 when everything was done; 1 when a guard refused an import, --yes is missing, a checked
number may not be called, an audit or a test found something, or an objection or a consent of a file
was not recorded; 2 on an error, or when you have to decide: the message names the flag.

Each global flag has an environment variable, named below. The file of --config has lines such as
addr: dnc.example:7362. Flags override environment variables, which override the file.`,
		Example: `  dnc list create us-ftc --kind registry --jurisdiction US --coverage 1415 --max-age 31d
  dnc import 2026-9-9_415_*.txt.zip --list us-ftc
  dnc check +14155550123
  dnc optout add +14155550123 --scope acme --channel call --desk after-sales`,
		Version:           version(),
		SilenceErrors:     true,
		SilenceUsage:      true,
		PersistentPreRunE: a.checkGlobals,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef(cmd, "unknown command %q", args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetVersionTemplate("dnc {{.Version}}\n")
	a.globalFlags(root)
	root.SetFlagErrorFunc(flagError)
	root.AddCommand(a.checkCommand(), a.optoutCommand(), a.consentCommand(), a.showCommand(), a.historyCommand(),
		a.listCommand(), a.importCommand(), a.importsCommand(), a.revertCommand(), a.exportCommand(), a.statsCommand(),
		a.tokenCommand(), a.whoamiCommand(), a.journalCommand(), a.accessLogCommand(), a.keyCommand(), a.subscriberCommand(), a.deskCommand(), a.policyCommand(), a.watchCommand(), a.followCommand(),
		a.feedCommand(), a.reportCommand(), a.auditCommand(), a.dossierCommand(), a.verifyCommand())
	exampleOfCompletion(root)
	return root
}

// exampleOfCompletion adds an example to the command that cobra makes, and makes it refuse a call without a shell.
func exampleOfCompletion(root *cobra.Command) {
	root.InitDefaultCompletionCmd()
	if cmd, _, err := root.Find([]string{"completion"}); err == nil {
		requireSubcommand(cmd)
		cmd.Example = "  source <(dnc completion bash)\n  dnc completion zsh > \"${fpath[1]}/_dnc\"\n  dnc completion fish > ~/.config/fish/completions/dnc.fish"
	}
}

// version is that of the module, as it was built.
func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}

func (a *app) globalFlags(root *cobra.Command) {
	f := root.PersistentFlags()
	f.StringVar(&a.addr, "addr", "127.0.0.1:7362", "the server: host:port or unix:///path")
	f.StringVarP(&a.output, "output", "o", "text", "text, or json: one object a line")
	f.DurationVar(&a.timeout, "timeout", 10*time.Second, "how long a request may take; imports and exports have no limit")
	f.StringVar(&a.user, "by", "", "who records it, unless a token or a client certificate says so")
	f.BoolVar(&a.tls, "tls", false, "encrypt the connection (implied by the other --tls flags)")
	f.StringVar(&a.tlsCA, "tls-ca", "", "PEM file of the roots that sign the server's certificate (default: the system's)")
	f.StringVar(&a.tlsCert, "tls-cert", "", "PEM file of this client's certificate")
	f.StringVar(&a.tlsKey, "tls-key", "", "PEM file of its key")
	f.StringVar(&a.tokenFile, "token-file", "", "`file` with the token that is shown to the server; DNC_TOKEN holds the token itself")
	f.BoolVar(&a.insecure, "insecure", false, "allow plain text to a server on another machine")
	f.StringVar(&a.file, "config", "", "YAML `file` of these flags (default: "+defaultFileText+")")
	f.VisitAll(func(f *pflag.Flag) { f.Usage += " [" + variable(f) + "]" })
	complete(root, "output", "text", "json")
}

func (a *app) checkGlobals(cmd *cobra.Command, _ []string) error {
	if err := a.readSettings(cmd); err != nil {
		return err
	}
	if a.output != "text" && a.output != "json" {
		return usagef(cmd, "--output is text or json, not %q", a.output)
	}
	if a.timeout <= 0 {
		return usagef(cmd, "--timeout must be more than nothing, such as 10s")
	}
	return refuseEmpty(cmd)
}

// neverEmpty are the flags for which an empty value has no meaning. Most often a variable of the caller's script is not set, and
// the default would do something else: guess a column, or keep no rejects.
var neverEmpty = []string{
	"ack", "as-of", "at", "column", "columns", "date-order", "delimiter", "file", "format", "key", "keys", "list", "name", "number-format", "out", "outcomes", "rejects", "remarks", "scope-column", "snapshot-date",
	"time-column", "timezone",
	"tls-ca", "tls-cert", "tls-key", "token-file",
}

func refuseEmpty(cmd *cobra.Command) error {
	for _, name := range neverEmpty {
		if f := cmd.Flags().Lookup(name); f != nil && f.Changed && strings.TrimSpace(f.Value.String()) == "" {
			return usagef(cmd, "--%s is empty: leave it out to have its default", name)
		}
	}
	return nil
}

// connect returns the client, which connects with its first call.
func (a *app) connect() (*client.Client, error) {
	if a.connected != nil {
		return a.connected, nil
	}
	if err := checkAddr(a.addr); err != nil {
		return nil, err
	}
	opts := []client.Option{client.WithUser(a.user), client.WithTimeout(a.timeout)}
	if a.encrypted() {
		opts = append(opts, client.WithTLSFiles(a.tlsCA, a.tlsCert, a.tlsKey))
	}
	if a.insecure {
		opts = append(opts, client.WithInsecure())
	}
	token, err := a.readToken()
	if err != nil {
		return nil, err
	}
	if token != "" {
		opts = append(opts, client.WithToken(token))
	}
	c, err := client.New(a.addr, opts...)
	if errors.Is(err, client.ErrMalformedToken) {
		return nil, withHint(client.ErrMalformedToken, "give --token-file or DNC_TOKEN what `dnc token new` printed")
	}
	if err != nil && a.encrypted() {
		return nil, withHint(err, "--tls-ca, --tls-cert and --tls-key each name a PEM file")
	}
	if err != nil {
		return nil, withHint(err, "encrypt with --tls or --tls-ca FILE; --insecure allows plain text")
	}
	a.connected = c
	return c, nil
}

// schemes are those of gRPC's targets that may be written without slashes.
var schemes = []string{"unix", "unix-abstract", "dns", "passthrough", "ipv4", "ipv6", "xds"}

// checkAddr refuses an address without a port: gRPC would take 443, which no dncd listens at.
func checkAddr(addr string) error {
	if _, port, err := net.SplitHostPort(addr); err == nil && port != "" {
		return nil
	}
	if scheme, _, found := strings.Cut(addr, ":"); found && (slices.Contains(schemes, scheme) || strings.Contains(addr, "://")) {
		return nil
	}
	err := fmt.Errorf("--addr %q has no port", addr)
	if addr == "" {
		err = errors.New("--addr is empty")
	}
	return withHint(err, "write host:port, such as 127.0.0.1:7362 or [::1]:7362, or unix:///path; DNC_ADDR is used without --addr")
}

// encrypted reports whether the flags ask for TLS.
func (a *app) encrypted() bool { return a.tls || a.tlsCA != "" || a.tlsCert != "" || a.tlsKey != "" }

// complete makes a flag complete to fixed values.
func complete(cmd *cobra.Command, flag string, values ...string) {
	completeBy(cmd, flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
}

func completeBy(cmd *cobra.Command, flag string, values cobra.CompletionFunc) {
	if err := cmd.RegisterFlagCompletionFunc(flag, values); err != nil {
		panic(fmt.Sprintf("completion of --%s: %v", flag, err)) // the flag is not there
	}
}

// completeLists makes a flag complete to the server's lists.
func (a *app) completeLists(cmd *cobra.Command, flag string) { completeBy(cmd, flag, a.listNames) }

// completeSubscribers makes a flag complete to the server's subscribers.
func (a *app) completeSubscribers(cmd *cobra.Command, flag string) {
	completeBy(cmd, flag, a.subscriberNames)
}

// listNames asks the server for its lists, briefly: completion must not hang.
func (a *app) listNames(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	ctx, cancel := context.WithTimeout(cmd.Context(), 500*time.Millisecond)
	defer cancel()
	if a.readSettings(cmd) != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	c, err := a.connect()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	lists, _ := c.Lists(ctx)
	var names []string
	for _, l := range lists {
		names = append(names, cobra.CompletionWithDesc(l.Name, describeList(l)))
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// completeListArg completes the first argument to a list, and none after it.
func (a *app) completeListArg(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return a.listNames(cmd, args, begun)
}
