package main

import (
	"fmt"
	"os"
)

// refuseInput refuses to write a file that is also read, under any name.
func refuseInput(flag, output string, inputs ...string) error {
	out := regularFile(output)
	if out == nil {
		return nil
	}
	for _, input := range inputs {
		if in, err := statInput(input); err == nil && os.SameFile(in, out) {
			return withHint(fmt.Errorf("--%s %s would overwrite the input %s", flag, output, input),
				fmt.Sprintf("name another file with --%s", flag))
		}
	}
	return nil
}

// regularFile is the existing file of that name, which writing would truncate; nil for a new one, standard output or a device.
func regularFile(name string) os.FileInfo {
	info, err := os.Stat(name)
	if name == "" || name == "-" || err != nil || !info.Mode().IsRegular() {
		return nil
	}
	return info
}

// statInput follows links; - is standard input.
func statInput(name string) (os.FileInfo, error) {
	if name == "-" {
		return os.Stdin.Stat()
	}
	return os.Stat(name)
}
