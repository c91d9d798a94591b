package main

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/dncd/dncd/client"
)

// consentImportFlags are the flags of `dnc import --consents` that no other import has.
type consentImportFlags struct {
	consents, lift         bool
	kind, form, obtainedAt string
}

// define adds the flags to a command.
func (f *consentImportFlags) define(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.BoolVar(&f.consents, "consents", false, "record consents instead of loading a list")
	flags.BoolVar(&f.lift, "lift-opt-outs", false, "of consents: permissions with evidence may lift older opt-outs, where the policy says so; for officers")
	flags.StringVar(&f.kind, "kind", "", "of consents: what they rest on, if a row does not say: permission, purchase, inquiry or contract")
	flags.StringVar(&f.form, "form", "", "of consents: how they were given, if a row does not say: oral or written")
	flags.StringVar(&f.obtainedAt, "obtained-at", "", "of consents: when they were obtained, if a row does not say: a time, or a date, which is its first moment in UTC (no default)")
	complete(cmd, "kind", consentKinds...)
	complete(cmd, "form", consentForms...)
}

// ofConsents are the flags that apply to consents only.
var ofConsents = []string{"lift-opt-outs", "kind", "form", "obtained-at"}

// refuseOthers refuses flags that apply to another import than that of opt-outs, or of consents.
func (f *importFlags) refuseOthers(cmd *cobra.Command) error {
	switch {
	case f.consents && f.optOuts:
		return usagef(cmd, "--opt-outs and --consents are two imports: give one")
	case f.consents:
		return errors.Join(
			refuseFlags(cmd, ofLists, "is for lists, not with --consents"),
			refuseFlags(cmd, []string{"received-at"}, "is for opt-outs: use --obtained-at"),
			refuseFlags(cmd, []string{"remarks"}, "is for opt-outs: a consent that cannot be read in full is a reject"),
		)
	}
	return errors.Join(
		refuseFlags(cmd, ofLists, "is for lists, not with --opt-outs"),
		refuseFlags(cmd, ofConsents, "is for consents, not with --opt-outs"),
	)
}

// complete adds the defaults of consents to those of opt-outs.
func (f *consentImportFlags) complete(cmd *cobra.Command, d *defaults) (err error) {
	if err := errors.Join(oneOf(cmd, "kind", f.kind, consentKinds), oneOf(cmd, "form", f.form, consentForms)); err != nil {
		return err
	}
	d.kind, d.form = client.ConsentKind(f.kind), client.ConsentForm(f.form)
	d.receivedAt, err = parseTime(cmd, "obtained-at", f.obtainedAt)
	return err
}

// request is that of consents, which has the rest in common with one of opt-outs.
func (f *consentImportFlags) request(source *optOutSource, o *client.ImportOptOutsRequest) client.ImportConsentsRequest {
	return client.ImportConsentsRequest{
		Rows: &consentSource{optOutSource: source}, Sources: o.Sources, MaxRejects: o.MaxRejects, Override: o.Override, DryRun: o.DryRun,
		LiftOptOuts: f.lift, Resume: o.Resume, OnResume: o.OnResume, OnProgress: o.OnProgress, OnReject: o.OnReject,
	}
}

// consentSource gives the rows of consent files to the client.
type consentSource struct {
	*optOutSource
	rows []client.OptOut // what they have in common with opt-outs
}

// Next implements client.ConsentSource.
func (s *consentSource) Next(batch []client.Consent) (int, error) {
	if len(s.rows) < len(batch) {
		s.rows = make([]client.OptOut, len(batch))
	}
	n, err := s.optOutSource.Next(s.rows[:len(batch)])
	for i := range s.rows[:n] {
		o, cells := &s.rows[i], &s.batch[i].Consent
		batch[i] = client.Consent{
			Number: o.Number, Scope: o.Scope, Channel: o.Channel, Desk: o.Desk, ObtainedAt: o.ReceivedAt, Evidence: o.Evidence, Note: o.Note,
			ExpiresAt: o.ExpiresAt, Kind: client.ConsentKind(cells.Kind), Form: client.ConsentForm(cells.Form),
			Goods: oneLine(cells.Goods), ThirdParties: oneLine(cells.ThirdParties), AppointmentFrom: cells.From, AppointmentUntil: cells.Until,
		}
		if batch[i].Kind == "" {
			batch[i].Kind = s.defaults.kind
		}
		if batch[i].Form == "" {
			batch[i].Form = s.defaults.form
		}
	}
	return n, err
}
