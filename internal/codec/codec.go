// Package codec is how the messages of checks travel: server and client share it. The six messages of CheckService are
// written and read by generated code instead of by reflection; all other messages go through
// gRPC's own codec for protobuf. What is on the wire is the same protobuf either way.
//
// The generated code is used for what it does without doubt. What it refuses, and text that is not UTF-8, is given to
// protobuf, whose judgement and error count: a message that protobuf accepts is accepted here with the same content,
// unknown fields included, as the bytes that came, but for those of times and durations. Of messages that are malformed (varints of more than 64
// bits, packed numbers that run past their field) some are read that protobuf refuses.
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

// Name implements encoding.CodecV2. The empty name makes the content type application/grpc, which is protobuf, as
// without this codec: application/grpc+proto would be put together anew three times a call.
func (Codec) Name() string { return "" }

// message is a message with generated code to write and read it.
type message interface {
	proto.Message
	SizeVT() int
	MarshalToSizedBufferVT(b []byte) (int, error)
	UnmarshalVT(b []byte) error
	Reset()
}

// ofCheck returns v when it is one of the messages of CheckService, else nil.
func ofCheck(v any) message {
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
	}
	return nil
}

// Marshal implements encoding.CodecV2.
func (c Codec) Marshal(v any) (mem.BufferSlice, error) {
	m := ofCheck(v)
	if m == nil || !isText(m) {
		return c.others.Marshal(v)
	}
	size := m.SizeVT()
	if mem.IsBelowBufferPoolingThreshold(size) {
		return writeSmall(m, size)
	}
	pool := mem.DefaultBufferPool()
	b := pool.Get(size)
	if err := write(m, *b); err != nil {
		pool.Put(b)
		return nil, err
	}
	return mem.BufferSlice{mem.NewBuffer(b, pool)}, nil
}

// small is a message of few bytes on its way, in one allocation.
type small struct {
	list [1]mem.Buffer
	only mem.SliceBuffer
	room [smallRoom]byte
}

// smallRoom fits a check and its answer without reasons.
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

// write fills b, which is as long as m is on the wire.
func write(m message, b []byte) error {
	n, err := m.MarshalToSizedBufferVT(b)
	if err == nil && n != len(b) {
		err = fmt.Errorf("%T was changed while it was written: do not change a message until its call has ended", m)
	}
	return err
}

// Unmarshal implements encoding.CodecV2. A message of a stream that is read into again reuses the checks, or the answers
// and reasons, that it held: whoever passes one in has let go of them.
func (c Codec) Unmarshal(data mem.BufferSlice, v any) error {
	m := ofCheck(v)
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
