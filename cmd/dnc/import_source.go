package main

import (
	"encoding/hex"
	"path"
	"strings"

	"github.com/dncd/dncd/client"
	"github.com/dncd/dncd/internal/phone"
	"github.com/dncd/dncd/internal/registry"
)

// source gives the numbers of list files to the client.
type source struct {
	reader  *registry.Reader
	rejects *rejectLog
	onEnd   func() // called once all is read, before any of it counts; nil: nothing
	batch   [4096]phone.Number
}

func openSource(paths []string, flags importFlags) (*source, error) {
	format, err := registry.ParseFormat(flags.format)
	if err != nil {
		return nil, withHint(err, "see `dnc import --help`")
	}
	region, err := parseRegion(flags.region)
	if err != nil {
		return nil, err
	}
	s := &source{rejects: newRejectLog()}
	delimiter, err := parseDelimiter(flags.delimiter)
	if err != nil {
		return nil, err
	}
	s.reader, err = registry.Open(paths, registry.Options{
		Format: format, Column: flags.column, Columns: flags.columns, Region: region, Delimiter: delimiter, OnReject: s.rejects.fromFile,
	})
	return s, err
}

// Next implements client.NumberSource.
func (s *source) Next(batch []uint64) (int, error) {
	n, err := s.reader.Next(s.batch[:min(len(batch), len(s.batch))])
	for i, number := range s.batch[:n] {
		batch[i] = uint64(number)
	}
	return n, err
}

// NextChanges implements client.ChangeSource.
func (s *source) NextChanges(add, remove []uint64) (added, removed int, err error) {
	half := len(s.batch) / 2
	a, r := s.batch[:min(half, len(add))], s.batch[half:half+min(half, len(remove))]
	added, removed, err = s.reader.NextChanges(a, r)
	for i, number := range a[:added] {
		add[i] = uint64(number)
	}
	for i, number := range r[:removed] {
		remove[i] = uint64(number)
	}
	return added, removed, err
}

// Summary implements client.NumberSource.
func (s *source) Summary() client.SourceSummary {
	if s.onEnd != nil {
		s.onEnd()
	}
	totals := s.reader.Totals()
	return client.SourceSummary{
		Read:           uint64(totals.Read()),
		Rejected:       uint64(totals.Rejects),
		Empty:          uint64(totals.Empty),
		Rows:           uint64(totals.Rows()),
		RejectTallies:  s.rejects.list(),
		Sources:        s.files(),
		Coverage:       s.reader.Coverage(),
		Inferred:       s.reader.Inferred(),
		TruncatedFiles: uint32(s.reader.CutFiles()),
	}
}

// files are the sources by name; with hash and size once they were read.
func (s *source) files() []client.ImportSource { return importSources(s.reader.Sources()) }

// importSources describes files that are read: by name, and with hash and size once they were read whole.
func importSources(files []registry.Source) []client.ImportSource {
	var list []client.ImportSource
	for _, f := range files {
		file := client.ImportSource{Name: sourceName(f.Name), Format: string(f.Format)}
		if f.SHA256 != [32]byte{} {
			file.SHA256, file.Size = hex.EncodeToString(f.SHA256[:]), uint64(f.Size)
		}
		list = append(list, file)
	}
	return list
}

// sourceName is a file's name for the record: a zip's member as "archive.zip:member.txt",
// because the contract wants no directories.
func sourceName(name string) string {
	const longest = 255 // bytes, of the contract
	if full := strings.ReplaceAll(name, "/", ":"); len(full) <= longest {
		return full
	}
	return path.Base(name)
}

func (s *source) Close() error { return s.reader.Close() }
