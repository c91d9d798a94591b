package store

import (
	"fmt"
	"time"

	storev1 "github.com/dncd/dncd/internal/proto/store/v1"
	"github.com/dncd/dncd/store/internal/keys"
	"github.com/dncd/dncd/store/internal/state"
)

func (r *actReader) subscriberPut(e *storev1.Event) error {
	c := e.GetSubscriberPut()
	words := subscriberInWords(c.GetSettings())
	if c.GetRebase() {
		words += ", its log begins again"
	}
	r.is(ActSubscriberPut, c.GetSettings().GetName(), doneInWords(c.GetSubscriber() == nil)+": "+words)
	r.act.Scopes = state.Filter(c.GetSettings()).Scopes
	return nil
}

func (r *actReader) subscriberRemoved(e *storev1.Event) error {
	var st storev1.SubscriberState
	_, err := state.Get(r.txn, keys.Subscriber(state.RefID(e.GetSubscriberRemoved().GetSubscriber())), &st)
	r.is(ActSubscriberRemoved, st.GetSettings().GetName(), "")
	r.act.Scopes = state.Filter(st.GetSettings()).Scopes
	return err
}

// baseCompared has counts of numbers, which are nobody's.
func (r *actReader) baseCompared(e *storev1.Event) error {
	c := e.GetBaseCompared()
	var st storev1.SubscriberState
	_, err := state.Get(r.txn, keys.Subscriber(state.RefID(c.GetSubscriber())), &st)
	words := numbersInWords(c.GetNumbers())
	if n := c.GetRejected(); n > 0 {
		words += ", " + thousands(n) + " unreadable"
	}
	words += fmt.Sprintf(": %s of %s missing, %s in flight, %s extra",
		thousands(c.GetMissing()), thousands(c.GetExpected()), thousands(c.GetInFlight()), thousands(c.GetExtra()))
	if n := len(c.GetInDoubt()); n > 0 {
		words += ", " + plural(n, "list") + " in doubt"
	}
	r.is(ActSubscriberCompared, st.GetSettings().GetName(), words)
	r.act.Scopes = state.Filter(st.GetSettings()).Scopes
	return err
}

// policySet says by which version, and not what changed: GetPolicy has the documents.
func (r *actReader) policySet(e *storev1.Event) error {
	c := e.GetPolicySet()
	words := plural(len(c.GetDocument()), "byte")
	if base := c.GetBase(); base != nil {
		words += fmt.Sprintf(", in place of that of revision %d", base.GetRevision())
	}
	r.is(ActPolicySet, policyVersion(r.act.ID, c.GetSha256()), words)
	return nil
}

func (r *actReader) deskPut(e *storev1.Event) error {
	c := e.GetDeskPut()
	r.is(ActDeskPut, c.GetSettings().GetName(), doneInWords(c.GetDesk() == nil))
	return nil
}

func (r *actReader) deskRemoved(e *storev1.Event) error {
	var st storev1.DeskState
	_, err := state.Get(r.txn, keys.Desk(state.RefID(e.GetDeskRemoved().GetDesk())), &st)
	r.is(ActDeskRemoved, st.GetSettings().GetName(), "")
	return err
}

func doneInWords(registered bool) string {
	if registered {
		return "registered"
	}
	return "changed"
}

var subscriberKindsInWords = map[SubscriberKind]string{Internal: "internal", Subcontractor: "subcontractor"}

// subscriberInWords leaves out owner and contact, which are personal data.
func subscriberInWords(m *storev1.SubscriberSettings) string {
	words := "kind " + subscriberKindsInWords[SubscriberKind(m.GetKind())]
	if len(m.GetScopes()) == 0 {
		words += ", everywhere"
	}
	for _, s := range m.GetScopes() {
		words += ", at " + s
	}
	if n := len(m.GetLists()); n > 0 {
		words += ", " + plural(n, "list")
	}
	if m.GetAllowRegistry() {
		words += ", registries allowed"
	}
	words += fmt.Sprintf(", within %v", time.Duration(m.GetDeadline()))
	if n := len(m.GetKeys()); n > 0 {
		words += ", " + plural(n, "key")
	}
	return words
}
