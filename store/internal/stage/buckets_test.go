package stage

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"

	"github.com/dncd/dncd/internal/ascending"
	"github.com/dncd/dncd/store/internal/fault"
)

// What is spread over the bucket file and damaged there is no number of the list.
func TestDamagedBucketIsNoContent(t *testing.T) {
	t.Parallel()
	b, err := newBuckets(t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer b.close()
	to := &b.all[0]
	must(t, b.add(to, registryNumbers(1000)))
	must(t, b.write(to))
	var one [1]byte
	_, err = b.file.ReadAt(one[:], b.size/2)
	must(t, err)
	one[0] ^= 1
	_, err = b.file.WriteAt(one[:], b.size/2)
	must(t, err)
	if numbers, err := b.read(to, nil); !errors.Is(err, fault.ErrStage) {
		t.Errorf("%d numbers, %v, want ErrStage", len(numbers), err)
	}
}

// What does not fit in memory is sorted in buckets, which come to the same as sorting at once.
func TestSortInBuckets(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	numbers := registryNumbers(5000)
	entries := append(slices.Clone(numbers), numbers[1000:3000]...)
	rand.Shuffle(len(entries), func(i, j int) { entries[i], entries[j] = entries[j], entries[i] })
	c := openLog(t, filepath.Join(dir, "chunks"))
	for chunk := range slices.Chunk(entries, 130) {
		appendChunk(t, c, Chunk{Seq: c.Last + 1, Numbers: slices.Clone(chunk)})
	}
	for _, most := range []uint64{1, 130, 131, 1000, 6999, 7000, bucketNumbers} {
		var sorted bytes.Buffer
		w := NewWriter(&sorted)
		if err := errors.Join(sortChunks(t.Context(), c, dir, most, w), w.Flush()); err != nil {
			t.Fatal(err)
		}
		got, err := ascending.Decode(nil, sorted.Bytes())
		if err != nil || !slices.Equal(got, numbers) || w.Numbers != 5000 || w.Duplicates != 2000 {
			t.Errorf("buckets of %d: %d numbers (%v), counted %d and %d repeats, want 5000 and 2000", most, len(got), err, w.Numbers, w.Duplicates)
		}
	}
}

// However large the chunks are and whatever they hold, no bucket takes more memory than spreadChunks says.
func TestBucketsAreBounded(t *testing.T) {
	t.Parallel()
	type kind struct {
		times, size uint64
		from        uint64
		outlier     bool // the first number is far below the others
	}
	for name, kinds := range map[string][]kind{
		"many small and few large": {{times: 300, size: 511, from: 1e10}, {times: 4, size: 1 << 16, from: 2e10}},
		"one number each":          {{times: 1000, size: 1, from: 1e10}, {times: 2, size: 1 << 16, from: 2e10}},
		"below the step":           {{times: 500, size: 255, from: 1e10}, {times: 1, size: 100_000, from: 2e10}},
		"an outlier each":          {{times: 600, size: 256, from: 1e10, outlier: true}},
	} {
		t.Run(name, func(t *testing.T) {
			c := openLog(t, filepath.Join(t.TempDir(), "chunks"))
			for _, k := range kinds {
				for i := range k.times {
					numbers := make([]uint64, k.size)
					for n := range numbers {
						numbers[n] = k.from + i*k.size + uint64(n)
					}
					if k.outlier {
						numbers[0] = 1e9 + i
					}
					appendChunk(t, c, Chunk{Seq: c.Last + 1, Numbers: numbers})
				}
			}
			const most = 4000
			b, err := spreadChunks(t.Context(), c, t.TempDir(), most, NewWriter(io.Discard))
			if err != nil {
				t.Fatal(err)
			}
			defer b.close()
			step, sum := uint64(stepOf(c)), 0
			bound := most + 3*step + step*c.Entries/sampleRun + c.Last
			for i := range b.all {
				sum += b.all[i].numbers
				if got := uint64(b.all[i].numbers); got > bound {
					t.Errorf("bucket %d of %d holds %d of %d numbers, want at most %d", i, len(b.all), got, c.Entries, bound)
				}
			}
			if uint64(sum) != c.Entries {
				t.Errorf("%d numbers in the buckets, want %d", sum, c.Entries)
			}
		})
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
