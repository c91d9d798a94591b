package store

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dncd/dncd/internal/access"
	"github.com/dncd/dncd/internal/feed"
	"github.com/dncd/dncd/internal/policy"
	storev1 "github.com/dncd/dncd/internal/proto/store/v1"
	"github.com/dncd/dncd/store/internal/state"
)

// SubscriberKind is what a subscriber is, numbered as the contract's dnc.v1.SubscriberKind.
type SubscriberKind = state.SubscriberKind

// The kinds of subscribers.
const (
	SubscriberUnspecified = state.SubscriberUnspecified
	Internal              = state.Internal      // a base of the organisation itself
	Subcontractor         = state.Subcontractor // of another company, which calls for it
)

// SubscriberSettings is what a person says of a subscriber.
type SubscriberSettings struct {
	Name          string
	Kind          SubscriberKind
	Owner         string
	Parent        policy.EventID // the subscriber that hands work on to it; zero: none
	Contact       string
	Filter        feed.Filter
	AllowRegistry bool
	Deadline      time.Duration
	Keys          []string // note verifiers
	Identity      string   // the name of a grant; empty: none
}

// Limits of the settings of subscribers and desks.
const (
	MaxOwner        = 256 // bytes, also of a contact
	MaxKeys         = 8
	MaxDeadline     = 3660 * 24 * time.Hour
	DefaultDeadline = 24 * time.Hour
)

// Subscriber is a subscriber as one view has it. It never changes.
type Subscriber struct {
	SubscriberSettings
	ID              policy.EventID
	Epoch           uint64 // the revision with which its log began
	FilterHash      feed.Hash
	Verifiers       []feed.PublicKey // of its keys; without those that this version does not read
	CreatedAt       time.Time
	UpdatedAt       time.Time
	UpdatedRevision uint64
	RemovedAt       time.Time // zero: it was not
	Compared        *Compared // the last comparison with an export of the base; nil: there was none

	acknowledged [feed.Applied + 1]*Acknowledgement
}

// Acknowledgement is the newest of a stage.
type Acknowledgement struct {
	ID       policy.EventID // of the event that recorded it
	Time     time.Time      // of that event
	Epoch    uint64
	Revision uint64    // up to this one,
	Changes  uint64    // so many changes of the epoch,
	Hash     feed.Hash // which lead to this hash
	Signed   bool
}

// Acknowledged is the newest acknowledgement of a stage, or of one that includes it, in this epoch; nil: there is none.
func (s *Subscriber) Acknowledged(stage feed.Stage) *Acknowledgement { return s.acknowledged[stage] }

// compileSubscriber makes the value that a view holds from the stored state of a subscriber.
func compileSubscriber(id policy.EventID, st *storev1.SubscriberState) *Subscriber {
	s := &Subscriber{
		SubscriberSettings: subscriberSettingsOf(st.GetSettings()),
		ID:                 id,
		Epoch:              st.GetEpoch(),
		CreatedAt:          state.Time(st.GetCreatedTime()),
		UpdatedAt:          state.Time(st.GetUpdatedTime()),
		UpdatedRevision:    st.GetUpdatedRevision(),
		RemovedAt:          state.Time(st.GetRemovedTime()),
		Compared:           comparedOf(st.GetCompared()),
	}
	s.FilterHash = s.Filter.Hash()
	for _, text := range s.Keys {
		if key, err := feed.ParsePublicKey(text); err == nil {
			s.Verifiers = append(s.Verifiers, key)
		}
	}
	for stage, ack := range []*storev1.AckState{feed.Received: st.GetReceived(), feed.Durable: st.GetDurable(), feed.Applied: st.GetApplied()} {
		if ack != nil {
			s.acknowledged[stage] = acknowledgementOf(ack)
		}
	}
	return s
}

func acknowledgementOf(m *storev1.AckState) *Acknowledgement {
	a := &Acknowledgement{
		ID:       policy.EventID{Revision: m.GetRevision(), Index: m.GetIndex()},
		Time:     state.Time(m.GetTime()),
		Epoch:    m.GetEpoch(),
		Revision: m.GetUpTo(),
		Changes:  m.GetChanges(),
		Signed:   m.GetSigned(),
	}
	copy(a.Hash[:], m.GetHash())
	return a
}

func subscriberSettingsOf(m *storev1.SubscriberSettings) SubscriberSettings {
	return SubscriberSettings{
		Name:          m.GetName(),
		Kind:          SubscriberKind(m.GetKind()),
		Owner:         m.GetOwner(),
		Parent:        state.RefID(m.GetParent()),
		Contact:       m.GetContact(),
		Filter:        state.Filter(m),
		AllowRegistry: m.GetAllowRegistry(),
		Deadline:      time.Duration(m.GetDeadline()),
		Keys:          m.GetKeys(),
		Identity:      m.GetIdentity(),
	}
}

func (s *SubscriberSettings) message() *storev1.SubscriberSettings {
	m := &storev1.SubscriberSettings{
		Name:          s.Name,
		Kind:          uint32(s.Kind),
		Owner:         s.Owner,
		Parent:        state.Ref(s.Parent),
		Contact:       s.Contact,
		AllowRegistry: s.AllowRegistry,
		Deadline:      int64(s.Deadline),
		Keys:          s.Keys,
		Identity:      s.Identity,
	}
	f := s.Filter.Normal()
	for _, scope := range f.Scopes {
		m.Scopes = append(m.Scopes, string(scope))
	}
	for _, id := range f.Lists {
		m.Lists = append(m.Lists, state.ListRef(id))
	}
	return m
}

// check returns ErrSubscriberSettings with what is wrong.
func (s *SubscriberSettings) check() error {
	wrong := func(why string) error { return fmt.Errorf("%w: %s", ErrSubscriberSettings, why) }
	switch {
	case !policy.IsName(s.Name):
		return wrong("a name is 1 to 64 characters of a-z 0-9 . _ - and begins with a letter or digit, with at most 8 digits without a letter between them")
	case s.Kind != Internal && s.Kind != Subcontractor:
		return wrong("kind must be internal or subcontractor")
	case len(s.Owner) > MaxOwner || len(s.Contact) > MaxOwner:
		return wrong(fmt.Sprintf("owner and contact have at most %d bytes", MaxOwner))
	case s.Deadline <= 0 || s.Deadline > MaxDeadline:
		return wrong("deadline must be more than 0 and at most 3660 days")
	case len(s.Keys) > MaxKeys:
		return wrong(fmt.Sprintf("at most %d keys", MaxKeys))
	}
	if err := s.Filter.Check(); err != nil {
		return fmt.Errorf("%w: %w", ErrSubscriberSettings, err)
	}
	if err := s.checkKeys(); err != nil {
		return fmt.Errorf("%w: %w", ErrSubscriberSettings, err)
	}
	if s.Identity == "" {
		return nil
	}
	if err := access.CheckName(s.Identity); err != nil {
		return fmt.Errorf("%w: identity: %w", ErrSubscriberSettings, err)
	}
	return nil
}

// checkKeys refuses what is no public key, and one that is named twice.
func (s *SubscriberSettings) checkKeys() error {
	seen := map[string]bool{}
	for i, text := range s.Keys {
		key, err := feed.ParsePublicKey(text)
		if err != nil {
			return fmt.Errorf("key %d: %w", i+1, err)
		}
		if seen[key.Fingerprint()] {
			return fmt.Errorf("key %d is named twice", i+1)
		}
		seen[key.Fingerprint()] = true
		s.Keys[i] = key.Text()
	}
	return nil
}

// Subscribers are the subscribers of a view, without those that were removed. It never changes.
type Subscribers struct {
	byName, byID []*Subscriber
}

func newSubscribers(all []*Subscriber) *Subscribers {
	t := &Subscribers{byName: slices.Clone(all), byID: all}
	slices.SortFunc(t.byName, func(a, b *Subscriber) int { return strings.Compare(a.Name, b.Name) })
	slices.SortFunc(t.byID, func(a, b *Subscriber) int { return compareIDs(a.ID, b.ID) })
	return t
}

// All are all of them, by name.
func (t *Subscribers) All() []*Subscriber {
	if t == nil {
		return nil
	}
	return t.byName
}

// Named is the one of that name; nil: there is none.
func (t *Subscribers) Named(name string) *Subscriber {
	i, found := slices.BinarySearchFunc(t.All(), name, func(s *Subscriber, name string) int { return strings.Compare(s.Name, name) })
	if !found {
		return nil
	}
	return t.byName[i]
}

// ByID is the one with that id; nil: there is none, or none any more.
func (t *Subscribers) ByID(id policy.EventID) *Subscriber {
	if t == nil {
		return nil
	}
	i, found := slices.BinarySearchFunc(t.byID, id, func(s *Subscriber, id policy.EventID) int { return compareIDs(s.ID, id) })
	if !found {
		return nil
	}
	return t.byID[i]
}

// with are the subscribers once some have changed.
func (t *Subscribers) with(changed map[policy.EventID]*storev1.SubscriberState) *Subscribers {
	var all []*Subscriber
	for _, s := range t.All() {
		if _, is := changed[s.ID]; !is {
			all = append(all, s)
		}
	}
	for id, st := range changed {
		if st.GetRemoved() == 0 {
			all = append(all, compileSubscriber(id, st))
		}
	}
	return newSubscribers(all)
}
