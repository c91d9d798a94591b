package main

import (
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
	remarks  *rejectLog
	remarked remarkedRows
	defaults defaults
	places   places
	texts    *rejectTexts // for the files of rejects and remarks; nil: there is none
	onEnd    func()       // called once all is read, before any of it counts; nil: nothing
	batch    [1000]registry.Record
}

func openOptOuts(cmd *cobra.Command, paths []string, flags importFlags) (*optOutSource, error) {
	instead, err := flags.optOutFlags.defaults(cmd)
	if err == nil && flags.consents {
		err = flags.consentImportFlags.complete(cmd, &instead)
	}
	if err != nil {
		return nil, err
	}
	options, err := flags.recordOptions(cmd)
	if err != nil {
		return nil, err
	}
	s := &optOutSource{defaults: instead, rejects: newRejectLog(), remarks: newRejectLog()}
	options.OnReject = s.rejects.fromFile
	if flags.rejects != "" || flags.remarks != "" {
		s.texts, options.KeepText = new(rejectTexts), true
	}
	s.reader, err = registry.OpenRecords(paths, options)
	return s, err
}

// Next implements client.OptOutSource.
func (s *optOutSource) Next(batch []client.OptOut) (int, error) {
	n, err := s.reader.Next(s.batch[:min(len(batch), len(s.batch))])
	for i := range s.batch[:n] {
		r := &s.batch[i]
		batch[i] = s.row(r)
		row := s.places.add(place{r.Source, r.File, r.Line})
		if len(r.Remarks) > 0 {
			s.remarked.byReader(row, place{r.Source, r.File, r.Line})
		}
		for _, remark := range r.Remarks {
			s.remarks.fromFile(registry.Reject{Source: r.Source, File: r.File, Line: r.Line, Reason: remark, Text: r.Text})
		}
		if s.texts != nil {
			s.texts.add(r.Text)
		}
	}
	return n, err
}

// row is a record with the defaults filled in.
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

// channelOf is a row's channel. One that is not known is the text of the file, which the client keeps in the note.
func channelOf(r *registry.Record) client.Channel {
	if r.Channel == registry.OtherChannel {
		return client.Channel(oneLine(r.ChannelText))
	}
	return client.Channel(r.Channel)
}

// oneLine replaces the control characters of a cell, which the contract does not accept, so that no objection is rejected for them.
func oneLine(text string) string { return printable(text, "") }

// lines is oneLine for a text that may have several lines.
func lines(text string) string {
	return printable(strings.ReplaceAll(text, "\r\n", "\n"), "\n\t")
}

// printable replaces control characters, except those in kept.
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
	stream := fromServer
	if r.Number == "" {
		stream = afterCommit
	}
	s.rejects.fromServerAt(stream, s.rowOf(r))
}

// remark notes a row that the server recorded without a part.
func (s *optOutSource) remark(r client.OptOutReject) {
	s.remarked.byServer(s.places.of(r.Row))
	s.remarks.fromServerAt(fromServer, s.rowOf(r))
}

// rowOf is a row that the server rejected, or has a remark about, as its file has it.
func (s *optOutSource) rowOf(r client.OptOutReject) badRow {
	at := s.places.of(r.Row)
	bad := badRow{Source: at.source, File: at.file, Line: at.line, Reason: whyRejected(r.Reason, r.Message)}
	if s.texts != nil {
		bad.Text = s.texts.of(r.Row)
	}
	return bad
}

// staged notes how many rows the server has staged.
func (s *optOutSource) staged(p client.Progress) {
	if p.Phase != client.PhaseSending {
		return
	}
	s.remarked.forget(p.Done)
	if s.texts != nil {
		s.texts.forget(p.Done)
	}
}

// Summary implements client.OptOutSource.
func (s *optOutSource) Summary() client.SourceSummary {
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
		TruncatedFiles: uint32(s.reader.CutFiles()),
	}
}

// files are the sources by name; with hash and size once they were read.
func (s *optOutSource) files() []client.ImportSource { return importSources(s.reader.Sources()) }

// rowFiles are the files that hold rejects and remarks.
type rowFiles struct{ rejects, remarks []string }

// create opens them.
func (s *optOutSource) create(flags importFlags) (err error) {
	if s.rejects.rows, err = createRowFile("rejects", flags.rejects); err != nil {
		return err
	}
	if s.remarks.rows, err = createRowFile("remarks", flags.remarks); err != nil {
		s.rejects.rows.leave()
	}
	return err
}

// leaveFiles leaves them as they were.
func (s *optOutSource) leaveFiles() {
	s.rejects.rows.leave()
	s.remarks.rows.leave()
}

// closeFiles writes them.
func (s *optOutSource) closeFiles() (files rowFiles, err error) {
	choices := s.reader.Choices()
	if s.rejects.rows != nil {
		files.rejects, err = s.rejects.rows.close(choices)
	}
	if err == nil && s.remarks.rows != nil {
		files.remarks, err = s.remarks.rows.close(choices)
	}
	return files, err
}

func (s *optOutSource) Close() error { return s.reader.Close() }

// place is where a row is; line 0: not known.
type place struct {
	source int // the index of its file among the sources
	file   string
	line   int64
}

// places remembers where rows are in their files. Most are on the line after the row before; only the others take memory.
type places struct {
	mu   sync.Mutex
	rows uint64
	runs []stretch
	next int64 // the line that the next row is expected on
}

// stretch begins with a row that does not follow the one before.
type stretch struct {
	row uint64
	place
}

// maxStretches bounds the memory; rows after that have no line.
const maxStretches = 1 << 20

// add takes the place of the next row, and returns which row that is.
func (p *places) add(at place) (row uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := len(p.runs); n == 0 || at.line != p.next || p.runs[n-1].source != at.source {
		switch {
		case n < maxStretches:
			p.runs = append(p.runs, stretch{p.rows, at})
		case p.runs[n-1].line != 0, p.runs[n-1].source != at.source:
			p.runs = append(p.runs, stretch{p.rows, place{at.source, at.file, 0}})
		}
	}
	p.next = at.line + 1
	p.rows++
	return p.rows - 1
}

func (p *places) of(row uint64) place {
	p.mu.Lock()
	defer p.mu.Unlock()
	i := sort.Search(len(p.runs), func(i int) bool { return p.runs[i].row > row })
	if i == 0 {
		return place{}
	}
	r := p.runs[i-1]
	if r.line > 0 {
		r.line += int64(row - r.row)
	}
	return r.place
}
