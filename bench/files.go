package main

import (
	"archive/zip"
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
)

// run makes the files, on all cores.
func (g *generator) run(ctx context.Context) (made, error) {
	if g.order != sorted && g.order != shuffled {
		return made{}, fmt.Errorf("--order: unknown order %q, use %s or %s", g.order, sorted, shuffled)
	}
	shares, err := divide(g.numbers, g.layout.ranges())
	if err != nil {
		return made{}, err
	}
	if err := makeEmpty(g.out); err != nil {
		return made{}, err
	}
	if g.order == shuffled {
		return g.shuffle(ctx, shares)
	}
	size, err := onAllCores(ctx, len(shares), g.layout, func(d *drawer, i int) (int, error) {
		return g.write(shares[i], d.file(shares[i], g.seed))
	})
	return made{files: len(shares), numbers: g.numbers, bytes: size}, err
}

// makeEmpty makes a directory. One that holds files is refused: they would be
// taken for a part of the list.
func makeEmpty(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	if len(entries) > 0 {
		return fmt.Errorf("--out: %s is not empty: name a new directory", dir)
	}
	return nil
}

// write makes the file of a share and returns its size on disk.
func (g *generator) write(s share, text []byte) (int, error) {
	name := g.name(s)
	if g.zip {
		packed, err := g.pack(name, text)
		if err != nil {
			return 0, err
		}
		name, text = name+".zip", packed
	}
	return len(text), os.WriteFile(filepath.Join(g.out, name), text, 0o644)
}

// name is made as the registry makes it: date without leading zeros, area code
// and an id, which comes from the seed.
func (g *generator) name(s share) string {
	rnd := rand.New(rand.NewPCG(g.seed, ^uint64(s.index)))
	a, b := rnd.Uint64(), rnd.Uint64()
	id := fmt.Sprintf("%08x-%04x-4%03x-8%03x-%012x", a>>32, a>>16&0xffff, a&0xfff, b>>52, b&0xffffffffffff)
	return fmt.Sprintf("%s_%s_%s%s", g.date.Format("2006-1-2"), s.label, id, g.layout.ext)
}

// pack puts a file into a zip of its own.
func (g *generator) pack(name string, text []byte) ([]byte, error) {
	var buf bytes.Buffer
	w := zip.NewWriter(&buf)
	f, err := w.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Deflate, Modified: g.date})
	if err != nil {
		return nil, err
	}
	if _, err := f.Write(text); err != nil {
		return nil, err
	}
	err = w.Close()
	return buf.Bytes(), err
}
