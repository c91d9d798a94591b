package store

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/dncd/dncd/internal/access"
	"github.com/dncd/dncd/internal/policy"
	storev1 "github.com/dncd/dncd/internal/proto/store/v1"
	"github.com/dncd/dncd/store/internal/keys"
	"github.com/dncd/dncd/store/internal/state"
)

// ActKind is what an administrative act did, numbered as the contract's dnc.v1.ActKind.
type ActKind uint8

// The kinds of act.
const (
	ActUnspecified ActKind = iota
	ActListCreated
	ActListUpdated
	ActListDeleted
	ActListLoaded
	ActListConfirmed
	ActListReverted
	ActListUnloaded
	ActOptOutsImported
	ActLossAccepted
	ActRestored
	ActTokenCreated
	ActTokenRevoked
	ActSubscriberPut
	ActSubscriberRemoved
	ActDeskPut
	ActDeskRemoved
	ActSubscriberCompared
	ActPolicySet
	ActConsentsImported
)

// Act is one administrative act. It holds no number of a person.
type Act struct {
	ID      policy.EventID
	Time    time.Time
	Kind    ActKind
	Subject string // the name of the list, token, subscriber or desk; of an import, its id; empty where there is none
	Detail  string // the rest in words, for a person
	// Scopes are those of the list, token or subscriber. None: it concerns every scope, or nobody knows which.
	Scopes     []policy.Scope
	RecordedBy string // as in Story
	Proven     bool
}

// acts has, for each kind of event by its field in storev1.Event, the method that makes an act of it; nil: it is no act.
//
// To add an event, add its line here; TestEveryEventIsAnActOrNot walks them.
var acts = map[protowire.Number]func(r *actReader, e *storev1.Event) error{
	16: nil, // opt_out
	17: nil, // opt_out_withdrawn
	18: (*actReader).recordsImported,
	19: nil, // opt_outs
	20: nil, // consent_recorded
	21: nil, // consent_withdrawn
	22: nil, // consent_used
	32: (*actReader).listCreated,
	33: (*actReader).listUpdated,
	34: (*actReader).listDeleted,
	35: nil, // load_prepared: its switch is the act
	36: (*actReader).listLoaded,
	37: nil, // load_abandoned: nothing counted
	38: (*actReader).listConfirmed,
	39: (*actReader).listUnloaded,
	40: (*actReader).tokenCreated,
	41: (*actReader).tokenRevoked,
	48: (*actReader).lossAccepted,
	49: (*actReader).restored,
	50: (*actReader).subscriberPut,
	51: (*actReader).subscriberRemoved,
	52: nil, // acknowledged: a subscriber's, many a day
	53: (*actReader).deskPut,
	54: (*actReader).deskRemoved,
	55: (*actReader).baseCompared,
	56: (*actReader).policySet,
}

func (r *actReader) recordsImported(e *storev1.Event) error {
	load := e.GetRecordsImported().GetLoad()
	counts, kind := load.GetCounts(), ActOptOutsImported
	if Mode(load.GetMode()) == Consents {
		kind = ActConsentsImported
	}
	r.is(kind, load.GetImportId(), fmt.Sprintf("%s recorded, %s already there, %s rejected, %s",
		thousands(counts.GetAccepted()), thousands(counts.GetDuplicates()), thousands(counts.GetRejected()), plural(len(load.GetSources()), "file")))
	return nil
}

func (r *actReader) listCreated(e *storev1.Event) error {
	c := e.GetListCreated()
	r.is(ActListCreated, c.GetName(), settingsInWords(c.GetSettings()))
	r.act.Scopes = []policy.Scope{policy.Scope(c.GetSettings().GetScope())}
	return nil
}

func (r *actReader) listUpdated(e *storev1.Event) error {
	_, err := r.ofList(ActListUpdated, e.GetListUpdated().GetList())
	r.act.Detail = settingsInWords(e.GetListUpdated().GetSettings())
	return err
}

func (r *actReader) listDeleted(e *storev1.Event) error {
	l, err := r.ofList(ActListDeleted, e.GetListDeleted().GetList())
	r.act.Detail = "held " + numbersInWords(l.GetLoad().GetNumbers())
	return err
}

func (r *actReader) listLoaded(e *storev1.Event) error {
	c := e.GetLoadSwitched()
	if _, err := r.ofList(ActListLoaded, c.GetList()); err != nil {
		return err
	}
	var i storev1.ImportEntry
	if _, err := state.Get(r.txn, keys.Import(state.ListID(c.GetList()), c.GetPrepared()), &i); err != nil {
		return err
	}
	r.recordedIn(c.GetPrepared(), i.GetStoryHash())
	r.act.Detail = loadInWords(i.GetLoad())
	switch i.GetLoad().GetMode() {
	case storev1.LoadMode_LOAD_MODE_REVERT:
		r.act.Kind = ActListReverted
		r.act.Detail = fmt.Sprintf("to its content of revision %d, %s", i.GetLoad().GetRevertedTo(), numbersInWords(i.GetLoad().GetNumbers()))
	case storev1.LoadMode_LOAD_MODE_RELOAD, storev1.LoadMode_LOAD_MODE_RESPELL:
		r.act.Kind = ActUnspecified // the server wrote the same content again, or the same numbers
	}
	return nil
}

func (r *actReader) listConfirmed(e *storev1.Event) error {
	_, err := r.ofList(ActListConfirmed, e.GetLoadConfirmed().GetList())
	r.act.Detail = loadInWords(e.GetLoadConfirmed().GetLoad())
	return err
}

func (r *actReader) listUnloaded(e *storev1.Event) error {
	_, err := r.ofList(ActListUnloaded, e.GetListUnloaded().GetList())
	return err
}

func (r *actReader) tokenCreated(e *storev1.Event) error {
	c := e.GetTokenCreated()
	r.is(ActTokenCreated, c.GetName(), grantInWords(c))
	r.act.Scopes = scopesOf(c)
	return nil
}

// tokenRevoked takes the scopes that the grant had; none if the same revision granted it.
func (r *actReader) tokenRevoked(e *storev1.Event) error {
	c := e.GetTokenRevoked()
	r.is(ActTokenRevoked, c.GetName(), "")
	var before storev1.GrantState
	txn := r.v.s.db.NewTransactionAt(r.act.ID.Revision-1, false)
	defer txn.Discard()
	_, err := state.Get(txn, keys.Grant(c.GetName()), &before)
	r.act.Scopes = scopesOf(before.GetGranted())
	return err
}

func (r *actReader) lossAccepted(e *storev1.Event) error {
	var gaps []string
	for _, g := range e.GetLossAccepted().GetGaps() {
		gaps = append(gaps, fmt.Sprintf("%d to %d", g.GetFrom(), g.GetTo()))
	}
	r.is(ActLossAccepted, "", "everything after the revision before it, if there was more")
	if len(gaps) > 0 {
		r.act.Detail = "revisions " + strings.Join(gaps, ", ")
	}
	r.act.Detail += lastKnownInWords(e.GetLossAccepted())
	return nil
}

// lastKnownInWords says where the journal was last known to be; an event of an earlier version does not.
func lastKnownInWords(l *storev1.LossAccepted) string {
	if len(l.GetFromChain()) == 0 {
		return ""
	}
	of, by := "the journal", "its last entry"
	if id := l.GetFromJournalId(); len(id) > 0 {
		of = fmt.Sprintf("journal %x", id)
	}
	if l.GetFromMark() {
		by = "its mark"
	}
	return fmt.Sprintf("; %s was last known at revision %d, by %s", of, l.GetFromRevision(), by)
}

func (r *actReader) restored(e *storev1.Event) error {
	c := e.GetRestored()
	r.is(ActRestored, "", fmt.Sprintf("the copy ended at revision %d of journal %x", c.GetFromRevision(), c.GetFromJournalId()))
	return nil
}

func scopesOf(c *storev1.TokenCreated) (scopes []policy.Scope) {
	for _, s := range c.GetScopes() {
		scopes = append(scopes, policy.Scope(s))
	}
	return scopes
}

var listKindsInWords = map[policy.ListKind]string{
	policy.ListRegistry: "registry", policy.ListSuppression: "suppression", policy.ListLitigator: "litigator",
}

func settingsInWords(m *storev1.ListSettings) string {
	words := []string{"kind " + listKindsInWords[policy.ListKind(m.GetKind())]}
	for _, w := range []struct{ name, value string }{
		{"scope", m.GetScope()},
		{"jurisdiction", strings.Join(m.GetJurisdiction(), " ")},
	} {
		if w.value != "" {
			words = append(words, w.name+" "+w.value)
		}
	}
	if n := len(m.GetCoverage()); n > 0 {
		words = append(words, "covers "+plural(n, "prefix"))
	}
	if n := m.GetMaxAgeDays(); n > 0 {
		words = append(words, "at most "+plural(int(n), "day")+" old")
	}
	return strings.Join(words, ", ")
}

var modesInWords = map[storev1.LoadMode]string{
	storev1.LoadMode_LOAD_MODE_REPLACE: "replace", storev1.LoadMode_LOAD_MODE_ADD: "add",
	storev1.LoadMode_LOAD_MODE_REMOVE: "remove", storev1.LoadMode_LOAD_MODE_DELTA: "delta",
}

func loadInWords(m *storev1.Load) string {
	var words []string
	if mode, known := modesInWords[m.GetMode()]; known {
		words = append(words, "mode "+mode)
	}
	words = append(words, numbersInWords(m.GetNumbers()))
	if n := len(m.GetSources()); n > 0 {
		words = append(words, "from "+plural(n, "file"))
	}
	if d := m.GetSnapshotDate(); d != 0 {
		words = append(words, "as of "+policy.Date(d).String())
	}
	if n := len(m.GetOverridden()); n > 0 {
		words = append(words, plural(n, "guard")+" overridden")
	}
	return strings.Join(words, ", ")
}

func grantInWords(c *storev1.TokenCreated) string {
	words := []string{"certificate"}
	if access.Kind(c.GetKind()) == access.Token {
		words[0] = "token"
	}
	for _, r := range access.Roles(c.GetRoles()).Each() {
		words = append(words, r.String())
	}
	for _, s := range c.GetScopes() {
		words = append(words, "at "+s)
	}
	if len(c.GetScopes()) == 0 {
		words = append(words, "everywhere")
	}
	if end := c.GetExpiresAt(); end != 0 {
		words = append(words, "until "+state.Time(end).Format(time.RFC3339))
	}
	return strings.Join(words, ", ")
}

func numbersInWords(n uint64) string { return thousands(n) + " numbers" }

func plural(n int, one string) string {
	switch {
	case n == 1:
		return "1 " + one
	case strings.HasSuffix(one, "x"):
		one += "e"
	}
	return thousands(uint64(n)) + " " + one + "s"
}

// thousands is a number with a comma before each three digits.
func thousands(n uint64) string {
	s := strconv.FormatUint(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
