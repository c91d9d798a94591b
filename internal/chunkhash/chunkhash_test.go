package chunkhash

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"slices"
	"testing"
)

// The vectors hold what the contract says, for clients in other languages.
func TestHashIsAsTheContractSays(t *testing.T) {
	var b []byte
	for _, part := range [][]byte{
		{0x80, 0x01, 0x02},
		binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(nil, 14155550100), 33199001234),
		{},
		binary.LittleEndian.AppendUint64(nil, 14155550101),
	} {
		b = append(binary.LittleEndian.AppendUint64(b, uint64(len(part))), part...)
	}
	want := sha256.Sum256(b)
	got := Of([]byte{0x80, 0x01, 0x02}, []uint64{14155550100, 33199001234}, nil, []uint64{14155550101})
	if got != Hash(want[:Size]) {
		t.Errorf("got %x, want %x", got, want[:Size])
	}
	if got, want := hex.EncodeToString(Digest([]Hash{got, got})), sha256.Sum256(Join([]Hash{got, got})); got != hex.EncodeToString(want[:]) {
		t.Errorf("digest %s, want %x", got, want)
	}
}

// The same bytes in another field are another chunk.
func TestHashTellsFieldsApart(t *testing.T) {
	eight := []byte{1, 0, 0, 0, 0, 0, 0, 0}
	hashes := []Hash{
		Of(nil, nil, nil, nil), Of(eight, nil, nil, nil), Of(nil, []uint64{1}, nil, nil), Of(nil, nil, eight, nil), Of(nil, nil, nil, []uint64{1}),
		Of(eight[:1], nil, nil, nil), Of(eight, []uint64{1}, nil, nil),
	}
	for i, h := range hashes {
		if slices.Index(hashes, h) != i || h == (Hash{}) {
			t.Errorf("hash %d is that of another chunk, or none", i)
		}
	}
}

func TestDigestNeedsEveryHash(t *testing.T) {
	h := Of([]byte{1}, nil, nil, nil)
	if d := Digest([]Hash{h, {}}); d != nil {
		t.Errorf("got %x, want none", d)
	}
	if d := Digest(nil); len(d) != sha256.Size {
		t.Errorf("of no chunk: got %x", d)
	}
}

func TestSplitIsTheOtherWayRound(t *testing.T) {
	want := []Hash{Of([]byte{1}, nil, nil, nil), Of([]byte{2}, nil, nil, nil)}
	if got := Split(append(Join(want), 1, 2, 3)); !slices.Equal(got, want) {
		t.Errorf("got %x, want %x", got, want)
	}
}
