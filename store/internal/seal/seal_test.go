package seal

import "testing"

// The CRC over a load's commits lies on disks that an earlier build wrote: it is CRC-32C of theirs, each big-endian.
func TestChainCRC(t *testing.T) {
	t.Parallel()
	const want = 0xe727060b // of 01 02 03 04 ff fe fd fc
	if got := ChainCRC(ChainCRC(0, 0x01020304), 0xfffefdfc); got != want {
		t.Errorf("%#x, want %#x", got, want)
	}
}
