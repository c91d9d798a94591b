package filter

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
)

var testHeader = Header{
	Set: "list/7-0", JournalID: [16]byte{1, 2, 3}, Revision: 1 << 40, Chain: [32]byte{4, 5, 6},
}

func encoded(t testing.TB, s *Set) []byte {
	t.Helper()
	var buf bytes.Buffer
	if err := s.Encode(&buf, testHeader); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func decodeBytes(b []byte) (*Set, error) {
	s, _, err := Decode(bytes.NewReader(b), int64(len(b)))
	return s, err
}

// seal makes b end with the right SHA-256, as damage by chance never does.
func seal(b []byte) []byte {
	if len(b) < sumSize {
		return b
	}
	b = bytes.Clone(b)
	sum := sha256.Sum256(b[:len(b)-sumSize])
	copy(b[len(b)-sumSize:], sum[:])
	return b
}

func TestRoundTrip(t *testing.T) {
	ns := sequence(60_000, nanp)
	for name, s := range map[string]*Set{
		"empty":                   New(100, 0.001),
		"one partition":           build(ns[:50], 100, 0.001),
		"some partitions empty":   build(ns[:3], 200_000, 0.01),
		"chained":                 build(ns, 20_000, 0.001),
		"longest chain, overfull": build(ns, 1, 0.000001),
	} {
		got := reload(t, s)
		wantAll(t, got, ns[:min(s.Len(), 3)])
		if got.Len() != s.Len() || got.Capacity() != s.Capacity() || got.Chain() != s.Chain() || got.Bytes() != s.Bytes() {
			t.Errorf("%s: comes back as another set", name)
		}
		if !bytes.Equal(encoded(t, got), encoded(t, s)) {
			t.Errorf("%s: is encoded otherwise after a round trip", name)
		}
		got.AddAll(ns)
		wantAll(t, got, ns)
	}
}

func TestEncodeRefuses(t *testing.T) {
	long := testHeader
	long.Set = strings.Repeat("x", maxName+1)
	if err := New(1, 0.001).Encode(io.Discard, long); err == nil {
		t.Error("a name of 256 bytes was written")
	}
	for _, s := range []*Set{nil, new(Set)} {
		if err := s.Encode(io.Discard, testHeader); err == nil {
			t.Error("a set that is not there was written")
		}
	}
	wantErr := errors.New("disk full")
	if err := build(sequence(9, nanp), 9, 0.001).Encode(failAfter{600, wantErr}, testHeader); !errors.Is(err, wantErr) {
		t.Errorf("Encode = %v, want the writer's error", err)
	}
}

// failAfter refuses a piece of more than n bytes.
type failAfter struct {
	n   int
	err error
}

func (w failAfter) Write(b []byte) (int, error) {
	if len(b) > w.n {
		return 0, w.err
	}
	return len(b), nil
}

func TestEachFlippedBitIsAnError(t *testing.T) {
	file := encoded(t, build(sequence(20, nanp), 100, 0.001))
	var wg sync.WaitGroup
	for part := range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			b := bytes.Clone(file)
			for bit := part * thinned; bit < len(b)*8; bit += runtime.GOMAXPROCS(0) * thinned {
				b[bit/8] ^= 1 << (bit % 8)
				if _, err := decodeBytes(b); !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrVersion) {
					t.Errorf("bit %d flipped: Decode = %v, want ErrCorrupt or ErrVersion", bit, err)
				}
				b[bit/8] ^= 1 << (bit % 8)
			}
		})
	}
	wg.Wait()
}

func TestEachTruncationIsAnError(t *testing.T) {
	file := encoded(t, build(sequence(20, nanp), 100, 0.001))
	for n := 0; n < len(file); n += thinned {
		if _, err := decodeBytes(file[:n]); !errors.Is(err, ErrCorrupt) {
			t.Fatalf("%d of %d bytes: Decode = %v, want ErrCorrupt", n, len(file), err)
		}
		// The size was taken before the file was cut.
		if _, _, err := Decode(bytes.NewReader(file[:n]), int64(len(file))); !errors.Is(err, ErrCorrupt) {
			t.Fatalf("%d of %d bytes, all claimed: Decode = %v, want ErrCorrupt", n, len(file), err)
		}
	}
	for _, size := range []int64{-1, 0, int64(len(file)) + 1} {
		if _, _, err := Decode(bytes.NewReader(append(file, 0)), size); !errors.Is(err, ErrCorrupt) {
			t.Errorf("size %d: Decode = %v, want ErrCorrupt", size, err)
		}
	}
}

// A header that lies, under a right checksum.
func TestImpossibleHeaders(t *testing.T) {
	file := encoded(t, build(sequence(20, nanp), 100, 0.001))
	const k, levels, zero, parts, perPart, count, nameLen = 20, 24, 28, 32, 40, 48, 112
	for _, c := range []struct {
		name  string
		at    int
		value byte
		want  error
	}{
		{"magic", 0, 'x', ErrCorrupt},
		{"version", 8, 2, ErrVersion},
		{"layout", 12, 9, ErrVersion},
		{"hash", 16, 9, ErrVersion},
		{"k 0", k, 0, ErrCorrupt},
		{"k 8", k, 8, ErrCorrupt},
		{"no level", levels, 0, ErrCorrupt},
		{"17 levels", levels, 17, ErrCorrupt},
		{"reserved", zero, 1, ErrCorrupt},
		{"no partition", parts, 0, ErrCorrupt},
		{"2^24 partitions", parts + 3, 1, ErrCorrupt},
		{"2^56 partitions", parts + 7, 1, ErrCorrupt},
		{"2^56 numbers a partition", perPart + 7, 1, ErrCorrupt},
		{"count", count, 19, ErrCorrupt},
		{"name ends early", nameLen, 3, ErrCorrupt},
		{"second level that is not there", levels, 2, ErrCorrupt},
	} {
		b := bytes.Clone(file)
		b[c.at] = c.value
		before := allocated()
		_, err := decodeBytes(seal(b))
		if !errors.Is(err, c.want) {
			t.Errorf("%s: Decode = %v, want %v", c.name, err, c.want)
		}
		if got := allocated() - before; got > 8*uint64(len(file)) {
			t.Errorf("%s: Decode took %d bytes for a file of %d", c.name, got, len(file))
		}
	}
	if _, err := decodeBytes(seal(file)); err != nil {
		t.Errorf("unchanged: Decode = %v", err)
	}
}

func allocated() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.TotalAlloc
}

func TestDecodeReportsTheReadersError(t *testing.T) {
	file := encoded(t, New(100, 0.001))
	wantErr := errors.New("input/output error")
	r := io.MultiReader(bytes.NewReader(file[:400]), iotest.ErrReader(wantErr))
	if _, _, err := Decode(r, int64(len(file))); !errors.Is(err, wantErr) || errors.Is(err, ErrCorrupt) {
		t.Errorf("Decode = %v, want the reader's error", err)
	}
}

// What Decode accepts is exactly what Encode writes. Sealed inputs get past the
// checksum, to what an accident cannot reach.
func FuzzDecode(f *testing.F) {
	small := encoded(f, build(sequence(20, nanp), 100, 0.001))
	f.Add(small, false)
	f.Add(small, true)
	f.Add(encoded(f, New(40_000, 0.001)), true)
	f.Add(encoded(f, build(sequence(1000, nanp), 1, 0.000001)), true)
	f.Add(small[:proSize], true)
	f.Add(binary.LittleEndian.AppendUint64(small[:proSize], 1<<63), true)
	f.Fuzz(func(t *testing.T, b []byte, sealed bool) {
		if sealed {
			b = seal(b)
		}
		before := allocated()
		s, h, err := Decode(bytes.NewReader(b), int64(len(b)))
		if got := allocated() - before; got > 8*uint64(len(b))+1<<20 {
			t.Fatalf("Decode took %d bytes for a file of %d", got, len(b))
		}
		if err != nil {
			if !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrVersion) {
				t.Fatalf("Decode = %v, want ErrCorrupt or ErrVersion", err)
			}
			return
		}
		s.Add(12025550100)
		if !s.Test(12025550100) {
			t.Fatal("a decoded set lost a number")
		}
		again, _, _ := Decode(bytes.NewReader(b), int64(len(b)))
		var buf bytes.Buffer
		if err := again.Encode(&buf, h); err != nil || !bytes.Equal(buf.Bytes(), b) {
			t.Fatalf("Encode after Decode = %v, or gives another file", err)
		}
	})
}

// The bounds of a header, each met and passed by one.
func TestPrologueBounds(t *testing.T) {
	size := func(levels, parts uint64) uint64 { return proSize + levels*parts*countSize + sumSize }
	for _, c := range []struct {
		name   string
		change func(p *prologue)
		size   uint64
		ok     bool
	}{
		{"one of each", func(*prologue) {}, size(1, 1), true},
		{"a byte short", func(*prologue) {}, size(1, 1) - 1, false},
		{"most bits a number", func(p *prologue) { p.K = maxK }, size(1, 1), true},
		{"a bit more", func(p *prologue) { p.K = maxK + 1 }, size(1, 1), false},
		{"no bit", func(p *prologue) { p.K = 0 }, size(1, 1), false},
		{"most numbers a partition", func(p *prologue) { p.PerPart = partLines * lineBits }, size(1, 1), true},
		{"a number more", func(p *prologue) { p.PerPart = partLines*lineBits + 1 }, size(1, 1), false},
		{"no number a partition", func(p *prologue) { p.PerPart = 0 }, size(1, 1), false},
		{"the longest chain", func(p *prologue) { p.Levels = maxChain }, size(maxChain, 1), true},
		{"a level more", func(p *prologue) { p.Levels = maxChain + 1 }, size(maxChain+1, 1), false},
		{"no level", func(p *prologue) { p.Levels = 0 }, size(1, 1), false},
		{"most partitions", func(p *prologue) { p.Parts = maxParts }, size(1, maxParts), true},
		{"a partition more", func(p *prologue) { p.Parts = maxParts + 1 }, size(1, maxParts+1), false},
		{"no partition", func(p *prologue) { p.Parts = 0 }, size(1, 1), false},
		{"so many that their size wraps around", func(p *prologue) { p.Parts = 1<<61 + 1 }, size(1, 1), false},
		{"a name of all bytes", func(p *prologue) { p.NameLen = maxName; p.Name[maxName-1] = 'x' }, size(1, 1), true},
		{"a byte behind the name", func(p *prologue) { p.Name[0] = 'x' }, size(1, 1), false},
		{"a reserved word", func(p *prologue) { p.Zero = 1 }, size(1, 1), false},
	} {
		p := prologue{K: 1, Levels: 1, Parts: 1, PerPart: 1}
		c.change(&p)
		if err := p.check(c.size); (err == nil) != c.ok || err != nil && !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v, want it taken: %v", c.name, err, c.ok)
		}
	}
}
