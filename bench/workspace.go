package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	"github.com/dncd/dncd/bench/internal/daemon"
	"github.com/dncd/dncd/bench/internal/process"
	"github.com/dncd/dncd/client"
)

// listName is the list that is loaded.
const listName = "us-ftc"

// workspace is a directory for what a measurement makes, removed at its end.
type workspace struct {
	dir      string
	programs daemon.Programs
	log      io.Writer // for how far it is
}

// newDirectory makes a directory in parent, empty: the system's.
func newDirectory(parent string, log io.Writer) (*workspace, error) {
	dir, err := os.MkdirTemp(parent, "dncd-bench-")
	if err != nil {
		return nil, fmt.Errorf("--data: %w", err)
	}
	return &workspace{dir: dir, log: log}, os.Chmod(dir, 0o711) // a peer may run as another user
}

// newWorkspace is newDirectory with dncd and dnc built in it.
func newWorkspace(ctx context.Context, parent string, log io.Writer) (*workspace, error) {
	w, err := newDirectory(parent, log)
	if err != nil {
		return nil, err
	}
	w.say("building dncd and dnc")
	if w.programs, err = daemon.Build(ctx, w.dir); err != nil {
		w.remove()
		return nil, err
	}
	return w, nil
}

func (w *workspace) say(format string, args ...any) { fmt.Fprintf(w.log, format+"\n", args...) }

func (w *workspace) remove() { _ = os.RemoveAll(w.dir) }

// files makes FTC files in a directory of their own and returns their paths.
func (w *workspace) files(ctx context.Context, name string, numbers int, order string, seed uint64) ([]string, error) {
	w.say("making %d numbers, %s", numbers, order)
	return w.quietFiles(ctx, name, numbers, order, seed)
}

// quietFiles is files for those who make many.
func (w *workspace) quietFiles(ctx context.Context, name string, numbers int, order string, seed uint64) ([]string, error) {
	l, err := findLayout("ftc")
	if err != nil {
		return nil, err
	}
	g := generator{
		numbers: numbers, layout: l, date: time.Now().UTC(), seed: seed, order: order,
		out: filepath.Join(w.dir, name),
	}
	if _, err := g.run(ctx); err != nil {
		return nil, err
	}
	debug.FreeOSMemory() // for the programs that are measured
	return filepath.Glob(filepath.Join(g.out, "*"+l.ext))
}

// empty makes a directory for one run, which no earlier run disturbs.
func (w *workspace) empty() (string, error) {
	dir := filepath.Join(w.dir, "run")
	if err := os.RemoveAll(dir); err != nil {
		return "", err
	}
	process.SyncDisks()
	return dir, os.Mkdir(dir, 0o755)
}

// start starts a dncd and a client of it.
func (w *workspace) start(ctx context.Context, dir string) (*daemon.Server, *client.Client, error) {
	server, err := w.programs.Start(ctx, dir)
	if err != nil {
		return nil, nil, err
	}
	c, err := client.New(server.Addr, client.WithUser("bench"), client.WithTimeout(time.Minute))
	if err != nil {
		server.Kill()
		return nil, nil, err
	}
	return server, c, nil
}

// createList creates the list as the US registry would be.
func createList(ctx context.Context, c *client.Client) (client.ListReceipt, error) {
	return c.CreateList(ctx, client.ListSpec{
		Name: listName, Kind: client.KindRegistry, Jurisdiction: []string{"US"}, Coverage: []string{"1"}, MaxAge: 31 * 24 * time.Hour,
	})
}

// importFiles loads files that hold so many numbers, all of them different.
func (w *workspace) importFiles(ctx context.Context, addr string, files []string, numbers int) (daemon.Import, error) {
	i, err := w.programs.Import(ctx, addr, listName, files)
	if err == nil && (i.Accepted != uint64(numbers) || i.Numbers != uint64(numbers)) {
		err = fmt.Errorf("dnc import: accepted %d, the list holds %d of %d numbers", i.Accepted, i.Numbers, numbers)
	}
	return i, err
}
