package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"github.com/dncd/dncd/bench/internal/report"
	"github.com/dncd/dncd/client"
	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
)

// market is a country with numbers to call.
type market struct {
	code     string
	list     string   // its registry; empty: it has none
	coverage string   // of the registry
	prefixes []string // of its numbers
	digits   int      // of a number
	consent  client.ConsentKind
	required bool // by the preset
}

var markets = []market{
	{"US", listName, "1", []string{"12123", "13057", "14159", "16024", "17025"}, 11, client.ConsentPurchase, false},
	{"CA", "ca-dncl", "1", []string{"14163", "15147", "16049"}, 11, client.ConsentInquiry, false},
	{"GB", "gb-tps", "44", []string{"4474", "4475", "44207"}, 12, client.ConsentPermission, false},
	{"FR", "", "", []string{"331", "334", "336"}, 11, client.ConsentPermission, true},
	{"DE", "", "", []string{"4930", "4989"}, 12, client.ConsentPermission, true},
}

func marketCodes() (all []string) {
	for _, m := range markets {
		all = append(all, m.code)
	}
	return all
}

// draw draws a number.
func (m *market) draw(r *rand.Rand) uint64 {
	text := m.prefixes[r.IntN(len(m.prefixes))]
	for len(text) < m.digits {
		text += strconv.Itoa(r.IntN(10))
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		panic(err) // it is digits
	}
	return n
}

// policyFill is what a server holds.
type policyFill struct {
	listed, optOuts, consents int
	date                      time.Time
	space                     *workspace
}

const policyScope = "acme/telecom"

// Seeds of what is drawn. An opted-out number has no consent.
const seedListed, seedOptOuts, seedConsents, seedOthers = 1, 2, 3, 4

// drawFrom yields numbers of a seed, of the markets in turn, without end.
func drawFrom(seed uint64, yield func(m *market, number uint64) bool) {
	r := rand.New(rand.NewPCG(seed, 0))
	for i := 0; ; i++ {
		m := &markets[i%len(markets)]
		if !yield(m, m.draw(r)) {
			return
		}
	}
}

// first is the first numbers of a seed.
func first(seed uint64, count int) []uint64 {
	all := make([]uint64, 0, count)
	drawFrom(seed, func(_ *market, n uint64) bool {
		all = append(all, n)
		return len(all) < count
	})
	return all
}

// probes are numbers to check, of each market as many: of a hundred two are opted out, and six on the registry. The others have a
// consent where the preset requires one, elsewhere one in ten has. So most answers are ALLOW, with the presets and without. An
// opted-out number is one that must be blocked.
func (f *policyFill) probes(count int) []probe {
	optOuts, listed, consents, others := first(seedOptOuts, f.optOuts), first(seedListed, f.listed), first(seedConsents, f.consents), first(seedOthers, count)
	blocked := map[uint64]bool{}
	for _, n := range optOuts {
		blocked[n] = true
	}
	r := rand.New(rand.NewPCG(5, 0))
	all := make([]probe, count)
	for i := range all {
		market := i % len(markets)
		from := others
		switch share := r.IntN(100); {
		case share < 2:
			from = optOuts
		case share < 8 && markets[market].list != "":
			from = listed
		case share < 18 || markets[market].required:
			from = consents
		}
		n := from[r.IntN(len(from)/len(markets))*len(markets)+market]
		if all[i] = probe(n); blocked[n] {
			all[i] |= listedBit
		}
	}
	return all
}

// into fills a server.
func (f *policyFill) into(ctx context.Context, c *client.Client) error {
	f.space.say("filling with %d numbers on lists, %d opt-outs, %d consents", f.listed, f.optOuts, f.consents)
	if err := f.lists(ctx, c); err != nil {
		return err
	}
	optOuts := make([]client.OptOut, f.optOuts)
	for i, n := range first(seedOptOuts, f.optOuts) {
		optOuts[i] = client.OptOut{Number: probe(n).e164(), Scope: "acme"}
	}
	if _, err := c.ImportOptOuts(ctx, client.ImportOptOutsRequest{Rows: &rowsSource[client.OptOut]{rows: optOuts}, Override: true}); err != nil {
		return err
	}
	consents, obtained := make([]client.Consent, 0, f.consents), f.date.AddDate(0, -2, 0)
	drawFrom(seedConsents, func(m *market, n uint64) bool {
		row := client.Consent{Number: probe(n).e164(), Scope: "acme", Kind: m.consent, ObtainedAt: obtained}
		if row.Kind == client.ConsentPermission {
			row.Form = client.ConsentWritten
		}
		consents = append(consents, row)
		return len(consents) < f.consents
	})
	_, err := c.ImportConsents(ctx, client.ImportConsentsRequest{Rows: &rowsSource[client.Consent]{rows: consents}, Override: true})
	return err
}

// lists creates and loads the registry of each market that has one.
func (f *policyFill) lists(ctx context.Context, c *client.Client) error {
	numbers := map[string][]uint64{}
	left := f.listed
	drawFrom(seedListed, func(m *market, n uint64) bool {
		numbers[m.code] = append(numbers[m.code], n)
		left--
		return left > 0
	})
	for _, m := range markets {
		if m.list == "" || len(numbers[m.code]) == 0 {
			continue
		}
		_, err := c.CreateList(ctx, client.ListSpec{
			Name: m.list, Kind: client.KindRegistry, Jurisdiction: []string{m.code}, Coverage: []string{m.coverage}, MaxAge: 31 * 24 * time.Hour,
		})
		if err != nil {
			return err
		}
		slices.Sort(numbers[m.code])
		r, err := c.Import(ctx, client.ImportRequest{
			List: m.list, SnapshotDate: f.date.UTC().Format(time.DateOnly), Override: true,
			Numbers: client.Numbers(func(yield func(string) bool) {
				for _, n := range numbers[m.code] {
					if !yield(probe(n).e164()) {
						return
					}
				}
			}),
		})
		if err == nil && r.Refused {
			err = fmt.Errorf("the load of %s was refused", m.list)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// rowsSource yields rows of an import.
type rowsSource[T any] struct {
	rows []T
	at   int
}

// Next implements client.OptOutSource and client.ConsentSource.
func (s *rowsSource[T]) Next(batch []T) (int, error) {
	if s.at == len(s.rows) {
		return 0, io.EOF
	}
	n := copy(batch, s.rows[s.at:])
	s.at += n
	return n, nil
}

// Summary implements client.OptOutSource and client.ConsentSource.
func (s *rowsSource[T]) Summary() client.SourceSummary {
	return client.SourceSummary{Read: uint64(len(s.rows))}
}

// holdAny compares an answer with what is known whatever the policy: an opted-out number is blocked, and each has an answer.
func (p probe) holdAny(v dncv1.Verdict) error {
	switch {
	case p.isListed() && v != dncv1.Verdict_VERDICT_BLOCK:
		return errors.New("an opted-out number was not answered BLOCK")
	case v == dncv1.Verdict_VERDICT_UNSPECIFIED:
		return errors.New("a number has no verdict")
	}
	return nil
}

// unaryAny is CheckNumber of numbers about which a policy may say anything.
func (s stubs) unaryAny() target {
	return target{report.CaseUnary, 1, func(_ context.Context, i int) (asker, error) {
		checks := s.checks(i)
		return func(ctx context.Context, probes []probe) error {
			answer, err := checks.CheckNumber(ctx, &dncv1.CheckNumberRequest{Number: probes[0].e164(), Scope: policyScope})
			if err != nil {
				return err
			}
			return probes[0].holdAny(answer.GetVerdict())
		}, nil
	}}
}

// batchAny is CheckNumbers of such numbers.
func (s stubs) batchAny(size int) target {
	return target{report.CaseBatch, size, func(_ context.Context, i int) (asker, error) {
		checks, request := s.checks(i), &dncv1.CheckNumbersRequest{E164: make([]uint64, size), Scope: policyScope}
		return func(ctx context.Context, probes []probe) error {
			for i, p := range probes {
				request.E164[i] = p.digits()
			}
			answer, err := checks.CheckNumbers(ctx, request)
			if err != nil {
				return err
			}
			if len(answer.GetVerdicts()) != len(probes) {
				return fmt.Errorf("%d answers to %d numbers", len(answer.GetVerdicts()), len(probes))
			}
			for i, p := range probes {
				if err := p.holdAny(answer.GetVerdicts()[i]); err != nil {
					return err
				}
			}
			return nil
		}, nil
	}}
}
