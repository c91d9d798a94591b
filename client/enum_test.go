package client

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
)

// TestConstantsAreTheContracts has a constant for each value of the contract's enums, and none besides but those that
// the client itself gives.
func TestConstantsAreTheContracts(t *testing.T) {
	t.Parallel()
	want := map[string][]string{
		"Verdict":     valuesOf("VERDICT_", dncv1.Verdict_value),
		"Cause":       valuesOf("CAUSE_", dncv1.Cause_value),
		"ReasonKind":  valuesOf("REASON_KIND_", dncv1.ReasonKind_value),
		"Purpose":     valuesOf("PURPOSE_", dncv1.Purpose_value),
		"ListKind":    valuesOf("LIST_KIND_", dncv1.ListKind_value),
		"ListState":   valuesOf("LIST_STATE_", dncv1.ListState_value),
		"RecordKind":  valuesOf("RECORD_KIND_", dncv1.RecordKind_value),
		"ConsentKind": valuesOf("CONSENT_KIND_", dncv1.ConsentKind_value),
		"ConsentForm": valuesOf("CONSENT_FORM_", dncv1.ConsentForm_value),
		"EventKind":   valuesOf("EVENT_KIND_", dncv1.EventKind_value),
		"StoryState":  valuesOf("STORY_STATE_", dncv1.StoryState_value),
		"Channel":     valuesOf("CHANNEL_", dncv1.Channel_value),
		"ImportMode":  append(valuesOf("IMPORT_MODE_", dncv1.ImportMode_value), "REVERT", "RELOAD", "RESPELL", "OPT_OUTS", "CONSENTS"),
		"ImportState": append(valuesOf("LIST_IMPORT_STATE_", dncv1.ListImportState_value), valuesOf("RECORD_IMPORT_STATE_", dncv1.RecordImportState_value)...),
		"Phase":       append(valuesOf("IMPORT_PHASE_", dncv1.ImportPhase_value), "SENDING"),
		"Guard":       valuesOf("IMPORT_GUARD_", dncv1.ImportGuard_value),
		"StoreState":  valuesOf("STORE_STATE_", dncv1.StoreState_value),
		"Role":        valuesOf("ROLE_", dncv1.Role_value),
		"ActKind":     valuesOf("ACT_KIND_", dncv1.ActKind_value),

		"SubscriberKind": valuesOf("SUBSCRIBER_KIND_", dncv1.SubscriberKind_value),
		"Stage":          valuesOf("STAGE_", dncv1.Stage_value),
		"DifferenceKind": valuesOf("DIFFERENCE_KIND_", dncv1.DifferenceKind_value),
		"DeskKind":       valuesOf("DESK_KIND_", dncv1.DeskKind_value),
		"CredentialKind": valuesOf("CREDENTIAL_KIND_", dncv1.CredentialKind_value),

		"WithdrawalReason": valuesOf("WITHDRAWAL_REASON_", dncv1.WithdrawalReason_value),
	}
	got := stringConstants(t, "enum.go")
	for _, kind := range slices.Sorted(maps.Keys(want)) {
		slices.Sort(want[kind])
		slices.Sort(got[kind])
		if !slices.Equal(got[kind], want[kind]) {
			t.Errorf("constants of %s: got %v, want %v", kind, got[kind], want[kind])
		}
	}
	if len(got) != len(want) {
		t.Errorf("enum.go has constants of %d types, want %d", len(got), len(want))
	}
}

// valuesOf are the values of an enum without their prefix, but for the unspecified one.
func valuesOf(prefix string, values map[string]int32) []string {
	var names []string
	for name, value := range values {
		if value != 0 {
			names = append(names, strings.TrimPrefix(name, prefix))
		}
	}
	return names
}

// stringConstants are the values of a file's typed constants, by type.
func stringConstants(t *testing.T, file string) map[string][]string {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	found := make(map[string][]string)
	ast.Inspect(f, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || spec.Type == nil || len(spec.Values) != 1 {
			return true
		}
		if literal, ok := spec.Values[0].(*ast.BasicLit); ok && literal.Kind == token.STRING {
			text, err := strconv.Unquote(literal.Value)
			if err != nil {
				t.Fatal(err)
			}
			kind := spec.Type.(*ast.Ident).Name
			found[kind] = append(found[kind], text)
		}
		return true
	})
	return found
}
