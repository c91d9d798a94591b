package registry

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// RecordField names a field of an opt-out or a consent in a file.
type RecordField string

// The fields that a file of opt-outs may have.
const (
	FieldNumber     RecordField = "number"
	FieldScope      RecordField = "scope"
	FieldChannel    RecordField = "channel"
	FieldDesk       RecordField = "desk"
	FieldReceivedAt RecordField = "received_at"
	FieldEvidence   RecordField = "evidence"
	FieldExpiresAt  RecordField = "expires_at"
	FieldNote       RecordField = "note"
)

// The fields that only a file of consents may have. It has obtained_at in place of received_at.
const (
	FieldObtainedAt   RecordField = "obtained_at"
	FieldKind         RecordField = "kind"
	FieldForm         RecordField = "form"
	FieldGoods        RecordField = "goods"
	FieldThirdParties RecordField = "third_parties"
	FieldFrom         RecordField = "appointment_from"
	FieldUntil        RecordField = "appointment_until"
)

// recordField is a field and the titles that say so in English and French,
// compared by titleKey; the first is the field's own. Those of the number are
// in obvious.
type recordField struct {
	name   RecordField
	titles []string
}

func recordFields(consents bool) []recordField {
	if consents {
		return consentFields()
	}
	return optOutFields()
}

func optOutFields() []recordField {
	return []recordField{
		{FieldNumber, nil},
		{FieldScope, []string{"scope", "brand", "périmètre", "marque"}},
		{FieldChannel, []string{"channel", "canal", "canal de réception", "moyen"}},
		{FieldDesk, []string{"desk", "service", "bureau"}},
		{FieldReceivedAt, []string{"received_at", "received", "received on", "received date", "date received", "date", "opt-out date",
			"reçu le", "reçu", "date de réception", "date réception", "date d'opposition", "date opposition"}},
		{FieldEvidence, []string{"evidence", "proof", "preuve", "justificatif"}},
		{FieldExpiresAt, []string{"expires_at", "expires", "expires on", "expiry", "expiry date", "expiration", "expiration date", "end", "end date",
			"expire le", "date expiration", "date d'expiration", "fin", "date de fin", "date fin"}},
		{FieldNote, []string{"note", "notes", "comment", "comments", "commentaire", "commentaires", "remarque", "remarques"}},
	}
}

// consentFields are those of opt-outs, in whose columns the date of an objection is none of a consent, and those of their own.
func consentFields() []recordField {
	fields := optOutFields()
	at := slices.IndexFunc(fields, func(f recordField) bool { return f.name == FieldReceivedAt })
	fields[at] = recordField{FieldObtainedAt, []string{"obtained_at", "obtained", "obtained on", "consent date", "date of consent", "obtenu le",
		"date de consentement", "date du consentement", "date de recueil"}}
	return append(fields,
		recordField{FieldKind, []string{"kind", "type", "nature"}},
		recordField{FieldForm, []string{"form", "forme"}},
		recordField{FieldGoods, []string{"goods", "biens", "objet"}},
		recordField{FieldThirdParties, []string{"third_parties", "third parties", "tiers"}},
		recordField{FieldFrom, []string{"appointment_from"}},
		recordField{FieldUntil, []string{"appointment_until"}},
	)
}

// means reports whether a title says the field.
func (f recordField) means(title string) bool {
	key := titleKey(title)
	return slices.ContainsFunc(f.titles, func(known string) bool { return titleKey(known) == key })
}

// isFieldTitle reports whether a title says a field other than the number.
func isFieldTitle(title string) bool {
	return slices.ContainsFunc(recordFields(false), func(f recordField) bool { return f.means(title) })
}

func (o *RecordOptions) isField(name RecordField) bool {
	return slices.ContainsFunc(recordFields(o.Consents), func(f recordField) bool { return f.name == name })
}

// RecordFieldNames returns the fields of an opt-out, or of a consent, for help and errors.
func RecordFieldNames(consents bool) string {
	var names []string
	for _, f := range recordFields(consents) {
		names = append(names, string(f.name))
	}
	return strings.Join(names, ", ")
}

// recordColumns are the indexes of the columns, from 0; -1: none.
type recordColumns struct {
	scope, channel, desk, receivedAt, evidence, expiresAt, note int

	// Of consents.
	kind, form, goods, thirdParties, from, until int
}

// received is the field that says when a record was received, or a consent obtained.
func (o *RecordOptions) received() RecordField {
	if o.Consents {
		return FieldObtainedAt
	}
	return FieldReceivedAt
}

// fieldAt is the column of a field, from 0; -1: none.
type fieldAt struct {
	field  RecordField
	column int
}

// list has the columns in the order of recordFields.
func (c *recordColumns) list(o *RecordOptions) []fieldAt {
	list := []fieldAt{
		{FieldScope, c.scope}, {FieldChannel, c.channel}, {FieldDesk, c.desk}, {o.received(), c.receivedAt},
		{FieldEvidence, c.evidence}, {FieldExpiresAt, c.expiresAt}, {FieldNote, c.note},
	}
	if !o.Consents {
		return list
	}
	return append(list, fieldAt{FieldKind, c.kind}, fieldAt{FieldForm, c.form}, fieldAt{FieldGoods, c.goods},
		fieldAt{FieldThirdParties, c.thirdParties}, fieldAt{FieldFrom, c.from}, fieldAt{FieldUntil, c.until})
}

// findRecordColumns finds all columns but that of the number.
func findRecordColumns(t *table, o *RecordOptions) (recordColumns, error) {
	var failed error
	find := func(name RecordField) int {
		if !o.isField(name) {
			return -1
		}
		column, err := findRecordColumn(t.titles, t.header != nil, name, o)
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("column of %s: %w", name, err))
		}
		return column
	}
	c := recordColumns{
		scope: find(FieldScope), channel: find(FieldChannel), desk: find(FieldDesk),
		receivedAt: find(o.received()), evidence: find(FieldEvidence), expiresAt: find(FieldExpiresAt),
		note: find(FieldNote),
		kind: find(FieldKind), form: find(FieldForm), goods: find(FieldGoods), thirdParties: find(FieldThirdParties),
		from: find(FieldFrom), until: find(FieldUntil),
	}
	return c, failed
}

func findRecordColumn(titles []string, header bool, name RecordField, o *RecordOptions) (int, error) {
	want := o.Columns[name]
	switch {
	case want == "-" || len(titles) == 0:
		return -1, nil
	case want != "":
		column, _, err := findColumn(titles, want)
		return column, err
	case !header:
		return -1, nil
	}
	return recognize(titles, name, recordFields(o.Consents))
}

// recognize returns the column whose title says the field, the field's own name
// before any other; -1 when there is none.
func recognize(titles []string, name RecordField, all []recordField) (int, error) {
	known := slices.Clone(all[slices.IndexFunc(all, func(f recordField) bool { return f.name == name })].titles)
	for i := range known {
		known[i] = titleKey(known[i])
	}
	var found []int
	for i, title := range titles {
		switch key := titleKey(title); {
		case key == known[0]:
			return i, nil
		case slices.Contains(known, key):
			found = append(found, i)
		}
	}
	switch len(found) {
	case 0:
		return -1, nil
	case 1:
		return found[0], nil
	}
	return -1, fmt.Errorf("more than one could be meant, say which: the first line has %s", describe(titles))
}
