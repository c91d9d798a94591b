package server

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"

	"github.com/dncd/dncd/internal/codec"
	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
)

// inbound reads the messages of one call. gRPC's own reader answers a message that is too large, or that does not
// decode, with an error that has no reason of the contract, and it reports the size of a message only when the whole
// message is in memory. This reader knows the size first.
type inbound struct {
	wire   wire
	method string
	many   bool // the client may send any number of messages, or none
	header [messageHeader]byte

	awaited awaited // of a unary call
}

// wire is what gRPC's server streams have besides their public interface.
type wire interface {
	ReadMessageHeader(header []byte) error
	Read(n int) (mem.BufferSlice, error)
	WriteStatus(st *status.Status) error
}

// messageHeader is a byte that says whether the message is compressed, followed by four bytes of length.
const messageHeader = 5

var (
	errNoWire = errors.New("gRPC's streams no longer have ReadMessageHeader, Read and WriteStatus: use the version of grpc-go in go.mod")
	messages  = codec.New()
)

// inboundOf returns the reading side of the call that ctx belongs to.
func inboundOf(ctx context.Context, method string, many bool) (*inbound, error) {
	w, ok := grpc.ServerTransportStreamFromContext(ctx).(wire)
	if !ok {
		return nil, errNoWire
	}
	return &inbound{wire: w, method: method, many: many}, nil
}

// next waits for a message and returns its size; io.EOF when the client has sent all. The caller reads the message
// next.
func (in *inbound) next() (int, error) {
	switch err := in.wire.ReadMessageHeader(in.header[:]); {
	case errors.Is(err, io.EOF) && !in.many:
		return 0, invalidField("message", "is missing: the call ended without one")
	case errors.Is(err, io.ErrUnexpectedEOF):
		return 0, invalidField("message", "ends before its length")
	case err != nil:
		return 0, err
	}
	size := binary.BigEndian.Uint32(in.header[1:])
	if in.header[0] != 0 {
		return 0, invalidField("message", "is compressed, which this server does not take: send it as it is")
	}
	if size > maxReceiveBytes {
		return 0, in.tooLarge(size)
	}
	return int(size), nil
}

// tooLarge refuses a message without reading it.
func (in *inbound) tooLarge(size uint32) error {
	limit, actual := fmt.Sprint(maxReceiveBytes), fmt.Sprint(size)
	if strings.HasPrefix(in.method, dncv1.CheckService_ServiceDesc.ServiceName) {
		return refuse(dncv1.ErrorReason_ERROR_REASON_BATCH_TOO_LARGE,
			fmt.Sprintf("at most %d numbers and %d KiB in one message: split the batch", maxChecks, maxCheckBytes>>10),
			"limit", limit, "actual", actual)
	}
	return invalidField("message", "is larger than 1 MiB: send less in one message").with("limit", limit).with("actual", actual)
}

// read reads the message of the size that next returned into m.
func (in *inbound) read(size int, m any) error {
	data, err := in.wire.Read(size)
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return invalidField("message", "ends before its length")
	}
	if err != nil {
		return err
	}
	defer data.Free()
	if err := checkElements(data, m); err != nil {
		return err
	}
	if messages.Unmarshal(data, m) != nil { // the error may hold what was sent
		return invalidField("message", "does not decode: it must be the protobuf of the contract, with text in UTF-8")
	}
	return nil
}

// receive is next followed by read.
func (in *inbound) receive(m any) error {
	size, err := in.next()
	if err != nil {
		return err
	}
	return in.read(size, m)
}
