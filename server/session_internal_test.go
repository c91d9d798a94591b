package server

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// TestSharedRoomLooksOnceInAWhile: however many wait for room, the sessions are gone through once in a while, and the one
// that is idle then is cut.
func TestSharedRoomLooksOnceInAWhile(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newSharedRoom(newFixed(1), time.Second, time.Second)
		if r.cutIdlest() {
			t.Error("without a session, one is about to leave")
		}
		idle := new(session)
		idle.ctx, idle.cancel = context.WithCancelCause(t.Context())
		idle.waits.Store(sessionClock() - int64(time.Minute))
		r.join(idle)
		if r.cutIdlest() || idle.ctx.Err() != nil {
			t.Error("the sessions were gone through again at once")
		}
		time.Sleep(roomPoll)
		if !r.cutIdlest() || idle.ctx.Err() == nil {
			t.Error("the idle session was not cut")
		}
	})
}
