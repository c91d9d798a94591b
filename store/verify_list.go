package store

import (
	"bytes"
	"cmp"
	"context"
	"fmt"

	"github.com/dgraph-io/badger/v4"

	"github.com/dncd/dncd/internal/ascending"
	"github.com/dncd/dncd/store/internal/keys"
)

// verifyList checks the content of a list against what its load was: every block commit with its blocks, and the
// numbers as a whole.
func (s *Store) verifyList(ctx context.Context, txn *badger.Txn, l *List) error {
	if l.ContentRevision == 0 {
		return nil
	}
	if err := s.verifyCommits(txn, l); err != nil {
		return err
	}
	if err := verifyBlocks(txn, l); err != nil {
		return err
	}
	hash := ascending.NewHash[uint64]()
	var numbers []uint64
	for b, err := range s.listBlocks(l, l.ContentRevision) {
		if err := cmp.Or(ctx.Err(), err); err != nil {
			return err
		}
		numbers = b.bits.AppendNumbers(numbers[:0], b.number)
		hash.Add(numbers)
	}
	if hash.Count() != l.Numbers || !bytes.Equal(hash.Sum(), l.state.GetLoad().GetResult()) {
		return fmt.Errorf("%w: its content is not the one that was loaded", ErrDamaged)
	}
	return nil
}

// verifyBlocks checks the blocks that the load wrote against the proofs of its commits.
func verifyBlocks(txn *badger.Txn, l *List) error {
	it := txn.NewIterator(badger.IteratorOptions{Prefix: keys.BlockPrefix(l.ID), AllVersions: true})
	defer it.Close()
	it.Rewind()
	for n := range l.state.GetCommits() {
		c, err := readCommit(txn, l.ID, l.ContentRevision, n)
		if err != nil {
			return err
		}
		crc := uint32(0)
		for left := c.GetBlocks(); left > 0 && it.Valid(); it.Next() {
			if it.Item().Version() != l.ContentRevision {
				continue
			}
			err := it.Item().Value(func(v []byte) error { crc = blockCRC(crc, it.Item().Key(), v); return nil })
			if err != nil {
				return fmt.Errorf("%w: %w", ErrDamaged, err)
			}
			left--
		}
		if crc != c.GetCrc() {
			return fmt.Errorf("%w: a part of its load is not the one that was written", ErrDamaged)
		}
	}
	return nil
}
