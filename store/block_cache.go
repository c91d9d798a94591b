package store

import (
	"github.com/maypok86/otter/v2"

	"github.com/dncd/dncd/internal/policy"
	"github.com/dncd/dncd/store/internal/block"
)

const defaultBlockCache = 64 << 20

// blockCacheOverhead is what an entry takes besides its block: key, node and table.
const blockCacheOverhead = 160

// blockCacheKey names a block as of a load, so that no entry ever becomes stale.
type blockCacheKey struct {
	list            policy.EventID
	contentRevision uint64
	number          uint64
}

// blockCache keeps the blocks that were read most recently, absent ones too, in bounded memory.
type blockCache struct {
	s     *Store
	cache *otter.Cache[blockCacheKey, block.Packed]
}

func newBlockCache(s *Store, bytes int64) *blockCache {
	if bytes <= 0 {
		return &blockCache{s: s}
	}
	return &blockCache{s: s, cache: otter.Must(&otter.Options[blockCacheKey, block.Packed]{
		MaximumWeight: uint64(bytes),
		Weigher:       func(_ blockCacheKey, p block.Packed) uint32 { return uint32(len(p)) + blockCacheOverhead },
	})}
}

// get returns a block of l; nil when l has none there.
func (c *blockCache) get(l *List, number uint64) (block.Packed, error) {
	if c.cache == nil {
		return c.s.readBlock(l, number)
	}
	key := blockCacheKey{list: l.ID, contentRevision: l.ContentRevision, number: number}
	if p, ok := c.cache.GetIfPresent(key); ok {
		return p, nil
	}
	p, err := c.s.readBlock(l, number)
	if err == nil {
		c.cache.Set(key, p)
	}
	return p, err
}

// carry gives a new load the entries of the blocks that it did not write.
func (c *blockCache) carry(l *List, prepared uint64, written func(number uint64) bool) {
	if c.cache == nil {
		return
	}
	for key, p := range c.cache.All() {
		if key.list != l.ID || key.contentRevision != l.ContentRevision || written(key.number) {
			continue
		}
		key.contentRevision = prepared
		c.cache.Set(key, p)
	}
}

// forget drops the blocks of a list as it was: they are not read any more.
func (c *blockCache) forget(l *List) {
	if c.cache == nil {
		return
	}
	for key := range c.cache.All() {
		if key.list == l.ID && key.contentRevision == l.ContentRevision {
			c.cache.Invalidate(key)
		}
	}
}

// bytes is what the cache holds now.
func (c *blockCache) bytes() uint64 {
	if c.cache == nil {
		return 0
	}
	return c.cache.WeightedSize()
}

func (c *blockCache) close() {
	if c.cache != nil {
		c.cache.StopAllGoroutines()
	}
}
