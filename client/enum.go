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
	CauseNotCovered  Cause = "NOT_COVERED"
	CauseStaleList   Cause = "STALE_LIST"
	CauseNotLoaded   Cause = "NOT_LOADED"
	CauseNoRule      Cause = "NO_RULE"
	CauseDataDamaged Cause = "DATA_DAMAGED"
)

// ReasonKind is what a reason rests on.
type ReasonKind string

// The kinds of reasons.
const (
	ReasonOptOut          ReasonKind = "OPT_OUT"
	ReasonListed          ReasonKind = "LISTED"
	ReasonConsentRequired ReasonKind = "CONSENT_REQUIRED"
	ReasonConsent         ReasonKind = "CONSENT"
	ReasonNotCovered      ReasonKind = "NOT_COVERED"
	ReasonStaleList       ReasonKind = "STALE_LIST"
	ReasonNotLoaded       ReasonKind = "NOT_LOADED"
	ReasonNoRule          ReasonKind = "NO_RULE"
	ReasonDataDamaged     ReasonKind = "DATA_DAMAGED"
	ReasonCallingHours    ReasonKind = "CALLING_HOURS"
)

// ListKind is what a list is for.
type ListKind string

// The kinds of lists.
const (
	Registry    ListKind = "REGISTRY"
	Suppression ListKind = "SUPPRESSION"
	Litigator   ListKind = "LITIGATOR"
)

// Channel is how an objection or a consent came in.
type Channel string

// The channels.
const (
	Call     Channel = "CALL"
	Email    Channel = "EMAIL"
	Letter   Channel = "LETTER"
	SMS      Channel = "SMS"
	Web      Channel = "WEB"
	InPerson Channel = "IN_PERSON"
	Other    Channel = "OTHER"
)

// ImportMode is what a load does to a list.
type ImportMode string

// The modes. The empty one is Replace.
const (
	Replace ImportMode = "REPLACE"
	Add     ImportMode = "ADD"
	Remove  ImportMode = "REMOVE"
	Delta   ImportMode = "DELTA"
	// OptOuts is the mode of an ImportRecord that tells of opt-outs, of no list.
	OptOuts ImportMode = "OPT_OUTS"
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
