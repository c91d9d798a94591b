// Package chunkhash identifies the chunks of an import by their content, with the same hashes on the client's side and
// on the server's. The contract defines them at ImportChunk and ImportCommit.chunks_digest.
package chunkhash

import (
	"crypto/sha256"
	"encoding/binary"
	"hash"

	"google.golang.org/protobuf/proto"
)

// Size of a hash in bytes.
const Size = 16

// Hash identifies the content of a chunk. The zero value identifies none.
type Hash [Size]byte

// Of is the hash of a chunk with these fields: the first 16 bytes of SHA-256 over all four in this order. Each field is
// hashed as its length in bytes, 8 bytes little-endian, followed by its bytes. A number in any order is 8 bytes little-
// endian.
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

// OfNumbers is Of the added and removed numbers of a chunk.
func OfNumbers(add, remove Numbers) Hash {
	return Of(add.GetAscending(), add.GetNumbers(), remove.GetAscending(), remove.GetNumbers())
}

// OfRows is the hash of a chunk of rows: the first 16 bytes of SHA-256 over the rows in order. Each row is hashed as
// the length of its protobuf encoding, 8 bytes little-endian, followed by that encoding.
func OfRows[M proto.Message](rows []M) Hash {
	h := sha256.New()
	var b []byte
	var err error
	for _, row := range rows {
		b = append(b[:0], make([]byte, 8)...)
		if b, err = (proto.MarshalOptions{Deterministic: true}).MarshalAppend(b, row); err != nil {
			return Hash{} // text that is not UTF-8: no message can carry it
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

// Digest is SHA-256 over hashes in order. It identifies the content of all chunks of an import. Nil if one hash is the
// zero value.
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

// Join concatenates hashes for the wire.
func Join(hashes []Hash) []byte {
	joined := make([]byte, 0, Size*len(hashes))
	for i := range hashes {
		joined = append(joined, hashes[i][:]...)
	}
	return joined
}

// Split reverses Join. It ignores an incomplete hash at the end.
func Split(joined []byte) []Hash {
	hashes := make([]Hash, len(joined)/Size)
	for i := range hashes {
		hashes[i] = Hash(joined[i*Size:])
	}
	return hashes
}
