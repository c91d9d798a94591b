package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/dncd/dncd/bench/internal/daemon"
	"github.com/dncd/dncd/client"
)

// The policies of the stores: the older one lets everybody in Britain be called, the one in force those with a consent. Numbers of
// lists and opt-outs are of the United States, for which both say nothing.
const (
	looserPolicy = "format: 1\ndefault: allow\ncountries:\n  GB:\n    consent: {required: false}\n"
	strictPolicy = "format: 1\ndefault: allow\ncountries:\n  GB:\n    consent: {required: true, counts: [{kind: permission}], source: a law}\n"
)

// consents are those of a store, for everyone who calls, of numbers that are reserved for fiction.
type consents struct {
	permitted map[uint64]uint64 // by number: the revision of its consent
	without   map[uint64]uint64 // by number without consent: the revision that withdrew it; 0: it never had one
}

// consentsEach is how many numbers are permitted; half as many had a consent, and as many had none.
const consentsEach = 60

func consentNumber(i int) uint64 { return 447700900000 + uint64(i) }

// older puts the looser policy in force, and records half of the consents.
func (s *consents) older(ctx context.Context, c *client.Client) error {
	s.permitted, s.without = map[uint64]uint64{}, map[uint64]uint64{}
	if _, err := c.SetPolicy(ctx, looserPolicy, client.SetPolicyOptions{Force: true}); err != nil {
		return err
	}
	return s.record(ctx, c, 0, consentsEach/2)
}

// newer records the rest, withdraws some, and puts the strict policy in force.
func (s *consents) newer(ctx context.Context, c *client.Client) error {
	if err := s.record(ctx, c, consentsEach/2, consentsEach*3/2); err != nil {
		return err
	}
	for i := consentsEach; i < consentsEach*3/2; i++ {
		n := consentNumber(i)
		w, err := c.WithdrawConsent(ctx, client.ConsentWithdrawal{Number: fmt.Sprintf("+%d", n), Why: client.WithdrawnRequested, Reason: "asked"})
		if err != nil {
			return err
		}
		delete(s.permitted, n)
		s.without[n] = w.Revision
		s.without[consentNumber(i+consentsEach)] = 0
	}
	_, err := c.SetPolicy(ctx, strictPolicy, client.SetPolicyOptions{Force: true})
	return err
}

func (s *consents) record(ctx context.Context, c *client.Client, from, to int) error {
	for i := from; i < to; i++ {
		n := consentNumber(i)
		r, err := c.RecordConsent(ctx, client.Consent{
			Number: fmt.Sprintf("+%d", n), Kind: client.ConsentPermission, Form: client.ConsentWritten, Evidence: fmt.Sprintf("a form that is kept in folder %d", i),
		})
		if err != nil {
			return err
		}
		s.permitted[n] = r.Revision
	}
	return nil
}

// refused are the permitted numbers that are not ALLOW: those that are UNKNOWN, and those that are not.
func (s *consents) refused(ctx context.Context, c *client.Client) (unknown, blocked []uint64, err error) {
	all := slices.Sorted(maps.Keys(s.permitted))
	v, err := checkVerdicts(ctx, c, all)
	blocked = slices.DeleteFunc(all, func(n uint64) bool { return slices.Contains(v.allowed, n) || slices.Contains(v.unknown, n) })
	return v.unknown, blocked, err
}

// read looks that a healthy store holds what was recorded.
func (s *consents) read(ctx context.Context, c *client.Client) error {
	unknown, blocked, err := s.refused(ctx, c)
	if err == nil && len(unknown)+len(blocked) > 0 {
		err = fmt.Errorf("of the numbers with a consent %d are UNKNOWN and %d BLOCK", len(unknown), len(blocked))
	}
	v, failed := checkVerdicts(ctx, c, slices.Sorted(maps.Keys(s.without)))
	if failed == nil && len(v.allowed)+len(v.unknown) > 0 {
		failed = fmt.Errorf("of the numbers without a consent %d are ALLOW and %d UNKNOWN", len(v.allowed), len(v.unknown))
	}
	return errors.Join(err, failed)
}

// isNamed reports whether f named the loss of what keeps calls from a number without consent.
func (s *consents) isNamed(n uint64, f daemon.Fsck) bool {
	withdrawn := s.without[n]
	return withdrawn > 0 && f.Lost(withdrawn) || isPolicyNamed(f)
}

func isPolicyNamed(f daemon.Fsck) bool {
	return f.Names("the lost revisions may have set another policy", "")
}

// holdConsents holds a server that has everything to its consents.
func (t *trial) holdConsents(ctx context.Context, c *client.Client) {
	unknown, blocked, err := t.bench.consents.refused(ctx, c)
	if err != nil || len(unknown)+len(blocked) > 0 {
		t.fault("everything is there, and of the numbers with a consent %d are UNKNOWN and %d BLOCK: %v", len(unknown), len(blocked), err)
	}
}

// judgeConsents wants the loss of each consent that no longer counts to be named in f.
func (t *trial) judgeConsents(ctx context.Context, c *client.Client, f daemon.Fsck) {
	if !t.accepted {
		t.holdConsents(ctx, c)
		return
	}
	_, blocked, err := t.bench.consents.refused(ctx, c)
	if err != nil {
		t.fault("check numbers with a consent: %v", err)
	}
	for _, n := range blocked {
		if !f.Lost(t.bench.consents.permitted[n]) && !isPolicyNamed(f) {
			t.fault("a consent is gone that nothing names: %s", f.Said)
			return
		}
	}
}
