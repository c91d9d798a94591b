package client

import (
	"fmt"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
)

// Verdict answers a check. The zero value is no answer. Only Allow is callable.
type Verdict string

// The verdicts. One that this client does not know yet counts as Unknown.
const (
	Allow   Verdict = "ALLOW"
	Block   Verdict = "BLOCK"
	NotNow  Verdict = "NOT_NOW"
	Unknown Verdict = "UNKNOWN"
)

// Cause says why a verdict is Unknown.
type Cause string

// The causes.
const (
	CauseNotCovered Cause = "NOT_COVERED"
	CauseStaleList  Cause = "STALE_LIST"
	CauseNotLoaded  Cause = "NOT_LOADED"
	CauseNoRule     Cause = "NO_RULE"
	// CausePolicyUnreadable: a policy is in force, and the server cannot read it.
	CausePolicyUnreadable Cause = "POLICY_UNREADABLE"
	CauseDataDamaged      Cause = "DATA_DAMAGED"
	CauseNoTimeZone       Cause = "NO_TIME_ZONE"
	// CauseUseNotRecorded: see RecordUse.
	CauseUseNotRecorded Cause = "USE_NOT_RECORDED"
)

// ReasonKind is what a reason rests on.
type ReasonKind string

// The kinds of reasons.
const (
	ReasonOptOut           ReasonKind = "OPT_OUT"
	ReasonListed           ReasonKind = "LISTED"
	ReasonConsentRequired  ReasonKind = "CONSENT_REQUIRED"
	ReasonConsent          ReasonKind = "CONSENT"
	ReasonNotCovered       ReasonKind = "NOT_COVERED"
	ReasonStaleList        ReasonKind = "STALE_LIST"
	ReasonNotLoaded        ReasonKind = "NOT_LOADED"
	ReasonNoRule           ReasonKind = "NO_RULE"
	ReasonPolicyUnreadable ReasonKind = "POLICY_UNREADABLE"
	ReasonDataDamaged      ReasonKind = "DATA_DAMAGED"
	ReasonCallingHours     ReasonKind = "CALLING_HOURS"
	ReasonBannedSector     ReasonKind = "BANNED_SECTOR"

	// What an Allow rests on, beside ReasonConsent.
	ReasonListClear        ReasonKind = "LIST_CLEAR"
	ReasonHoursOpen        ReasonKind = "HOURS_OPEN"
	ReasonHoursNotChecked  ReasonKind = "HOURS_NOT_CHECKED"
	ReasonServicePermitted ReasonKind = "SERVICE_PERMITTED"
	ReasonNothingSpeaks    ReasonKind = "NOTHING_SPEAKS"
	ReasonUseNotRecorded   ReasonKind = "USE_NOT_RECORDED"
)

// Purpose is what a call is for. The zero value is the purpose with the strictest rule.
type Purpose string

// The purposes.
const (
	Marketing Purpose = "MARKETING" // to sell or to win a customer
	Service   Purpose = "SERVICE"   // to perform a contract or to answer a request
)

// ListKind is what a list is for.
type ListKind string

// The kinds of lists.
const (
	KindRegistry    ListKind = "REGISTRY"
	KindSuppression ListKind = "SUPPRESSION"
	KindLitigator   ListKind = "LITIGATOR"
)

// ListState says whether a list can answer.
type ListState string

// The states of a list.
const (
	ListNotLoaded ListState = "NOT_LOADED" // never loaded, or its content was lost to damage
	ListLoaded    ListState = "LOADED"
	ListStale     ListState = "STALE" // loaded, and older than its max age
)

// RecordKind is what a record about a number is.
type RecordKind string

// The kinds of records.
const (
	KindOptOut  RecordKind = "OPT_OUT"
	KindConsent RecordKind = "CONSENT"
)

// ConsentKind is what a consent rests on.
type ConsentKind string

// The kinds of consents.
const (
	ConsentPermission ConsentKind = "PERMISSION"
	ConsentPurchase   ConsentKind = "PURCHASE"
	ConsentInquiry    ConsentKind = "INQUIRY"
	ConsentContract   ConsentKind = "CONTRACT"
)

// ConsentForm is how a consent was given; empty: not stated.
type ConsentForm string

// The forms of consents.
const (
	ConsentOral    ConsentForm = "ORAL"
	ConsentWritten ConsentForm = "WRITTEN"
)

// WithdrawalReason is why opt-outs or consents are withdrawn; empty: not stated.
type WithdrawalReason string

// The reasons of withdrawals.
const (
	WithdrawnRequested WithdrawalReason = "REQUESTED"           // the person asked for it
	WithdrawnMistake   WithdrawalReason = "RECORDED_BY_MISTAKE" // it should not have been recorded
)

// EventKind is what happened to a number.
type EventKind string

// The kinds of events.
const (
	EventOptOutRecorded   EventKind = "OPT_OUT_RECORDED"
	EventOptOutWithdrawn  EventKind = "OPT_OUT_WITHDRAWN"
	EventConsentRecorded  EventKind = "CONSENT_RECORDED"
	EventConsentWithdrawn EventKind = "CONSENT_WITHDRAWN"
	EventListed           EventKind = "LISTED"
	EventUnlisted         EventKind = "UNLISTED"
	EventStoryErased      EventKind = "STORY_ERASED"
	EventConsentUsed      EventKind = "CONSENT_USED"      // a check relied on consents
	EventOptOutRespelled  EventKind = "OPT_OUT_RESPELLED" // an opt-out is stored under the present digits of its number: no new objection
)

// StoryState says whether the text of a record can be read.
type StoryState string

// The states of a story.
const (
	StoryPresent StoryState = "PRESENT"
	StoryMissing StoryState = "MISSING" // not found, or not what was recorded
	StoryErased  StoryState = "ERASED"
	StoryNone    StoryState = "NONE" // the record has no text
	// StoryWithheld: the caller may not read it.
	StoryWithheld StoryState = "WITHHELD"
)

// Channel is how an objection or a consent came in.
type Channel string

// The channels.
const (
	ChannelCall     Channel = "CALL"
	ChannelEmail    Channel = "EMAIL"
	ChannelLetter   Channel = "LETTER"
	ChannelSMS      Channel = "SMS"
	ChannelWeb      Channel = "WEB"
	ChannelInPerson Channel = "IN_PERSON"
	ChannelOther    Channel = "OTHER"
)

// ImportMode is what an import does to a list.
type ImportMode string

// The modes of an ImportRequest. The empty one is ModeReplace.
const (
	ModeReplace ImportMode = "REPLACE"
	ModeAdd     ImportMode = "ADD"
	ModeRemove  ImportMode = "REMOVE"
	ModeDelta   ImportMode = "DELTA"
)

// Further modes of an ImportRecord.
const (
	ModeRevert  ImportMode = "REVERT"   // Revert went back to earlier content
	ModeRespell ImportMode = "RESPELL"  // the server replaced digits of an earlier version by those that the numbers have now
	ModeReload  ImportMode = "RELOAD"   // the server wrote the list's own content again after an import was abandoned
	ModeOptOuts ImportMode = "OPT_OUTS" // an import of opt-outs, into no list
	// ModeConsents is an import of consents, into no list.
	ModeConsents ImportMode = "CONSENTS"
)

// ImportState says what became of an import.
type ImportState string

// The states of an ImportRecord.
const (
	ImportPrepared  ImportState = "PREPARED"  // being written; the list still shows its earlier content
	ImportSwitched  ImportState = "SWITCHED"  // the list shows it
	ImportConfirmed ImportState = "CONFIRMED" // the list already had its content
	ImportAbandoned ImportState = "ABANDONED" // given up; the list kept its earlier content
	ImportRecorded  ImportState = "RECORDED"  // of opt-outs and consents: all accepted rows count
)

// Phase is how far an import has got.
type Phase string

// The phases of an import, in order. PhaseRecording is of opt-outs; the two before it are of lists.
const (
	PhaseSending   Phase = "SENDING"
	PhaseComparing Phase = "COMPARING"
	PhaseWriting   Phase = "WRITING"
	PhaseSwitching Phase = "SWITCHING"
	PhaseRecording Phase = "RECORDING"
)

// Guard is a limit that an import must keep.
type Guard string

// The guards. Override passes over each of them except GuardNothingAccepted.
const (
	GuardNothingAccepted  Guard = "NOTHING_ACCEPTED"
	GuardShrink           Guard = "SHRINK"
	GuardPrefixShrink     Guard = "PREFIX_SHRINK"
	GuardRejects          Guard = "REJECTS"
	GuardSnapshotOlder    Guard = "SNAPSHOT_OLDER"
	GuardCoverage         Guard = "COVERAGE"
	GuardCoverageWider    Guard = "COVERAGE_WIDER"
	GuardCoverageInferred Guard = "COVERAGE_INFERRED"
	GuardCut              Guard = "CUT"
	// GuardLiftsOptOuts is of consents: overridden, they lift no opt-out.
	GuardLiftsOptOuts Guard = "LIFTS_OPT_OUTS"
)

// StoreState says what a server's store can do.
type StoreState string

// The states of a store. In each of them but StoreDamaged checks are answered in full.
const (
	StoreReady          StoreState = "READY"
	StoreDiskFull       StoreState = "DISK_FULL"
	StoreClockJumped    StoreState = "CLOCK_JUMPED"
	StoreReadOnly       StoreState = "READ_ONLY"
	StoreStoriesDamaged StoreState = "STORIES_DAMAGED"
	StoreDamaged        StoreState = "DAMAGED"
)

// Role is what a caller may do, at its scopes and below. No role includes another one.
type Role string

// The roles.
const (
	RoleChecker    Role = "CHECKER"    // checks
	RoleRecorder   Role = "RECORDER"   // opt-outs and consents, one by one and by file
	RoleLoader     Role = "LOADER"     // lists, and opt-outs by file
	RoleSubscriber Role = "SUBSCRIBER" // the change feed of its own name
	RoleOfficer    Role = "OFFICER"    // reads everything; consents that may lift opt-outs
	RoleAdmin      Role = "ADMIN"      // grants and revokes
)

// CredentialKind is how a caller shows who it is. It is empty for a caller that showed nothing.
type CredentialKind string

// The kinds of credentials.
const (
	CredentialToken       CredentialKind = "TOKEN"
	CredentialCertificate CredentialKind = "CERTIFICATE"
)

// ActKind is what an administrative act did.
type ActKind string

// The kinds of acts.
const (
	ActListCreated     ActKind = "LIST_CREATED"
	ActListUpdated     ActKind = "LIST_UPDATED"
	ActListDeleted     ActKind = "LIST_DELETED"
	ActListLoaded      ActKind = "LIST_LOADED"
	ActListConfirmed   ActKind = "LIST_CONFIRMED" // a load found the list as it was
	ActListReverted    ActKind = "LIST_REVERTED"
	ActListUnloaded    ActKind = "LIST_UNLOADED" // a repair found its content damaged
	ActOptOutsImported ActKind = "OPT_OUTS_IMPORTED"
	ActLossAccepted    ActKind = "LOSS_ACCEPTED" // of revisions, in a repair
	ActRestored        ActKind = "RESTORED"      // from a copy
	ActTokenCreated    ActKind = "TOKEN_CREATED"
	ActTokenRevoked    ActKind = "TOKEN_REVOKED"

	ActSubscriberPut      ActKind = "SUBSCRIBER_PUT" // registered or changed
	ActSubscriberRemoved  ActKind = "SUBSCRIBER_REMOVED"
	ActDeskPut            ActKind = "DESK_PUT" // registered or changed
	ActDeskRemoved        ActKind = "DESK_REMOVED"
	ActSubscriberCompared ActKind = "SUBSCRIBER_COMPARED"
	ActConsentsImported   ActKind = "CONSENTS_IMPORTED"
	ActPolicySet          ActKind = "POLICY_SET"
)

// SubscriberKind is what a subscriber is to the organisation.
type SubscriberKind string

// The kinds of subscribers.
const (
	SubscriberInternal      SubscriberKind = "INTERNAL"      // a base of the organisation itself
	SubscriberSubcontractor SubscriberKind = "SUBCONTRACTOR" // a base of another company, which calls for it
)

// Stage is how far a base got with a change. Each includes those before it.
type Stage string

// The stages.
const (
	StageReceived Stage = "RECEIVED"
	StageDurable  Stage = "DURABLE"
	StageApplied  Stage = "APPLIED"
)

// DifferenceKind is what a difference between an export and what was acknowledged is.
type DifferenceKind string

// The kinds of differences.
const (
	// DifferenceMissing: the base acknowledged it as applied, it was in force when the export was taken, and it is not in it.
	DifferenceMissing DifferenceKind = "MISSING"
	// DifferenceInFlight: in force and not in the export, and recorded after what was acknowledged, or after it was taken.
	DifferenceInFlight DifferenceKind = "IN_FLIGHT"
	// DifferenceRemovable: in the export, blocked by no row any more, and withdrawn. The base may have a reason of its own.
	DifferenceRemovable DifferenceKind = "REMOVABLE"
)

// DeskKind is what a desk is; empty: not stated.
type DeskKind string

// The kinds of desks.
const (
	DeskDirectorate   DeskKind = "DIRECTORATE" // management
	DeskAfterSales    DeskKind = "AFTER_SALES"
	DeskDPO           DeskKind = "DPO" // the data protection officer
	DeskSubcontractor DeskKind = "SUBCONTRACTOR"
	DeskWeb           DeskKind = "WEB"
	DeskOther         DeskKind = "OTHER"
)

// protoEnum is an enum of the contract.
type protoEnum interface {
	~int32
	String() string
}

// name is an enum's value without its prefix; empty for the unspecified one.
func name[S ~string, E protoEnum](value E, prefix string) S {
	if value == 0 {
		return ""
	}
	return S(strings.TrimPrefix(value.String(), prefix))
}

// value is the enum's value with that name, in any case; "in-person" is IN_PERSON.
func value[E protoEnum, S ~string](name S, prefix string, values map[string]int32) (E, error) {
	if name == "" {
		return 0, nil
	}
	key := strings.ToUpper(strings.ReplaceAll(string(name), "-", "_"))
	v, ok := values[prefix+key]
	if !ok || v == 0 {
		field := strings.ToLower(strings.TrimSuffix(prefix, "_"))
		return 0, invalidField(field, fmt.Sprintf("%q is no %s", string(name), strings.ReplaceAll(field, "_", " ")))
	}
	return E(v), nil
}

func verdict(v dncv1.Verdict) Verdict {
	switch v {
	case dncv1.Verdict_VERDICT_ALLOW:
		return Allow
	case dncv1.Verdict_VERDICT_BLOCK:
		return Block
	case dncv1.Verdict_VERDICT_NOT_NOW:
		return NotNow
	}
	return Unknown
}

// toVerdict is the contract's value of a verdict. A text that is no verdict counts as Unknown.
func toVerdict(v Verdict) dncv1.Verdict {
	if v == "" {
		return dncv1.Verdict_VERDICT_UNSPECIFIED
	}
	if value, ok := dncv1.Verdict_value["VERDICT_"+string(v)]; ok {
		return dncv1.Verdict(value)
	}
	return dncv1.Verdict_VERDICT_UNKNOWN
}

func fromTime(t *timestamppb.Timestamp) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.AsTime()
}

func toTime(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}
