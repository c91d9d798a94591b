package clock

import (
	"testing"
	"time"
)

func TestBoottimePasses(t *testing.T) {
	t.Parallel()
	before, start := boottime(), time.Now()
	time.Sleep(20 * time.Millisecond)
	if got := boottime() - before; got < 20*time.Millisecond || got > time.Since(start)+time.Second {
		t.Errorf("it passed by %v in 20ms", got)
	}
}
