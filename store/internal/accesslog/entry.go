package accesslog

import (
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/dncd/dncd/internal/access"
	"github.com/dncd/dncd/internal/policy"
	storev1 "github.com/dncd/dncd/internal/proto/store/v1"
)

// Entry is one read of personal data.
type Entry struct {
	Time   time.Time   // when it was appended
	Name   string      // of the token or certificate; empty for a caller that showed nothing
	Kind   access.Kind // what the caller showed
	Method string      // the RPC, as "RecordService/GetNumber"
	Hash   Hash        // of the number; zero: it may have held any number
	Scope  policy.Scope
	List   string
}

// mayHold reports whether the number with that hash may have been read.
func (e *Entry) mayHold(number Hash) bool { return e.Hash == number || e.Hash == Hash{} }

func (e *Entry) encode() ([]byte, error) {
	m := &storev1.AccessEntry{
		Time: e.Time.UnixNano(), Name: e.Name, Kind: uint32(e.Kind), Method: e.Method, Scope: string(e.Scope), List: e.List,
	}
	if e.Hash != (Hash{}) {
		m.NumberHash = e.Hash[:]
	}
	b, err := proto.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFailed, err)
	}
	if len(b) > maxEntryBytes {
		return nil, fmt.Errorf("%w: an entry of %d bytes is too long", ErrFailed, len(b))
	}
	return appendFrame(nil, b), nil
}

func decodeEntry(b []byte) (Entry, error) {
	var m storev1.AccessEntry
	if err := proto.Unmarshal(b, &m); err != nil {
		return Entry{}, err
	}
	e := Entry{
		Time: time.Unix(0, m.GetTime()).UTC(), Name: m.GetName(), Kind: access.Kind(m.GetKind()), Method: m.GetMethod(),
		Scope: policy.Scope(m.GetScope()), List: m.GetList(),
	}
	copy(e.Hash[:], m.GetNumberHash())
	return e, nil
}
