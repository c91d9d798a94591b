package store

import (
	"context"
	"errors"
	"testing"
	"time"
)

// A write that waits behind one that meets damage is refused, not forgotten.
func TestDamageAnswersEveryWaitingWrite(t *testing.T) {
	s := open(t, t.TempDir())
	n := fiction(415, 1)
	optOut(t, s, n, "acme")
	txn := s.db.NewTransactionAt(1, true)
	if err := errors.Join(txn.Set(recordsKey(uint64(n)), []byte("unsealed")), txn.CommitAt(1, nil)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	answers := make(chan error, 3)
	s.between(func() {
		for i := range cap(answers) {
			go func() {
				_, err := s.RecordOptOut(ctx, OptOut{Number: fiction(415, 1+i), Scope: "acme"}, Request{})
				answers <- err
			}()
			for len(s.queue) <= i {
				time.Sleep(time.Millisecond)
			}
		}
	})
	for range cap(answers) {
		if err := <-answers; !errors.Is(err, ErrDamaged) {
			t.Errorf("a write in a damaged store: %v, want ErrDamaged", err)
		}
	}
}
