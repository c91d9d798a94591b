package main

import (
	"cmp"
	"encoding/hex"
	"sort"
	"strings"
	"sync"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/dncd/dncd/client"
	"github.com/dncd/dncd/internal/registry"
)

// optOutSource gives the rows of opt-out files to the client.
type optOutSource struct {
	reader   *registry.Records
	rejects  *rejectLog
	defaults defaults
	places   places
	texts    *rawTexts // for the reject file; nil: there is none
	batch    [1000]registry.Record
}

func openOptOuts(cmd *cobra.Command, paths []string, flags importFlags) (*optOutSource, error) {
	instead, err := flags.defaults(cmd)
	if err != nil {
		return nil, err
	}
	options, err := flags.recordOptions(cmd)
	if err != nil {
		return nil, err
	}
	s := &optOutSource{defaults: instead, rejects: &rejectLog{tallies: map[string]uint64{}}}
	options.OnReject = s.rejects.fromFile
	if flags.rejects != "" {
		s.texts, options.KeepText = new(rawTexts), true
	}
	s.reader, err = registry.OpenRecords(paths, options)
	return s, err
}

// Next implements client.OptOutSource.
func (s *optOutSource) Next(batch []client.OptOut) (int, error) {
	n, err := s.reader.Next(s.batch[:min(len(batch), len(s.batch))])
	for i := range s.batch[:n] {
		batch[i] = s.row(&s.batch[i])
		s.places.add(s.batch[i].File, s.batch[i].Line)
		if s.texts != nil {
			s.texts.add(s.batch[i].Text)
		}
	}
	return n, err
}

// row is a record with the defaults put in.
func (s *optOutSource) row(r *registry.Record) client.OptOut {
	o := client.OptOut{
		Number: r.Number.E164(), Scope: r.Scope, Channel: channelOf(r), Desk: oneLine(r.Desk), ReceivedAt: r.ReceivedAt,
		Evidence: oneLine(r.Evidence), Note: lines(r.Note), ExpiresAt: r.ExpiresAt,
	}
	if o.Scope == "" {
		o.Scope = s.defaults.scope
	}
	if o.Channel == "" {
		o.Channel = s.defaults.channel
	}
	if o.Desk == "" {
		o.Desk = s.defaults.desk
	}
	if o.ReceivedAt.IsZero() {
		o.ReceivedAt = s.defaults.receivedAt
	}
	return o
}

// channelOf is a row's channel: one that nobody knows as the file has it, for the client to keep as a text.
func channelOf(r *registry.Record) client.Channel {
	if r.Channel == registry.OtherChannel {
		return client.Channel(oneLine(r.ChannelText))
	}
	return client.Channel(r.Channel)
}

// oneLine replaces the control characters of a cell, which the contract does not take: no objection fails for them.
func oneLine(text string) string { return printable(text, "") }

// lines is oneLine for a text that may have several.
func lines(text string) string {
	return printable(strings.ReplaceAll(text, "\r\n", "\n"), "\n\t")
}

// printable replaces control characters but for those kept.
func printable(text, kept string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && !strings.ContainsRune(kept, r) {
			return ' '
		}
		return r
	}, text)
}

// refused notes a row that the server rejected.
func (s *optOutSource) refused(r client.OptOutReject) {
	file, line := s.places.of(r.Row)
	text := r.Number
	if s.texts != nil {
		text = cmp.Or(s.texts.of(r.Row), text)
	}
	s.rejects.fromServerAt(file, line, r.Message, text)
}

// staged notes how many rows the server holds and has judged.
func (s *optOutSource) staged(p client.Progress) {
	if s.texts != nil && p.Phase == "SENDING" {
		s.texts.forget(p.Done)
	}
}

// Summary implements client.OptOutSource.
func (s *optOutSource) Summary() client.SourceSummary {
	totals := s.reader.Totals()
	return client.SourceSummary{
		Read:          uint64(totals.Read()),
		Rejected:      uint64(totals.Rejects),
		RejectTallies: s.rejects.list(),
		Sources:       s.files(),
		CutFiles:      uint32(s.reader.CutFiles()),
	}
}

// files are the sources by name; with hash and size once they were read.
func (s *optOutSource) files() []client.ImportSource {
	var list []client.ImportSource
	for _, f := range s.reader.Sources() {
		file := client.ImportSource{Name: sourceName(f.Name), Format: string(f.Format)}
		if f.SHA256 != [32]byte{} {
			file.SHA256, file.Size = hex.EncodeToString(f.SHA256[:]), uint64(f.Size)
		}
		list = append(list, file)
	}
	return list
}

func (s *optOutSource) Close() error { return s.reader.Close() }

// places remembers where rows stood. Most follow the line of the one before: only the others take memory.
type places struct {
	mu   sync.Mutex
	rows uint64
	runs []stretch
	next int64 // the line that the next row is expected on
}

// stretch begins with a row that does not follow the one before.
type stretch struct {
	row  uint64
	file string
	line int64
}

// maxStretches bounds the memory; rows after that have no line.
const maxStretches = 1 << 20

func (p *places) add(file string, line int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := len(p.runs); n == 0 || line != p.next || p.runs[n-1].file != file {
		switch {
		case n < maxStretches:
			p.runs = append(p.runs, stretch{p.rows, file, line})
		case p.runs[n-1].line != 0:
			p.runs = append(p.runs, stretch{p.rows, file, 0})
		}
	}
	p.next = line + 1
	p.rows++
}

// of is where a row stood; line 0: not known.
func (p *places) of(row uint64) (file string, line int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	i := sort.Search(len(p.runs), func(i int) bool { return p.runs[i].row > row })
	if i == 0 {
		return "", 0
	}
	r := p.runs[i-1]
	if r.line == 0 {
		return r.file, 0
	}
	return r.file, r.line + int64(row-r.row)
}
