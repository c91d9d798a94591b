// Package codec encodes and decodes the messages of checks and of changes, for server and client. Generated code does so for
// the six messages of CheckService and for what Watch sends, instead of reflection. All other messages use gRPC's own codec for
// protobuf. The wire format is the same protobuf either way.
//
// Where the generated code refuses a message, or finds text that is not UTF-8, protobuf decodes the message again, and
// its result and error count. So a message that protobuf accepts is accepted here with the same content. Unknown fields
// are kept byte for byte, except those of times and durations. Some malformed messages that protobuf refuses are
// accepted: varints of more than 64 bits, and packed numbers that exceed their field.
package codec

import (
	"fmt"

	"google.golang.org/grpc/encoding"
	standard "google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"

	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
)

// Codec implements encoding.CodecV2. It is given to a server or a connection, and registered nowhere: other gRPC in the
// same program is none of its business.
type Codec struct{ others encoding.CodecV2 }

// New returns the codec. It is safe for concurrent use.
func New() Codec { return Codec{others: encoding.GetCodecV2(standard.Name)} }

// Name implements encoding.CodecV2. The empty name makes the content type application/grpc, which means protobuf, as
// without this codec. With a name, gRPC would build application/grpc+proto three times a call.
func (Codec) Name() string { return "" }

// message is a message with generated code to encode and decode it.
type message interface {
	proto.Message
	SizeVT() int
	MarshalToSizedBufferVT(b []byte) (int, error)
	UnmarshalVT(b []byte) error
	Reset()
}

// generated returns v if it is one of the messages that generated code is used for, else nil.
func generated(v any) message {
	switch m := v.(type) {
	case *dncv1.CheckNumberRequest:
		return m
	case *dncv1.CheckNumberResponse:
		return m
	case *dncv1.CheckNumbersRequest:
		return m
	case *dncv1.CheckNumbersResponse:
		return m
	case *dncv1.StreamChecksRequest:
		return m
	case *dncv1.StreamChecksResponse:
		return m
	case *dncv1.WatchResponse:
		return m
	}
	return nil
}

// Tracked is a message with generated code whose sender wants to know how long gRPC keeps its bytes.
type Tracked struct {
	Message any
	// Freed is called once, when gRPC has sent the bytes, or dropped them. It is not called for bytes that gRPC still
	// keeps when a connection ends.
	Freed func()
}

// tracking is the pool of one tracked message.
type tracking struct {
	mem.BufferPool
	freed func()
}

// Put implements mem.BufferPool.
func (t tracking) Put(b *[]byte) {
	t.BufferPool.Put(b)
	t.freed()
}

// Marshal implements encoding.CodecV2.
func (c Codec) Marshal(v any) (mem.BufferSlice, error) {
	pool := mem.DefaultBufferPool()
	t, ok := v.(*Tracked)
	if ok {
		v, pool = t.Message, tracking{pool, t.Freed}
	}
	m := generated(v)
	if m == nil || !isText(m) {
		return t.untracked(c.others.Marshal(v))
	}
	size := m.SizeVT()
	if mem.IsBelowBufferPoolingThreshold(size) {
		return t.untracked(writeSmall(m, size))
	}
	b := pool.Get(size)
	if err := write(m, *b); err != nil {
		pool.Put(b)
		return nil, err
	}
	return mem.BufferSlice{mem.NewBuffer(b, pool)}, nil
}

// untracked passes on what was encoded without the pool of t, which may be nil.
func (t *Tracked) untracked(data mem.BufferSlice, err error) (mem.BufferSlice, error) {
	if t != nil {
		t.Freed()
	}
	return data, err
}

// small holds an encoded small message, in one allocation.
type small struct {
	list [1]mem.Buffer
	only mem.SliceBuffer
	room [smallRoom]byte
}

// smallRoom fits a check, or its answer without reasons.
const smallRoom = 88

func writeSmall(m message, size int) (mem.BufferSlice, error) {
	s := new(small)
	s.only = s.room[:min(size, smallRoom)]
	if size > smallRoom {
		s.only = make([]byte, size)
	}
	s.list[0] = &s.only
	return s.list[:], write(m, s.only)
}

// write fills b, which has the size of m on the wire.
func write(m message, b []byte) error {
	n, err := m.MarshalToSizedBufferVT(b)
	if err == nil && n != len(b) {
		err = fmt.Errorf("%T was changed while it was written: do not change a message until its call has ended", m)
	}
	return err
}

// Unmarshal implements encoding.CodecV2. When a message of a stream is decoded into again, its checks, or its answers
// and reasons, are reused: the caller must no longer use them.
func (c Codec) Unmarshal(data mem.BufferSlice, v any) error {
	m := generated(v)
	if m == nil {
		return c.others.Unmarshal(data, v)
	}
	b := data.MaterializeToBuffer(mem.DefaultBufferPool())
	defer b.Free()
	reset(m)
	if m.UnmarshalVT(b.ReadOnlyData()) == nil && isText(m) {
		return nil
	}
	return proto.Unmarshal(b.ReadOnlyData(), m)
}

func reset(m message) {
	switch m := m.(type) {
	case *dncv1.StreamChecksRequest:
		m.ResetVT()
	case *dncv1.StreamChecksResponse:
		m.ResetVT()
	default:
		m.Reset()
	}
}
