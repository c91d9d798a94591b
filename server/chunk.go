package server

import (
	"fmt"

	"github.com/dncd/dncd/internal/ascending"
	"github.com/dncd/dncd/internal/chunkhash"
	"github.com/dncd/dncd/internal/phone"
	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
	"github.com/dncd/dncd/store"
)

// Limits of a chunk.
const (
	maxChunks       = 1 << 20 // of an import: the store keeps some bytes of each in memory
	maxChunkBytes   = 512 << 10
	maxChunkRejects = 200_000 // an ack stays under 4 MiB
	toldRejects     = 1000    // these come with a message, the rest only with their reason
)

// put implements intake.
func (i *importSession) put(c *dncv1.ImportChunk) (*dncv1.ImportAck, error) {
	if err := i.checkChunk(c); err != nil {
		return nil, err
	}
	d := decoder{numbers: i.buffer[:0], run: i.came}
	if err := d.decode(c.GetAdd().GetAscending(), c.GetAdd().GetNumbers()); err != nil {
		return nil, err
	}
	added := len(d.numbers)
	if err := d.decode(c.GetRemove().GetAscending(), c.GetRemove().GetNumbers()); err != nil {
		return nil, err
	}
	i.buffer, i.came = d.numbers[:0], d.run
	ack := &dncv1.ImportAck{Seq: c.GetSeq(), Rejects: d.rejects}
	return ack, i.imp.Put(store.Chunk{
		Seq: c.GetSeq(), Hash: chunkhash.OfNumbers(c.GetAdd(), c.GetRemove()),
		Numbers: d.numbers[:added:added], Removed: d.numbers[added:], Rejected: uint64(len(d.rejects)),
	})
}

// checkSeq refuses a sequence number that no chunk can have.
func checkSeq(seq uint64) error {
	if seq == 0 {
		return chunkInvalid("seq is missing: number the chunks from 1")
	}
	if seq > maxChunks {
		return chunkInvalid(fmt.Sprintf("an import holds at most %d chunks: send larger ones", maxChunks)).
			with("limit", fmt.Sprint(maxChunks))
	}
	return nil
}

func (i *importSession) checkChunk(c *dncv1.ImportChunk) error {
	if err := checkSeq(c.GetSeq()); err != nil {
		return err
	}
	if len(c.GetRows()) > 0 {
		return chunkInvalid("rows are for imports of records: send numbers")
	}
	add, remove := c.GetAdd(), c.GetRemove()
	delta := i.header.GetMode() == dncv1.ImportMode_IMPORT_MODE_DELTA
	if !delta && numberBytes(remove) > 0 {
		return chunkInvalid("removed numbers are for the mode delta only")
	}
	if !delta && len(add.GetAscending()) > 0 && len(add.GetNumbers()) > 0 {
		return chunkInvalid("ascending and numbers are both set: use one of them")
	}
	if n := numberBytes(add) + numberBytes(remove); n > maxChunkBytes {
		return chunkInvalid(fmt.Sprintf("a chunk holds at most %d KiB: send smaller ones", maxChunkBytes>>10)).
			with("limit", fmt.Sprint(maxChunkBytes)).with("actual", fmt.Sprint(n))
	}
	return nil
}

// numberBytes is the size of a set of numbers in a chunk.
func numberBytes(s *dncv1.NumberSet) int { return len(s.GetAscending()) + 8*len(s.GetNumbers()) }

func chunkInvalid(message string) *fault {
	return refuse(dncv1.ErrorReason_ERROR_REASON_CHUNK_INVALID, message)
}

// decoder reads the numbers of a chunk and sets aside the values that are not numbers.
type decoder struct {
	numbers []uint64
	run     []uint64 // as they came
	checker phone.Checker
	rejects []*dncv1.ImportReject
	index   uint32
}

// decode reads numbers coded as ascending differences, then plain numbers. Their places in the chunk continue from the
// previous call.
func (d *decoder) decode(run []byte, plain []uint64) error {
	var err error
	if d.run, err = ascending.Decode(d.run[:0], run); err != nil {
		return chunkInvalid("ascending does not decode: varints, each the difference from the number before")
	}
	for _, n := range d.run {
		d.add(n)
	}
	for _, n := range plain {
		d.add(n)
	}
	if len(d.rejects) > maxChunkRejects {
		return chunkInvalid("the chunk holds hardly any phone number: check the file's format and column")
	}
	return nil
}

func (d *decoder) add(u uint64) {
	if n, err := d.checker.Check(u); err != nil {
		d.reject(err)
	} else {
		d.numbers = append(d.numbers, uint64(n))
	}
	d.index++
}

func (d *decoder) reject(err error) {
	e := itemError(err)
	if len(d.rejects) >= toldRejects {
		e.Message = ""
	}
	d.rejects = append(d.rejects, &dncv1.ImportReject{Index: d.index, Error: e})
}
