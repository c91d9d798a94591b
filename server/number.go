package server

import (
	"context"
	"encoding/binary"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/dncd/dncd/internal/access"
	where "github.com/dncd/dncd/internal/place"
	"github.com/dncd/dncd/internal/policy"
	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
	"github.com/dncd/dncd/store"
)

// GetNumber implements dncv1.RecordServiceServer.
func (s *recordService) GetNumber(ctx context.Context, req *dncv1.GetNumberRequest) (*dncv1.GetNumberResponse, error) {
	v, err := s.view(ctx, req.GetReadAt())
	if err != nil {
		return nil, err
	}
	n, err := numberOf(req.GetNumber(), req.GetRegion())
	if err != nil {
		return nil, err
	}
	caller := callerOf(ctx)
	a, err := askedOf(req)
	if err == nil && a.scope != "" {
		err = within(caller, a.scope)
	}
	if err != nil {
		return nil, err
	}
	at := instantOf(v)
	if err := s.noteAccess(ctx, "RecordService/GetNumber", accessed{number: n}); err != nil {
		return nil, err
	}
	facts, err := v.Number(n, at.byClock())
	if err != nil {
		return nil, err
	}
	records, err := recordMessages(caller, facts.Records, at.byClock())
	if err != nil {
		return nil, err
	}
	resp := &dncv1.GetNumberResponse{
		Number:    n.E164(),
		Regions:   n.Regions().Strings(),
		Position:  positionOf(v),
		CheckedAt: stamp(at.now),
		Records:   records,
		Lists:     listEntries(caller, facts.Lists, at.now),

		TablesVersion:    where.TablesVersion(),
		TablesDifference: tablesDifference(req.GetReadAt().GetPast()),
	}
	if mayCheck(caller, a.scope) {
		resp.Check = checkOf(v, n, req, &a, at)
	}
	return resp, nil
}

// recordMessages are the records that the caller sees, if they fit into one answer.
func recordMessages(caller *access.Grant, records []store.RecordDetail, now time.Time) (out []*dncv1.Record, err error) {
	bytes := 0
	for i := range records {
		if !caller.Sees(records[i].Scope) {
			continue
		}
		r := recordMessage(caller, &records[i], now)
		if bytes += proto.Size(r); bytes > pageBytes {
			return nil, refuse(dncv1.ErrorReason_ERROR_REASON_RECORD_LIMIT,
				"the number's records are larger than one answer may be: read its history, which has pages")
		}
		out = append(out, r)
	}
	return out, nil
}

// recordMessage is a record on the wire, with its story if the caller may read it.
func recordMessage(caller *access.Grant, r *store.RecordDetail, now time.Time) *dncv1.Record {
	m := &dncv1.Record{
		Id:         eventID(r.ID),
		Kind:       dncv1.RecordKind(r.Kind),
		Scope:      string(r.Scope),
		Channel:    channelOf(r.Channel),
		ReceivedAt: stamp(r.ReceivedAt),
		RecordedAt: stamp(r.RecordedAt),
		ExpiresAt:  stamp(r.ExpiresAt),
		InForce:    r.InForce(now),
		Story:      storyFor(caller, r.Scope, r.Story, r.StoryState),
	}
	if c := r.Consent; c != nil {
		m.ConsentKind, m.ConsentForm, m.MayLift = dncv1.ConsentKind(c.Kind), dncv1.ConsentForm(c.Form), c.MayLift
		m.Goods, m.ThirdParties = c.Goods, c.ThirdParties
		m.AppointmentFrom, m.AppointmentUntil = stamp(c.From), stamp(c.Until)
	}
	return m
}

// storyRoles are the roles that read stories.
var storyRoles = access.RolesOf(access.Recorder, access.Officer)

// storyFor is a story on the wire; withheld from a caller that may not read stories of records at scope.
func storyFor(caller *access.Grant, scope policy.Scope, story store.Story, state store.StoryState) *dncv1.Story {
	if state != store.StoryNone && !(caller.Roles.Any(storyRoles) && caller.Holds(scope)) {
		return &dncv1.Story{State: dncv1.StoryState_STORY_STATE_WITHHELD}
	}
	return storyMessage(story, state)
}

var storyStates = [...]dncv1.StoryState{
	store.StoryNone:    dncv1.StoryState_STORY_STATE_NONE,
	store.StoryPresent: dncv1.StoryState_STORY_STATE_PRESENT,
	store.StoryMissing: dncv1.StoryState_STORY_STATE_MISSING,
}

func storyMessage(story store.Story, state store.StoryState) *dncv1.Story {
	return &dncv1.Story{
		State:            storyStates[state],
		Desk:             story.Desk,
		Evidence:         story.Evidence,
		Note:             story.Note,
		Reason:           story.Reason,
		RecordedBy:       story.RecordedBy,
		RecordedByProven: story.Proven,
	}
}

func listEntries(caller *access.Grant, lists []*store.List, now time.Time) []*dncv1.ListEntry {
	out := make([]*dncv1.ListEntry, 0, len(lists))
	for _, l := range lists {
		if !caller.Sees(l.Scope) {
			continue
		}
		out = append(out, &dncv1.ListEntry{
			List:         l.Name,
			ListId:       eventID(l.ID),
			Kind:         listKindOf(l.Kind),
			Scope:        string(l.Scope),
			SnapshotDate: l.SnapshotDate.String(),
			Stale:        l.IsStale(now),
		})
	}
	return out
}

const historyCall = "ListHistory"

// ListHistory implements dncv1.RecordServiceServer.
func (s *recordService) ListHistory(ctx context.Context, req *dncv1.ListHistoryRequest) (*dncv1.ListHistoryResponse, error) {
	v, err := s.view(ctx, req.GetReadAt())
	if err != nil {
		return nil, err
	}
	n, err := numberOf(req.GetNumber(), req.GetRegion())
	if err != nil {
		return nil, err
	}
	if err := s.noteAccess(ctx, "RecordService/ListHistory", accessed{number: n}); err != nil {
		return nil, err
	}
	page := historyPage{caller: callerOf(ctx), size: pageSize(req.GetPageSize()), until: v.Revision()}
	if req.GetPageToken() != "" {
		cursor, err := s.tokens.read(req.GetPageToken(), historyCall, n.E164())
		if err != nil {
			return nil, err
		}
		page.resume(cursor)
	}
	found, more, err := v.History(n, page.after, page.size)
	if err != nil {
		return nil, err
	}
	events, last, more := page.cut(n.E164(), found, more)
	resp := &dncv1.ListHistoryResponse{
		Number:      n.E164(),
		Events:      events,
		Position:    &dncv1.Position{Revision: page.until, JournalId: v.JournalID(), Tag: v.TagAt(page.until)},
		HistoryFrom: historyFrom,

		KindsCovered: kindsCovered,
	}
	if more {
		resp.NextPageToken = s.tokens.make(historyCall, n.E164(), page.cursor(last))
	}
	return resp, nil
}

// historyFrom is the first revision of the journal that is kept. Nothing trims the journal yet.
const historyFrom = 1

// historyPage is where a page begins, and the revision at which all pages are read.
type historyPage struct {
	caller *access.Grant
	size   int
	until  uint64
	after  policy.EventID
}

func (p *historyPage) cursor(last policy.EventID) []byte {
	b := binary.BigEndian.AppendUint64(nil, p.until)
	b = binary.BigEndian.AppendUint64(b, last.Revision)
	return binary.BigEndian.AppendUint32(b, last.Index)
}

// resume reads a cursor, whose token was verified.
func (p *historyPage) resume(cursor []byte) {
	p.until = binary.BigEndian.Uint64(cursor)
	p.after = policy.EventID{Revision: binary.BigEndian.Uint64(cursor[8:]), Index: binary.BigEndian.Uint32(cursor[16:])}
}

// cut returns the events that fit on the page, the id of the last one that it looked at, and whether more follow. One
// event always fits. What the caller may not see is left out.
func (p *historyPage) cut(number string, found []store.HistoryEvent, after bool) (events []*dncv1.HistoryEvent, last policy.EventID, more bool) {
	bytes := 0
	for i := range found {
		if found[i].ID.Revision > p.until {
			return events, last, false
		}
		if p.caller.Sees(found[i].Scope) {
			e := historyMessage(p.caller, number, &found[i])
			bytes += proto.Size(e)
			if bytes > pageBytes && len(events) > 0 {
				return events, last, true
			}
			events = append(events, e)
		}
		last = found[i].ID
	}
	return events, last, after
}

// kindsCovered are the kinds of events that a history holds.
var kindsCovered = []dncv1.EventKind{
	dncv1.EventKind_EVENT_KIND_OPT_OUT_RECORDED,
	dncv1.EventKind_EVENT_KIND_OPT_OUT_WITHDRAWN,
	dncv1.EventKind_EVENT_KIND_CONSENT_RECORDED,
	dncv1.EventKind_EVENT_KIND_CONSENT_WITHDRAWN,
	dncv1.EventKind_EVENT_KIND_CONSENT_USED,
	dncv1.EventKind_EVENT_KIND_OPT_OUT_RESPELLED,
}

var eventKinds = [...]dncv1.EventKind{
	store.EventOptOut:           dncv1.EventKind_EVENT_KIND_OPT_OUT_RECORDED,
	store.EventOptOutWithdrawn:  dncv1.EventKind_EVENT_KIND_OPT_OUT_WITHDRAWN,
	store.EventConsent:          dncv1.EventKind_EVENT_KIND_CONSENT_RECORDED,
	store.EventConsentWithdrawn: dncv1.EventKind_EVENT_KIND_CONSENT_WITHDRAWN,
	store.EventConsentUsed:      dncv1.EventKind_EVENT_KIND_CONSENT_USED,
	store.EventOptOutRespelled:  dncv1.EventKind_EVENT_KIND_OPT_OUT_RESPELLED,
}

func historyMessage(caller *access.Grant, number string, e *store.HistoryEvent) *dncv1.HistoryEvent {
	m := &dncv1.HistoryEvent{
		Id: eventID(e.ID), Time: stamp(e.Time), Kind: eventKinds[e.Kind], Story: storyFor(caller, e.Scope, e.Story, e.StoryState),
	}
	switch e.Kind {
	case store.EventOptOut:
		m.Change = &dncv1.HistoryEvent_OptOutRecorded{OptOutRecorded: &dncv1.OptOutRecorded{
			Number: number, Scope: string(e.Scope), Channel: channelOf(e.Channel),
			ReceivedAt: stamp(e.ReceivedAt), ExpiresAt: stamp(e.ExpiresAt),
		}}
	case store.EventOptOutWithdrawn:
		m.Change = &dncv1.HistoryEvent_OptOutWithdrawn{OptOutWithdrawn: &dncv1.OptOutWithdrawn{
			Number: number, Scope: string(e.Scope), Ended: eventIDs(e.Ended), WithdrawalReason: dncv1.WithdrawalReason(e.Reason),
		}}
	case store.EventOptOutRespelled:
		m.Change = &dncv1.HistoryEvent_OptOutRespelled{OptOutRespelled: &dncv1.OptOutRespelled{
			Number: number, Former: e.Former.E164(), Scope: string(e.Scope), Recorded: eventID(e.Respelled),
		}}
	default:
		ofConsent(m, number, e)
	}
	return m
}

// ofConsent completes an event about consents.
func ofConsent(m *dncv1.HistoryEvent, number string, e *store.HistoryEvent) {
	switch e.Kind {
	case store.EventConsent:
		c := e.Consent
		m.Change = &dncv1.HistoryEvent_ConsentRecorded{ConsentRecorded: &dncv1.ConsentRecorded{
			Number: number, Scope: string(e.Scope), Kind: dncv1.ConsentKind(c.Kind), Form: dncv1.ConsentForm(c.Form), Channel: channelOf(e.Channel),
			ObtainedAt: stamp(e.ReceivedAt), ExpiresAt: stamp(e.ExpiresAt), Goods: c.Goods, ThirdParties: c.ThirdParties,
			AppointmentFrom: stamp(c.From), AppointmentUntil: stamp(c.Until), MayLift: c.MayLift,
		}}
	case store.EventConsentWithdrawn:
		m.Change = &dncv1.HistoryEvent_ConsentWithdrawn{ConsentWithdrawn: &dncv1.ConsentWithdrawn{
			Number: number, Scope: string(e.Scope), Kind: dncv1.ConsentKind(e.Consent.Kind), Ended: eventIDs(e.Ended),
			WithdrawalReason: dncv1.WithdrawalReason(e.Reason),
		}}
	case store.EventConsentUsed:
		m.Change = &dncv1.HistoryEvent_ConsentUsed{ConsentUsed: &dncv1.ConsentUsed{
			Number: number, Scope: string(e.Scope), Consents: eventIDs(e.Used), CheckedRevision: e.Checked,
		}}
	}
}

func eventIDs(ids []policy.EventID) []*dncv1.EventId {
	out := make([]*dncv1.EventId, 0, len(ids))
	for _, id := range ids {
		out = append(out, eventID(id))
	}
	return out
}
