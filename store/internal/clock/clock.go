// Package clock compares the wall clock with the time since the machine started.
//
// Every event has a time, and none is before the one before it. A write while the clock is far ahead would bind the store to
// that time, and opt-outs that expire would seem to have expired. Until the clock is back, or the store is opened again, such
// a jump is not believed.
package clock

import (
	"fmt"
	"time"

	"github.com/dncd/dncd/store/internal/fault"
)

// MaxJump is how far the wall clock may be ahead of the time that has passed since the store was opened.
const MaxJump = 24 * time.Hour

// Clock is the wall clock since it was made.
type Clock struct {
	wall   func() time.Time
	boot   func() time.Duration // since the machine started, sleep included; nil: nothing to compare with
	system bool                 // both are the system's
	opened time.Time
	booted time.Duration // at opened
}

// New is a clock of these two. If both are nil they are the system's.
func New(wall func() time.Time, boot func() time.Duration) *Clock {
	c := &Clock{wall: wall, boot: boot, system: wall == nil && boot == nil}
	if c.system {
		c.wall, c.boot = time.Now, boottime
	} else if wall == nil {
		c.wall = time.Now
	}
	if c.opened = c.wall(); c.boot != nil {
		c.booted = c.boot()
	}
	return c
}

// jump is how far the wall clock at now is ahead, 0 while that is less than MaxJump.
func (c *Clock) jump(now time.Time) time.Duration {
	passed := now.Round(0).Sub(c.opened.Round(0))
	if c.boot == nil || passed <= MaxJump || (c.system && passed-now.Sub(c.opened) <= MaxJump) {
		return 0 // Go's own clock, which cannot be set, has passed as much: no need for a system call at each check
	}
	if j := passed - (c.boot() - c.booted); j > MaxJump {
		return j
	}
	return 0
}

// Jumped is fault.ErrClockJumped while the wall clock is too far ahead for writes.
func (c *Clock) Jumped() error {
	if j := c.jump(c.wall()); j > 0 {
		return fmt.Errorf("%w: by %v more than has passed", fault.ErrClockJumped, j.Round(time.Minute))
	}
	return nil
}

// Now is the time that counts: the wall clock's, and never before the last event's. It comes with how far it may be ahead of
// the true time. A caller that keeps the one keeps the other, whatever the clock does in the meantime.
func (c *Clock) Now(last time.Time) (now time.Time, ahead time.Duration) {
	now = c.wall()
	ahead = c.jump(now)
	if now.Before(last) {
		now, ahead = last, ahead+last.Sub(now)
	}
	return now, ahead
}
