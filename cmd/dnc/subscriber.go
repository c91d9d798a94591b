package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/dncd/dncd/client"
	"github.com/dncd/dncd/internal/feed"
)

func (a *app) subscriberCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "subscriber",
		Short: "Register the calling bases that follow this server, and see how far each got",
		Example: `  dnc subscriber put call-centre --kind subcontractor --scope acme --key call-centre.key.pub --identity call-centre
  dnc subscriber ls
  dnc subscriber show call-centre`,
	}
	requireSubcommand(cmd)
	cmd.AddCommand(a.subscriberPutCommand(), a.subscriberLsCommand(), a.subscriberShowCommand(), a.subscriberRmCommand(), a.subscriberCompareCommand(), a.subscriberRebaseCommand(),
		a.subscriberAckCommand(), a.subscriberTestCommand())
	return cmd
}

var subscriberKinds = []string{"internal", "subcontractor"}

// subscriberFlags are the flags of `subscriber put`.
type subscriberFlags struct {
	kind, owner, parent, contact, deadline, identity string
	scopes, lists, keys                              []string
	allowRegistry                                    bool
}

func (a *app) subscriberPutCommand() *cobra.Command {
	var s subscriberFlags
	cmd := &cobra.Command{
		Use:   "put NAME",
		Short: "Register a calling base, or change one",
		Long: `Register a calling base, or change one: what no flag names stays as it is. A new one needs --kind.

Opt-outs at the scopes, above and below them concern it, and the lists that are named one by one. Another
filter begins its log again: its next feed is a snapshot. A base that others have as parent gets all that
they get. A subcontractor gets a registry only with --allow-registry: the licence of the list must permit it.

Once a base has a key, only acknowledgements that it signed are taken. Compare the fingerprints that are
printed with those in the contract. --identity names the token (role subscriber) or the certificate that
may speak for it.`,
		Example: `  dnc subscriber put marketing --kind internal --owner "Jane Doe" --list house-list
  dnc subscriber put call-centre --kind subcontractor --scope acme --deadline 4h --key call-centre.key.pub --identity call-centre
  dnc subscriber put call-centre --contact dpo@centre.example`,
		Args: counted(1, 1, "name"),
		RunE: func(cmd *cobra.Command, args []string) error {
			change, err := s.change(cmd)
			if err != nil {
				return err
			}
			return a.subscriberPut(cmd, args[0], change)
		},
		ValidArgsFunction: a.firstIsSubscriber,
	}
	f := cmd.Flags()
	f.StringVar(&s.kind, "kind", "", "internal or subcontractor")
	f.StringVar(&s.owner, "owner", "", "who answers for it")
	f.StringVar(&s.parent, "parent", "", `the subscriber that hands work on to it; "" is none`)
	f.StringVar(&s.contact, "contact", "", "whom to ask")
	f.StringArrayVar(&s.scopes, "scope", nil, `opt-outs at, above and below it concern the base; may be repeated; "" is every scope (default for a new one)`)
	f.StringArrayVar(&s.lists, "list", nil, `a list that concerns it; may be repeated; "" is none (default for a new one)`)
	f.BoolVar(&s.allowRegistry, "allow-registry", false, "a subcontractor may have registries: their licence permits it")
	f.StringVar(&s.deadline, "deadline", "", "how long after it was recorded a change must be applied, such as 4h or 2d (default for a new one: 24h)")
	f.StringArrayVar(&s.keys, "key", nil, `file with a public key of the base, FILE.pub; may be repeated; "" is none`)
	f.StringVar(&s.identity, "identity", "", `name of the token or certificate that may speak for it; "" is none`)
	complete(cmd, "kind", subscriberKinds...)
	a.completeLists(cmd, "list")
	return cmd
}

// change is what the flags that were given ask for.
func (s *subscriberFlags) change(cmd *cobra.Command) (client.SubscriberChange, error) {
	var c client.SubscriberChange
	f := cmd.Flags()
	if err := oneOf(cmd, "kind", s.kind, subscriberKinds); err != nil {
		return c, err
	}
	c.Kind = client.SubscriberKind(s.kind)
	c.Owner, c.Parent = given(f, "owner", &s.owner), given(f, "parent", &s.parent)
	c.Contact, c.Identity = given(f, "contact", &s.contact), given(f, "identity", &s.identity)
	c.AllowRegistry = given(f, "allow-registry", &s.allowRegistry)
	var err error
	if c.Scopes, err = givenList(cmd, "scope", s.scopes); err != nil {
		return c, err
	}
	if c.Lists, err = givenList(cmd, "list", s.lists); err != nil {
		return c, err
	}
	if c.Keys, err = givenList(cmd, "key", s.keys); err != nil {
		return c, err
	}
	if c.Keys != nil {
		if c.Keys, err = readKeys(*c.Keys); err != nil {
			return c, err
		}
	}
	if f.Changed("deadline") {
		d, err := parseSpan(cmd, "deadline", s.deadline)
		c.Deadline = &d
		return c, err
	}
	return c, nil
}

// given is the value of a flag that was given; nil if it was not.
func given[T any](f *pflag.FlagSet, flag string, value *T) *T {
	if !f.Changed(flag) {
		return nil
	}
	return value
}

// givenList is given, of a flag that may be repeated. One empty value is no value.
func givenList(cmd *cobra.Command, flag string, values []string) (*[]string, error) {
	if !cmd.Flags().Changed(flag) {
		return nil, nil
	}
	if len(values) == 1 && values[0] == "" {
		return new([]string), nil
	}
	for _, v := range values {
		if v == "" {
			return nil, usagef(cmd, "--%s \"\" means none: give no other", flag)
		}
	}
	return &values, nil
}

// readKeys reads files with public keys. A private key is refused before it is sent anywhere.
func readKeys(files []string) (*[]string, error) {
	texts := make([]string, 0, len(files))
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		key, err := feed.ParsePublicKey(string(text))
		if err != nil {
			return nil, withHint(fmt.Errorf("%s: %w", file, err), "`dnc key new FILE` makes a key; the base sends FILE.pub and keeps FILE")
		}
		texts = append(texts, key.Text())
	}
	return &texts, nil
}

// parseSpan reads a length of time, such as 4h, 90m or 2d.
func parseSpan(cmd *cobra.Command, flag, text string) (time.Duration, error) {
	d, ok := daysOf(text)
	if !ok {
		var err error
		d, err = time.ParseDuration(text)
		ok = err == nil
	}
	if !ok || d <= 0 {
		return 0, usagef(cmd, "--%s %q is not a length of time such as 4h, 90m or 2d", flag, text)
	}
	return d, nil
}

func (a *app) subscriberPut(cmd *cobra.Command, name string, change client.SubscriberChange) error {
	c, err := a.connect()
	if err != nil {
		return err
	}
	done, err := c.PutSubscriber(cmd.Context(), name, change)
	if err != nil {
		return err
	}
	return a.print(done, func() string { return describePut(done) })
}

// describePut says what was done, and what the subscriber is now.
func describePut(r client.SubscriberReceipt) string {
	what := "changed"
	switch {
	case r.Created:
		what = "registered"
	case r.Epoch == r.Revision:
		what = "changed, its log begins again: the next feed is a snapshot"
	}
	return fmt.Sprintf("%s %s  revision %d\n%s", r.Name, what, r.Revision, subscriberDetails(r.SubscriberInfo))
}

// subscriberDetails are the settings of a subscriber, a line each, without those that are not set.
func subscriberDetails(s client.SubscriberInfo) string {
	kind := lower(s.Kind)
	if s.Parent != "" {
		kind += ", below " + s.Parent
	}
	lines := []string{"  kind: " + kind, "  opt-outs: " + where(s.Scopes)}
	if len(s.Lists) > 0 {
		lines = append(lines, "  lists: "+strings.Join(s.Lists, ", "))
	}
	if s.AllowRegistry {
		lines = append(lines, "  registries: allowed")
	}
	lines = append(lines, fmt.Sprintf("  epoch: %d  filter: %s", s.Epoch, s.FilterHash), "  deadline: "+span(s.Deadline))
	for _, fact := range []struct{ name, value string }{{"owner", s.Owner}, {"contact", s.Contact}, {"identity", s.Identity}} {
		if fact.value != "" {
			lines = append(lines, "  "+fact.name+": "+fact.value)
		}
	}
	for i, key := range s.Keys {
		name, _, _ := strings.Cut(key, "+")
		lines = append(lines, "  key: "+name)
		if i < len(s.Fingerprints) {
			lines[len(lines)-1] += "  " + s.Fingerprints[i]
		}
	}
	if len(s.Keys) == 0 {
		lines = append(lines, "  key: none, so what it acknowledges is claimed and not proven")
	}
	return strings.Join(lines, "\n")
}

// span is a length of time: "24h", "1h30m".
func span(d time.Duration) string {
	text := d.String()
	for _, zero := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(text, zero) {
			text = text[:len(text)-2]
		}
	}
	return text
}

func (a *app) subscriberRmCommand() *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use:   "rm NAME --yes",
		Short: "Remove a calling base: its feed ends",
		Long: `Remove a calling base: its feed ends, and it hears of no further objection. What it acknowledged
stays in the journal and in reports. Its name is free for another base.`,
		Example: "  dnc subscriber rm call-centre --yes",
		Args:    counted(1, 1, "name"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.subscriberRm(cmd, args[0], yes)
		},
		ValidArgsFunction: a.firstIsSubscriber,
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "yes, it hears of no further objection")
	return cmd
}

func (a *app) subscriberRm(cmd *cobra.Command, name string, yes bool) error {
	c, err := a.connect()
	if err != nil {
		return err
	}
	if !yes {
		if _, err := c.Subscriber(cmd.Context(), name); err != nil {
			return err
		}
		return unconfirmed(name + " would hear of no further objection")
	}
	gone, err := c.DeleteSubscriber(cmd.Context(), name)
	if err != nil {
		return err
	}
	return a.print(gone, func() string { return fmt.Sprintf("%s removed  revision %d", name, gone.Revision) })
}

// unconfirmed refuses what would happen, for want of --yes.
func unconfirmed(what string) error {
	return withHint(&reworded{what, client.ErrConfirmationRequired}, "--yes confirms it")
}

func (a *app) subscriberRebaseCommand() *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use:   "rebase NAME --yes",
		Short: "Begin the log of a calling base again, with a snapshot",
		Long: `Begin the log of a calling base again, though its filter stays: its next feed is a snapshot, and
positions that it has are refused. Use it when a base lost what it held.`,
		Example: "  dnc subscriber rebase call-centre --yes",
		Args:    counted(1, 1, "name"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.subscriberRebase(cmd, args[0], yes)
		},
		ValidArgsFunction: a.firstIsSubscriber,
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "yes, its positions are refused, and its next feed is a snapshot")
	return cmd
}

func (a *app) subscriberRebase(cmd *cobra.Command, name string, yes bool) error {
	c, err := a.connect()
	if err != nil {
		return err
	}
	if _, err := c.Subscriber(cmd.Context(), name); err != nil { // it would be registered
		return err
	}
	if !yes {
		return unconfirmed("the positions of " + name + " would be refused, and its next feed would be a snapshot")
	}
	return a.subscriberPut(cmd, name, client.SubscriberChange{Rebase: true})
}

// firstIsSubscriber completes the first argument to a subscriber, briefly: completion must not hang.
func (a *app) firstIsSubscriber(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return a.subscriberNames(cmd, args, "")
}

// subscriberNames asks the server for its subscribers, briefly: completion must not hang.
func (a *app) subscriberNames(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	if a.readSettings(cmd) != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), 500*time.Millisecond)
	defer cancel()
	all, _ := a.subscribers(ctx)
	var names []string
	for _, s := range all {
		names = append(names, cobra.CompletionWithDesc(s.Name, lower(s.Kind)+" "+where(s.Scopes)))
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
