package client

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"

	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
)

// Error is what a server or the connection to it answered instead of a result.
type Error struct {
	// Reason is a value of the contract's ErrorReason without its prefix, such as
	// "LIST_NOT_FOUND", or UNAVAILABLE when no server answered.
	Reason string
	// Message is for a person to act on. It holds no phone number.
	Message string
	// Metadata is what the reason comes with: "field", "limit", "list" and others;
	// "request_id" for a write whose outcome may be unknown.
	Metadata map[string]string

	code       codes.Code
	retryAfter time.Duration // the pause that the server asks for; 0: none
	unknown    bool          // the outcome of the write
}

// Error returns the message.
func (e *Error) Error() string { return e.Message }

// Code is the status code of gRPC in its canonical form, such as "NOT_FOUND".
func (e *Error) Code() string { return canonical[e.code] }

// GRPCStatus is the error as gRPC has it, with its reason as a google.rpc.ErrorInfo: so
// status.Code and status.FromError understand it, and a gateway can pass it on.
func (e *Error) GRPCStatus() *status.Status {
	code := e.code
	if code == codes.OK { // an Error that a caller made itself
		code = codes.Unknown
	}
	s := status.New(code, e.Message)
	details := []protoadapt.MessageV1{&errdetails.ErrorInfo{Reason: e.Reason, Domain: errorDomain, Metadata: e.Metadata}}
	if e.retryAfter > 0 {
		details = append(details, &errdetails.RetryInfo{RetryDelay: durationpb.New(e.retryAfter)})
	}
	if detailed, err := s.WithDetails(details...); err == nil {
		return detailed
	}
	return s
}

// errorDomain is that of the reasons of the contract.
const errorDomain = "dncd"

// OutcomeUnknown reports whether the call was a write that ended before its answer came: it
// may have counted.
func (e *Error) OutcomeUnknown() bool { return e.unknown }

// Is makes errors.Is work with the sentinels of this package and with those of
// package context.
func (e *Error) Is(target error) bool {
	switch target {
	case context.DeadlineExceeded:
		return e.code == codes.DeadlineExceeded
	case context.Canceled:
		return e.code == codes.Canceled
	}
	s, ok := target.(*sentinel)
	return ok && slices.Contains(s.reasons, e.Reason)
}

// retryAfter is the pause that the server asked for with err; 0: none.
func retryAfter(err error) time.Duration {
	var e *Error
	if errors.As(err, &e) {
		return e.retryAfter
	}
	return 0
}

// sentinel stands for one reason or several.
type sentinel struct {
	text    string
	reasons []string
}

func (s *sentinel) Error() string { return s.text }

func forReasons(text string, reasons ...string) error { return &sentinel{text, reasons} }

// Reasons that the client itself gives or decides on.
const (
	reasonUnavailable   = "UNAVAILABLE"
	reasonShuttingDown  = "SHUTTING_DOWN"
	reasonQueueFull     = "QUEUE_FULL"
	reasonOverloaded    = "OVERLOADED"
	reasonStreamIdle    = "STREAM_IDLE"
	reasonDeadline      = "DEADLINE"
	reasonInternal      = "INTERNAL"
	reasonUnsupported   = "UNSUPPORTED"
	reasonFieldInvalid  = "FIELD_INVALID"
	reasonPolicyInvalid = "POLICY_INVALID"
	reasonNumberEmpty   = "NUMBER_EMPTY"
	reasonNumberSyntax  = "NUMBER_SYNTAX"
	reasonImportRunning = "IMPORT_RUNNING"

	reasonPermissionDenied = "PERMISSION_DENIED"
	reasonUnauthenticated  = "UNAUTHENTICATED"
)

// What errors.Is distinguishes. Each stands for the reasons of the contract that it
// names, where it says what to do about them.
var (
	// ErrUnavailable: no server answered, or it is stopping. Nothing is known about the number.
	ErrUnavailable = forReasons("server unavailable", reasonUnavailable, reasonShuttingDown)
	// ErrInvalidNumber: the number is not one. The more exact ones below are kinds of it.
	ErrInvalidNumber = forReasons("invalid number", reasonNumberEmpty, reasonNumberSyntax,
		"NUMBER_NO_COUNTRY", "NUMBER_CALLING_CODE", "NUMBER_LENGTH")
	// ErrNumberEmpty: no digit at all.
	ErrNumberEmpty = forReasons("empty number", reasonNumberEmpty)
	// ErrNumberSyntax: a character that no number has.
	ErrNumberSyntax = forReasons("not a phone number", reasonNumberSyntax)
	// ErrNumberNoCountry: a national form, and no region to read it by.
	ErrNumberNoCountry = forReasons("number without a country", "NUMBER_NO_COUNTRY")
	// ErrNumberCallingCode: begins with no calling code in use.
	ErrNumberCallingCode = forReasons("unknown calling code", "NUMBER_CALLING_CODE")
	// ErrNumberLength: too few or too many digits.
	ErrNumberLength = forReasons("wrong length", "NUMBER_LENGTH")
	// ErrInvalidArgument: something else in the request breaks the contract.
	ErrInvalidArgument = forReasons("invalid argument", reasonFieldInvalid, "REGION_INVALID", "SCOPE_INVALID",
		"BATCH_TOO_LARGE", "PAGE_TOKEN_INVALID", "LIST_NAME_INVALID", "JURISDICTION_REQUIRED")
	// ErrUnsupported: in the contract, not supported by this server.
	ErrUnsupported = forReasons("not supported by this server", reasonUnsupported)

	// ErrJournalChanged: revisions of another journal mean nothing here.
	ErrJournalChanged = forReasons("journal changed", "JOURNAL_CHANGED")
	// ErrJournalForked: the store holds another history at the position. What was known there may
	// be missing.
	ErrJournalForked = forReasons("journal forked", "JOURNAL_FORKED")
	// ErrRevisionNotReached: the position of AtLeast was not reached in time.
	ErrRevisionNotReached = forReasons("revision not reached", "REVISION_NOT_REACHED")
	// ErrHistoryGone: older than the kept history.
	ErrHistoryGone = forReasons("history gone", "HISTORY_GONE")

	// ErrRequestIDReused: the request id was used for another write.
	ErrRequestIDReused = forReasons("request id reused", "REQUEST_ID_REUSED")
	// ErrNothingToWithdraw: no opt-out is in force, or no consent held, at exactly that scope.
	ErrNothingToWithdraw = forReasons("nothing to withdraw", "NOTHING_TO_WITHDRAW")
	// ErrConsentWithdrawn: consents at that scope were withdrawn after this one was obtained.
	ErrConsentWithdrawn = forReasons("consent withdrawn", "CONSENT_WITHDRAWN")
	// ErrRecordLimit: the number holds as many records as it may.
	ErrRecordLimit = forReasons("too many records", "RECORD_LIMIT")

	// ErrListNotFound: no list has that name.
	ErrListNotFound = forReasons("list not found", "LIST_NOT_FOUND")
	// ErrListExists: a list has that name.
	ErrListExists = forReasons("list exists", "LIST_EXISTS")
	// ErrConfirmationRequired: the change makes numbers callable and was not confirmed.
	ErrConfirmationRequired = forReasons("confirmation required", "CONFIRMATION_REQUIRED")
	// ErrImportRunning: a load of that list is being written.
	ErrImportRunning = forReasons("import running", reasonImportRunning)
	// ErrNothingToRevert: the list shows its first load, or none.
	ErrNothingToRevert = forReasons("nothing to revert", "NOTHING_TO_REVERT")
	// ErrSnapshotDate: the load needs a snapshot date, or a possible one.
	ErrSnapshotDate = forReasons("snapshot date", "SNAPSHOT_DATE_REQUIRED", "SNAPSHOT_DATE_INVALID")

	// ErrDiskFull: too little disk is free for writes; checks continue.
	ErrDiskFull = forReasons("disk full", "DISK_FULL")
	// ErrQueueFull: too many writes wait. Nothing was written.
	ErrQueueFull = forReasons("too many writes wait", reasonQueueFull)
	// ErrOverloaded: the server is at its limit for this kind of work. Nothing was done
	// and nothing is known about the number; another attempt after a pause may succeed.
	ErrOverloaded = forReasons("server overloaded", reasonOverloaded)
	// ErrStoreDamaged: the store takes no writes until the server is stopped and dncd fsck repairs it.
	ErrStoreDamaged = forReasons("store damaged", "STORE_DAMAGED", "STORIES_DAMAGED")
	// ErrStoreReadOnly: the store takes no writes until the server's clock is corrected, or the server restarts.
	ErrStoreReadOnly = forReasons("store read-only", "STORE_READ_ONLY", "CLOCK_JUMPED")
	// ErrImportDamaged: what was sent of an import is damaged at the server. Begin the import again.
	ErrImportDamaged = forReasons("import damaged", "STAGE_DAMAGED")

	// ErrUnauthenticated: the server asks for a token or a client certificate, or refuses the one that was shown.
	ErrUnauthenticated = forReasons("not authenticated", reasonUnauthenticated)
	// ErrPermissionDenied: the caller lacks a role, or has it only at other scopes. Metadata "role" names the roles that allow it.
	ErrPermissionDenied = forReasons("permission denied", reasonPermissionDenied)
	// ErrTokenExists: a token or certificate of that name, or with that secret, is in use.
	ErrTokenExists = forReasons("token exists", "TOKEN_EXISTS")
	// ErrTokenNotFound: no token or certificate of that name is granted anything.
	ErrTokenNotFound = forReasons("token not found", "TOKEN_NOT_FOUND")
	// ErrSubscriberNotFound: no subscriber has that name.
	ErrSubscriberNotFound = forReasons("subscriber not found", "SUBSCRIBER_NOT_FOUND")
	// ErrSubscriberInvalid: its filter, parent or lists cannot be as asked, or it has children. The message says why.
	ErrSubscriberInvalid = forReasons("subscriber invalid", "SUBSCRIBER_INVALID")
	// ErrFeedNotReady: the server is still storing numbers of an earlier version under their present digits.
	ErrFeedNotReady = forReasons("feed not ready", "FEED_NOT_READY")
	// ErrDeskNotFound: no desk has that name.
	ErrDeskNotFound = forReasons("desk not found", "DESK_NOT_FOUND")
	// ErrPolicyInvalid: the document is no policy. The message has the line and column of each problem.
	ErrPolicyInvalid = forReasons("policy invalid", reasonPolicyInvalid)
	// ErrPolicyChanged: another policy is in force than the one that the change was made from.
	ErrPolicyChanged = forReasons("policy changed", "POLICY_CHANGED")
	// ErrFilterChanged: the cursor is of another epoch of the feed. Get a full feed.
	ErrFilterChanged = forReasons("filter changed", "FILTER_CHANGED")
	// ErrAcknowledgement: the acknowledgement is not one of this subscriber, or not signed by a key of it.
	ErrAcknowledgement = forReasons("acknowledgement refused", "ACK_INVALID")
	// ErrAccessLog: personal data is not shown, because the server cannot write who reads it. Checks and writes continue.
	ErrAccessLog = forReasons("access log failed", "ACCESS_LOG_FAILED")
)

// fromStatus makes an Error of what gRPC returned.
func fromStatus(err error) *Error {
	var own *Error
	if errors.As(err, &own) {
		return own
	}
	s := status.Convert(err)
	if s.Code() == codes.Unknown {
		s = status.FromContextError(err)
	}
	e := &Error{Message: s.Message(), code: s.Code()}
	for _, detail := range s.Details() {
		switch info := detail.(type) {
		case *errdetails.ErrorInfo:
			e.Reason, e.Metadata = info.GetReason(), info.GetMetadata()
		case *errdetails.RetryInfo:
			e.retryAfter = info.GetRetryDelay().AsDuration()
		}
	}
	if e.Reason == "" {
		e.Reason, e.Message = withoutInfo(s)
	}
	return e
}

// ofWrite marks an error after which the outcome of a write is unknown, and says so.
func ofWrite(err error) error {
	var e *Error
	if !errors.As(err, &e) || e.Reason != reasonDeadline {
		return err
	}
	marked := *e
	marked.unknown = true
	marked.Message += ": the write may have counted all the same"
	return &marked
}

// withoutInfo gives a reason to a status that no dncd sent: gRPC's own, of the
// connection or of the deadline.
func withoutInfo(s *status.Status) (reason, message string) {
	switch s.Code() {
	case codes.Unavailable:
		return reasonUnavailable, "server is not reachable: " + innermost(s.Message())
	case codes.DeadlineExceeded:
		return reasonDeadline, "no answer in time"
	case codes.Canceled:
		return reasonDeadline, "canceled before the answer came"
	case codes.Unimplemented:
		return reasonUnsupported, "not supported by this server: " + s.Message()
	case codes.PermissionDenied:
		return reasonPermissionDenied, s.Message()
	case codes.Unauthenticated:
		return reasonUnauthenticated, s.Message()
	}
	return reasonInternal, s.Message()
}

// innermost takes the cause out of gRPC's nested descriptions.
func innermost(message string) string {
	if _, cause, found := strings.Cut(message, `desc = "`); found {
		message = strings.TrimSuffix(cause, `"`)
	}
	if _, cause, found := strings.Cut(message, "transport: "); found {
		message = cause
	}
	return strings.TrimPrefix(message, "Error while dialing: ")
}

// fromItem makes an Error of what is wrong with one item of a batch.
func fromItem(item *dncv1.ItemError) *Error {
	reason := strings.TrimPrefix(item.GetReason().String(), "ERROR_REASON_")
	return &Error{Reason: reason, Message: item.GetMessage(), code: codeOfItem(reason)}
}

// codeOfItem is the code of a reason that one item of many can have, as the contract documents it.
func codeOfItem(reason string) codes.Code {
	if code, ok := itemCodes[reason]; ok {
		return code
	}
	return codes.InvalidArgument
}

var itemCodes = map[string]codes.Code{
	"JOURNAL_CHANGED":      codes.FailedPrecondition,
	"JOURNAL_FORKED":       codes.FailedPrecondition,
	"REVISION_NOT_REACHED": codes.Unavailable,
	"STORE_DAMAGED":        codes.Unavailable,
	"HISTORY_GONE":         codes.OutOfRange,
	"AS_OF_IN_FUTURE":      codes.OutOfRange,
	reasonShuttingDown:     codes.Unavailable,
	reasonQueueFull:        codes.ResourceExhausted,
	reasonOverloaded:       codes.ResourceExhausted,
	reasonDeadline:         codes.DeadlineExceeded,
	reasonInternal:         codes.Internal,
	reasonPermissionDenied: codes.PermissionDenied,
}

func invalid(reason, message string) *Error {
	return &Error{Reason: reason, Message: message, code: codes.InvalidArgument}
}

func invalidField(field, message string) *Error {
	e := invalid(reasonFieldInvalid, message)
	e.Metadata = map[string]string{"field": field}
	return e
}

// broken is the error for an answer that breaks the contract.
func broken(message string) *Error {
	return &Error{Reason: reasonInternal, Message: message, code: codes.Internal}
}

// with adds metadata to a copy of the error.
func (e *Error) with(key, value string) *Error {
	c := *e
	c.Metadata = map[string]string{key: value}
	for k, v := range e.Metadata {
		c.Metadata[k] = v
	}
	return &c
}

var canonical = map[codes.Code]string{
	codes.Canceled:           "CANCELLED",
	codes.Unknown:            "UNKNOWN",
	codes.InvalidArgument:    "INVALID_ARGUMENT",
	codes.DeadlineExceeded:   "DEADLINE_EXCEEDED",
	codes.NotFound:           "NOT_FOUND",
	codes.AlreadyExists:      "ALREADY_EXISTS",
	codes.PermissionDenied:   "PERMISSION_DENIED",
	codes.ResourceExhausted:  "RESOURCE_EXHAUSTED",
	codes.FailedPrecondition: "FAILED_PRECONDITION",
	codes.Aborted:            "ABORTED",
	codes.OutOfRange:         "OUT_OF_RANGE",
	codes.Unimplemented:      "UNIMPLEMENTED",
	codes.Internal:           "INTERNAL",
	codes.Unavailable:        "UNAVAILABLE",
	codes.DataLoss:           "DATA_LOSS",
	codes.Unauthenticated:    "UNAUTHENTICATED",
}
