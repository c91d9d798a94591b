package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/dncd/dncd/internal/ascending"
	"github.com/dncd/dncd/internal/nice"
	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
	"github.com/dncd/dncd/store"
)

type compareStream = grpc.BidiStreamingServer[dncv1.CompareBaseRequest, dncv1.CompareBaseResponse]

// differencesFrame is how many differences a frame has: some 100 KiB.
const differencesFrame = 1024

// CompareBase implements dncv1.PropagationServiceServer.
func (s *propagationService) CompareBase(stream compareStream) error {
	c := &compareSession{s: s, stream: stream, frames: receive(stream, fresh[dncv1.CompareBaseRequest])}
	var err error
	nice.Do(func() { err = c.run() }) // checks take precedence
	s.metrics.wrote(writeComparison, false, err)
	return err
}

// compareSession is one stream that compares an export.
type compareSession struct {
	s      *propagationService
	stream compareStream
	frames <-chan frame[dncv1.CompareBaseRequest]

	sub      *store.Subscriber
	query    store.CompareQuery
	exported *store.Comparison
	chunks   int
	numbers  []uint64 // of a chunk
	told     time.Time
	begun    bool                // progress of the comparison itself was sent
	found    []*dncv1.Difference // not sent yet
}

func (c *compareSession) run() error {
	ctx := c.stream.Context()
	if err := c.begin(ctx); err != nil {
		return err
	}
	if err := c.s.noteAccess(ctx, "PropagationService/CompareBase", (&feedTarget{c.sub, c.sub.Filter}).accessed()); err != nil {
		return err
	}
	var err error
	if c.exported, err = c.s.store.BeginComparison(); err != nil {
		return err
	}
	defer c.exported.Close()
	if err := c.send(&dncv1.CompareProgress{IdleLimit: durationpb.New(loadIdle)}); err != nil {
		return err
	}
	if err := c.take(); err != nil {
		return err
	}
	return c.compare()
}

func (c *compareSession) next() (*dncv1.CompareBaseRequest, error) {
	return nextFrame(c.stream.Context(), c.frames, c.s.draining)
}

// begin reads the header.
func (c *compareSession) begin(ctx context.Context) error {
	req, err := c.next()
	if errors.Is(err, io.EOF) || err == nil && req.GetHeader() == nil {
		return errHeaderMissing()
	}
	if err != nil {
		return err
	}
	h, v := req.GetHeader(), c.s.store.View()
	if c.sub, err = c.subscriber(ctx, v, h.GetSubscriber()); err != nil {
		return err
	}
	if err := c.s.store.FeedReady(c.sub.Filter); err != nil {
		return err
	}
	c.query.Subscriber, c.query.Removals = c.sub.ID, h.GetRemovals()
	if c.query.TakenAt, err = timeOf("taken_at", h.GetTakenAt()); err != nil {
		return err
	}
	if c.query.TakenAt.After(v.Now().Add(time.Minute)) {
		return invalidField("taken_at", "is in the future: check the time and its zone")
	}
	if h.GetContext().GetRequestId() != "" {
		return invalidField("context.request_id", "must be empty: a comparison that was interrupted is made again")
	}
	c.query.Request, err = c.s.request(ctx, h.GetContext(), store.Story{})
	return err
}

// subscriber finds the subscriber whose export is compared, for a caller that may read its feed: differences are numbers, so
// seeing the subscriber is not enough.
func (c *compareSession) subscriber(ctx context.Context, v *store.View, name string) (*store.Subscriber, error) {
	caller, sub := callerOf(ctx), v.Subscribers().Named(name)
	switch {
	case sub == nil && caller.Roles.Any(feedReaders):
		return nil, aboutSubscriber(name, store.ErrSubscriberNotFound)
	case sub != nil && mayReadFeed(caller, sub) == nil:
		return sub, nil
	}
	return nil, c.s.auth.deny(ctx, "PropagationService/CompareBase", "the caller is not the identity of that subscriber, or is bound to other scopes")
}

// take takes the export up to its commit.
func (c *compareSession) take() error {
	for {
		req, err := c.next()
		if errors.Is(err, io.EOF) {
			return refuse(dncv1.ErrorReason_ERROR_REASON_IMPORT_NOT_COMMITTED, "the stream ended before the commit: nothing was compared; start again")
		}
		if err != nil {
			return err
		}
		switch {
		case req.GetChunk() != nil:
			err = c.put(req.GetChunk().GetAscending())
		case req.GetCommit() != nil:
			return c.commit(req.GetCommit())
		default:
			err = keepsOpen(req)
		}
		if err != nil {
			return err
		}
	}
}

func (c *compareSession) put(run []byte) error {
	if len(run) > maxChunkBytes {
		return chunkInvalid(fmt.Sprintf("a chunk holds at most %d KiB: send smaller ones", maxChunkBytes>>10)).with("limit", fmt.Sprint(maxChunkBytes))
	}
	if c.chunks++; c.chunks > maxChunks {
		return chunkInvalid(fmt.Sprintf("a comparison holds at most %d chunks: send larger ones", maxChunks)).with("limit", fmt.Sprint(maxChunks))
	}
	var err error
	if c.numbers, err = ascending.Decode(c.numbers[:0], run); err != nil {
		return chunkInvalid("ascending does not decode: varints, each the difference from the number before")
	}
	if err := c.exported.Put(c.numbers); err != nil {
		return err
	}
	return c.tell(&dncv1.CompareProgress{Received: c.exported.Numbers()})
}

func (c *compareSession) commit(m *dncv1.CompareCommit) error {
	if got := c.exported.Numbers(); m.GetNumbers() != got {
		return chunkInvalid(fmt.Sprintf("the commit counts %d numbers, and %d came: send the export again", m.GetNumbers(), got))
	}
	c.query.Rejected = m.GetRejected()
	return nil
}

// compare compares what was taken, and sends what it finds.
func (c *compareSession) compare() error {
	stream := c.stream.Context()
	ctx, cancel := c.s.untilStopping(stream)
	defer cancel()
	received := c.exported.Numbers()
	w, err := c.exported.Run(ctx, c.query, c.differs, func(numbers uint64) {
		_ = c.tell(&dncv1.CompareProgress{Received: received, Compared: numbers}) // the context ends when the client is gone
	})
	if err != nil {
		return aboutSubscriber(c.sub.Name, unlessStopping(ctx, stream, err))
	}
	if err := c.flush(); err != nil {
		return err
	}
	c.s.logAct(stream, "PropagationService/CompareBase", c.sub.Name)
	return c.stream.Send(&dncv1.CompareBaseResponse{Frame: &dncv1.CompareBaseResponse_Summary{Summary: &dncv1.CompareSummary{
		Comparison: comparisonMessage(c.s.store.View(), &w.Found), Removable: w.Removable, Position: positionAt(w.Receipt),
	}}})
}

// tell sends progress: the first of each phase, and further ones from time to time.
func (c *compareSession) tell(p *dncv1.CompareProgress) error {
	begins := p.GetCompared() > 0 && !c.begun
	if !begins && time.Since(c.told) < progressEvery {
		return nil
	}
	c.begun, c.told = c.begun || begins, time.Now()
	return c.send(p)
}

func (c *compareSession) send(p *dncv1.CompareProgress) error {
	return c.stream.Send(&dncv1.CompareBaseResponse{Frame: &dncv1.CompareBaseResponse_Progress{Progress: p}})
}

// differs sends a difference, with others.
func (c *compareSession) differs(d store.Difference) error {
	m := &dncv1.Difference{
		Number: uint64(d.Number), Kind: dncv1.DifferenceKind(d.Kind), Scope: string(d.Scope), Since: stamp(d.Since), InForce: d.InForce,
	}
	if d.List != nil {
		m.List, m.ListName = eventID(d.List.ID), d.List.Name
	}
	if c.found = append(c.found, m); len(c.found) < differencesFrame {
		return nil
	}
	return c.flush()
}

func (c *compareSession) flush() error {
	if len(c.found) == 0 {
		return nil
	}
	found := c.found
	c.found = nil
	return c.stream.Send(&dncv1.CompareBaseResponse{Frame: &dncv1.CompareBaseResponse_Differences{Differences: &dncv1.Differences{Differences: found}}})
}

// comparisonMessage is a comparison that was recorded; nil for none.
func comparisonMessage(v *store.View, r *store.Compared) *dncv1.Comparison {
	if r == nil {
		return nil
	}
	m := &dncv1.Comparison{
		Id: eventID(r.ID), Time: stamp(r.Time), TakenAt: stamp(r.TakenAt), UpTo: positionOfRevision(v, r.UpTo),
		Numbers: r.Numbers, Rejected: r.Rejected, Expected: r.Expected, Missing: r.Missing, InFlight: r.InFlight, Extra: r.Extra,
		NumbersSha256: r.NumbersSHA256[:], MissingSha256: r.MissingSHA256[:],
		Elapsed: durationpb.New(r.Elapsed), ListsInDoubt: listNames(v, r.InDoubt),
	}
	if r.Acknowledged != 0 {
		m.Acknowledged = positionOfRevision(v, r.Acknowledged)
	}
	return m
}

// positionOfRevision is the position of a revision that may be of an earlier journal, or lost: then it has no tag.
func positionOfRevision(v *store.View, revision uint64) *dncv1.Position {
	p := &dncv1.Position{Revision: revision}
	if tag := v.TagAt(revision); tag != nil {
		p.JournalId, p.Tag = v.JournalID(), tag
	}
	return p
}
