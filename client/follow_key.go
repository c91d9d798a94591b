package client

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/dncd/dncd/internal/feed"
	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
)

// serverKeys are the keys of the server that the caller of Follow named; none: the first one that signs is kept.
type serverKeys struct{ named []feed.PublicKey }

func newServerKeys(texts []string) (*serverKeys, error) {
	k := new(serverKeys)
	for _, text := range texts {
		key, err := feed.ParsePublicKey(text)
		if err != nil {
			return nil, fmt.Errorf("the server's public key: %w", err)
		}
		k.named = append(k.named, key)
	}
	return k, nil
}

// open verifies a checkpoint, and keeps in the state which key signed it. journal is the one that the base has followed. A key that
// the base does not know must follow from one that it knows, by rotations of that journal or of the checkpoint's. Rotations that were
// accepted once are kept, so that a key which was replaced never counts again.
func (k *serverKeys) open(msg []byte, sent *dncv1.ServerKey, s *FollowState, journal string) (feed.Checkpoint, error) {
	claimed, by, err := feed.ReadCheckpoint(msg)
	if err != nil {
		return claimed, fmt.Errorf("%w: %w", ErrFeedBroken, err)
	}
	accepted, err := feed.OpenRotations(s.KeyRotations)
	if err != nil {
		return claimed, fmt.Errorf("the state of the base: %w", err)
	}
	arrived, err := feed.OpenRotations(sent.GetRotations())
	if err != nil {
		return claimed, fmt.Errorf("%w: %w", ErrServerKey, err)
	}
	arrived = slices.DeleteFunc(arrived, func(r feed.Rotation) bool { return r.Journal != journal && r.Journal != claimed.Journal })
	known, err := k.known(sent, s, by)
	if err != nil {
		return claimed, err
	}
	known = feed.Unreplaced(feed.Successors(known, accepted), accepted)
	trusted := feed.Successors(known, arrived)
	c, _, err := feed.OpenCheckpoint(msg, feed.Unreplaced(trusted, arrived)...)
	switch {
	case errors.Is(err, feed.ErrUnknown):
		return c, fmt.Errorf("%w, %s, and no rotation leads to it from the key that the base knows, %s: ask the server's operator for the new public key, and compare its fingerprint",
			ErrServerKey, by, namesOf(known))
	case err != nil:
		return c, fmt.Errorf("%w: %w", ErrFeedBroken, err)
	}
	s.keepKey(trusted, by, arrived)
	return c, nil
}

// known are the keys that the base knows: those that were named; else the one that it has kept; else the one that was sent.
func (k *serverKeys) known(sent *dncv1.ServerKey, s *FollowState, by feed.Signature) ([]feed.PublicKey, error) {
	if len(k.named) > 0 {
		return k.named, nil
	}
	if kept, err := feed.ParsePublicKey(s.ServerKey); err == nil {
		return []feed.PublicKey{kept}, nil
	}
	key, err := feed.ParsePublicKey(sent.GetPublicKey())
	if err != nil {
		return nil, feedBroken("a checkpoint without the key that signed it")
	}
	if s.ServerKey != "" && s.ServerKey != nameOf(key) { // an earlier version kept only the name and the hash
		return nil, fmt.Errorf("%w, %s, where the base knows %s: ask the server's operator for the new public key, and compare its fingerprint", ErrServerKey, by, s.ServerKey)
	}
	return []feed.PublicKey{key}, nil
}

// keepKey keeps the key that signed, and the rotations of keys that were trusted.
func (s *FollowState) keepKey(trusted []feed.PublicKey, by feed.Signature, arrived []feed.Rotation) {
	for _, key := range trusted {
		if nameOf(key) == by.String() {
			s.ServerKey = key.Text()
		}
	}
	kept := slices.Clone(s.KeyRotations)
	for _, r := range arrived {
		if feed.HoldsKey(trusted, r.Old) && !slices.Contains(kept, r.Note) {
			kept = append(kept, r.Note)
		}
	}
	s.KeyRotations = kept
}

func nameOf(k feed.PublicKey) string { return feed.Signature{Name: k.Name(), Hash: k.Hash()}.String() }

func namesOf(keys []feed.PublicKey) string {
	var names []string
	for _, k := range keys {
		names = append(names, nameOf(k))
	}
	return strings.Join(names, ", ")
}
