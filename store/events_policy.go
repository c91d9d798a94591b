package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"

	"github.com/dncd/dncd/internal/place"
	"github.com/dncd/dncd/internal/policydoc"
	storev1 "github.com/dncd/dncd/internal/proto/store/v1"
	"github.com/dncd/dncd/store/internal/fault"
	"github.com/dncd/dncd/store/internal/state"
)

// PolicyChange asks for another policy.
type PolicyChange struct {
	Document []byte
	// Expected is the version that the change was made from, if From; empty: none was set.
	From     bool
	Expected string
	DryRun   bool // say what it would change, and change nothing
}

// PolicyWrite is what a change of the policy came to.
type PolicyWrite struct {
	Receipt           // zero if nothing was written
	Policy    *Policy // that is in force now; of a dry run that which would be, without an id
	Base      string  // the version that it was compared with; empty: none was set
	Unchanged bool    // it is the policy that was in force already: nothing was written
	Changes   []policydoc.Change
	Loosened  []policydoc.Change // changes that permit calls that were not permitted before
}

// SetPolicy puts a policy in force, from the receipt's revision on. The filters of subscribers become as wide as its opt-outs
// reach. Errors: ErrPolicyInvalid, ErrPolicyMoved when another one than expected is in force, ErrUnconfirmed when it permits
// calls that were not permitted before and the request is not Confirmed, and those of every write.
func (s *Store) SetPolicy(ctx context.Context, c PolicyChange, r Request) (PolicyWrite, error) {
	for {
		w, err := s.trySetPolicy(ctx, c, r)
		if !errors.Is(err, fault.ErrMoved) {
			return w, err
		}
	}
}

func (s *Store) trySetPolicy(ctx context.Context, c PolicyChange, r Request) (PolicyWrite, error) {
	v := s.View()
	if err := v.whole(); err != nil {
		return PolicyWrite{}, err
	}
	old := v.PolicyInForce()
	if c.From && c.Expected != old.Version {
		return PolicyWrite{}, fmt.Errorf("%w: %s", ErrPolicyMoved, versionText(old.Version))
	}
	w, set, err := comparePolicy(old, c.Document)
	if err != nil || w.Unchanged || c.DryRun {
		return w, err
	}
	if len(w.Loosened) > 0 && !r.Confirmed {
		return w, fault.Unconfirmed("calls would become permitted: " + loosenedInWords(w.Loosened))
	}
	w.Receipt, err = s.record(ctx, &storev1.Event{Change: &storev1.Event_PolicySet{PolicySet: set}}, r)
	if err != nil {
		return PolicyWrite{}, err
	}
	if w.Duplicate {
		first, _, err := s.RepeatedPolicyWrite(r)
		return first, err
	}
	w.Policy, _ = makePolicy(w.ID, &storev1.PolicyState{Set: set, Time: w.Time.UnixNano()})
	return w, nil
}

func versionText(version string) string {
	if version == "" {
		return "no policy is in force"
	}
	return "version " + version + " is in force"
}

// comparePolicy reads a document, and compares it with the policy that is in force.
func comparePolicy(old *Policy, document []byte) (w PolicyWrite, set *storev1.PolicySet, err error) {
	doc, err := policydoc.Parse(document, place.Holidays)
	if err != nil {
		return w, nil, fmt.Errorf("%w:\n%w", ErrPolicyInvalid, err)
	}
	if bytes.Equal(document, old.Document) {
		return PolicyWrite{Policy: old, Base: old.Version, Unchanged: true}, nil, nil
	}
	sha := sha256.Sum256(document)
	compiled := doc.Compile("", place.Holidays)
	w.Base = old.Version
	w.Policy = &Policy{Document: document, SHA256: sha[:], read: doc, compiled: compiled}
	before := old.read
	if before == nil {
		before = &policydoc.Document{}
	}
	w.Changes, w.Loosened = policydoc.Diff(before, doc), policydoc.Loosens(old.compiled, compiled)
	return w, &storev1.PolicySet{Document: document, Sha256: sha[:], Reach: uint32(policydoc.Reach(compiled)), Base: state.Ref(old.ID)}, nil
}

// maxLoosened is how many changes a message names.
const maxLoosened = 10

func loosenedInWords(changes []policydoc.Change) string {
	var words []string
	for i := range changes[:min(len(changes), maxLoosened)] {
		words = append(words, changes[i].Where()+": "+changes[i].What)
	}
	if more := len(changes) - maxLoosened; more > 0 {
		words = append(words, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(words, "; ")
}

// RepeatedPolicyWrite returns what a change of the policy came to: see RepeatedListWrite. Errors: ErrRequestReused.
func (s *Store) RepeatedPolicyWrite(r Request) (w PolicyWrite, found bool, err error) {
	receipt, e, err := s.repeated(r)
	if e == nil || err != nil {
		return w, e != nil, err
	}
	c := e.GetPolicySet()
	if c == nil {
		return w, true, ErrRequestReused
	}
	before, err := s.ViewAt(receipt.ID.Revision - 1)
	if err != nil {
		return w, true, err
	}
	w, _, err = comparePolicy(before.PolicyInForce(), c.GetDocument())
	w.Receipt = receipt
	w.Policy, _ = makePolicy(receipt.ID, &storev1.PolicyState{Set: c, Time: receipt.Time.UnixNano()})
	return w, true, err
}
