package server

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/dncd/dncd/store"
)

// frame is one message of a stream, or the error in its place: io.EOF when the client has sent all.
type frame[Req any] struct {
	req *Req
	err error
}

// receive reads frames ahead, so that a handler that waits for one can end when the server stops. It reads each into a
// message that made returns.
func receive[Req, Resp any](stream grpc.BidiStreamingServer[Req, Resp], made func() *Req) <-chan frame[Req] {
	frames := make(chan frame[Req], 1)
	go func() {
		for {
			req := made()
			err := stream.RecvMsg(req)
			select {
			case frames <- frame[Req]{req, err}:
			case <-stream.Context().Done(): // the handler has returned, or the caller is gone
				return
			}
			if err != nil {
				return
			}
		}
	}()
	return frames
}

// nextFrame waits for a frame of an import, whose session may be cut meanwhile. A stop of the server ends it.
func nextFrame[Req any](ctx context.Context, frames <-chan frame[Req], draining <-chan struct{}) (*Req, error) {
	defer sessionOf(ctx).await()()
	select {
	case f := <-frames:
		return f.req, f.err
	case <-draining:
		return nil, store.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// keepsOpen accepts a request without a frame: its client has nothing to send yet. It refuses a frame that is not known
// here, or that is out of place.
func keepsOpen(req proto.Message) error {
	if proto.Size(req) > 0 {
		return invalidField("frame", "must be a chunk or the commit after the header")
	}
	return nil
}

// fresh returns a new message.
func fresh[Req any]() *Req { return new(Req) }
