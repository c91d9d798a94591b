package peer

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"time"

	"github.com/dgraph-io/badger/v4" //nolint:depguard // the peer to compare with, not the store

	"github.com/dncd/dncd/bench/internal/process"
	"github.com/dncd/dncd/internal/phone"
)

// BadgerCommand is the first argument with which this program, started by itself,
// calls LoadBadger: a process of its own, so that its memory can be told.
const BadgerCommand = "peer-badger"

func badgerPeers() []Peer {
	return []Peer{{
		Name: "badger-writebatch", Store: "badger",
		Note:    "one key a number, WriteBatch, default options, not synced",
		load:    runBadger,
		missing: func() string { return "" },
	}}
}

// runBadger starts this program again, for LoadBadger.
func runBadger(ctx context.Context, in Input) (Result, error) {
	self, err := os.Executable()
	if err != nil {
		return Result{}, err
	}
	args := append([]string{BadgerCommand, in.Dir, strconv.Itoa(in.Count)}, in.Files...)
	cmd := exec.CommandContext(ctx, self, args...)
	var said process.Tail
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		return Result{}, fmt.Errorf("%w: %s", err, said.String())
	}
	var r Result
	if err := json.Unmarshal(out, &r); err != nil {
		return Result{}, err
	}
	disk, err := process.DiskOf(in.Dir)
	r.Disk = disk.Bytes
	return r, err
}

// LoadBadger loads the numbers of files into a Badger in dir and writes the Result
// as JSON. Its arguments: dir, how many, files.
func LoadBadger(ctx context.Context, args []string, out io.Writer) error {
	if len(args) < 3 {
		return errors.New("give a directory, a count and files")
	}
	count, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	db, err := badger.Open(badger.DefaultOptions(args[0]).WithLogger(nil))
	if err != nil {
		return err
	}
	r, err := fillBadger(ctx, db, Input{Files: args[2:], Count: count})
	if err := errors.Join(err, db.Close()); err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(r)
}

func fillBadger(ctx context.Context, db *badger.DB, in Input) (Result, error) {
	numbers, err := OpenNumbers(in.Files, in.Count)
	if err != nil {
		return Result{}, err
	}
	defer numbers.Close()
	start := time.Now()
	if err := writeBadger(ctx, db, numbers); err != nil {
		return Result{}, err
	}
	r := Result{Seconds: time.Since(start).Seconds()}
	if memory, err := process.MemoryOf(os.Getpid()); err == nil {
		r.Memory, r.MemoryPeak = memory.RSS, memory.RSSPeak
	}
	err = db.View(func(txn *badger.Txn) error {
		keys := txn.NewIterator(badger.IteratorOptions{PrefetchValues: false})
		defer keys.Close()
		for keys.Rewind(); keys.Valid(); keys.Next() {
			r.Held++
		}
		return nil
	})
	return r, err
}

func writeBadger(ctx context.Context, db *badger.DB, numbers *Numbers) error {
	batch := db.NewWriteBatch()
	defer batch.Cancel()
	buffer := make([]phone.Number, 4096)
	for ctx.Err() == nil {
		n, err := numbers.Next(buffer)
		if err == io.EOF {
			return batch.Flush()
		}
		if err != nil {
			return err
		}
		for _, number := range buffer[:n] {
			key := binary.BigEndian.AppendUint64(make([]byte, 0, 8), uint64(number))
			if err := batch.Set(key, nil); err != nil {
				return err
			}
		}
	}
	return ctx.Err()
}
