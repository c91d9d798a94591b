package store

import (
	"fmt"

	"google.golang.org/protobuf/proto"

	"github.com/dncd/dncd/internal/policy"
	storev1 "github.com/dncd/dncd/internal/proto/store/v1"
	"github.com/dncd/dncd/store/internal/apply"
	"github.com/dncd/dncd/store/internal/keys"
	"github.com/dncd/dncd/store/internal/state"
)

var errAcks = fmt.Errorf("%w: the acknowledgements are not those of the journal", ErrDamaged)

// acknowledged compares an acknowledgement with the state. One that another took the place of is still there in the journal alone.
func (c *checker) acknowledged(id policy.EventID, time int64, e *storev1.Event) error {
	said := e.GetAcknowledged()
	if said == nil {
		return nil
	}
	want, got := apply.AckOf(id, time, said), new(storev1.AckState)
	found, err := state.Get(c.txn, apply.AckKey(said), got)
	if err != nil {
		return err
	}
	kept := state.EventID(got.GetRevision(), int(got.GetIndex()))
	switch {
	case found && kept == id && proto.Equal(got, want):
		c.acks++
		return nil
	case found && compareIDs(kept, id) < 0 && apply.KeepsAck(got, want), found && compareIDs(id, kept) < 0 && !apply.KeepsAck(want, got):
		return nil
	}
	return fmt.Errorf("%w: revision %d event %d", errAcks, id.Revision, id.Index)
}

// acksAsRecorded reports acknowledgements that no event of the journal made.
func (c *checker) acksAsRecorded() error {
	if countKeys(c.txn, keys.KindAck) != c.acks && len(c.r.Lost) == 0 {
		return errAcks
	}
	return nil
}
