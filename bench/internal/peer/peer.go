// Package peer loads numbers into what people would otherwise keep a do-not-call
// list in, each an own instance in a directory of its own.
package peer

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// Input is what a peer loads.
type Input struct {
	Files []string // FTC, which Numbers reads
	Count int      // of the numbers at their start
	Dir   string   // for the peer's data; empty
}

// Result is what a load came to. 0: not known, or it does not apply.
type Result struct {
	// Seconds from the first line read to the last number held, as safe as the
	// peer is set up to keep it.
	Seconds float64 `json:"seconds"`
	// CPU is the processor time of the process that keeps the numbers, in seconds:
	// near Seconds, it and not who sends to it is what takes the time.
	CPU float64 `json:"cpu"`
	// MemoryPeak and Memory are of the process that keeps the numbers, in bytes,
	// while loading and after.
	MemoryPeak float64 `json:"memory_peak"`
	Memory     float64 `json:"memory"`
	// Disk is what it has on disk after a clean stop, in bytes.
	Disk float64 `json:"disk"`
	// Held is how many numbers it says it holds.
	Held int `json:"held"`
}

// Peer is one way to load one store.
type Peer struct {
	Name string
	// Store it belongs to, by which it is asked for.
	Store string
	// Note says how it was set up.
	Note string

	load    func(ctx context.Context, in Input) (Result, error)
	missing func() string // why it cannot run here; empty: it can
}

// All are the peers that there are.
func All() []Peer {
	return slices.Concat(redisPeers(), postgresPeers(), badgerPeers())
}

// Choose returns the peers of these stores, separated by commas; none for "none".
func Choose(stores string) ([]Peer, error) {
	if stores == "none" || stores == "" {
		return nil, nil
	}
	var chosen []Peer
	for _, store := range strings.Split(stores, ",") {
		n := len(chosen)
		for _, p := range All() {
			if p.Store == store {
				chosen = append(chosen, p)
			}
		}
		if len(chosen) == n {
			return nil, fmt.Errorf("unknown store %q: use redis, postgres, badger or none", store)
		}
	}
	return chosen, nil
}

// Missing says why the peer cannot run here, or nothing.
func (p Peer) Missing() string { return p.missing() }

// Load starts the peer, loads the numbers and ends it.
func (p Peer) Load(ctx context.Context, in Input) (Result, error) {
	r, err := p.load(ctx, in)
	if err == nil && r.Held != in.Count {
		err = fmt.Errorf("it holds %d of %d numbers", r.Held, in.Count)
	}
	if err != nil {
		return Result{}, fmt.Errorf("%s: %w", p.Name, err)
	}
	return r, nil
}
