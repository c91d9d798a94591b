package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/dncd/dncd/client"
	"github.com/dncd/dncd/internal/policy"
)

const (
	// trialNumber is reserved for fiction: it is nobody's.
	trialNumber = "+12025550100"
	// trialSegment makes a scope at which nobody calls.
	trialSegment = "dncd-test"
	// trialEnds is after how long the opt-out ends by itself, if the command was killed before it withdrew it.
	trialEnds = 24 * time.Hour
	// trialPoll is how often the server is asked, and trialGrace how long a withdrawal may take after the command was stopped.
	trialPoll, trialGrace = 50 * time.Millisecond, 10 * time.Second
)

func (a *app) subscriberTestCommand() *cobra.Command {
	var wait time.Duration
	cmd := &cobra.Command{
		Use:   "test NAME",
		Short: "Send a fictitious number through the feed of a calling base, and time each stage",
		Long: `Record an opt-out of ` + trialNumber + `, which is reserved for fiction, and withdraw it when the base has applied it.
For both, the time from recorded to acknowledged is shown for each stage. The scope is one at which nobody
calls: ` + trialSegment + ` below the first scope of the base. Other bases that this scope concerns get it too.

A base that takes files acknowledges when a person hands in its note: give --wait time enough. It needs
the roles recorder, and officer or admin. Exit code: 1 if a stage was not acknowledged in time. The opt-out is
withdrawn in any case; if the command is killed, it ends after a day.`,
		Example: "  dnc subscriber test call-centre\n  dnc subscriber test call-centre --wait 10m",
		Args:    counted(1, 1, "name"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if wait <= 0 {
				return usagef(cmd, "--wait must be more than nothing, such as 1m")
			}
			return a.subscriberTest(cmd.Context(), strings.ToLower(args[0]), wait)
		},
		ValidArgsFunction: a.firstIsSubscriber,
	}
	cmd.Flags().DurationVar(&wait, "wait", time.Minute, "how long to wait for the base, for each of the two")
	return cmd
}

// trial is one write that a base has to acknowledge.
type trial struct {
	Subscriber string    `json:"subscriber"`
	What       string    `json:"what"` // BLOCKED or WITHDRAWN
	Number     string    `json:"number"`
	Scope      string    `json:"scope"`
	Revision   uint64    `json:"revision"`
	RecordedAt time.Time `json:"recorded_at"`
	Received   *float64  `json:"received_seconds"` // null: not in time
	Durable    *float64  `json:"durable_seconds"`
	Applied    *float64  `json:"applied_seconds"`
}

func (a *app) subscriberTest(ctx context.Context, name string, wait time.Duration) error {
	c, err := a.connect()
	if err != nil {
		return err
	}
	s, err := c.Subscriber(ctx, name)
	if err != nil {
		return err
	}
	scope := trialScope(s.Scopes)
	r, err := c.RecordOptOut(ctx, client.OptOut{
		Number: trialNumber, Scope: scope, Channel: "other", Note: "test of subscriber " + name, ExpiresAt: time.Now().Add(trialEnds),
	})
	if err != nil {
		return err
	}
	blocked := &trial{Subscriber: name, What: "BLOCKED", Number: trialNumber, Scope: scope, Revision: r.Revision, RecordedAt: r.RecordedAt}
	waited := a.await(ctx, c, blocked, wait)
	withdrawn, err := withdrawTrial(ctx, c, blocked)
	if err := errors.Join(waited, err); err != nil {
		return err
	}
	if blocked.Applied != nil {
		if err := a.await(ctx, c, withdrawn, wait); err != nil {
			return err
		}
	}
	if withdrawn.Applied == nil {
		a.end(exitNo)
		fmt.Fprintf(a.stderr, "dnc: %s did not apply it within %v\nhint: `dnc subscriber show %s` says whether it is connected, and how far it got\n", name, wait, name)
	}
	return errors.Join(a.printTrial(blocked), a.printTrial(withdrawn))
}

// trialScope is below the first scope of a base, or it where there is no room below it.
func trialScope(scopes []string) string {
	if len(scopes) == 0 {
		return trialSegment
	}
	if below, err := policy.ParseScope(scopes[0] + "/" + trialSegment); err == nil {
		return string(below)
	}
	return scopes[0]
}

// withdrawTrial withdraws the opt-out, also when the command was stopped.
func withdrawTrial(ctx context.Context, c *client.Client, of *trial) (*trial, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), trialGrace)
	defer cancel()
	r, err := c.WithdrawOptOut(ctx, client.Withdrawal{Number: of.Number, Scope: of.Scope, Reason: "end of the test of subscriber " + of.Subscriber})
	if err != nil {
		return nil, withHint(fmt.Errorf("withdraw the opt-out of the test: %w", err),
			fmt.Sprintf("it ends after a day; or `dnc optout withdraw %s --scope %s --reason test`", of.Number, of.Scope))
	}
	return &trial{Subscriber: of.Subscriber, What: "WITHDRAWN", Number: of.Number, Scope: of.Scope, Revision: r.Revision, RecordedAt: r.RecordedAt}, nil
}

// await asks the server how far the base is until it has applied the write, or the time is over.
func (a *app) await(ctx context.Context, c *client.Client, t *trial, wait time.Duration) error {
	end := time.Now().Add(wait)
	for {
		s, err := c.Subscriber(ctx, t.Subscriber)
		if err != nil {
			return err
		}
		for i, to := range []**float64{&t.Received, &t.Durable, &t.Applied} {
			if stage := s.Stages[i]; *to == nil && stage.AcknowledgedRevision >= t.Revision {
				took := max(stage.AcknowledgedAt.Sub(t.RecordedAt), 0).Seconds()
				*to = &took
			}
		}
		if t.Applied != nil || time.Now().After(end) {
			return nil
		}
		select {
		case <-time.After(trialPoll):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (a *app) printTrial(t *trial) error {
	return a.print(t, func() string {
		stages := make([]string, 3)
		for i, took := range []*float64{t.Received, t.Durable, t.Applied} {
			name := []string{"received", "durable", "applied"}[i]
			if stages[i] = "not " + name; took != nil {
				stages[i] = fmt.Sprintf("%s after %.3f s", name, *took)
			}
		}
		return fmt.Sprintf("%s %s for %s  revision %d  %s", t.Number, lower(t.What), forWhom(t.Scope), t.Revision, strings.Join(stages, ", "))
	})
}
