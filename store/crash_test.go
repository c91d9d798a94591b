package store

import (
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/dncd/dncd/internal/policy"
)

// TestCrashLosesNothingAcknowledged kills a writing process with SIGKILL at random moments, while it opens its store
// too, and opens what it left: every acknowledged write is there, lists are whole, filters and store agree.
// DNCTEST_CRASH_ROUNDS asks for more than a few rounds, DNCTEST_SEED for a run again.
func TestCrashLosesNothingAcknowledged(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("a campaign: -short leaves it out")
	}
	if dir := os.Getenv(childDir); dir != "" {
		writeUntilKilled(t, dir)
		return
	}
	random, dir, l := seeded(t), t.TempDir(), newLedger()
	makeChildLists(t, dir)
	writes, rounds := 0, campaign(t, "DNCTEST_CRASH_ROUNDS", 8)
	for round := 1; round <= rounds && !t.Failed(); round++ {
		deeds := crash(t, dir, round, random)
		l.note(deeds)
		writes += acknowledged(deeds)
		if round < rounds && random.IntN(3) == 0 {
			continue // the next process finds what the crash left, not what a clean close made of it
		}
		s := open(t, dir)
		l.verify(t, s)
		closeStore(t, s)
		if t.Failed() {
			t.Logf("in round %d", round)
		}
	}
	t.Logf("%d rounds, %d acknowledged writes", rounds, writes)
	if writes == 0 {
		t.Error("nothing was acknowledged in any round")
	}
}

func makeChildLists(t *testing.T, dir string) {
	t.Helper()
	s := open(t, dir)
	for i := range childLists {
		createList(t, s, childList(i), Settings{Kind: policy.ListSuppression})
	}
	closeStore(t, s)
}

// crash lets a child write for a random while and kills it.
func crash(t *testing.T, dir string, round int, random *rand.Rand) []deed {
	t.Helper()
	c := startChild(t, dir, round)
	if random.IntN(4) > 0 {
		c.awaitAck(1)
	}
	time.Sleep(time.Duration(random.IntN(300)) * time.Millisecond)
	return c.kill()
}
