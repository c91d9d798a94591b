package badgerdir

import (
	"encoding/binary"
	"math"
	"slices"
)

// tableSalvager finds the entries of a table: of each block that is whole, and of what is between such blocks what can be
// recognized. It needs no index.
type tableSalvager struct {
	end   ValueEnd
	found []Saved
}

func (t *tableSalvager) salvage(content []byte) (err error) {
	defer recoverDamage(&err)
	at := 0
	for _, b := range wholeBlocks(content) {
		t.scan(content[at:b.from])
		t.readBlock(content[b.from:b.to])
		at = b.to
	}
	t.scan(withoutIndex(content[at:]))
	return nil
}

// withoutIndex cuts off the index that ends a table, where it is whole.
func withoutIndex(b []byte) []byte {
	rest, sum, err := cutTail(b)
	if err != nil {
		return b
	}
	blocks, index, err := cutTail(rest)
	if err != nil || checkSum(index, sum) != nil {
		return b
	}
	return blocks
}

// extent is where a block is in its table.
type extent struct{ from, to int }

// maxStarts is how many places a block is tried to begin at: where the last whole one ends, and where damaged ones behind
// it seem to.
const maxStarts = 8

// wholeBlocks finds the blocks whose checksum holds, in order. Blocks follow each other, and each ends in a tail
// that can be recognized.
func wholeBlocks(content []byte) []extent {
	var whole []extent
	starts := []int{0}
	for to := minBlock; to <= len(content); to++ {
		if !endsBlock(content[:to]) {
			continue
		}
		from, ok := startOfBlock(content[:to], starts)
		if ok {
			whole = append(whole, extent{from, to})
			starts = starts[:0]
		}
		if starts = append(starts, to); len(starts) > maxStarts {
			starts = starts[1:]
		}
	}
	return whole
}

// minBlock is shorter than any block: one entry's head and key, its place, how many there are, and a checksum.
const minBlock = blockEntryHead + minLogKey + 4 + 4 + 2 + 4

// endsBlock reports that b seems to end where a block does: in a checksum of CRC-32 and its length.
func endsBlock(b []byte) bool {
	tail := b[len(b)-4:]
	if tail[0] != 0 || tail[1] != 0 || tail[2] != 0 || tail[3] < 2 || tail[3] > 6 {
		return false
	}
	const sumField = 2 << 3 // the tag of pb.Checksum.sum, a varint; the field before it is zero for CRC-32C
	return b[len(b)-4-int(tail[3])] == sumField
}

func startOfBlock(b []byte, starts []int) (from int, ok bool) {
	for _, from := range starts {
		if len(b)-from < minBlock {
			continue
		}
		if body, sum, err := cutTail(b[from:]); err == nil && checkSum(body, sum) == nil {
			return from, true
		}
	}
	return 0, false
}

// readBlock adds the entries of a whole block: entries, the places of the entries, their number, and a checksum.
func (t *tableSalvager) readBlock(block []byte) {
	body, _, err := cutTail(block)
	if err != nil || len(body) < 4 {
		return
	}
	count := int(binary.BigEndian.Uint32(body[len(body)-4:]))
	places := body[len(body)-4-4*count : len(body)-4]
	body = body[:len(body)-4-4*count]
	var first []byte
	for i := range count {
		start, end := int(binary.LittleEndian.Uint32(places[4*i:])), len(body)
		if i+1 < count {
			end = int(binary.LittleEndian.Uint32(places[4*i+4:]))
		}
		e, ok := parseBlockEntry(body[start:end], first)
		if i == 0 {
			first = e.key
		}
		if ok && e.meta&logDeleted == 0 {
			t.found = append(t.found, e.saved(e.rest, true))
		}
	}
}

// blockEntryHead is how many bytes of its key an entry shares with the first of its block, and how many of its own follow.
const blockEntryHead = 4

// blockEntry is an entry of a block: key with version, and what is behind meta, user meta and expiry.
type blockEntry struct {
	key    []byte
	shared int
	meta   byte
	plain  bool // neither user meta nor an expiry, as all of ours
	head   int  // bytes before rest
	rest   []byte
}

// parseBlockEntry reads the entry that b begins with, in a block whose first key is first.
func parseBlockEntry(b, first []byte) (e blockEntry, ok bool) {
	if len(b) < blockEntryHead {
		return e, false
	}
	shared, own := int(binary.LittleEndian.Uint16(b)), int(binary.LittleEndian.Uint16(b[2:]))
	at := blockEntryHead + own
	if shared > len(first) || shared+own < minLogKey || shared+own > maxLogKey || at+3 > len(b) {
		return e, false
	}
	expiry, n := binary.Uvarint(b[at+2:])
	if n <= 0 {
		return e, false
	}
	e = blockEntry{shared: shared, meta: b[at], plain: b[at+1] == 0 && expiry == 0, head: at + 2 + n, rest: b[at+2+n:]}
	e.key = slices.Concat(first[:shared], b[blockEntryHead:at])
	return e, true
}

func (e *blockEntry) name() []byte { return e.key[:len(e.key)-logVersion] }

func (e *blockEntry) saved(value []byte, proven bool) Saved {
	version := math.MaxUint64 - binary.BigEndian.Uint64(e.key[len(e.key)-logVersion:])
	return Saved{Key: e.name(), Version: version, Value: value, Proven: proven}
}

// scan adds the entries in damaged bytes. It tries each byte as a beginning: an entry counts when the value behind it
// proves itself.
func (t *tableSalvager) scan(b []byte) {
	if len(b) < minBlock {
		return
	}
	b = slices.Clone(b)
	clear(b[:2]) // it begins a block, whose first entry shares nothing
	// What the first key of the block may be, or begins with: its own length may be damaged.
	firsts := [][]byte{b[blockEntryHead:min(blockEntryHead+maxLogKey, len(b))]}
	for at := 0; at < len(b); {
		e, n, ok := provenEntry(b[at:], firsts, t.end)
		if e.key != nil && e.shared == 0 {
			if ok {
				firsts = firsts[:0]
			}
			if firsts = append(firsts, e.key); len(firsts) > maxStarts {
				firsts = firsts[1:]
			}
		}
		if !ok {
			at++
			continue
		}
		t.found = append(t.found, e.saved(e.rest[:n], false))
		at += e.head + n
	}
}

// provenEntry reads the entry that b begins with under one of the first keys, and how long its value is. When no value
// proves itself the result may still be a block's first entry.
func provenEntry(b []byte, firsts [][]byte, end ValueEnd) (e blockEntry, n int, ok bool) {
	for _, first := range firsts {
		if e, ok = parseBlockEntry(b, first); !ok || !e.plain {
			e = blockEntry{}
			continue
		}
		if n, ok = end(e.name(), e.rest[:min(len(e.rest), maxValueBytes)]); ok || e.shared == 0 {
			return e, n, ok
		}
	}
	return e, 0, false
}
