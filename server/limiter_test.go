package server

import (
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"

	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
)

// offered is what came of work that was offered for a while to a server of a certain capacity.
type offered struct {
	answered int
	refused  int
	p99      time.Duration
	room     int64 // at the end
}

const testCapacity = 5000

// slowServer does numbers one after the other, at testCapacity a second.
type slowServer struct {
	mu   sync.Mutex
	free time.Time // when the last number that came will be done
}

// check waits until the numbers are done, with all that came before.
func (s *slowServer) check(numbers int) {
	s.mu.Lock()
	if now := time.Now(); s.free.Before(now) {
		s.free = now
	}
	s.free = s.free.Add(time.Duration(numbers) * time.Second / testCapacity)
	done := s.free
	s.mu.Unlock()
	time.Sleep(time.Until(done))
}

// offer offers pieces of units numbers at perSecond numbers a second, at a steady pace, in the time of the test's
// bubble. It counts the answers after warmup, and the p99 of what came after it.
func offer(t *testing.T, l *limiter, perSecond, units int) offered {
	t.Helper()
	const warmup, lasts = 2 * time.Second, 10 * time.Second
	var s slowServer
	every := time.Duration(units) * time.Second / time.Duration(perSecond)
	var got offered
	var took []time.Duration
	var mu sync.Mutex
	var pending sync.WaitGroup
	begin := time.Now()
	for at := begin; at.Sub(begin) < lasts; at = at.Add(every) {
		time.Sleep(time.Until(at))
		work, err := l.enter(units)
		if err != nil {
			got.refused += units
			continue
		}
		pending.Go(func() {
			s.check(units)
			work.leave()
			mu.Lock()
			defer mu.Unlock()
			if ended := time.Since(begin); ended >= warmup && ended < lasts {
				got.answered += units
			}
			if at.Sub(begin) >= warmup {
				took = append(took, time.Since(at))
			}
		})
	}
	got.room = l.room.Load()
	pending.Wait()
	got.answered = int(float64(got.answered) / (lasts - warmup).Seconds())
	slices.Sort(took)
	got.p99 = took[len(took)*99/100]
	return got
}

// TestOverloadKeepsGoodput: the answers a second stay at the peak, and in time, however much more is offered.
func TestOverloadKeepsGoodput(t *testing.T) {
	t.Parallel()
	for _, kind := range []struct {
		name  string
		work  int
		units int
		p99   time.Duration
	}{
		{"unary", workUnary, 1, 40 * time.Millisecond},
		{"messages of 20", workStream, 20, 40 * time.Millisecond},
		{"batches of 200", workBatch, 200, 300 * time.Millisecond},
	} {
		t.Run(kind.name, func(t *testing.T) {
			for _, times := range []int{1, 2, 3, 5} {
				synctest.Test(t, func(t *testing.T) {
					got := offer(t, newAdmission()[kind.work], times*testCapacity, kind.units)
					t.Logf("%d times: %+v", times, got)
					if got.answered < testCapacity*9/10 || got.p99 > kind.p99 {
						t.Errorf("%d times the capacity: got %d answers a second and p99 %v, want at least %d and at most %v",
							times, got.answered, got.p99, testCapacity*9/10, kind.p99)
					}
				})
			}
		})
	}
}

// TestNoRefusalBelowCapacity: a server that keeps up refuses nothing, not even of bursts of hundreds.
func TestNoRefusalBelowCapacity(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newAdmission()[workUnary]
		var s slowServer
		for range 50 {
			for i := range 400 {
				work, err := l.enter(1)
				if err != nil {
					t.Fatalf("call %d of a burst: %v", i, err)
				}
				go func() {
					s.check(1)
					work.leave()
				}()
			}
			time.Sleep(200 * time.Millisecond)
		}
	})
}

// TestRoomComesBack: after an overload the room grows again, and a pause restores all of it.
func TestRoomComesBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newAdmission()[workUnary]
		got := offer(t, l, 5*testCapacity, 1)
		if got.refused == 0 || got.room >= l.ceiling {
			t.Fatalf("got %+v, want refusals and less room than %d", got, l.ceiling)
		}
		if offer(t, l, testCapacity/2, 1); l.room.Load() != l.ceiling {
			t.Errorf("half the capacity for a while: got room for %d, want %d", l.room.Load(), l.ceiling)
		}
		offer(t, l, 5*testCapacity, 1)
		time.Sleep(time.Minute)
		for range l.ceiling { // a burst after a pause
			if _, err := l.enter(1); err != nil {
				t.Fatalf("after a pause: %v with room for %d", err, l.room.Load())
			}
		}
	})
}

// TestStuckWorkLeavesTheFloor: when nothing ends, no more than the floor is added to.
func TestStuckWorkLeavesTheFloor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(4, 64)
		one, err := l.enter(1)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		one.leave() // ends a window, with others under way
		for range 100 {
			l.enter(1) //nolint:errcheck // only the number that gets in matters
		}
		time.Sleep(2 * time.Second)
		l.enterSome(0)
		time.Sleep(2 * time.Second)
		if l.enterSome(10).units != 0 || l.room.Load() != l.floor {
			t.Errorf("got room for %d, want %d", l.room.Load(), l.floor)
		}
	})
}

// TestAPieceLargerThanTheRoom: one is let in whenever there is any room, and no second.
func TestAPieceLargerThanTheRoom(t *testing.T) {
	t.Parallel()
	l := newLimiter(10, 10)
	first, err := l.enter(1000)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.enter(1); err == nil {
		t.Error("a second was let in")
	}
	first.leave()
	if part := l.enterSome(1000); part.units != 10 {
		t.Errorf("got %d of 1000 let in, want 10", part.units)
	} else {
		part.leave()
	}
	if l.inFlight.Load() != 0 || l.refused.Load() != 1+990 {
		t.Errorf("got %d under way and %d refused, want 0 and 991", l.inFlight.Load(), l.refused.Load())
	}
}

func BenchmarkLimiter(b *testing.B) {
	l := newAdmission()[workUnary]
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			t, err := l.enter(1)
			if err != nil {
				b.Fatal(err)
			}
			t.leave()
		}
	})
}

// TestReadsLeaveRoomForOptOuts: recording and withdrawing an opt-out, and withdrawing a consent, have room that no other call takes.
func TestReadsLeaveRoomForOptOuts(t *testing.T) {
	t.Parallel()
	a := newAdmission()
	for _, desc := range []grpc.ServiceDesc{
		dncv1.CheckService_ServiceDesc, dncv1.RecordService_ServiceDesc, dncv1.ListService_ServiceDesc, dncv1.AdminService_ServiceDesc,
	} {
		for _, m := range desc.Methods {
			want := m.MethodName == "RecordOptOut" || m.MethodName == "WithdrawOptOut" || m.MethodName == "WithdrawConsent"
			if got := a.ofCall(desc.ServiceName, m.MethodName) == a[workOptOuts]; got != want {
				t.Errorf("%s takes the room of opt-outs: got %v, want %v", m.MethodName, got, want)
			}
		}
	}
}
