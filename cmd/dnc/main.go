// Command dnc is the command line of dncd: it checks numbers, records opt-outs
// and loads lists. It exits with 0 when all was done, 1 when a guard refused it or a
// checked number may not be called, and 2 on an error, which wins over 1.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() { os.Exit(dnc()) }

// dnc is main, for tests that run it under its name.
func dnc() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return run(ctx, os.Args[1:], os.Stdout, os.Stderr)
}
