package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/durationpb"

	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
)

func statusWith(t *testing.T, code codes.Code, reason string) error {
	t.Helper()
	s, err := status.New(code, "what to do").WithDetails(&errdetails.ErrorInfo{Reason: reason, Domain: "dncd", Metadata: map[string]string{"list": "us-ftc"}})
	if err != nil {
		t.Fatal(err)
	}
	return s.Err()
}

func TestErrorsIs(t *testing.T) {
	t.Parallel()
	tests := []struct {
		err  error
		is   []error
		isNo []error
	}{
		{statusWith(t, codes.NotFound, "LIST_NOT_FOUND"), []error{ErrListNotFound}, []error{ErrNothingToWithdraw, ErrUnavailable}},
		{statusWith(t, codes.InvalidArgument, "NUMBER_LENGTH"), []error{ErrInvalidNumber, ErrNumberLength}, []error{ErrNumberSyntax, ErrInvalidArgument}},
		{statusWith(t, codes.Unavailable, "REVISION_NOT_REACHED"), []error{ErrRevisionNotReached}, []error{ErrUnavailable}},
		{statusWith(t, codes.Unavailable, "SHUTTING_DOWN"), []error{ErrUnavailable}, []error{ErrStoreDamaged}},
		{statusWith(t, codes.DeadlineExceeded, "DEADLINE"), []error{context.DeadlineExceeded}, []error{context.Canceled, ErrUnavailable}},
		{status.Error(codes.Unavailable, "connection refused"), []error{ErrUnavailable}, []error{ErrStoreDamaged, ErrInvalidNumber}},
		{statusWith(t, codes.Unauthenticated, "UNAUTHENTICATED"), []error{ErrUnauthenticated}, []error{ErrPermissionDenied, ErrUnavailable}},
		{status.Error(codes.Unauthenticated, "a proxy asks for a token"), []error{ErrUnauthenticated}, []error{ErrPermissionDenied}},
		{status.Error(codes.PermissionDenied, "a proxy forbids it"), []error{ErrPermissionDenied}, []error{ErrUnauthenticated}},
		{context.Canceled, []error{context.Canceled}, []error{context.DeadlineExceeded}},
		{statusWith(t, codes.Aborted, "A_REASON_OF_TOMORROW"), nil, []error{ErrImportRunning, ErrUnavailable, ErrInvalidNumber}},
	}
	for _, tt := range tests {
		got := fmt.Errorf("wrapped: %w", fromStatus(tt.err))
		for _, want := range tt.is {
			if !errors.Is(got, want) {
				t.Errorf("%v is not %v", tt.err, want)
			}
		}
		for _, want := range tt.isNo {
			if errors.Is(got, want) {
				t.Errorf("%v is %v", tt.err, want)
			}
		}
	}
}

// TestEverySentinelIsOfTheContract catches a reason that is spelled wrong.
func TestEverySentinelIsOfTheContract(t *testing.T) {
	t.Parallel()
	for _, err := range []error{
		ErrUnavailable, ErrInvalidNumber, ErrNumberEmpty, ErrNumberSyntax, ErrNumberNoCountry, ErrNumberCallingCode,
		ErrNumberLength, ErrInvalidArgument, ErrUnsupported, ErrJournalChanged, ErrJournalForked, ErrRevisionNotReached, ErrHistoryGone,
		ErrRequestIDReused, ErrNothingToWithdraw, ErrRecordLimit, ErrListNotFound, ErrListExists,
		ErrConfirmationRequired, ErrImportRunning, ErrSnapshotDate, ErrDiskFull, ErrQueueFull, ErrOverloaded, ErrStoreDamaged,
		ErrStoreReadOnly, ErrImportDamaged, ErrPermissionDenied, ErrUnauthenticated, ErrTokenExists, ErrTokenNotFound, ErrAccessLog,
		ErrSubscriberNotFound, ErrFilterChanged, ErrAcknowledgement,
	} {
		var s *sentinel
		if !errors.As(err, &s) {
			t.Fatalf("%v is no sentinel", err)
		}
		for _, reason := range s.reasons {
			if _, ok := dncv1.ErrorReason_value["ERROR_REASON_"+reason]; !ok && reason != reasonUnavailable {
				t.Errorf("%v stands for %s, which is no reason", err, reason)
			}
		}
	}
}

func TestErrorKeepsWhatTheServerSaid(t *testing.T) {
	t.Parallel()
	e := fromStatus(statusWith(t, codes.NotFound, "LIST_NOT_FOUND"))
	if e.Code() != "NOT_FOUND" || e.Error() != "what to do" || e.Metadata["list"] != "us-ftc" {
		t.Errorf("got %s %q %v", e.Code(), e, e.Metadata)
	}
	with := e.with("request_id", "r1")
	if with.Metadata["request_id"] != "r1" || with.Metadata["list"] != "us-ftc" || e.Metadata["request_id"] != "" {
		t.Errorf("got %v from %v", with.Metadata, e.Metadata)
	}
}

// TestOverloadIsTriedAgain: after the pause that the server asks for, and not at all when the caller's time is over before.
func TestOverloadIsTriedAgain(t *testing.T) {
	t.Parallel()
	const asked = 100 * time.Millisecond
	s, err := status.New(codes.ResourceExhausted, "later").WithDetails(
		&errdetails.RetryInfo{RetryDelay: durationpb.New(asked)}, &errdetails.ErrorInfo{Reason: "OVERLOADED", Domain: "dncd"})
	if err != nil {
		t.Fatal(err)
	}
	e := fromStatus(s.Err())
	if !errors.Is(e, ErrOverloaded) || e.retryAfter != asked || retryAfter(fmt.Errorf("load: %w", e)) != asked {
		t.Errorf("got %v with a pause of %v, want ErrOverloaded and %v", e, e.retryAfter, asked)
	}
	if !new(Client).isPassing(e) {
		t.Error("is not tried again")
	}
	synctest.Test(t, func(t *testing.T) {
		for deadline, want := range map[time.Duration]bool{time.Second: true, asked: false} {
			ctx, cancel := context.WithTimeout(t.Context(), deadline)
			t.Cleanup(cancel)
			start := time.Now()
			if got := pause(ctx, 1, e.retryAfter); got != want {
				t.Errorf("with %v left: got %v, want %v", deadline, got, want)
			}
			if waited := time.Since(start); want != (waited >= asked) {
				t.Errorf("with %v left: waited %v", deadline, waited)
			}
		}
	})
}

func TestInnermost(t *testing.T) {
	t.Parallel()
	const message = `last connection error: connection error: desc = "transport: Error while dialing: dial tcp 127.0.0.1:1: connect: connection refused"`
	if got, want := innermost(message), "dial tcp 127.0.0.1:1: connect: connection refused"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := innermost("name resolver error: produced zero addresses"); !strings.Contains(got, "zero addresses") {
		t.Errorf("got %q", got)
	}
}

// TestGRPCStatus has programs that know gRPC, such as a gateway, read an error as the server sent it.
func TestGRPCStatus(t *testing.T) {
	t.Parallel()
	busy, err := status.New(codes.ResourceExhausted, "later").WithDetails(
		&errdetails.ErrorInfo{Reason: "OVERLOADED", Domain: "dncd"}, &errdetails.RetryInfo{RetryDelay: durationpb.New(time.Second)})
	if err != nil {
		t.Fatal(err)
	}
	for _, sent := range []error{statusWith(t, codes.NotFound, "LIST_NOT_FOUND"), statusWith(t, codes.Aborted, "A_REASON_OF_TOMORROW"), busy.Err()} {
		got, ok := status.FromError(fmt.Errorf("wrapped: %w", fromStatus(sent)))
		want := status.Convert(sent)
		if !ok || got.Code() != want.Code() {
			t.Errorf("%v: got code %v, want %v", sent, got.Code(), want.Code())
		}
		if diff := cmp.Diff(want.Proto().GetDetails(), got.Proto().GetDetails(), protocmp.Transform()); diff != "" {
			t.Errorf("%v: details (-want +got):\n%s", sent, diff)
		}
		again := fromStatus(got.Err())
		if e := fromStatus(sent); again.Reason != e.Reason || again.retryAfter != e.retryAfter {
			t.Errorf("%v: got reason %s and pause %v behind a gateway, want %s and %v", sent, again.Reason, again.retryAfter, e.Reason, e.retryAfter)
		}
	}
	for _, tt := range []struct {
		err  error
		want codes.Code
	}{
		{fromItem(&dncv1.ItemError{Reason: dncv1.ErrorReason_ERROR_REASON_NUMBER_LENGTH}), codes.InvalidArgument},
		{fromItem(&dncv1.ItemError{Reason: dncv1.ErrorReason_ERROR_REASON_PERMISSION_DENIED}), codes.PermissionDenied},
		{fromStatus(context.DeadlineExceeded), codes.DeadlineExceeded},
		{ofWrite(fromStatus(context.DeadlineExceeded)), codes.DeadlineExceeded},
		{cutOr(io.EOF), codes.Unavailable},
		{&Error{Reason: "OVERLOADED"}, codes.Unknown},
	} {
		if got := status.Code(tt.err); got != tt.want {
			t.Errorf("%v: got code %v, want %v", tt.err, got, tt.want)
		}
	}
}

// A document that is not UTF-8, such as one that a Windows editor saved, is refused before it is sent.
func TestPolicyIsUTF8(t *testing.T) {
	t.Parallel()
	c, err := New("127.0.0.1:1")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, err = c.SetPolicy(context.Background(), "format: 1 # \xe9t\xe9\n", SetPolicyOptions{})
	if !errors.Is(err, ErrPolicyInvalid) || !strings.Contains(err.Error(), "not UTF-8") {
		t.Errorf("got %v, want ErrPolicyInvalid", err)
	}
}
