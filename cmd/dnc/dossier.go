package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/dncd/dncd/client"
	"github.com/dncd/dncd/internal/feed"
)

// dossierFormats are what a dossier is written as.
var dossierFormats = []string{"text", "json", "html"}

// dossierFlags are those of `dnc dossier`.
type dossierFlags struct {
	region, format, out string
	scopes              []string
}

func (a *app) dossierCommand() *cobra.Command {
	var flags dossierFlags
	cmd := &cobra.Command{
		Use:   "dossier NUMBER",
		Short: "Show what is known of a number, and which calling base knew it when, with the proofs",
		Long: `Show what is known of a number: what was objected where and when, and how it came in; the lists that
hold it; whether it may be called now; for each calling base when it had received, stored and applied it;
and how long it is kept. It holds no other number.

Formats:
  text  for people
  json  a note that the server signed, with the proofs: its first line is JSON
  html  one printable page, with that note at its end

` + "`dnc verify`" + ` verifies json and html without a server.`,
		Example: `  dnc dossier +14155550123
  dnc dossier +14155550123 --format json --out dossier.json
  dnc dossier 01.99.00.12.34 --region FR --scope acme --format html --out dossier.html`,
		Args:              counted(1, 1, "number"),
		RunE:              func(cmd *cobra.Command, args []string) error { return a.dossier(cmd, args[0], flags) },
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	f := cmd.Flags()
	f.StringVar(&flags.region, "region", "", "how a national number is read, such as FR")
	f.StringArrayVar(&flags.scopes, "scope", nil, "check the number at this scope; may be given more than once (default: wherever it has a record)")
	f.StringVar(&flags.format, "format", "", "text, json or html (default: that of --output)")
	f.StringVar(&flags.out, "out", "", "write to this `file`, which only its owner can read (default: standard output)")
	complete(cmd, "format", dossierFormats...)
	return cmd
}

func (a *app) dossier(cmd *cobra.Command, number string, flags dossierFlags) error {
	if flags.format == "" {
		flags.format = a.output
	}
	if err := oneOf(cmd, "format", flags.format, dossierFormats); err != nil {
		return err
	}
	c, err := a.connect()
	if err != nil {
		return err
	}
	opts := []client.DossierOption{client.Region(flags.region)}
	for _, scope := range flags.scopes {
		opts = append(opts, client.Scope(scope))
	}
	note, err := c.GetDossier(cmd.Context(), number, opts...)
	if err != nil {
		return err
	}
	out, err := a.openOut(flags.out)
	if err != nil {
		return err
	}
	if err := writeDossier(out, note, strings.ToLower(flags.format)); err != nil {
		out.abandon()
		return fmt.Errorf("write the dossier: %w", err)
	}
	return out.keep()
}

func writeDossier(w io.Writer, note []byte, format string) error {
	if format == "json" {
		_, err := w.Write(note)
		return err
	}
	d, _, err := feed.ReadDossier(note)
	if err != nil {
		return err
	}
	if format == "html" {
		return writeDossierPage(w, d, note)
	}
	return writeDossierText(w, d)
}

func writeDossierText(w io.Writer, d *feed.Dossier) error {
	text := dossierTitle(d) + "\n"
	for _, part := range dossierParts(d) {
		text += "\n" + part.Title + "\n"
		for _, line := range part.Lines {
			text += "  " + line + "\n"
		}
	}
	_, err := io.WriteString(w, text)
	return err
}
