package server

import "google.golang.org/grpc"

// frame is one message of a stream, or why there is none: io.EOF when the client has sent all.
type frame[Req any] struct {
	req *Req
	err error
}

// receive reads frames ahead, so that a handler that waits for one can end when the server stops. Each is read into a
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

// fresh is a new message.
func fresh[Req any]() *Req { return new(Req) }
