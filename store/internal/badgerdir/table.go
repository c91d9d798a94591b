package badgerdir

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/fb"
	"github.com/dgraph-io/badger/v4/pb"
	"github.com/dgraph-io/badger/v4/table"
	"github.com/dgraph-io/badger/v4/y"
	"google.golang.org/protobuf/proto"

	"github.com/dncd/dncd/store/internal/fault"
)

// checkTables reads every table that the MANIFEST names and verifies all of it. Badger does so too, but only once it has
// used lengths and offsets in it, and in a goroutine of its own: what is damaged there ends the process.
func checkTables(opt badger.Options) (err error) {
	defer recoverDamage(&err)
	manifest, err := readManifest(opt)
	if err != nil {
		return err
	}
	for id := range manifest.Tables {
		path := table.NewFilename(id, opt.Dir)
		content, err := os.ReadFile(path)
		if err == nil {
			err = checkTable(content)
		}
		if err != nil {
			return fault.AsDamage(fmt.Errorf("%s: %w", filepath.Base(path), err))
		}
	}
	return nil
}

// readManifest reads which tables a database has: none when it is new.
func readManifest(opt badger.Options) (manifest badger.Manifest, err error) {
	defer recoverDamage(&err)
	f, err := os.Open(filepath.Join(opt.Dir, badger.ManifestFilename))
	if errors.Is(err, fs.ErrNotExist) {
		return manifest, nil
	}
	if err != nil {
		return manifest, fmt.Errorf("read which tables there are: %w", err)
	}
	defer f.Close()
	manifest, _, err = badger.ReplayManifestFile(f, opt.ExternalMagicVersion, opt)
	if err != nil {
		return manifest, fmt.Errorf("%w: %s: %w", fault.ErrDamaged, badger.ManifestFilename, err)
	}
	return manifest, nil
}

var (
	errTableForm = errors.New("a length or an offset points outside")
	errTableSum  = errors.New("a checksum does not match")
)

// checkTable verifies a table: blocks, then an index with their places, its length, its checksum, and the length of that.
func checkTable(content []byte) error {
	rest, sum, err := cutTail(content)
	if err != nil {
		return err
	}
	blocks, index, err := cutTail(rest)
	if err != nil {
		return err
	}
	if err := checkSum(index, sum); err != nil {
		return err
	}
	places := fb.GetRootAsTableIndex(index, 0)
	for i := range places.OffsetsLength() {
		var at fb.BlockOffset
		if !places.Offsets(&at, i) || uint64(at.Offset())+uint64(at.Len()) > uint64(len(blocks)) {
			return errTableForm
		}
		body, sum, err := cutTail(blocks[at.Offset() : at.Offset()+at.Len()])
		if err != nil {
			return err
		}
		if err := checkSum(body, sum); err != nil {
			return err
		}
	}
	return nil
}

// cutTail cuts off a tail whose length, 4 bytes big-endian, is behind it.
func cutTail(b []byte) (rest, tail []byte, err error) {
	end := len(b) - 4
	if end < 0 {
		return nil, nil, errTableForm
	}
	length := int64(binary.BigEndian.Uint32(b[end:]))
	if length > int64(end) {
		return nil, nil, errTableForm
	}
	start := end - int(length)
	return b[:start], b[start:end], nil
}

func checkSum(b, sum []byte) error {
	var want pb.Checksum
	if err := proto.Unmarshal(sum, &want); err != nil {
		return fmt.Errorf("read checksum: %w", err)
	}
	if y.VerifyChecksum(b, &want) != nil {
		return errTableSum
	}
	return nil
}
