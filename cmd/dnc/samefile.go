package main

import (
	"fmt"
	"os"
)

// refuseInput refuses to write a file that is read, under whichever name.
func refuseInput(flag, output string, inputs ...string) error {
	if output == "" || output == "-" {
		return nil
	}
	out, err := os.Stat(output)
	if err != nil || !out.Mode().IsRegular() {
		return nil // a new file, or nothing that writing cuts short
	}
	for _, input := range inputs {
		if in, err := statInput(input); err == nil && os.SameFile(in, out) {
			return withHint(fmt.Errorf("--%s %s would overwrite the input %s", flag, output, input),
				fmt.Sprintf("name another file with --%s", flag))
		}
	}
	return nil
}

// statInput follows links; - is standard input.
func statInput(name string) (os.FileInfo, error) {
	if name == "-" {
		return os.Stdin.Stat()
	}
	return os.Stat(name)
}
