package store

import (
	"time"

	"github.com/dncd/dncd/store/internal/clock"
)

// aheadBy is how far the last event, or the wall clock, is ahead of the true time, as far as is known.
func (s *Store) aheadBy() time.Duration {
	_, ahead := s.View().Clock()
	return ahead
}

// checkClock returns ErrClockJumped while the wall clock is not believed, and keeps State up to date about it.
func (s *Store) checkClock() error {
	err := s.clock.Jumped()
	switch changed := s.health.setClock(err); {
	case changed && err != nil:
		s.log.Error("writes stop, checks continue: correct the clock, or restart dncd if it is right now", "err", err)
	case changed:
		s.log.Info("the clock is back: writes are accepted again")
	}
	return err
}

const clockWatchEvery = time.Second

// watchClock keeps State up to date about the clock, also while there are no writes, and says when the store is bound to a
// time that has not come.
func (s *Store) watchClock() {
	tick := time.NewTicker(clockWatchEvery)
	defer tick.Stop()
	bound := false
	for {
		if was := bound; s.checkClock() == nil {
			if bound = s.aheadBy() > clock.MaxJump; bound && !was {
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
