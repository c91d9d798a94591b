package store

import (
	"flag"
	"os"
	"runtime"
	"strconv"
	"testing"
)

// Most tests of this package wait for the disk half of their time: without -parallel, four run at the same time for each core.
func TestMain(m *testing.M) {
	flag.Parse()
	if f := flag.Lookup("test.parallel"); f.Value.String() == f.DefValue {
		_ = f.Value.Set(strconv.Itoa(4 * runtime.GOMAXPROCS(0)))
	}
	code := m.Run()
	if prototypes.root != "" {
		os.RemoveAll(prototypes.root)
	}
	os.Exit(code)
}
