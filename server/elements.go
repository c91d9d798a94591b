package server

import (
	"fmt"

	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
)

// maxElements is how many messages there may be in the repeated fields of a request, in all. One takes two bytes on the wire, and may
// take a hundred times as much in memory: so they are counted before a request is decoded.
const maxElements = 10_000

// checkElements refuses a request with too many of them. Of checks, batches have none, and streams take room for theirs.
func checkElements(data mem.BufferSlice, m any) error {
	if data.Len() <= 2*maxElements {
		return nil
	}
	switch m.(type) {
	case *dncv1.CheckNumbersRequest, *dncv1.StreamChecksRequest:
		return nil
	}
	message, ok := m.(proto.Message)
	if !ok {
		return nil
	}
	whole := data.MaterializeToBuffer(mem.DefaultBufferPool())
	defer whole.Free()
	c := elementCounter{most: maxElements}
	if field := c.count(whole.ReadOnlyData(), message.ProtoReflect().Descriptor()); field != nil {
		return tooManyElements(field)
	}
	return nil
}

func tooManyElements(field protoreflect.FieldDescriptor) error {
	var f *fault
	switch field.FullName() {
	case "dnc.v1.AuditCallsRequest.calls":
		f = refuse(dncv1.ErrorReason_ERROR_REASON_BATCH_TOO_LARGE, fmt.Sprintf("at most %d calls in one message: send several", maxElements))
	case "dnc.v1.ImportChunk.rows":
		f = chunkInvalid(fmt.Sprintf("a chunk holds at most %d rows: send smaller ones", maxElements))
	default:
		f = invalidField(string(field.Name()), fmt.Sprintf("holds too much: a message has at most %d elements in all", maxElements))
	}
	return f.with("limit", fmt.Sprint(maxElements))
}

// elementCounter counts the messages in repeated fields.
type elementCounter struct{ found, most int }

// count counts those of a message on the wire. It returns the field in which there are more than may be; nil: there are no more. What
// does not parse is left to the decoder.
func (c *elementCounter) count(data []byte, d protoreflect.MessageDescriptor) protoreflect.FieldDescriptor {
	for len(data) > 0 {
		number, kind, n := protowire.ConsumeTag(data)
		if n < 0 {
			return nil
		}
		data = data[n:]
		field := d.Fields().ByNumber(number)
		if kind != protowire.BytesType || field == nil || field.Message() == nil {
			if n = protowire.ConsumeFieldValue(number, kind, data); n < 0 {
				return nil
			}
			data = data[n:]
			continue
		}
		inner, n := protowire.ConsumeBytes(data)
		if n < 0 {
			return nil
		}
		data = data[n:]
		if field.IsList() {
			if c.found++; c.found > c.most {
				return field
			}
		}
		if over := c.count(inner, field.Message()); over != nil {
			return over
		}
	}
	return nil
}
