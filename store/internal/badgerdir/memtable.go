//go:build !race

package badgerdir

// MemTableBytes is the size of a memtable. One is held about three times in memory (active, being flushed, and its mapped
// log), and bounds a transaction to 15 % of it. While one is exchanged for the next nothing is read, for up to a tenth of a
// second on a busy machine: of this size a load of a hundred million numbers takes one.
const MemTableBytes = 32 << 20
