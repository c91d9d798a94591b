// Package chunkhash tells the chunks of an import apart by what they hold, alike on the client's side and the server's:
// what the contract says of ImportChunk and ImportCommit.chunks_digest.
package chunkhash

import (
	"crypto/sha256"
	"encoding/binary"
	"hash"

	"google.golang.org/protobuf/proto"
)

// Size of a hash in bytes.
const Size = 16

// Hash stands for the content of a chunk. The zero value stands for none.
type Hash [Size]byte

// Of is the hash of a chunk with these fields: the first 16 bytes of SHA-256 over all four in this order, each its length
// in bytes as 8 bytes little-endian, then the bytes; a number in any order is 8 bytes little-endian.
func Of(ascending []byte, numbers []uint64, removedAscending []byte, removedNumbers []uint64) Hash {
	h := sha256.New()
	writeBytes(h, ascending)
	writeNumbers(h, numbers)
	writeBytes(h, removedAscending)
	writeNumbers(h, removedNumbers)
	return Hash(h.Sum(nil)[:Size])
}

// Numbers is a set of numbers in a chunk.
type Numbers interface {
	GetAscending() []byte
	GetNumbers() []uint64
}

// OfNumbers is Of the numbers that come and go with a chunk.
func OfNumbers(add, remove Numbers) Hash {
	return Of(add.GetAscending(), add.GetNumbers(), remove.GetAscending(), remove.GetNumbers())
}

// OfRows is the hash of a chunk of rows: the first 16 bytes of SHA-256 over them in order, for each the length of its
// protobuf encoding as 8 bytes little-endian, then that encoding.
func OfRows[M proto.Message](rows []M) Hash {
	h := sha256.New()
	var b []byte
	var err error
	for _, row := range rows {
		b = append(b[:0], make([]byte, 8)...)
		if b, err = (proto.MarshalOptions{Deterministic: true}).MarshalAppend(b, row); err != nil {
			return Hash{} // text that is no UTF-8: no message carries it
		}
		binary.LittleEndian.PutUint64(b, uint64(len(b)-8))
		h.Write(b)
	}
	return Hash(h.Sum(nil)[:Size])
}

func writeBytes(h hash.Hash, b []byte) {
	h.Write(binary.LittleEndian.AppendUint64(nil, uint64(len(b))))
	h.Write(b)
}

func writeNumbers(h hash.Hash, numbers []uint64) {
	b := make([]byte, 0, 8*len(numbers))
	for _, n := range numbers {
		b = binary.LittleEndian.AppendUint64(b, n)
	}
	writeBytes(h, b)
}

// Digest is SHA-256 over hashes in order: what all chunks of an import hold. Nil when one of them is the zero value.
func Digest(hashes []Hash) []byte {
	h := sha256.New()
	for i := range hashes {
		if hashes[i] == (Hash{}) {
			return nil
		}
		h.Write(hashes[i][:])
	}
	return h.Sum(nil)
}

// Join puts hashes behind each other, as they go over the wire.
func Join(hashes []Hash) []byte {
	joined := make([]byte, 0, Size*len(hashes))
	for i := range hashes {
		joined = append(joined, hashes[i][:]...)
	}
	return joined
}

// Split is the other way round; what is no whole hash at the end is left out.
func Split(joined []byte) []Hash {
	hashes := make([]Hash, len(joined)/Size)
	for i := range hashes {
		hashes[i] = Hash(joined[i*Size:])
	}
	return hashes
}
