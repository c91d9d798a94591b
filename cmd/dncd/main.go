// Command dncd is the daemon: it keeps opt-outs and do-not-call lists, and answers over gRPC whether a number may be
// called.
package main

import (
	"context"
	"os"

	"github.com/dncd/dncd/cmd/dncd/daemon"
)

func main() {
	daemon.Oversubscribe()
	os.Exit(daemon.Run(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
}
