// Package keys makes and reads the keys of the state in the database. Integers are big-endian, so that order on disk is order
// of value.
package keys

import (
	"encoding/binary"

	"github.com/dncd/dncd/internal/policy"
)

// The first byte of a key says what it is of.
const (
	KindGrant   = 'a' // name of a token or certificate
	KindBlock   = 'b' // list id, block: numbers, at the timestamp of their load
	KindCommit  = 'c' // list id, P, n: proof of one block commit
	KindHistory = 'h' // number, revision, index: empty; the event is in the journal; a row has none while its record is there
	// 'j' is a revision: see journal.Key
	KindList    = 'l' // list id
	KindImport  = 'p' // list id, P; of opt-outs: 0, the event's index, its revision
	KindRequest = 'q' // first half of the SHA-256 of a request id
	KindRecords = 'r' // number
	KindTotals  = 't'
)

// ListIDBytes is the length of a list's id in a key.
const ListIDBytes = 12

// AppendListID appends the id of a list, or of another event.
func AppendListID(k []byte, id policy.EventID) []byte {
	k = binary.BigEndian.AppendUint64(k, id.Revision)
	return binary.BigEndian.AppendUint32(k, id.Index)
}

// Records is the key of the records of a number.
func Records(number uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte{KindRecords}, number)
}

// History is the key of an event about a number.
func History(number uint64, id policy.EventID) []byte {
	k := make([]byte, 0, 1+8+ListIDBytes)
	k = binary.BigEndian.AppendUint64(append(k, KindHistory), number)
	return AppendListID(k, id)
}

// Request is the key of a request id, by its hash.
func Request(hash []byte) []byte { return append([]byte{KindRequest}, hash[:16]...) }

// Totals is the key of how much there is.
func Totals() []byte { return []byte{KindTotals} }

// Grant is the key of what a token or certificate is granted, by its name.
func Grant(name string) []byte { return append([]byte{KindGrant}, name...) }

// List is the key of a list.
func List(id policy.EventID) []byte { return AppendListID([]byte{KindList}, id) }

// Import is the key of a load, by its list and the revision that prepared it.
func Import(id policy.EventID, prepared uint64) []byte {
	return binary.BigEndian.AppendUint64(AppendListID([]byte{KindImport}, id), prepared)
}

// RecordsImport is the key of an import of opt-outs, by the event that ended it. No list has an id of revision 0.
func RecordsImport(id policy.EventID) []byte {
	return Import(policy.EventID{Index: id.Index}, id.Revision)
}

// Commit is the key of the n-th block commit of a load.
func Commit(id policy.EventID, prepared uint64, n uint32) []byte {
	k := make([]byte, 0, 1+ListIDBytes+8+4)
	k = AppendListID(append(k, KindCommit), id)
	k = binary.BigEndian.AppendUint64(k, prepared)
	return binary.BigEndian.AppendUint32(k, n)
}

// BlockPrefix begins the keys of the blocks of a list.
func BlockPrefix(id policy.EventID) []byte { return AppendListID([]byte{KindBlock}, id) }

// Block is the key of a block of a list.
func Block(id policy.EventID, block uint64) []byte {
	k := make([]byte, 0, 1+ListIDBytes+8)
	k = AppendListID(append(k, KindBlock), id)
	return binary.BigEndian.AppendUint64(k, block)
}

// ListID is the id behind the first byte of a key.
func ListID(key []byte) policy.EventID {
	return policy.EventID{
		Revision: binary.BigEndian.Uint64(key[1:]),
		Index:    binary.BigEndian.Uint32(key[9:]),
	}
}

// Prepared is the revision in the key of an import.
func Prepared(key []byte) uint64 { return binary.BigEndian.Uint64(key[1+ListIDBytes:]) }

// ImportList is the list in the key of an import; zero for an import of opt-outs.
func ImportList(key []byte) policy.EventID {
	if id := ListID(key); id.Revision != 0 {
		return id
	}
	return policy.EventID{}
}

// Number is the number in the key of records.
func Number(key []byte) uint64 { return binary.BigEndian.Uint64(key[1:]) }
