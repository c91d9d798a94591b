package server

import (
	"context"
	"errors"
	"path"
	"regexp"
	"strconv"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/dncd/dncd/internal/access"
	"github.com/dncd/dncd/internal/phone"
	"github.com/dncd/dncd/internal/phone/national"
	"github.com/dncd/dncd/internal/policy"
	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
	"github.com/dncd/dncd/store"
)

const (
	errorDomain  = "dncd"
	reasonPrefix = "ERROR_REASON_"
)

// fault is an error with its reason in the contract.
type fault struct {
	reason  dncv1.ErrorReason
	message string
	meta    map[string]string
	err     error // the cause, for the log; nil: none
}

func (f *fault) Error() string { return f.message }

func (f *fault) Unwrap() error { return f.err }

// refuse makes a fault. Pairs are the keys and values of its metadata.
func refuse(reason dncv1.ErrorReason, message string, pairs ...string) *fault {
	f := &fault{reason: reason, message: message}
	for i := 0; i+1 < len(pairs); i += 2 {
		f = f.with(pairs[i], pairs[i+1])
	}
	return f
}

func (f *fault) with(key, value string) *fault {
	if f.meta == nil {
		f.meta = make(map[string]string)
	}
	f.meta[key] = value
	return f
}

// invalidField refuses one field of a request. The message says what it must be.
func invalidField(field, message string) *fault {
	return refuse(dncv1.ErrorReason_ERROR_REASON_FIELD_INVALID, field+" "+message, "field", field)
}

// unsupported refuses what the contract has and this server does not support.
func unsupported(feature string) *fault {
	return refuse(dncv1.ErrorReason_ERROR_REASON_UNSUPPORTED,
		feature+" is not supported by this server: leave it out, or use a later one", "feature", feature)
}

// reasons maps the errors of other packages to reasons of the contract. The first match of errors.Is wins: errors of
// the store's state take precedence over errors of the request, and a store's error over the one that it wraps.
var reasons = []struct {
	err    error
	reason dncv1.ErrorReason
	advice string // what to do next, where the error does not say so
}{
	{store.ErrDamaged, dncv1.ErrorReason_ERROR_REASON_STORE_DAMAGED, "stop the server and run dncd fsck on its data directory"},
	{store.ErrStoriesDamaged, dncv1.ErrorReason_ERROR_REASON_STORIES_DAMAGED, "stop the server and run dncd fsck on its data directory"},
	{store.ErrReadOnly, dncv1.ErrorReason_ERROR_REASON_STORE_READ_ONLY, "restart the server, then try again with the same request_id"},
	{store.ErrClockJumped, dncv1.ErrorReason_ERROR_REASON_CLOCK_JUMPED, "checks continue; correct the server's clock, or restart dncd if it is right now"},
	{store.ErrDiskFull, dncv1.ErrorReason_ERROR_REASON_DISK_FULL, "checks continue; free space on the server's disk, then try again"},
	{store.ErrClosed, dncv1.ErrorReason_ERROR_REASON_SHUTTING_DOWN, "try another node, or this one after its restart"},
	{store.ErrBusy, dncv1.ErrorReason_ERROR_REASON_QUEUE_FULL, "nothing was written; try again after a pause"},
	{store.ErrRequestReused, dncv1.ErrorReason_ERROR_REASON_REQUEST_ID_REUSED, "nothing was written; make a new id for a new write"},
	{store.ErrNothingToWithdraw, dncv1.ErrorReason_ERROR_REASON_NOTHING_TO_WITHDRAW, "look at the number's records for the scopes that have one"},
	{store.ErrConsentWithdrawn, dncv1.ErrorReason_ERROR_REASON_CONSENT_WITHDRAWN, "if the person consents again, record when"},
	{store.ErrTooManyRecords, dncv1.ErrorReason_ERROR_REASON_RECORD_LIMIT, "withdraw some before adding more"},
	{store.ErrListNotFound, dncv1.ErrorReason_ERROR_REASON_LIST_NOT_FOUND, "create it first, or check the name"},
	{store.ErrListExists, dncv1.ErrorReason_ERROR_REASON_LIST_EXISTS, "use it, or choose another name"},
	{store.ErrListName, dncv1.ErrorReason_ERROR_REASON_LIST_NAME_INVALID, ""},
	{store.ErrAccessLog, dncv1.ErrorReason_ERROR_REASON_ACCESS_LOG_FAILED, "checks and writes continue; look at the server's log and its disk"},
	{store.ErrTokenExists, dncv1.ErrorReason_ERROR_REASON_TOKEN_EXISTS, "choose another name, or revoke the one in use"},
	{store.ErrTokenNotFound, dncv1.ErrorReason_ERROR_REASON_TOKEN_NOT_FOUND, "check the name"},
	{store.ErrSubscriberNotFound, dncv1.ErrorReason_ERROR_REASON_SUBSCRIBER_NOT_FOUND, "check the name"},
	{store.ErrAckInvalid, dncv1.ErrorReason_ERROR_REASON_ACK_INVALID, "nothing was recorded"},
	{store.ErrEpochEnded, dncv1.ErrorReason_ERROR_REASON_FILTER_CHANGED, "get a full feed"},
	{store.ErrOtherJournal, dncv1.ErrorReason_ERROR_REASON_JOURNAL_CHANGED, "get a full feed"},
	{store.ErrSubscriberInvalid, dncv1.ErrorReason_ERROR_REASON_SUBSCRIBER_INVALID, ""},
	{store.ErrPolicyInvalid, dncv1.ErrorReason_ERROR_REASON_POLICY_INVALID, ""},
	{store.ErrPolicyMoved, dncv1.ErrorReason_ERROR_REASON_POLICY_CHANGED, "look at it, and make the change again"},
	{store.ErrFeedNotReady, dncv1.ErrorReason_ERROR_REASON_FEED_NOT_READY, "checks continue; try again after a pause, and look at the server's log if it lasts"},
	{store.ErrDeskNotFound, dncv1.ErrorReason_ERROR_REASON_DESK_NOT_FOUND, "check the name"},
	{store.ErrSubscriberSettings, dncv1.ErrorReason_ERROR_REASON_FIELD_INVALID, ""},
	{store.ErrDeskSettings, dncv1.ErrorReason_ERROR_REASON_FIELD_INVALID, ""},
	{access.ErrGrant, dncv1.ErrorReason_ERROR_REASON_FIELD_INVALID, ""},
	{store.ErrUnconfirmed, dncv1.ErrorReason_ERROR_REASON_CONFIRMATION_REQUIRED, confirmAdvice},
	{store.ErrJurisdiction, dncv1.ErrorReason_ERROR_REASON_JURISDICTION_REQUIRED, "name a region such as US"},
	{store.ErrSettings, dncv1.ErrorReason_ERROR_REASON_FIELD_INVALID, ""},
	{store.ErrImportRunning, dncv1.ErrorReason_ERROR_REASON_IMPORT_RUNNING, "try again when it has ended"},
	{store.ErrTakenOver, dncv1.ErrorReason_ERROR_REASON_IMPORT_NOT_FOUND, "look at what the list holds now, and load again only what should still be on it"},
	{store.ErrFutureRevision, dncv1.ErrorReason_ERROR_REASON_AS_OF_IN_FUTURE, "ask for a time or position that has been"},
	{store.ErrHistoryGone, dncv1.ErrorReason_ERROR_REASON_HISTORY_GONE, "do not take this for a permission"},
	{store.ErrPast, dncv1.ErrorReason_ERROR_REASON_FIELD_INVALID, "leave out the position or the time"},
	{store.ErrNothingToRevert, dncv1.ErrorReason_ERROR_REASON_NOTHING_TO_REVERT, "load a file instead"},
	{store.ErrImportNotFound, dncv1.ErrorReason_ERROR_REASON_IMPORT_NOT_FOUND, "begin again without an import_id"},
	{store.ErrChunkOrder, dncv1.ErrorReason_ERROR_REASON_CHUNK_OUT_OF_ORDER, "open the import again and continue after last_chunk"},
	{store.ErrChunksMissing, dncv1.ErrorReason_ERROR_REASON_CHUNK_OUT_OF_ORDER, "open the import again and continue after last_chunk"},
	{store.ErrStage, dncv1.ErrorReason_ERROR_REASON_STAGE_DAMAGED, "begin the import again"},
	{store.ErrNumber, dncv1.ErrorReason_ERROR_REASON_CHUNK_INVALID, ""},
	{store.ErrSnapshotDateRequired, dncv1.ErrorReason_ERROR_REASON_SNAPSHOT_DATE_REQUIRED, "give the date of the registry's file, never the day of the load"},
	{store.ErrSnapshotDate, dncv1.ErrorReason_ERROR_REASON_SNAPSHOT_DATE_INVALID, "give the date of the registry's file"},
	{store.ErrMode, dncv1.ErrorReason_ERROR_REASON_FIELD_INVALID, "load it with mode replace first"},
	{store.ErrCounts, dncv1.ErrorReason_ERROR_REASON_FIELD_INVALID, "read must be what was sent and what was rejected"},
	{store.ErrTooLarge, dncv1.ErrorReason_ERROR_REASON_FIELD_INVALID, "send less in one write"},
	{store.ErrForked, dncv1.ErrorReason_ERROR_REASON_JOURNAL_FORKED, "read again without a position"},
	{phone.ErrEmpty, dncv1.ErrorReason_ERROR_REASON_NUMBER_EMPTY, ""},
	{phone.ErrNoPlus, dncv1.ErrorReason_ERROR_REASON_NUMBER_NO_COUNTRY, ""},
	{phone.ErrSyntax, dncv1.ErrorReason_ERROR_REASON_NUMBER_SYNTAX, ""},
	{phone.ErrTrunk, dncv1.ErrorReason_ERROR_REASON_NUMBER_SYNTAX, ""},
	{phone.ErrCallingCode, dncv1.ErrorReason_ERROR_REASON_NUMBER_CALLING_CODE, ""},
	{phone.ErrLength, dncv1.ErrorReason_ERROR_REASON_NUMBER_LENGTH, ""},
	{national.ErrNoSuchNumber, dncv1.ErrorReason_ERROR_REASON_NUMBER_LENGTH, ""},
	{phone.ErrRegion, dncv1.ErrorReason_ERROR_REASON_REGION_INVALID, ""},
	{policy.ErrScope, dncv1.ErrorReason_ERROR_REASON_SCOPE_INVALID, ""},
	{context.DeadlineExceeded, dncv1.ErrorReason_ERROR_REASON_DEADLINE, ""},
	{context.Canceled, dncv1.ErrorReason_ERROR_REASON_DEADLINE, ""},
}

// confirmAdvice is what to do about a change that makes numbers callable.
const confirmAdvice = "set force if that is intended"

const internalMessage = "a fault in the server: its log has the cause; try again once, then report it"

// faultOf returns err as a fault. An unexpected error becomes INTERNAL, and its text stays in the log.
func faultOf(err error) *fault {
	var f *fault
	if errors.As(err, &f) {
		return f
	}
	for _, r := range reasons {
		if !errors.Is(err, r.err) {
			continue
		}
		message := err.Error()
		if r.reason == dncv1.ErrorReason_ERROR_REASON_DEADLINE {
			message = "the caller's deadline passed: the outcome of a write is unknown until its request_id is sent again"
		}
		if outcomes[r.reason].paths {
			message = withoutPaths(message)
		}
		if r.advice != "" {
			message += ": " + r.advice
		}
		return &fault{reason: r.reason, message: message, err: err}
	}
	if gone := streamBroke(err); gone != nil {
		return faultOf(gone)
	}
	return &fault{reason: dncv1.ErrorReason_ERROR_REASON_INTERNAL, message: internalMessage, err: err}
}

var pathWord = regexp.MustCompile(`[^\s:"'()]*/[^\s:"'()]*`)

// withoutPaths keeps only the file name of each path.
func withoutPaths(s string) string { return pathWord.ReplaceAllStringFunc(s, path.Base) }

// streamBroke returns the context's error for an error of gRPC that means that the caller is gone; nil for any other.
func streamBroke(err error) error {
	s, ok := status.FromError(err)
	switch {
	case !ok:
		return nil
	case s.Code() == codes.DeadlineExceeded:
		return context.DeadlineExceeded
	case s.Code() == codes.Canceled, s.Code() == codes.Unavailable:
		return context.Canceled
	}
	return nil
}

// itemError is err for one item of a batch.
func itemError(err error) *dncv1.ItemError {
	f := faultOf(err)
	return &dncv1.ItemError{Reason: f.reason, Message: f.message}
}

// statusOf makes every error that leaves the server. Its reason is in the details and, for clients whose library does
// not decode details, in a trailer of the call that ctx belongs to.
func statusOf(ctx context.Context, f *fault) error {
	s := status.New(codeOf(f), f.message)
	reason := strings.TrimPrefix(f.reason.String(), reasonPrefix)
	trailer := metadata.Pairs(reasonTrailer, reason)
	details := []protoadapt.MessageV1{&errdetails.ErrorInfo{Domain: errorDomain, Reason: reason, Metadata: f.meta}}
	if pause := outcomes[f.reason].pause; pause > 0 {
		trailer.Set(pushback, strconv.FormatInt(pause.Milliseconds(), 10))
		details = append(details, &errdetails.RetryInfo{RetryDelay: durationpb.New(pause)})
	}
	_ = grpc.SetTrailer(ctx, trailer) // fails when the call has ended
	detailed, err := s.WithDetails(details...)
	if err != nil {
		return s.Err()
	}
	return detailed.Err()
}

func codeOf(f *fault) codes.Code {
	if f.reason == dncv1.ErrorReason_ERROR_REASON_DEADLINE && errors.Is(f.err, context.Canceled) {
		return codes.Canceled
	}
	if o, ok := outcomes[f.reason]; ok {
		return o.code
	}
	return codes.Internal
}

// outcome is what a reason means for a call.
type outcome struct {
	code  codes.Code    // as error.proto documents it
	pause time.Duration // how long the caller should wait before it tries again; 0: not known
	paths bool          // its errors may hold paths, which are not the client's business
}

// retryPause is long enough for a queue to become shorter.
const retryPause = 100 * time.Millisecond

var outcomes = map[dncv1.ErrorReason]outcome{
	dncv1.ErrorReason_ERROR_REASON_NUMBER_EMPTY:           {code: codes.InvalidArgument},
	dncv1.ErrorReason_ERROR_REASON_NUMBER_SYNTAX:          {code: codes.InvalidArgument},
	dncv1.ErrorReason_ERROR_REASON_NUMBER_NO_COUNTRY:      {code: codes.InvalidArgument},
	dncv1.ErrorReason_ERROR_REASON_NUMBER_CALLING_CODE:    {code: codes.InvalidArgument},
	dncv1.ErrorReason_ERROR_REASON_NUMBER_LENGTH:          {code: codes.InvalidArgument},
	dncv1.ErrorReason_ERROR_REASON_REGION_INVALID:         {code: codes.InvalidArgument},
	dncv1.ErrorReason_ERROR_REASON_SCOPE_INVALID:          {code: codes.InvalidArgument},
	dncv1.ErrorReason_ERROR_REASON_FIELD_INVALID:          {code: codes.InvalidArgument},
	dncv1.ErrorReason_ERROR_REASON_BATCH_TOO_LARGE:        {code: codes.InvalidArgument},
	dncv1.ErrorReason_ERROR_REASON_PAGE_TOKEN_INVALID:     {code: codes.InvalidArgument},
	dncv1.ErrorReason_ERROR_REASON_UNSUPPORTED:            {code: codes.Unimplemented},
	dncv1.ErrorReason_ERROR_REASON_JOURNAL_CHANGED:        {code: codes.FailedPrecondition},
	dncv1.ErrorReason_ERROR_REASON_JOURNAL_FORKED:         {code: codes.FailedPrecondition},
	dncv1.ErrorReason_ERROR_REASON_REVISION_NOT_REACHED:   {code: codes.Unavailable},
	dncv1.ErrorReason_ERROR_REASON_HISTORY_GONE:           {code: codes.OutOfRange},
	dncv1.ErrorReason_ERROR_REASON_AS_OF_IN_FUTURE:        {code: codes.OutOfRange},
	dncv1.ErrorReason_ERROR_REASON_REQUEST_ID_REUSED:      {code: codes.AlreadyExists},
	dncv1.ErrorReason_ERROR_REASON_NOTHING_TO_WITHDRAW:    {code: codes.NotFound},
	dncv1.ErrorReason_ERROR_REASON_RECORD_LIMIT:           {code: codes.ResourceExhausted},
	dncv1.ErrorReason_ERROR_REASON_LIST_NOT_FOUND:         {code: codes.NotFound},
	dncv1.ErrorReason_ERROR_REASON_LIST_EXISTS:            {code: codes.AlreadyExists},
	dncv1.ErrorReason_ERROR_REASON_LIST_NAME_INVALID:      {code: codes.InvalidArgument},
	dncv1.ErrorReason_ERROR_REASON_JURISDICTION_REQUIRED:  {code: codes.InvalidArgument},
	dncv1.ErrorReason_ERROR_REASON_CONFIRMATION_REQUIRED:  {code: codes.FailedPrecondition},
	dncv1.ErrorReason_ERROR_REASON_IMPORT_RUNNING:         {code: codes.Aborted},
	dncv1.ErrorReason_ERROR_REASON_IMPORT_NOT_FOUND:       {code: codes.NotFound},
	dncv1.ErrorReason_ERROR_REASON_CHUNK_OUT_OF_ORDER:     {code: codes.FailedPrecondition},
	dncv1.ErrorReason_ERROR_REASON_CHUNK_INVALID:          {code: codes.InvalidArgument},
	dncv1.ErrorReason_ERROR_REASON_SNAPSHOT_DATE_REQUIRED: {code: codes.InvalidArgument},
	dncv1.ErrorReason_ERROR_REASON_SNAPSHOT_DATE_INVALID:  {code: codes.InvalidArgument},
	dncv1.ErrorReason_ERROR_REASON_NOTHING_TO_REVERT:      {code: codes.FailedPrecondition},
	dncv1.ErrorReason_ERROR_REASON_STAGE_DAMAGED:          {code: codes.DataLoss, paths: true},
	dncv1.ErrorReason_ERROR_REASON_IMPORT_NOT_COMMITTED:   {code: codes.Aborted},
	dncv1.ErrorReason_ERROR_REASON_DISK_FULL:              {code: codes.ResourceExhausted, paths: true},
	dncv1.ErrorReason_ERROR_REASON_CLOCK_JUMPED:           {code: codes.Unavailable},
	dncv1.ErrorReason_ERROR_REASON_QUEUE_FULL:             {code: codes.ResourceExhausted, pause: retryPause},
	dncv1.ErrorReason_ERROR_REASON_STORE_DAMAGED:          {code: codes.Unavailable, paths: true},
	dncv1.ErrorReason_ERROR_REASON_STORIES_DAMAGED:        {code: codes.Unavailable, paths: true},
	dncv1.ErrorReason_ERROR_REASON_STORE_READ_ONLY:        {code: codes.Unavailable, paths: true},
	dncv1.ErrorReason_ERROR_REASON_SHUTTING_DOWN:          {code: codes.Unavailable},
	dncv1.ErrorReason_ERROR_REASON_INTERNAL:               {code: codes.Internal},
	dncv1.ErrorReason_ERROR_REASON_DEADLINE:               {code: codes.DeadlineExceeded},
	dncv1.ErrorReason_ERROR_REASON_OVERLOADED:             {code: codes.ResourceExhausted, pause: retryPause},
	dncv1.ErrorReason_ERROR_REASON_STREAM_IDLE:            {code: codes.Aborted},
	dncv1.ErrorReason_ERROR_REASON_PERMISSION_DENIED:      {code: codes.PermissionDenied},
	dncv1.ErrorReason_ERROR_REASON_UNAUTHENTICATED:        {code: codes.Unauthenticated},
	dncv1.ErrorReason_ERROR_REASON_TOKEN_EXISTS:           {code: codes.AlreadyExists},
	dncv1.ErrorReason_ERROR_REASON_TOKEN_NOT_FOUND:        {code: codes.NotFound},
	dncv1.ErrorReason_ERROR_REASON_ACCESS_LOG_FAILED:      {code: codes.Unavailable},
	dncv1.ErrorReason_ERROR_REASON_SUBSCRIBER_NOT_FOUND:   {code: codes.NotFound},
	dncv1.ErrorReason_ERROR_REASON_SUBSCRIBER_INVALID:     {code: codes.FailedPrecondition},
	dncv1.ErrorReason_ERROR_REASON_FILTER_CHANGED:         {code: codes.FailedPrecondition},
	dncv1.ErrorReason_ERROR_REASON_ACK_INVALID:            {code: codes.InvalidArgument},
	dncv1.ErrorReason_ERROR_REASON_DESK_NOT_FOUND:         {code: codes.NotFound},
	dncv1.ErrorReason_ERROR_REASON_FEED_NOT_READY:         {code: codes.Unavailable, pause: time.Second},
	dncv1.ErrorReason_ERROR_REASON_CONSENT_WITHDRAWN:      {code: codes.FailedPrecondition},
	dncv1.ErrorReason_ERROR_REASON_POLICY_INVALID:         {code: codes.InvalidArgument},
	dncv1.ErrorReason_ERROR_REASON_POLICY_CHANGED:         {code: codes.Aborted},
}

// Trailers of a call that failed.
const (
	// reasonTrailer holds the reason, like the ErrorInfo.
	reasonTrailer = "dncd-reason"
	// pushback holds the pause in milliseconds, for clients whose gRPC library retries.
	pushback = "grpc-retry-pushback-ms"
)
