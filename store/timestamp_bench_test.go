package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/dgraph-io/badger/v4"

	"github.com/dncd/dncd/internal/phone"
	"github.com/dncd/dncd/internal/policy"
	"github.com/dncd/dncd/store/internal/badgerdir"
)

// The measurements of docs/design/001: a value as of a revision, kept as Badger's version or under a key of its own.

const (
	benchKeys     = 20_000
	benchVersions = 10
)

func benchKey(n uint64) []byte { return binary.BigEndian.AppendUint64([]byte{'r'}, n) }

func fillVersions(b *testing.B, set func(batch *badger.WriteBatch, n, version uint64, value []byte) error) *badger.DB {
	b.Helper()
	opt := badgerdir.Options(b.TempDir(), testOptions().withDefaults().Logger).WithSyncWrites(false)
	db, err := badgerdir.Open(opt, true)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { db.Close() })
	batch := db.NewManagedWriteBatch()
	value := make([]byte, 60)
	for version := range uint64(benchVersions) {
		for n := range uint64(benchKeys) {
			if err := set(batch, n, version*benchKeys+n+1, value); err != nil {
				b.Fatal(err)
			}
		}
	}
	if err := batch.Flush(); err != nil {
		b.Fatal(err)
	}
	return db
}

// BenchmarkAsOf reads a record as of a random revision: by Badger's timestamp, or by seeking backwards over keys that
// end with the revision.
func BenchmarkAsOf(b *testing.B) {
	b.Run("timestamp", func(b *testing.B) {
		db := fillVersions(b, func(batch *badger.WriteBatch, n, version uint64, value []byte) error {
			return batch.SetEntryAt(badger.NewEntry(benchKey(n), value), version)
		})
		b.ResetTimer()
		for b.Loop() {
			at := 1 + rand.Uint64N(benchKeys*benchVersions)
			txn := db.NewTransactionAt(at, false)
			_, err := txn.Get(benchKey(at % benchKeys))
			txn.Discard()
			if err != nil && !errors.Is(err, badger.ErrKeyNotFound) {
				b.Fatal(err)
			}
		}
	})
	b.Run("key-suffix", func(b *testing.B) {
		db := fillVersions(b, func(batch *badger.WriteBatch, n, version uint64, value []byte) error {
			return batch.SetEntryAt(badger.NewEntry(binary.BigEndian.AppendUint64(benchKey(n), version), value), 1)
		})
		b.ResetTimer()
		for b.Loop() {
			at := 1 + rand.Uint64N(benchKeys*benchVersions)
			txn := db.NewTransactionAt(1, false)
			it := txn.NewIterator(badger.IteratorOptions{Reverse: true, Prefix: benchKey(at % benchKeys)})
			it.Seek(binary.BigEndian.AppendUint64(benchKey(at%benchKeys), at))
			it.Close()
			txn.Discard()
		}
	})
}

// BenchmarkView answers the same check now and as of an older revision, whose reads go past the filters.
func BenchmarkView(b *testing.B) {
	s := open(b, b.TempDir())
	for i := range 300 {
		optOut(b, s, fiction(200+i/50, i), "acme")
	}
	past, err := s.ViewAt(200)
	if err != nil {
		b.Fatal(err)
	}
	for _, c := range []struct {
		name string
		view *View
	}{{"now", s.View()}, {"past", past}} {
		for _, listed := range []bool{true, false} {
			b.Run(fmt.Sprintf("%s/opted-out=%v", c.name, listed), func(b *testing.B) {
				var f policy.Facts
				n := fiction(200, 3)
				if !listed {
					n = phone.Number(12125550199)
				}
				for b.Loop() {
					f.Reset()
					c.view.Lookup(n, &f)
				}
			})
		}
	}
}
