package registry

import (
	"bytes"
	"fmt"
	"io"
	"regexp"
	"strings"

	"github.com/dncd/dncd/internal/phone"
	"github.com/dncd/dncd/internal/phone/national"
)

// sampleLines is how many lines of a file are read to detect its format.
const sampleLines = 1000

// sample is the beginning of a file.
type sample struct {
	text  []byte
	lines []string // that are not blank, without outer spaces
	dated bool     // its name is one that the FTC gives
	opts  Options
}

// newSample takes what l has read, except a last line that may be incomplete.
func newSample(l *lines, s *Source, opts Options) *sample {
	text := l.window()
	if end := bytes.LastIndexAny(text, "\r\n"); end >= 0 && l.err != io.EOF {
		text = text[:end+1]
	}
	p := &sample{text: text, dated: s.SnapshotDate != "", opts: opts}
	in := newLines(bytes.NewReader(text))
	for line, err := in.filled(); err != io.EOF && len(p.lines) < sampleLines; line, err = in.filled() {
		p.lines = append(p.lines, string(bytes.TrimSpace(line)))
	}
	return p
}

// format returns the format of the sample: "" for an empty one, ErrFormat if several are possible. A list must never be
// mistaken for another: an addition for a removal, or a local number for one of another country. A wrong choice that
// only makes rejects is visible by these.
func (p *sample) format() (Format, error) {
	switch {
	case len(p.lines) == 0:
		return "", nil
	case bytes.IndexByte(p.text, 0) >= 0:
		return "", fmt.Errorf("%w: this is not text", ErrFormat)
	case isArray(bytes.TrimSpace(p.text)):
		return "", fmt.Errorf("%w: %w", ErrFormat, errArray)
	case p.lines[0][0] == '{':
		return p.objects()
	case p.lines[0][0] == '<':
		return p.markup()
	}
	if changes, others := p.tryChanges(); changes > others {
		return FTCChange, nil
	} else if changes > 0 || p.opts.Columns != "" {
		return "", p.unsure("only some lines are changes", FTCChange, FTC, CSV)
	}
	if p.opts.Column == "" && (p.dated || !isTitle(p.lines[0])) {
		switch {
		case p.most(isFTCLine):
			return p.ftc()
		case p.most(tenDigits.MatchString):
			return p.bare()
		}
	}
	return p.values()
}

// unsure names what the sample could be.
func (p *sample) unsure(why string, candidates ...Format) error {
	names := make([]string, len(candidates))
	for i, f := range candidates {
		names[i] = "--format " + string(f)
	}
	return fmt.Errorf("%w: %s: use %s", ErrFormat, why, strings.Join(names, " or "))
}

// most reports whether more than half of the lines are something.
func (p *sample) most(is func(string) bool) bool {
	n := 0
	for _, line := range p.lines {
		if is(line) {
			n++
		}
	}
	return 2*n > len(p.lines)
}

var (
	tenDigits    = regexp.MustCompile(`^\d{10}$`)
	registryMark = regexp.MustCompile(`(?i)<\s*(list|ac|ph)[\s/>]`)
)

func (p *sample) markup() (Format, error) {
	if registryMark.Match(p.text) {
		return FTCXML, nil
	}
	return "", fmt.Errorf("%w: markup, but not the XML of a registry", ErrFormat)
}

// isFTCLine reports whether a line is an area code that exists, a comma and
// seven digits.
func isFTCLine(line string) bool {
	if len(line) != 11 || line[3] != ',' {
		return false
	}
	digits, ok := ftcDigits([]byte(line))
	_, known := areaBase(int(digits / 1e7))
	return ok && known
}

func (p *sample) ftc() (Format, error) {
	if p.opts.Region != 0 && !isNorthAmerican(p.opts.Region) {
		return "", p.unsure("the lines look like the FTC's, the region is another one", FTC, CSV)
	}
	return FTC, nil
}

// bare is for lines of ten digits: the FTC's only under a name that it gives,
// since elsewhere they could be of another country.
func (p *sample) bare() (Format, error) {
	switch {
	case p.opts.Region == 0 && !p.dated:
		return "", p.unsure("ten digits a line: for numbers of a country use --region; else", FTC)
	case p.opts.Region == 0 || p.dated && isNorthAmerican(p.opts.Region):
		return FTC, nil
	case p.dated:
		return "", p.unsure("the name is one of the FTC's, the region is another one", FTC, Plain)
	}
	return Plain, nil
}

// isNorthAmerican reports whether the region reads ten digits as the FTC does.
func isNorthAmerican(region phone.Region) bool {
	n, err := national.Parse("4155550100", region)
	return err == nil && n == 14155550100
}

// values is for numbers as people write them, in a table or one a line.
func (p *sample) values() (Format, error) {
	t := p.table()
	err := t.findDelimiter()
	if err != nil {
		return "", err
	}
	delim := string(t.split.delim)
	asked := p.opts.Column != "" || p.opts.Delimiter != 0
	if asked || p.most(func(line string) bool { return strings.Contains(line, delim) }) {
		return p.csv(t)
	}
	rest := sample{lines: p.lines[1:]}
	if isTitle(p.lines[0]) && rest.most(hasDigits) {
		return p.csv(t)
	}
	return Plain, nil
}

// hasDigits reports whether a line may hold a number, valid or not.
func hasDigits(line string) bool { return len(strings.Map(digitOnly, line)) >= 5 }

func digitOnly(r rune) rune {
	if r >= '0' && r <= '9' {
		return r
	}
	return -1
}
