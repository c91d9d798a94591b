package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/dncd/dncd/bench/internal/daemon"
	"github.com/dncd/dncd/bench/internal/damage"
	"github.com/dncd/dncd/client"
	"github.com/dncd/dncd/internal/feed"
)

// followedBase is a calling base that followed the healthy store, and what that store knew of it.
type followedBase struct {
	key          string
	memory       *memoryBase
	id           client.EventID // its registration
	acknowledged uint64         // changes, as applied
}

// Files that a base notices when they are harmed: with another secret its log has other hashes, with another key other signatures.
const (
	secretFile     = "secret"
	signingKeyFile = "signing-key"
)

// registerBase registers a base of all opt-outs and of the second list.
func (b *damageBench) registerBase(ctx context.Context, c *client.Client) error {
	private, public, err := feed.NewKey(memoryName)
	if err != nil {
		return err
	}
	r, err := c.PutSubscriber(ctx, memoryName, client.SubscriberChange{
		Kind: client.SubscriberInternal, Lists: &[]string{suppressionList}, Keys: &[]string{public.Text()},
	})
	if err != nil {
		return err
	}
	b.base = &followedBase{key: private, memory: &memoryBase{}, id: r.ID}
	return b.base.follow(ctx, c)
}

// follow has the base take what there is, and acknowledge it.
func (f *followedBase) follow(ctx context.Context, c *client.Client) error {
	return c.Follow(ctx, client.FollowOptions{Subscriber: memoryName, Base: f.memory, Key: f.key, Once: true})
}

// know reads what the store knows of the base.
func (f *followedBase) know(ctx context.Context, c *client.Client) error {
	applied, err := f.applied(ctx, c)
	f.acknowledged = applied.AcknowledgedChanges
	if err == nil && (!applied.Signed || f.acknowledged == 0) {
		err = fmt.Errorf("the base acknowledged %d changes, signed %t", f.acknowledged, applied.Signed)
	}
	return err
}

func (f *followedBase) applied(ctx context.Context, c *client.Client) (client.StageStatus, error) {
	status, err := c.Subscriber(ctx, memoryName)
	i := slices.IndexFunc(status.Stages, func(s client.StageStatus) bool { return s.Stage == client.StageApplied })
	if err != nil || i < 0 {
		return client.StageStatus{}, errors.Join(err, errors.New("no stage applied"))
	}
	return status.Stages[i], nil
}

// lacks is how many rows of f another state of the base does not hold any more.
func (f *followedBase) lacks(later *memoryBase) (count int) {
	for k, until := range f.memory.rows {
		if !later.blocks(k, until) {
			count++
		}
	}
	return count
}

// holdBase holds a server that has everything to what it knew of the base.
func (t *trial) holdBase(ctx context.Context, c *client.Client) {
	truth := t.bench.base
	applied, err := truth.applied(ctx, c)
	if err != nil || !applied.Signed || applied.AcknowledgedChanges < truth.acknowledged {
		t.fault("the base acknowledged %d changes, and now %d, signed %t: %v", truth.acknowledged, applied.AcknowledgedChanges, applied.Signed, err)
	}
	if t.isHarmed(secretFile) {
		return // the log has other blinds
	}
	want, _, err := feed.ReadCheckpoint([]byte(truth.memory.state.Checkpoint))
	if err != nil {
		t.fault("the base's checkpoint: %v", err)
		return
	}
	note, _, err := c.GetCheckpoint(ctx, truth.id, want.Epoch, want.Revision)
	if err != nil {
		t.fault("the log of the base: %v", err)
		return
	}
	if got, _, err := feed.ReadCheckpoint(note); err != nil || got.Changes != want.Changes || got.Hash != want.Hash {
		t.fault("the log of the base is another one at revision %d: %d changes, want %d: %v", want.Revision, got.Changes, want.Changes, err)
	}
}

// follow has the base follow what is left. It may not lose a row, whatever the server lost and named in f.
func (t *trial) follow(ctx context.Context, c *client.Client, f daemon.Fsck) {
	const patience = time.Minute
	truth := t.bench.base
	base := &followedBase{key: truth.key, memory: truth.memory.copy()}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	err := base.follow(ctx, c)
	if lost := truth.lacks(base.memory); lost > 0 {
		t.fault("the base lost %d rows", lost)
	}
	switch {
	case err == nil:
	case errors.Is(err, client.ErrServerKey) && t.isHarmed(signingKeyFile):
	case t.isAccessLog(err):
	case errors.Is(err, client.ErrSubscriberNotFound) && f.Lost(truth.id.Revision):
	default:
		t.fault("the base does not follow: %v", err)
	}
}

// replaceKey moves a signing key away that fsck named, as a person does, and reports whether it did. Then dncd makes another.
func (t *trial) replaceKey(f daemon.Fsck) bool {
	if !f.Names("the key that signs checkpoints", "cannot be read") {
		return false
	}
	path := filepath.Join(t.dir, signingKeyFile)
	if err := os.Rename(path, path+".damaged"); err != nil {
		t.fault("%v", err)
	}
	return true
}

// isAccessLog reports whether an error says that the access log, which was harmed, cannot be written. Then personal data is not shown
// until a person has moved the log away.
func (t *trial) isAccessLog(err error) bool {
	return errors.Is(err, client.ErrAccessLog) && slices.ContainsFunc(t.harms, func(h damage.Harm) bool { return strings.HasPrefix(h.File, "access/") })
}

// isHarmed reports whether a harm of the trial is to that file.
func (t *trial) isHarmed(file string) bool {
	return slices.ContainsFunc(t.harms, func(h damage.Harm) bool { return h.File == file })
}
