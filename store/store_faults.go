package store

// step is a kind of write that a promise rests on.
type step string

const (
	stepStories    step = "stories of a group"
	stepCommit     step = "commit of a group"
	stepMark       step = "mark"
	stepSecret     step = "secret"
	stepBlockFile  step = "blocks in the file of a load"
	stepBlocks     step = "commit of a load's blocks"
	stepChunk      step = "chunk of a load"
	stepChunkSync  step = "sync of a load's chunks"
	stepContent    step = "sorted content of a load"
	stepRows       step = "chunk of opt-outs"
	stepRowsCommit step = "order to record opt-outs"
	stepCompare    step = "numbers that are compared"
	stepRespell    step = "numbers of an earlier version under the present digits"
)

// faults is how tests make a write fail. It is called in place of the write: it may do it, fail instead, do a part of it, or
// do it and report a failure. Outside of tests it is nil, and the write is done.
type faults func(at step, write func() error) error

func (f faults) do(at step, write func() error) error {
	if f == nil {
		return write()
	}
	return f(at, write)
}
