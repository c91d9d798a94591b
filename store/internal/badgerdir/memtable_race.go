//go:build race

package badgerdir

// MemTableBytes is smaller where the race detector shadows each byte of the hundreds of stores that tests open.
const MemTableBytes = 8 << 20
