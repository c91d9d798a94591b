package store

import (
	"fmt"
	"time"
)

// maxClockJump is how far the wall clock may go ahead of the time that passed since the store was opened.
const maxClockJump = 24 * time.Hour

// clock is the wall clock, held against the time since the machine started. Every event has a time, and none is before
// the one before it: a write while the clock is far ahead would bind the store to that time, and opt-outs that expire
// would seem to have expired. Until the clock is back, or the store is opened again, such a jump is not believed.
type clock struct {
	wall   func() time.Time
	boot   func() time.Duration // since the machine started, sleep included; nil: nothing to hold against
	system bool                 // both are the system's
	opened time.Time
	booted time.Duration // at opened
}

func (c *clock) init(o Options) {
	c.wall, c.boot, c.system = o.Clock, o.Boottime, o.Clock == nil && o.Boottime == nil
	if c.system {
		c.wall, c.boot = time.Now, boottime
	} else if c.wall == nil {
		c.wall = time.Now
	}
	if c.opened = c.wall(); c.boot != nil {
		c.booted = c.boot()
	}
}

// jump is how far the wall clock at now has gone ahead, 0 while that is less than maxClockJump.
func (c *clock) jump(now time.Time) time.Duration {
	passed := now.Round(0).Sub(c.opened.Round(0))
	if c.boot == nil || passed <= maxClockJump || (c.system && passed-now.Sub(c.opened) <= maxClockJump) {
		return 0 // Go's own clock, which nobody sets, has passed as much: no need to ask the system at each check
	}
	if j := passed - (c.boot() - c.booted); j > maxClockJump {
		return j
	}
	return 0
}

// jumped is ErrClockJumped while the wall clock is too far ahead for writes.
func (c *clock) jumped() error {
	if j := c.jump(c.wall()); j > 0 {
		return fmt.Errorf("%w: by %v more than has passed", ErrClockJumped, j.Round(time.Minute))
	}
	return nil
}

// now is the time that counts: the wall clock's, and never before the last event's. It comes with how far it may be ahead
// of the true time: who holds on to the one holds on to the other, whatever the clock does meanwhile.
func (c *clock) now(last time.Time) (now time.Time, ahead time.Duration) {
	now = c.wall()
	ahead = c.jump(now)
	if now.Before(last) {
		now, ahead = last, ahead+last.Sub(now)
	}
	return now, ahead
}

// aheadBy is how far the last event, or the wall clock, is ahead of the true time, as far as can be known.
func (s *Store) aheadBy() time.Duration {
	_, ahead := s.View().Clock()
	return ahead
}

// checkClock returns ErrClockJumped while the wall clock is not believed, and keeps State up to date about it.
func (s *Store) checkClock() error {
	err := s.clock.jumped()
	switch changed := s.health.setClock(err); {
	case changed && err != nil:
		s.log.Error("writes stop, checks continue: correct the clock, or restart dncd if it is right now", "err", err)
	case changed:
		s.log.Info("the clock is back: writes are accepted again")
	}
	return err
}

const clockWatchEvery = time.Second

// watchClock keeps State up to date about the clock, also while nobody writes, and says when the store is bound to a time
// that has not come.
func (s *Store) watchClock() {
	tick := time.NewTicker(clockWatchEvery)
	defer tick.Stop()
	bound := false
	for {
		if was := bound; s.checkClock() == nil {
			if bound = s.aheadBy() > maxClockJump; bound && !was {
				s.log.Warn("the last event is ahead of the clock: it was written while the clock was ahead, and all that follow have its time", "ahead", s.aheadBy().Round(time.Minute))
			}
		}
		select {
		case <-s.closing:
			return
		case <-tick.C:
		}
	}
}
