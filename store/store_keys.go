package store

import (
	"encoding/binary"

	"github.com/dncd/dncd/internal/policy"
)

// Keys of the state. Integers are big-endian, so that order on disk is order of value.
const (
	keyGrant   = 'a' // name of a token or certificate
	keyBlock   = 'b' // list id, block: numbers, at the timestamp of their load
	keyCommit  = 'c' // list id, P, n: proof of one block commit
	keyHistory = 'h' // number, revision, index: empty; the event is in the journal. A row has none while its record stands
	// 'j' is a revision: see journal.Key
	keyList    = 'l' // list id
	keyImport  = 'p' // list id, P; of opt-outs: 0, the event's index, its revision
	keyRequest = 'q' // first half of the SHA-256 of a request id
	keyRecords = 'r' // number
	keyTotals  = 't'
)

const listIDBytes = 12

func appendListID(k []byte, id policy.EventID) []byte {
	k = binary.BigEndian.AppendUint64(k, id.Revision)
	return binary.BigEndian.AppendUint32(k, id.Index)
}

func recordsKey(number uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte{keyRecords}, number)
}

func historyKey(number uint64, id policy.EventID) []byte {
	k := make([]byte, 0, 1+8+listIDBytes)
	k = binary.BigEndian.AppendUint64(append(k, keyHistory), number)
	return appendListID(k, id)
}

func requestKey(hash []byte) []byte { return append([]byte{keyRequest}, hash[:16]...) }

func totalsKey() []byte { return []byte{keyTotals} }

func grantKey(name string) []byte { return append([]byte{keyGrant}, name...) }

func listKey(id policy.EventID) []byte { return appendListID([]byte{keyList}, id) }

func importKey(id policy.EventID, prepared uint64) []byte {
	return binary.BigEndian.AppendUint64(appendListID([]byte{keyImport}, id), prepared)
}

// recordsImportKey is the key of an import of opt-outs, by the event that ended it. No list has an id of revision 0.
func recordsImportKey(id policy.EventID) []byte {
	return importKey(policy.EventID{Index: id.Index}, id.Revision)
}

func commitKey(id policy.EventID, prepared uint64, n uint32) []byte {
	k := make([]byte, 0, 1+listIDBytes+8+4)
	k = appendListID(append(k, keyCommit), id)
	k = binary.BigEndian.AppendUint64(k, prepared)
	return binary.BigEndian.AppendUint32(k, n)
}

func blockPrefix(id policy.EventID) []byte { return appendListID([]byte{keyBlock}, id) }

func blockKey(id policy.EventID, block uint64) []byte {
	k := make([]byte, 0, 1+listIDBytes+8)
	k = appendListID(append(k, keyBlock), id)
	return binary.BigEndian.AppendUint64(k, block)
}

// readListID reads the list id behind the first byte of a key.
func readListID(key []byte) policy.EventID {
	return policy.EventID{
		Revision: binary.BigEndian.Uint64(key[1:]),
		Index:    binary.BigEndian.Uint32(key[9:]),
	}
}
