package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/dncd/dncd/internal/feed"
	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
)

const (
	// ackEvery is the least time between two acknowledgements of a stage.
	ackEvery = time.Second
	// lastAcks bounds how long the last acknowledgements may take when Follow ends.
	lastAcks = 5 * time.Second
	// maxUnapplied bounds how many checkpoints wait until the caller has applied them.
	maxUnapplied = 1024
)

// acknowledge says that the checkpoint of the state is durable in the base, with a digest of the rows if one is due.
func (f *follower) acknowledge(ctx context.Context) error {
	var digest feed.Digest
	if now := time.Now(); f.owesDigest(now) {
		var err error
		if digest, err = digestOf(ctx, f.o.Base.(RowReader).Rows(ctx), f.held().Time); err != nil {
			return fmt.Errorf("compute the digest of the base: %w", err)
		}
		f.state.DigestDay = day(now)
		if err := f.o.Base.Apply(ctx, Batch{State: f.state, Edits: slices.Values([]Edit(nil))}); err != nil {
			return fmt.Errorf("store the day of the digest in the base: %w", err)
		}
	}
	f.acks.reached(feed.Durable, f.state.Checkpoint, digest)
	f.acks.reached(feed.Applied, f.state.Checkpoint, digest)
	return nil
}

// acker sends acknowledgements beside the work of Follow: they must not delay a prohibition.
type acker struct {
	client     *Client
	subscriber string
	key        *feed.PrivateKey // nil: claims
	applied    func() Cursor    // nil: what is durable is applied
	trouble    func(error)

	reporting sync.Mutex // held while a function of the caller runs

	mu        sync.Mutex
	due       map[feed.Stage][]receipt // of each stage what is to be sent: those with a digest, and the newest
	unapplied []receipt                // that the caller has yet to apply, oldest first

	wake, quit chan struct{}
	ended      sync.WaitGroup
}

// receipt is one acknowledgement to be sent.
type receipt struct {
	checkpoint feed.Checkpoint
	digest     feed.Digest
}

func newAcker(c *Client, o *FollowOptions) (*acker, error) {
	a := &acker{
		client: c, subscriber: o.Subscriber, applied: o.Applied, trouble: o.OnTrouble,
		due: map[feed.Stage][]receipt{}, wake: make(chan struct{}, 1), quit: make(chan struct{}),
	}
	if o.Key == "" {
		return a, nil
	}
	key, err := feed.ParsePrivateKey(o.Key)
	if err != nil {
		return nil, fmt.Errorf("the key that signs acknowledgements: %w", err)
	}
	a.key = &key
	return a, nil
}

// reached notes that the base has reached a stage with a checkpoint, which was verified. A digest goes with applied alone.
func (a *acker) reached(stage feed.Stage, checkpoint string, digest feed.Digest) {
	c, _, err := feed.ReadCheckpoint([]byte(checkpoint))
	if err != nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	r := receipt{checkpoint: c}
	if stage == feed.Applied {
		r.digest = digest
	}
	if stage == feed.Applied && a.applied != nil {
		if len(a.unapplied) == maxUnapplied {
			a.unapplied = a.unapplied[1:]
		}
		a.unapplied = append(a.unapplied, r)
		a.wakeUp()
		return
	}
	a.put(stage, r)
}

// put makes an acknowledgement the newest of its stage.
func (a *acker) put(stage feed.Stage, r receipt) {
	due := a.due[stage]
	if last := len(due) - 1; last >= 0 && due[last].digest.IsZero() {
		due = due[:last]
	}
	a.due[stage] = append(due, r)
	a.wakeUp()
}

func (a *acker) wakeUp() {
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

// isWaiting reports whether there is more to send, or something that the caller has yet to apply.
func (a *acker) isWaiting() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.unapplied) > 0 || slices.ContainsFunc(stages, func(s feed.Stage) bool { return len(a.due[s]) > 0 })
}

var stages = []feed.Stage{feed.Received, feed.Durable, feed.Applied}

// start sends acknowledgements until stop.
func (a *acker) start(ctx context.Context) {
	ctx = context.WithoutCancel(ctx)
	a.ended.Go(func() {
		for {
			select {
			case <-a.wake:
				a.sendAll(ctx)
			case <-a.quit:
				return
			}
			select { // no stage twice in this time
			case <-time.After(ackEvery):
			case <-a.quit:
				return
			}
			if a.isWaiting() {
				a.wakeUp()
			}
		}
	})
}

// stop sends what is due, and ends.
func (a *acker) stop() {
	close(a.quit)
	a.ended.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), lastAcks)
	defer cancel()
	a.sendAll(ctx)
}

func (a *acker) sendAll(ctx context.Context) {
	a.takeApplied()
	for _, stage := range stages {
		r, ok := a.next(stage)
		if !ok {
			continue
		}
		if err := a.send(ctx, stage, r); err != nil {
			a.failed(stage, r, err)
		}
	}
}

// next takes the oldest acknowledgement of a stage.
func (a *acker) next(stage feed.Stage) (r receipt, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	due := a.due[stage]
	if len(due) == 0 {
		return r, false
	}
	a.due[stage] = due[1:]
	return due[0], true
}

// takeApplied makes due what the caller has applied by now.
func (a *acker) takeApplied() {
	if a.applied == nil {
		return
	}
	at, err := a.applied().message()
	if err != nil || at == nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for len(a.unapplied) > 0 && comparePlaces(claimed(a.unapplied[0].checkpoint), at) <= 0 {
		a.put(feed.Applied, a.unapplied[0])
		a.unapplied = a.unapplied[1:]
	}
}

// failed keeps an acknowledgement that may succeed later, unless a newer one is due.
func (a *acker) failed(stage feed.Stage, r receipt, err error) {
	var e *Error
	if errors.As(err, &e) && isMendable(e) {
		a.mu.Lock()
		if len(a.due[stage]) == 0 || !r.digest.IsZero() {
			a.due[stage] = append([]receipt{r}, a.due[stage]...)
		}
		a.mu.Unlock()
	}
	if a.trouble != nil {
		a.reporting.Lock()
		defer a.reporting.Unlock()
		a.trouble(fmt.Errorf("acknowledge position %d as %s: %w", r.checkpoint.Revision, stage, err))
	}
}

func (a *acker) send(ctx context.Context, stage feed.Stage, r receipt) error {
	request := &dncv1.AcknowledgeRequest{Subscriber: a.subscriber, Context: a.client.writeContext("")}
	if a.key == nil {
		request.Acknowledgement = &dncv1.AcknowledgeRequest_Claim{
			Claim: &dncv1.ClaimedAcknowledgement{Cursor: claimed(r.checkpoint), Stage: toStage(stage)},
		}
	} else {
		text := feed.Acknowledgement{Checkpoint: r.checkpoint, Stage: stage, Signed: time.Now().UTC(), Digest: r.digest}
		note, err := text.Sign(*a.key)
		if err != nil {
			return err
		}
		request.Acknowledgement = &dncv1.AcknowledgeRequest_Note{Note: note}
	}
	_, err := callWrite(ctx, a.client, func(ctx context.Context, on *connection) (*dncv1.AcknowledgeResponse, error) {
		return on.propagation.Acknowledge(ctx, request)
	})
	return err
}

// toStage is the stage as the contract has it.
func toStage(s feed.Stage) dncv1.Stage {
	return map[feed.Stage]dncv1.Stage{
		feed.Received: dncv1.Stage_STAGE_RECEIVED, feed.Durable: dncv1.Stage_STAGE_DURABLE, feed.Applied: dncv1.Stage_STAGE_APPLIED,
	}[s]
}
