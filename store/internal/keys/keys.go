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
	KindDesk    = 'd' // desk id
	KindTopic   = 'e' // topic: how many changes it has had
	KindChange  = 'f' // topic, 0, revision: how many it had up to this revision, which changed it
	KindHistory = 'h' // number, revision, index: empty; the event is in the journal; a row has none while its record is there
	// 'j' is a revision: see journal.Key
	KindAck     = 'k' // subscriber id, stage, revision up to which it acknowledged
	KindList    = 'l' // list id
	KindPolicy  = 'o' // event that set it; the last one is in force
	KindImport  = 'p' // list id, P; of opt-outs: 0, the event's index, its revision
	KindRequest = 'q' // first half of the SHA-256 of a request id
	KindRecords = 'r' // number
	KindTotals  = 't'

	KindSubscriber = 'u' // subscriber id
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

// Subscriber is the key of a subscriber.
func Subscriber(id policy.EventID) []byte { return AppendListID([]byte{KindSubscriber}, id) }

// Ack is the key of what a subscriber acknowledged at a stage, up to a revision.
func Ack(subscriber policy.EventID, stage uint8, revision uint64) []byte {
	return binary.BigEndian.AppendUint64(AckPrefix(subscriber, stage), revision)
}

// AckPrefix begins the keys of what a subscriber acknowledged at a stage.
func AckPrefix(subscriber policy.EventID, stage uint8) []byte {
	k := make([]byte, 0, 1+ListIDBytes+1+8)
	return append(AppendListID(append(k, KindAck), subscriber), stage)
}

// Policy is the key of a policy, by the event that set it.
func Policy(id policy.EventID) []byte { return AppendListID([]byte{KindPolicy}, id) }

// Desk is the key of a desk.
func Desk(id policy.EventID) []byte { return AppendListID([]byte{KindDesk}, id) }

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

// Topic is what a change that feeds carry is about: a scope, or a list.
type Topic string

// listTopic begins the topic of a list. A scope begins with no such byte.
const listTopic = 1

// ScopeTopic is the topic of a scope.
func ScopeTopic(s policy.Scope) Topic { return Topic(s) }

// ListTopic is the topic of a list.
func ListTopic(id policy.EventID) Topic { return Topic(AppendListID([]byte{listTopic}, id)) }

// IsScope reports whether the topic is a scope.
func (t Topic) IsScope() bool { return t == "" || t[0] > listTopic }

// Counted is the key of how many changes a topic has had.
func Counted(t Topic) []byte { return append([]byte{KindTopic}, t...) }

// CountedSince is the key of the first revision whose changes are counted. It is among the keys of topics, before all of them
// but the scope of everyone.
func CountedSince() []byte { return []byte{KindTopic, 0} }

// CountedTopic is the topic in a key of Counted.
func CountedTopic(key []byte) Topic { return Topic(key[1:]) }

// Changed is the key of a revision that changed a topic.
func Changed(t Topic, revision uint64) []byte {
	k := make([]byte, 0, 1+len(t)+1+8)
	k = append(append(append(k, KindChange), t...), 0)
	return binary.BigEndian.AppendUint64(k, revision)
}

// ChangedPrefix begins the keys of the revisions that changed a topic.
func ChangedPrefix(t Topic) []byte {
	k := Changed(t, 0)
	return k[:len(k)-8]
}

// ChangedRevision is the revision in a key of Changed.
func ChangedRevision(key []byte) uint64 { return binary.BigEndian.Uint64(key[len(key)-8:]) }

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
