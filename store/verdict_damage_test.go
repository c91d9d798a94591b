package store

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dgraph-io/badger/v4"

	"github.com/dncd/dncd/internal/policy"
	"github.com/dncd/dncd/store/internal/badgerdir"
	"github.com/dncd/dncd/store/internal/journal"
	"github.com/dncd/dncd/store/internal/keys"
)

// The policies of TestDamageToWhatAVerdictRestsOn: the second differs in what does not matter.
const (
	consentInUS      = "format: 1\ndefault: unknown\ncountries:\n  US:\n    consent: {required: true, counts: [{kind: permission}], source: the law}\n"
	consentInUSLater = consentInUS + "    note: read again\n"
)

// The revisions of its store.
const (
	atPolicy = 1 + iota
	atConsent
	atUse
	atSecondConsent
	atWithdrawal
	atLaterPolicy
)

// harmTo is what is done to a value of a store.
type harmTo func(txn *badger.Txn, key []byte) error

func unreadable(txn *badger.Txn, key []byte) error {
	return txn.Set(key, []byte("not what was written"))
}
func gone(txn *badger.Txn, key []byte) error { return txn.Delete(key) }

// TestDamageToWhatAVerdictRestsOn: fsck names what is damaged of a consent, its withdrawal, its use and the policies, also of one that
// only the past shows. Nobody without consent gets ALLOW, now or as of then, and nobody with one whose record or policy is unreadable.
func TestDamageToWhatAVerdictRestsOn(t *testing.T) {
	t.Parallel()
	permitted, withdrawn, without := fiction(415, 1), fiction(415, 2), fiction(415, 3)
	whole := t.TempDir()
	s := open(t, whole)
	setPolicy(t, s, consentInUS)
	_, err := s.RecordConsent(t.Context(), permission(permitted, "acme", s.Now().Add(-time.Hour)), Request{Story: Story{Evidence: "form 7"}})
	must(t, err)
	_, err = s.UseConsents(t.Context(), permitted, "acme", []policy.EventID{{Revision: atConsent}}, atConsent, Request{})
	must(t, err)
	consent(t, s, permission(withdrawn, "acme", s.Now().Add(-time.Hour)))
	_, err = s.WithdrawConsent(t.Context(), withdrawn, "acme", 0, Request{})
	must(t, err)
	setPolicy(t, s, consentInUSLater)
	closeStore(t, s)
	records := keys.Records(uint64(permitted))
	ended := keys.Records(uint64(withdrawn))
	history := func(revision uint64) []byte {
		return keys.History(uint64(permitted), policy.EventID{Revision: revision})
	}
	policyAt := func(revision uint64) []byte { return keys.Policy(policy.EventID{Revision: revision}) }
	for name, c := range map[string]struct {
		key   []byte
		at    uint64
		harm  harmTo
		named string // by fsck
		doubt bool   // the number with a consent is UNKNOWN from then on
	}{
		"the record of a consent":       {records, atConsent, unreadable, `a value of kind "r"`, true},
		"the records of a withdrawal":   {ended, atWithdrawal, unreadable, `a value of kind "r"`, false},
		"a consent in the history":      {history(atConsent), atConsent, gone, "missing in its number's history", false},
		"a use in the history":          {history(atUse), atUse, gone, "missing in its number's history", false},
		"the policy in force":           {policyAt(atLaterPolicy), atLaterPolicy, unreadable, `a value of kind "o"`, true},
		"a past policy":                 {policyAt(atPolicy), atPolicy, unreadable, `a value of kind "o"`, false},
		"the event of a consent":        {journal.Key(atConsent), atConsent, unreadable, "revisions 2 to 2 are gone", false},
		"the event of a use":            {journal.Key(atUse), atUse, unreadable, "revisions 3 to 3 are gone", false},
		"the event of a withdrawal":     {journal.Key(atWithdrawal), atWithdrawal, unreadable, "revisions 5 to 5 are gone", false},
		"the event of the last policy":  {journal.Key(atLaterPolicy), atLaterPolicy, unreadable, "are gone", true},
		"the event of the first policy": {journal.Key(atPolicy), atPolicy, unreadable, "revisions 1 to 1 are gone", false},
	} {
		t.Run(name, func(t *testing.T) {
			dir := copyOf(t, whole)
			harmKey(t, dir, c.key, c.at, c.harm)
			wantProblem(t, dir, c.named)
			s, err := Open(dir, testOptions())
			must(t, err)
			t.Cleanup(func() { _ = s.Close() }) // it reports the damage
			for revision := range uint64(atLaterPolicy + 1) {
				v, err := s.ViewAt(revision)
				if err != nil {
					continue // no answer is no permission
				}
				if revision >= atPolicy && verdictAt(v, without, "acme") == policy.Allow {
					t.Errorf("as of revision %d a number without consent is ALLOW", revision)
				}
				if revision >= atWithdrawal && verdictAt(v, withdrawn, "acme") == policy.Allow {
					t.Errorf("as of revision %d a number whose consent was withdrawn is ALLOW", revision)
				}
				if got := verdictAt(v, permitted, "acme"); revision >= c.at && c.doubt && got != policy.Unknown {
					t.Errorf("as of revision %d the number gets %v, want UNKNOWN", revision, got)
				}
			}
		})
	}
	t.Run("withdrawals that the state does not know", func(t *testing.T) {
		dir := copyOf(t, whole)
		harmKey(t, dir, ended, atWithdrawal, gone) // as if there had never been a consent
		wantProblem(t, dir, "revision 5 event 0 is not in the state")
	})
	t.Run("the story of a consent", func(t *testing.T) {
		dir := copyOf(t, whole)
		must(t, os.RemoveAll(filepath.Join(dir, storiesDir)))
		wantProblem(t, dir, "missing: 1, of revisions 2")
	})
	t.Run("a past policy that is missing", func(t *testing.T) {
		dir := copyOf(t, whole)
		harmKey(t, dir, policyAt(atPolicy), atPolicy, gone)
		wantProblem(t, dir, "1 policies of the journal are missing")
	})
}

func wantProblem(t *testing.T, dir, named string) {
	t.Helper()
	if r := mustFsck(t, dir); !slices.ContainsFunc(r.Problems, func(p string) bool { return strings.Contains(p, named) }) {
		t.Errorf("fsck finds %q, want %q among it", r.Problems, named)
	}
}

// harmKey harms a value of a closed store, in the version of a revision.
func harmKey(t *testing.T, dir string, key []byte, at uint64, harm harmTo) {
	t.Helper()
	db, err := badgerdir.Open(badgerdir.Options(filepath.Join(dir, badgerDir), testOptions().withDefaults().Logger), true)
	must(t, err)
	txn := db.NewTransactionAt(at, true)
	defer txn.Discard()
	must(t, harm(txn, key))
	must(t, errors.Join(txn.CommitAt(at, nil), db.Close()))
}
