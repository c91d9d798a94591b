package registry

import (
	"time"
)

// ConsentCells is what a row of a file of consents says beyond what every record does; unset fields as in Record.
type ConsentCells struct {
	Kind         ConsentKind
	Form         ConsentForm
	Goods        string
	ThirdParties string
	From, Until  time.Time // of the appointment
}

// ConsentKind is what a consent rests on, named as in the contract; "" is not said.
type ConsentKind string

// The kinds.
const (
	Permission ConsentKind = "PERMISSION"
	Purchase   ConsentKind = "PURCHASE"
	Inquiry    ConsentKind = "INQUIRY"
	Contract   ConsentKind = "CONTRACT"
)

// ConsentForm is how a consent was given, named as in the contract; "" is not said.
type ConsentForm string

// The forms.
const (
	Oral    ConsentForm = "ORAL"
	Written ConsentForm = "WRITTEN"
)

// Reasons of rejects of consents.
const (
	ReasonConsentKind = "none of permission, purchase, inquiry and contract"
	ReasonConsentForm = "neither oral nor written"
	ReasonAppointment = "no time with its zone, such as 2026-12-01T18:00:00+01:00"
	ReasonNoScope     = "no scope: say who may call in a column, or with --scope"
)

// consentKindOf reads a kind as files name it, in English or French.
func consentKindOf(text string) (kind ConsentKind, known bool) {
	switch titleKey(text) {
	case "":
		return "", true
	case "permission", "consent", "optin", "consentement", "accord":
		return Permission, true
	case "purchase", "order", "payment", "achat", "commande", "paiement":
		return Purchase, true
	case "inquiry", "enquiry", "application", "demande":
		return Inquiry, true
	case "contract", "contrat":
		return Contract, true
	}
	return "", false
}

// consentFormOf reads a form as files name it, in English or French.
func consentFormOf(text string) (form ConsentForm, known bool) {
	switch titleKey(text) {
	case "":
		return "", true
	case "oral", "orally", "verbal", "orale", "verbale", "oralement":
		return Oral, true
	case "written", "inwriting", "signed", "ecrit", "ecrite", "parecrit", "signe":
		return Written, true
	}
	return "", false
}

// readConsent reads the cells of a consent. What cannot be read is a remark.
func (r *Record) readConsent(cell func(RecordField) string) {
	var known bool
	if r.Consent.Kind, known = consentKindOf(cell(FieldKind)); !known {
		r.remark(FieldKind, ReasonConsentKind)
	}
	if r.Consent.Form, known = consentFormOf(cell(FieldForm)); !known {
		r.remark(FieldForm, ReasonConsentForm)
	}
	r.Consent.Goods, r.Consent.ThirdParties = cell(FieldGoods), cell(FieldThirdParties)
	r.Consent.From = r.appointment(FieldFrom, cell)
	r.Consent.Until = r.appointment(FieldUntil, cell)
}

// appointment reads an end of an appointment: a time that needs no guess about its zone.
func (r *Record) appointment(field RecordField, cell func(RecordField) string) time.Time {
	text := cell(field)
	if text == "" {
		return time.Time{}
	}
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		r.remark(field, ReasonAppointment)
	}
	return t
}

// unread is why a consent is a reject; "": it is none. While files are read for their dates only, none is.
func (o *RecordOptions) unread(r *Record) string {
	switch {
	case !o.Consents || o.seen != nil:
		return ""
	case len(r.Remarks) > 0:
		return r.Remarks[0]
	case o.NeedScope && r.Scope == "":
		return ReasonNoScope
	}
	return ""
}

// consent reads the cells of a consent, and returns why the row is none.
func (t *recordTable) consent(row *Record) string {
	columns := map[RecordField]int{
		FieldKind: t.at.kind, FieldForm: t.at.form, FieldGoods: t.at.goods, FieldThirdParties: t.at.thirdParties,
		FieldFrom: t.at.from, FieldUntil: t.at.until,
	}
	if len(row.Remarks) == 0 { // else the cells may be in other columns
		row.readConsent(func(f RecordField) string { return t.text(columns[f]) })
	}
	return t.opts.unread(row)
}
