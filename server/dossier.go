package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dncd/dncd/internal/access"
	"github.com/dncd/dncd/internal/feed"
	"github.com/dncd/dncd/internal/phone"
	"github.com/dncd/dncd/internal/policy"
	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
	"github.com/dncd/dncd/store"
)

// maxDossierScopes is how many scopes a request may name.
const maxDossierScopes = 100

// GetDossier implements dncv1.PropagationServiceServer.
func (s *propagationService) GetDossier(ctx context.Context, req *dncv1.GetDossierRequest) (*dncv1.GetDossierResponse, error) {
	n, err := numberOf(req.GetNumber(), req.GetRegion())
	if err != nil {
		return nil, err
	}
	caller := callerOf(ctx)
	scopes, err := dossierScopes(caller, req.GetScopes())
	if err != nil {
		return nil, err
	}
	if s.key.Signer == nil {
		return nil, unsupported("a dossier without a signing key")
	}
	if err := s.noteAccess(ctx, "PropagationService/GetDossier", accessed{number: n}); err != nil {
		return nil, err
	}
	v := s.store.View()
	w := dossierWriter{s: s, v: v, caller: caller, number: n, at: instantOf(v)}
	if err := w.write(ctx, scopes); err != nil {
		return nil, err
	}
	note, err := w.d.Sign(s.key)
	if errors.Is(err, feed.ErrTooLarge) {
		return nil, refuse(dncv1.ErrorReason_ERROR_REASON_RECORD_LIMIT, "the dossier is larger than one answer may be: read the number's history, which has pages")
	}
	if err != nil {
		return nil, err
	}
	return &dncv1.GetDossierResponse{Note: note, Position: positionOf(v)}, nil
}

// dossierScopes reads the scopes at which the number is to be checked, all of which must be the caller's.
func dossierScopes(caller *access.Grant, texts []string) (scopes []policy.Scope, err error) {
	if len(texts) > maxDossierScopes {
		return nil, invalidField("scopes", "has at most 100")
	}
	for _, text := range texts {
		scope, err := scopeOf(text)
		if err == nil {
			err = within(caller, scope)
		}
		if err != nil {
			return nil, err
		}
		scopes = append(scopes, scope)
	}
	return scopes, nil
}

// dossierWriter writes what a caller may see of a number at one view.
type dossierWriter struct {
	s      *propagationService
	v      *store.View
	caller *access.Grant
	number phone.Number
	at     instant
	d      feed.Dossier
	events []store.NumberEvent // those of the dossier, by id
}

func (w *dossierWriter) write(ctx context.Context, scopes []policy.Scope) error {
	p := positionOf(w.v)
	w.d = feed.Dossier{
		Number: w.number.E164(), Regions: w.number.Regions().Strings(), MadeAt: w.at.now.UTC(),
		JournalID: p.GetJournalId(), Revision: p.GetRevision(), Tag: feed.Tag(p.GetTag()).String(),
		ServerKey: w.s.key.Public().Text(), KeyRotations: slices.Concat([]string{}, w.s.key.Rotations),
		Within: scopeTexts(w.caller.Scopes), KeptFrom: historyFrom, KeptFor: "without limit: nothing is deleted from the journal",
		AccessDays: max(int(w.s.store.AccessRetention()/(24*time.Hour)), 0),
		Events:     []feed.DossierEvent{}, Lists: []feed.DossierList{}, FormerLists: []feed.DossierFormerList{}, Verdicts: []feed.DossierVerdict{}, Subscribers: []feed.DossierSubscriber{},
	}
	if err := errors.Join(w.history(), w.lists(), w.formerLists()); err != nil {
		return err
	}
	slices.SortFunc(w.events, func(a, b store.NumberEvent) int {
		return cmp.Or(cmp.Compare(a.ID.Revision, b.ID.Revision), cmp.Compare(a.ID.Index, b.ID.Index))
	})
	w.verdicts(scopes)
	return w.subscribers(ctx)
}

func (w *dossierWriter) history() error {
	desks, err := w.v.AllDesks()
	if err != nil {
		return err
	}
	const page = 1000
	for after, more := (policy.EventID{}), true; more; {
		var found []store.HistoryEvent
		if found, more, err = w.v.History(w.number, after, page); err != nil {
			return err
		}
		for i := range found {
			after = found[i].ID
			if e := &found[i]; w.caller.Sees(e.Scope) {
				w.d.Events = append(w.d.Events, w.event(e, desks))
				switch e.Kind { // a feed carries no consents
				case store.EventOptOut, store.EventOptOutWithdrawn, store.EventOptOutRespelled:
					w.events = append(w.events, store.NumberEvent{ID: e.ID, Scope: e.Scope, Withdrawn: e.Kind == store.EventOptOutWithdrawn})
				}
			}
		}
	}
	return nil
}

func (w *dossierWriter) event(e *store.HistoryEvent, desks []*store.Desk) feed.DossierEvent {
	story := storyFor(w.caller, e.Scope, e.Story, e.StoryState)
	d := feed.DossierEvent{
		ID: feed.FormatEventID(e.ID), Scope: string(e.Scope),
		ReceivedAt: timeOrNull(e.ReceivedAt), RecordedAt: e.Time.UTC(), ExpiresAt: timeOrNull(e.ExpiresAt), Ended: []string{},
		Story: feed.DossierStory{
			State: enumText(story.GetState(), "STORY_STATE_"), Desk: story.GetDesk(), Evidence: story.GetEvidence(), Note: story.GetNote(),
			Reason: story.GetReason(), RecordedBy: story.GetRecordedBy(), RecordedByProven: story.GetRecordedByProven(),
		},
	}
	d.Kind = enumText(eventKinds[e.Kind], "EVENT_KIND_")
	switch e.Kind {
	case store.EventOptOut, store.EventConsent, store.EventOptOutRespelled:
		d.Channel = enumText(channelOf(e.Channel), "CHANNEL_")
	}
	if e.Consent != nil && e.Consent.Kind != policy.ConsentUnspecified {
		d.ConsentKind = enumText(dncv1.ConsentKind(e.Consent.Kind), "CONSENT_KIND_")
	}
	for _, id := range e.Ended {
		d.Ended = append(d.Ended, feed.FormatEventID(id))
	}
	isDesk := func(desk *store.Desk) bool { return desk.ID == e.Desk }
	if i := slices.IndexFunc(desks, isDesk); i >= 0 && w.caller.Holds(e.Scope) {
		d.Desk = &feed.DossierDesk{ID: feed.FormatEventID(e.Desk), Name: desks[i].Name}
	}
	return d
}

// lists adds the lists that hold the number, and since when.
func (w *dossierWriter) lists() error {
	facts, err := w.v.Number(w.number, w.at.byClock())
	if err != nil {
		return err
	}
	for _, l := range facts.Lists {
		if !w.caller.Sees(l.Scope) {
			continue
		}
		since, err := w.v.ListedSince(w.number, l)
		if err != nil {
			return err
		}
		w.d.Lists = append(w.d.Lists, feed.DossierList{
			Name: l.Name, ID: feed.FormatEventID(l.ID), Kind: enumText(listKindOf(l.Kind), "LIST_KIND_"), Scope: string(l.Scope),
			SnapshotDate: l.SnapshotDate.String(), Event: feed.FormatEventID(since.Event), Since: timeOrNull(since.Time), SinceKnown: since.Known,
		})
		w.events = append(w.events, store.NumberEvent{ID: since.Event, List: l.ID})
	}
	return nil
}

// formerLists adds the lists that held the number and hold it no longer.
func (w *dossierWriter) formerLists() error {
	former, complete, err := w.v.FormerListings(w.number)
	if err != nil {
		return err
	}
	w.d.FormerListsComplete = complete
	for _, f := range former {
		if !w.caller.Sees(f.List.Scope) {
			continue
		}
		w.d.FormerLists = append(w.d.FormerLists, feed.DossierFormerList{
			Name: f.List.Name, ID: feed.FormatEventID(f.List.ID), Kind: enumText(listKindOf(f.List.Kind), "LIST_KIND_"), Scope: string(f.List.Scope),
			Event: feed.FormatEventID(f.Since.Event), Since: timeOrNull(f.Since.Time), SinceKnown: f.Since.Known,
			Until: timeOrNull(f.Until.Time), UntilKnown: f.Until.Known,
		})
	}
	return nil
}

// verdicts checks the number at scopes; none: at each of the caller's that a record has.
func (w *dossierWriter) verdicts(scopes []policy.Scope) {
	if len(scopes) == 0 {
		for i := range w.d.Events {
			if scope := policy.Scope(w.d.Events[i].Scope); w.caller.Holds(scope) {
				scopes = append(scopes, scope)
			}
		}
		if len(scopes) == 0 {
			scopes = append(scopes, w.caller.Scopes...)
		}
		if len(scopes) == 0 {
			scopes = append(scopes, "")
		}
	}
	slices.Sort(scopes)
	for _, scope := range slices.Compact(scopes) {
		w.d.Verdicts = append(w.d.Verdicts, w.verdict(scope))
	}
}

func (w *dossierWriter) verdict(scope policy.Scope) feed.DossierVerdict {
	f := factsPool.Get().(*policy.Facts)
	defer release(f)
	decided := decide(w.v, w.number, &asked{scope: scope}, f, w.at)
	out := feed.DossierVerdict{
		Scope: string(scope), Verdict: enumText(verdictOf(decided.Verdict), "VERDICT_"), Reasons: []string{},
	}
	if decided.Cause != policy.CauseNone {
		out.Cause = enumText(causeOf(decided.Cause), "CAUSE_")
	}
	if decided.Verdict == policy.Allow {
		return out
	}
	for _, r := range reasonsOf(&decided) {
		out.Reasons = append(out.Reasons, strings.TrimSpace(enumText(r.GetKind(), "REASON_KIND_")+" "+r.GetList()+r.GetScope()))
	}
	return out
}

// subscribers adds those that the caller sees and that an event of the number concerns.
func (w *dossierWriter) subscribers(ctx context.Context) error {
	all, err := w.v.AllSubscribers()
	if err != nil {
		return err
	}
	room := feed.MaxProofLeaves
	for _, sub := range all {
		if !seesFilter(w.caller, sub.Filter) {
			continue
		}
		known, err := w.s.store.WhoKnew(ctx, w.v, sub, w.number, w.events, &room)
		if err != nil {
			return err
		}
		if len(known) > 0 {
			w.d.Subscribers = append(w.d.Subscribers, dossierSubscriber(sub, known))
		}
	}
	return nil
}

func dossierSubscriber(sub *store.Subscriber, known []store.Knowledge) feed.DossierSubscriber {
	d := feed.DossierSubscriber{
		Name: sub.Name, ID: feed.FormatEventID(sub.ID), Kind: enumText(dncv1.SubscriberKind(sub.Kind), "SUBSCRIBER_KIND_"), Owner: sub.Owner,
		RemovedAt: timeOrNull(sub.RemovedAt), Deadline: int64(sub.Deadline / time.Second),
	}
	for i := range known {
		k := &known[i]
		item := feed.DossierItem{Event: feed.FormatEventID(k.Event), Reached: feed.AsChange, Since: k.Since.UTC(), Proof: k.Proof, Unproven: k.Unproven}
		if k.Snapshot {
			item.Reached = feed.AsSnapshot
		}
		for j, ack := range k.Stages {
			item.Stages = append(item.Stages, dossierStage(feed.Received+feed.Stage(j), ack))
		}
		d.Items = append(d.Items, item)
	}
	return d
}

func dossierStage(stage feed.Stage, ack *store.RecordedAck) feed.DossierStage {
	d := feed.DossierStage{Stage: feed.StageName(stage)}
	if ack != nil {
		d.AcknowledgedAt, d.Signed = timeOrNull(ack.Time), ack.Signed
		d.Epoch, d.Revision, d.Changes, d.Hash = ack.Epoch, ack.Revision, ack.Changes, ack.Hash
		d.Note, d.Key = string(ack.Note), ack.Key
	}
	return d
}

func timeOrNull(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

// enumText is the name of an enum's value without its prefix.
func enumText(value fmt.Stringer, prefix string) string {
	return strings.TrimPrefix(value.String(), prefix)
}
