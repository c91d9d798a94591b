package store

import (
	"bytes"
	"context"
	"fmt"

	"github.com/dgraph-io/badger/v4"
)

// verifyList checks the content of a list against what its load was: every block commit with its blocks, and the
// numbers as a whole.
func (s *Store) verifyList(ctx context.Context, txn *badger.Txn, l *List) error {
	if l.Visible == 0 {
		return nil
	}
	if err := s.verifyCommits(txn, l); err != nil {
		return err
	}
	if err := verifyBlocks(txn, l); err != nil {
		return err
	}
	hash := newAscendingWriter(discard{})
	var numbers []uint64
	err := s.eachBlock(l, l.Visible, func(block uint64, bits *bitmap) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		numbers = bits.appendNumbers(numbers[:0], block)
		return hash.add(numbers)
	})
	if err != nil {
		return err
	}
	if err := hash.flush(); err != nil {
		return err
	}
	if hash.numbers != l.Numbers || !bytes.Equal(hash.sha.Sum(nil), l.state.GetLoad().GetResult()) {
		return fmt.Errorf("%w: its content is not the one that was loaded", ErrDamaged)
	}
	return nil
}

// verifyBlocks checks the blocks that the load wrote against the proofs of its commits.
func verifyBlocks(txn *badger.Txn, l *List) error {
	it := txn.NewIterator(badger.IteratorOptions{Prefix: blockPrefix(l.ID), AllVersions: true})
	defer it.Close()
	it.Rewind()
	for n := range l.state.GetCommits() {
		c, err := readCommit(txn, l.ID, l.Visible, n)
		if err != nil {
			return err
		}
		crc := uint32(0)
		for left := c.GetBlocks(); left > 0 && it.Valid(); it.Next() {
			if it.Item().Version() != l.Visible {
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
