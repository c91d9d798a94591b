package peer

import (
	"context"
	"errors"
	"fmt"
	"time"
)

const startLimit = 30 * time.Second

// waitFor waits until a server that was started is ready, or has ended.
func waitFor(ctx context.Context, ready func() error, ended chan error) error {
	limit := time.After(startLimit)
	for {
		err := ready()
		if err == nil {
			return nil
		}
		select {
		case e := <-ended:
			ended <- e
			return fmt.Errorf("it ended: %w", errors.Join(e, err))
		case <-ctx.Done():
			return ctx.Err()
		case <-limit:
			return fmt.Errorf("it does not answer: %w", err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}
