package server_test

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/known/durationpb"

	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
	"github.com/dncd/dncd/store"
)

const tagLength = 8

// wantTags fails the test when any answer that its node gets holds a position without a tag. So every test of this package
// looks for that, in every answer. A damaged store need not know its tags.
func (n *node) wantTags() []grpc.DialOption {
	if _, measured := n.t.(*testing.B); measured {
		return nil
	}
	unary := func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, o ...grpc.CallOption) error {
		err := invoke(ctx, method, req, reply, cc, o...)
		if err == nil {
			n.wantTagsIn(method, reply)
		}
		return err
	}
	stream := func(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, streamer grpc.Streamer, o ...grpc.CallOption) (grpc.ClientStream, error) {
		s, err := streamer(ctx, desc, cc, method, o...)
		return tagStream{s, n, method}, err
	}
	return []grpc.DialOption{grpc.WithChainUnaryInterceptor(unary), grpc.WithChainStreamInterceptor(stream)}
}

type tagStream struct {
	grpc.ClientStream
	n      *node
	method string
}

func (s tagStream) RecvMsg(m any) error {
	err := s.ClientStream.RecvMsg(m)
	if err == nil {
		s.n.wantTagsIn(s.method, m)
	}
	return err
}

func (n *node) wantTagsIn(method string, m any) {
	for _, p := range positionsIn(m.(proto.Message).ProtoReflect()) {
		if len(p.GetTag()) != tagLength && n.store.State().Cause == nil {
			n.t.Errorf("%s answers with the position %v, which has the tag %x", method, p, p.GetTag())
		}
	}
}

// positionsIn are all positions that a message holds.
func positionsIn(m protoreflect.Message) (found []*dncv1.Position) {
	if p, ok := m.Interface().(*dncv1.Position); ok {
		return []*dncv1.Position{p}
	}
	m.Range(func(field protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case field.Message() == nil || field.IsMap():
		case field.IsList():
			for i := range v.List().Len() {
				found = append(found, positionsIn(v.List().Get(i).Message())...)
			}
		default:
			found = append(found, positionsIn(v.Message())...)
		}
		return true
	})
	return found
}

// history is a store that a server wrote to: what was there when a copy of it was made, and the positions handed out before
// and after that.
type history struct {
	dir           string
	before, after *dncv1.Position
}

// forkedHistory makes a store, copies it, goes on, and puts the copy back, without anybody saying so.
func forkedHistory(t *testing.T) history {
	t.Helper()
	h := history{dir: filepath.Join(t.TempDir(), "data")}
	n := startIn(t, h.dir, store.Options{MinFree: -1})
	n.createList(suppression("mine"))
	h.before = n.optOut(french, "acme").GetPosition()
	closeNode(t, n)
	kept := filepath.Join(t.TempDir(), "copy")
	copyDir(t, h.dir, kept)
	n = startIn(t, h.dir, store.Options{MinFree: -1})
	h.after = n.optOut(listed, "acme").GetPosition()
	closeNode(t, n)
	if err := os.RemoveAll(h.dir); err != nil {
		t.Fatal(err)
	}
	copyDir(t, kept, h.dir)
	return h
}

func closeNode(t *testing.T, n *node) {
	t.Helper()
	if err := n.stop(); err != nil {
		t.Fatal(err)
	}
	if err := n.store.Close(); err != nil {
		t.Fatal(err)
	}
	n.store = nil
}

func copyDir(t *testing.T, from, to string) {
	t.Helper()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
}

// TestPositionOfAForkIsRefused asks every read, at a store that was put back from an older copy and continued, for a position
// that was handed out before: revision and journal fit, and what was known there is not.
func TestPositionOfAForkIsRefused(t *testing.T) {
	t.Parallel()
	h := forkedHistory(t)
	n := startIn(t, h.dir, store.Options{MinFree: -1})
	ctx := testContext(t)
	waits := n.openStream(ctx) // for the revision, which the fork has not reached
	check := ofText(7, french)
	check.ReadAt, check.Timeout = readAt(h.after), durationpb.New(time.Minute)
	waits.ask(check)
	waits.ask()
	if _, err := waits.Recv(); err != nil { // the answer to the empty message: the check was read
		t.Fatal(err)
	}
	waited := make(chan error, 1)
	go func() {
		_, err := n.check.CheckNumber(ctx, &dncv1.CheckNumberRequest{Number: french, ReadAt: readAt(h.after)})
		waited <- err
	}()
	n.awaitWaits(1)
	for range 3 {
		n.optOut(unlisted, "other")
	}
	wantReason(t, <-waited, codes.FailedPrecondition, "JOURNAL_FORKED")
	wantItemError(t, waits.takeOne(7), dncv1.ErrorReason_ERROR_REASON_JOURNAL_FORKED)
	if now := n.checkNumber(french, "acme").GetPosition(); now.GetJournalId() != h.after.GetJournalId() || now.GetRevision() <= h.after.GetRevision() {
		t.Fatalf("the fork is at %v: nothing is tested", now)
	}
	n.wantAtEach(ctx, readAt(h.after), dncv1.ErrorReason_ERROR_REASON_JOURNAL_FORKED)
	n.wantAtEach(ctx, readAt(h.before), dncv1.ErrorReason_ERROR_REASON_UNSPECIFIED)
	n.wantAtEach(ctx, atLeast(h.after.GetRevision(), h.after.GetJournalId()), dncv1.ErrorReason_ERROR_REASON_UNSPECIFIED)
	any := proto.Clone(h.after).(*dncv1.Position)
	any.JournalId = ""
	n.wantAtEach(ctx, readAt(any), dncv1.ErrorReason_ERROR_REASON_JOURNAL_FORKED)
	for _, tag := range [][]byte{h.before.GetTag(), h.before.GetTag()[:7], append(slices.Clone(h.after.GetTag()), 0), make([]byte, 64), {0}} {
		other := &dncv1.Position{Revision: h.after.GetRevision(), JournalId: h.after.GetJournalId(), Tag: tag}
		n.wantAtEach(ctx, readAt(other), dncv1.ErrorReason_ERROR_REASON_JOURNAL_FORKED)
	}
}

func readAt(p *dncv1.Position) *dncv1.ReadAt {
	return &dncv1.ReadAt{At: &dncv1.ReadAt_AtLeast{AtLeast: p}}
}

// wantAtEach makes every read at a state, and wants that reason from each; UNSPECIFIED: an answer.
func (n *node) wantAtEach(ctx context.Context, at *dncv1.ReadAt, want dncv1.ErrorReason) {
	n.t.Helper()
	for what, err := range n.readsAt(ctx, at) {
		switch {
		case want != dncv1.ErrorReason_ERROR_REASON_UNSPECIFIED:
			wantReason(n.t, err, codes.FailedPrecondition, want.String()[len("ERROR_REASON_"):])
			if info := errorInfo(err).GetMetadata(); info["revision"] == "" || info["journal_id"] == "" {
				n.t.Errorf("%s: %v does not say where the server is", what, err)
			}
		case err != nil:
			n.t.Errorf("%s at %v: %v", what, at, err)
		}
	}
	s := n.openStream(ctx)
	check := ofText(1, french)
	check.ReadAt = at
	s.ask(check)
	if a := s.takeOne(1); a.GetError().GetReason() != want {
		n.t.Errorf("on a stream, at %v: got %v, want %v", at, a.GetError(), want)
	}
}

// TestEveryReadAtIsTested fails for an RPC that takes a position and that readsAt does not call.
func TestEveryReadAtIsTested(t *testing.T) {
	t.Parallel()
	tested := []string{"StreamChecks"}
	n := start(t)
	n.createList(suppression("mine"))
	for what := range n.readsAt(testContext(t), nil) {
		tested = append(tested, what)
	}
	protoregistry.GlobalFiles.RangeFilesByPackage("dnc.v1", func(file protoreflect.FileDescriptor) bool {
		for i := range file.Services().Len() {
			methods := file.Services().Get(i).Methods()
			for j := range methods.Len() {
				if m := methods.Get(j); holdsReadAt(m.Input(), nil) && !slices.Contains(tested, string(m.Name())) {
					t.Errorf("%s takes a position: readsAt does not ask it", m.FullName())
				}
			}
		}
		return true
	})
}

// holdsReadAt reports whether a message has a ReadAt anywhere.
func holdsReadAt(m protoreflect.MessageDescriptor, within []protoreflect.FullName) bool {
	if m.FullName() == "dnc.v1.ReadAt" {
		return true
	}
	if slices.Contains(within, m.FullName()) {
		return false
	}
	for i := range m.Fields().Len() {
		if inner := m.Fields().Get(i).Message(); inner != nil && holdsReadAt(inner, append(within, m.FullName())) {
			return true
		}
	}
	return false
}
