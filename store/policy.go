package store

import (
	"bytes"
	"fmt"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/dgraph-io/badger/v4"

	"github.com/dncd/dncd/internal/place"
	"github.com/dncd/dncd/internal/policy"
	"github.com/dncd/dncd/internal/policydoc"
	storev1 "github.com/dncd/dncd/internal/proto/store/v1"
	"github.com/dncd/dncd/store/internal/badgerdir"
	"github.com/dncd/dncd/store/internal/state"
)

// Policy is a policy that was set. It never changes.
type Policy struct {
	ID         policy.EventID // of the event that set it; zero: none was
	Time       time.Time      // of that event
	Version    string         // names it in answers; empty: none was set
	Document   []byte         // as it was written; not to be changed
	SHA256     []byte         // of the document
	RecordedBy string         // as in Story; only of View.Policies
	Proven     bool

	read     *policydoc.Document // nil: this version cannot read it
	compiled *policy.Policy      // nil: none was set
}

// noPolicySet is in force where none was set.
var noPolicySet = &Policy{Document: policydoc.Empty().Write(), read: policydoc.Empty()}

// policyVersion names a policy in answers: the revision that set it, and what its document is.
func policyVersion(id policy.EventID, sha []byte) string {
	return fmt.Sprintf("%d-%x", id.Revision, sha[:min(4, len(sha))])
}

// hiddenPolicy is in force where damage hides which one is.
var hiddenPolicy = &Policy{compiled: &policy.Policy{Unreadable: true}}

// makePolicy compiles a policy. By one that this version cannot read nothing is known: no call is permitted.
func makePolicy(id policy.EventID, st *storev1.PolicyState) (*Policy, error) {
	set := st.GetSet()
	p := &Policy{
		ID: id, Time: state.Time(st.GetTime()), Version: policyVersion(id, set.GetSha256()),
		Document: set.GetDocument(), SHA256: set.GetSha256(),
	}
	p.compiled = &policy.Policy{Version: p.Version, Unreadable: true}
	doc, err := policydoc.Parse(set.GetDocument(), place.Holidays)
	if err != nil {
		return p, fmt.Errorf("policy %s cannot be read, so no call is permitted: start the version of dncd that set it, or set another policy: %w", p.Version, err)
	}
	place.ClocksOf(0) // makes the table now, and not during the first check
	p.read, p.compiled = doc, doc.Compile(p.Version, place.Holidays)
	return p, nil
}

// Readable reports whether this version can read the policy. By one that it cannot read no call is permitted.
func (p *Policy) Readable() bool { return p.read != nil }

// policies keeps what was compiled.
type policies struct {
	mu   sync.Mutex
	made []*Policy
}

// keptPolicies is how many of them; views of the past may need several.
const keptPolicies = 64

// of is the policy that the state holds, compiled once.
func (c *policies) of(s *Store, id policy.EventID, st *storev1.PolicyState) *Policy {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range c.made {
		if p.ID == id && bytes.Equal(p.SHA256, st.GetSet().GetSha256()) {
			return p
		}
	}
	p, err := makePolicy(id, st)
	if err != nil {
		s.log.Error("checks answer UNKNOWN", "err", err)
	}
	if len(c.made) >= keptPolicies {
		c.made = slices.Delete(c.made, 0, 1)
	}
	c.made = append(c.made, p)
	return p
}

// readPolicy is the policy that is in force where the transaction reads. With an error it is one by which no call is permitted.
func (s *Store) readPolicy(txn *badger.Txn) (*Policy, error) {
	last, err := lastPolicy(txn)
	if err != nil {
		return hiddenPolicy, err
	}
	if last.State == nil {
		return noPolicySet, nil
	}
	return s.policies.of(s, last.ID, last.State), nil
}

func lastPolicy(txn *badger.Txn) (last state.Stored[*storev1.PolicyState], err error) {
	defer badgerdir.CatchDamage(debug.SetPanicOnFault(true), &err)
	return state.LastPolicy(txn)
}

// Policy is the policy that decides; nil: none was set.
func (v *View) Policy() *policy.Policy { return v.policy.compiled }

// PolicyInForce is the policy with its document. Where none was set, that of the document that changes no answer.
func (v *View) PolicyInForce() *Policy { return v.policy }

// PolicyToShow is PolicyInForce, or ErrDamaged where damage may hide which policy is in force.
func (v *View) PolicyToShow() (*Policy, error) { return v.policy, v.complete() }

// PolicyVersion names the policy that is in force; empty: none was set.
func (v *View) PolicyVersion() string { return v.policy.Version }

// Policies returns the policies that were set, newest first, without their documents: those before an event, at most limit of
// them. Before zero: from the newest.
func (v *View) Policies(before policy.EventID, limit int) (found []*Policy, err error) {
	defer badgerdir.CatchDamage(debug.SetPanicOnFault(true), &err)
	txn := v.s.db.NewTransactionAt(v.revision, false)
	defer txn.Discard()
	var all []state.Stored[*storev1.PolicyState]
	for p, err := range state.Policies(txn) {
		if err != nil {
			return nil, err
		}
		if before == (policy.EventID{}) || compareIDs(p.ID, before) < 0 {
			all = append(all, p)
			all = all[max(0, len(all)-limit):]
		}
	}
	slices.Reverse(all)
	for _, p := range all {
		set := p.State.GetSet()
		story, _ := v.s.stories.Get(p.ID.Revision, p.State.GetStoryHash(), 0)
		found = append(found, &Policy{
			ID: p.ID, Time: state.Time(p.State.GetTime()), Version: policyVersion(p.ID, set.GetSha256()),
			SHA256: set.GetSha256(), RecordedBy: story.RecordedBy, Proven: story.Proven,
		})
	}
	return found, v.complete()
}
