package main

import (
	"bytes"
	"io"
	"testing"

	"github.com/dncd/dncd/client"
)

// watched is standard error that calls a function before it takes a text.
type watched struct {
	text  string
	then  func()
	calls int
}

func (w *watched) Write(p []byte) (int, error) {
	if bytes.Contains(p, []byte(w.text)) {
		w.calls++
		w.then()
	}
	return len(p), nil
}

// What dnc chose of the columns of a file is said before anything of the file counts.
func TestChoicesAreSaidBeforeTheyCount(t *testing.T) {
	t.Parallel()
	addr, _ := startDaemon(t)
	c, err := client.New(addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	mustDnc(t, addr, "list", "create", "mine", "--kind", "suppression")
	file := writeTemp(t, "stop.csv", "phone,ticket\n+14155550123,t-1\n+14155550124,t-2\n")
	for name, args := range map[string][]string{
		"opt-outs": {"import", file, "--opt-outs"},
		"a list":   {"import", file, "--list", "mine"},
	} {
		said := &watched{text: `number from "phone"`, then: func() {
			stats, err := c.ServerStats(t.Context())
			if err != nil || name == "opt-outs" && stats.Records != 0 || name == "a list" && stats.Lists[0].Numbers != 0 {
				t.Errorf("%s: said when the server holds %+v, %v; want before anything of the file counts", name, stats, err)
			}
		}}
		if code := run(t.Context(), append([]string{"--addr", addr}, args...), io.Discard, said); code != exitDone || said.calls != 1 {
			t.Errorf("%s: exit code %d, and it was said %d times, want once", name, code, said.calls)
		}
	}
}
