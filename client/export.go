package client

import (
	"bytes"
	"context"
	"errors"
	"io"
	"iter"

	"github.com/dncd/dncd/internal/ascending"
	"github.com/dncd/dncd/internal/phone"
	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
)

// Export yields the numbers of a list at one revision, ascending, in E.164. An
// error is the last thing yielded, and then what came before it is not the list:
// also when the stream was cut, or its count or SHA-256 is not the server's. There
// is no deadline but that of ctx, and nothing is tried again.
func (c *Client) Export(ctx context.Context, list string, opts ...AtLeastOption) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		o := gather(opts, AtLeastOption.applyRead)
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		stream, err := c.pick().lists.Export(ctx, &dncv1.ExportRequest{
			List: list, ReadAt: o.readAt(),
		})
		if err != nil {
			yield("", fromStatus(err))
			return
		}
		r := &exportReader{hash: ascending.NewHash[uint64]()}
		for !r.isWhole {
			frame, err := stream.Recv()
			if err == nil {
				err = r.take(frame, yield)
			}
			if errors.Is(err, errStopped) {
				return
			}
			if err != nil {
				yield("", exportError(err))
				return
			}
		}
	}
}

// exportReader is how far an export was read.
type exportReader struct {
	hash    *ascending.Hash[uint64]
	isWhole bool
}

func (r *exportReader) take(frame *dncv1.ExportResponse, yield func(string, error) bool) error {
	if summary := frame.GetSummary(); summary != nil {
		r.isWhole = true
		if summary.GetNumbers() != r.hash.Count() || !bytes.Equal(summary.GetContentSha256(), r.hash.Sum()) {
			return broken("the export does not match the count or SHA-256 that the server gave: try again")
		}
		return nil
	}
	numbers, err := decodeAscending(frame.GetChunk().GetAscending())
	if err != nil {
		return err
	}
	r.hash.Add(numbers)
	for _, n := range numbers {
		if !yield(phone.Number(n).E164(), nil) {
			return errStopped
		}
	}
	return nil
}

func exportError(err error) error {
	if err == io.EOF {
		return broken("the export was cut before its end: try again")
	}
	return fromStatus(err)
}
