package registry

import (
	"errors"
	"fmt"
	"io"
	"sync/atomic"

	"github.com/dncd/dncd/internal/phone"
)

// errRemoval: a removal where only numbers to add are read.
var errRemoval = errors.New("it takes numbers away: load it with --mode delta")

// errReadOnce: a pipe cannot be read a second time.
var errReadOnce = errors.New("it can be read only once")

// Reader yields the numbers of list files, one file after the other. Only
// BytesRead and TotalBytes may be called by other goroutines.
type Reader struct {
	opts    Options
	format  format
	sources []Source
	total   int64

	at      int // the source being read
	feed    *feed
	decoder decoder
	archive *archive // open while its members are read
	err     error    // kept: a Reader that failed stays failed

	totals Totals
	cut    int   // sources that end inside a line
	named  areas // that files are named for
	areas  areas // seen in the other files
	seen   areas // of the source being read
	before int64 // bytes on disk of the sources read whole
	// choices are of the sources read whole, rowsBefore their rows.
	choices    []Choice
	rowsBefore int64
	meter      atomic.Int64 // bytes read from disk
}

// Open prepares to read the files at paths; "-" is standard input, a zip is
// read as the files that it holds, and a pattern such as "*.zip" that is no file
// stands for those that it matches. All files must be there. Their content is
// read by Next; Auto reads the beginning of each. Close the Reader.
func Open(paths []string, opts Options) (*Reader, error) {
	r, err := open(paths, opts)
	if err != nil {
		return nil, err
	}
	if opts.Format == Auto {
		err = r.detect()
	} else {
		err = r.use(opts.Format)
	}
	if err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}

// open is Open without the format.
func open(paths []string, opts Options) (*Reader, error) {
	if opts.OnReject == nil {
		opts.OnReject = func(Reject) {}
	}
	r := &Reader{opts: opts}
	for _, path := range paths {
		found, err := findSources(path)
		if err != nil {
			return nil, err
		}
		r.sources = append(r.sources, found...)
	}
	if len(r.sources) == 0 {
		return nil, errors.New("no file to read")
	}
	r.total = sizeOf(r.sources)
	return r, nil
}

// Next fills batch with numbers and returns how many. It returns fewer than
// fit only at the end, then 0 and io.EOF. Any other error means that a file
// could not be read whole: what was yielded must not become a list. A file that
// takes numbers away is such an error: those are read by NextChanges.
func (r *Reader) Next(batch []phone.Number) (int, error) {
	n := 0
	for n < len(batch) && r.ready() {
		got, err := r.decoder.next(batch[n:])
		n += got
		r.took(got, err)
	}
	if r.err != nil && (r.err != io.EOF || n == 0) {
		return 0, r.err
	}
	return n, nil
}

// NextChanges is Next for files that may take numbers away too. It fills add
// and remove, each from its start, until one of them is full, and returns how
// many it filled; both must have room. The files' order is kept among additions
// and among removals, not between the two: a number in both must stay listed,
// since nothing shows which was meant last.
func (r *Reader) NextChanges(add, remove []phone.Number) (added, removed int, err error) {
	for added < len(add) && removed < len(remove) && r.ready() {
		a, b, err := r.changes(add[added:], remove[removed:])
		added += a
		removed += b
		r.took(a+b, err)
	}
	if r.err != nil && (r.err != io.EOF || added+removed == 0) {
		return 0, 0, r.err
	}
	return added, removed, nil
}

func (r *Reader) changes(add, remove []phone.Number) (added, removed int, err error) {
	if d, ok := r.decoder.(changer); ok {
		return d.nextChanges(add, remove)
	}
	added, err = r.decoder.next(add)
	return added, 0, err
}

// ready begins the next source when it has to, and reports whether there is
// something to read.
func (r *Reader) ready() bool {
	for r.err == nil && r.decoder == nil {
		r.err = r.begin()
	}
	return r.err == nil
}

// took notes what a decoder gave.
func (r *Reader) took(numbers int, err error) {
	r.totals.Numbers += int64(numbers)
	if err == io.EOF {
		r.finish()
	} else if err != nil {
		r.err = fmt.Errorf("read %s: %w", r.sources[r.at].Name, damaged(err))
	}
}

// begin opens the next source; io.EOF after the last.
func (r *Reader) begin() error {
	if r.at == len(r.sources) {
		return io.EOF
	}
	s := &r.sources[r.at]
	packed, err := r.openSource(s)
	if err != nil {
		return fmt.Errorf("read %s: %w", s.Name, damaged(err))
	}
	in, err := unpack(packed, s.base)
	if err != nil {
		return fmt.Errorf("read %s: %w", s.Name, damaged(err))
	}
	r.feed = newFeed(in)
	c := content{lines: newLines(r.feed), opts: r.opts, areas: &r.seen, reject: r.reject, account: &r.totals, again: r.again}
	if err := c.lines.start(); err != nil {
		return fmt.Errorf("read %s: %w", s.Name, err)
	}
	r.decoder, err = r.format.open(c)
	if err != nil {
		return fmt.Errorf("read %s: %w", s.Name, err)
	}
	return nil
}

// again opens the current source once more. The first reading reports its rejects.
func (r *Reader) again(open func(content) (decoder, error)) (*Reader, error) {
	s := r.sources[r.at]
	if s.blocks {
		return nil, errReadOnce
	}
	opts := r.opts
	opts.OnReject = func(Reject) {}
	return &Reader{opts: opts, format: format{name: r.format.name, open: open}, sources: []Source{s}, total: s.packed}, nil
}

func (r *Reader) openSource(s *Source) (io.ReadCloser, error) {
	if r.archive != nil && r.archive.path != s.path {
		r.closeArchive()
	}
	if in := s.opened; in != nil {
		s.opened = nil
		return in, nil
	}
	if s.member < 0 {
		return s.open(&r.meter)
	}
	if r.archive == nil {
		a, err := openArchive(s.path, &r.meter)
		if err != nil {
			return nil, err
		}
		r.archive = a
	}
	r.meter.Store(r.before) // without the bytes of the zip's directory
	return r.archive.open(s.member, s.base)
}

// finish notes what is known of a source that was read whole.
func (r *Reader) finish() {
	s := &r.sources[r.at]
	r.feed.hash.Sum(s.SHA256[:0])
	s.Size = r.feed.size
	if s.packed > 0 {
		r.before += s.packed
		r.meter.Store(r.before)
	}
	r.addAreas(s)
	r.choices, r.rowsBefore = r.Choices(), r.totals.Rows()
	r.feed.close(!s.blocks)
	r.feed, r.decoder = nil, nil
	r.at++
}

// addAreas takes over the area codes seen in a source. Of a file that is named
// for one area code that one counts, and no other: a stray number of another does
// not mean that the other was screened, and a file that holds nothing of its own
// must not pass for one that covers all. The file of the whole nation is named for
// all area codes in it.
func (r *Reader) addAreas(s *Source) {
	into := &r.areas
	if named := s.area(); named >= 0 && isArea(named) {
		into, r.seen = &r.named, areas{}
		r.seen[named] = true
	} else if s.isNation() {
		into = &r.named
	}
	for area, seen := range r.seen {
		into[area] = into[area] || seen
	}
	r.seen = areas{}
}

func (r *Reader) reject(line int64, reason string, text []byte) {
	r.totals.Rejects++
	if reason == ReasonCut { // a source has one last line
		r.cut++
	}
	r.opts.OnReject(Reject{
		File:   r.sources[r.at].Name,
		Source: r.at,
		Line:   line,
		Reason: reason,
		Text:   string(text[:min(len(text), maxLine)]),
	})
}

// Close ends the reading, wherever it is.
func (r *Reader) Close() error {
	if r.feed != nil {
		r.feed.close(!r.sources[r.at].blocks)
		r.feed = nil
	}
	r.closeArchive()
	for _, s := range r.sources {
		if s.opened != nil {
			s.opened.Close()
		}
	}
	if r.err == nil {
		r.err = errors.New("reader is closed")
	}
	return nil
}

func (r *Reader) closeArchive() {
	if r.archive != nil {
		r.archive.close()
		r.archive = nil
	}
}
