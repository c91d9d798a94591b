// Package testparallel runs more tests of a package at the same time than there are cores: tests that wait for a disk, a
// process or a timer.
package testparallel

import (
	"flag"
	"runtime"
	"strconv"
)

// Raise sets -parallel to several tests for each core, unless -parallel was given. It is for TestMain.
func Raise() {
	flag.Parse()
	if f := flag.Lookup("test.parallel"); f != nil && f.Value.String() == f.DefValue {
		_ = f.Value.Set(strconv.Itoa(perCore * runtime.GOMAXPROCS(0))) // a number is always accepted
	}
}
