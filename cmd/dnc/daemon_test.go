package main

import (
	"context"
	"os"

	"github.com/dncd/dncd/cmd/dncd/daemon"
)

func dncd() int { return daemon.Run(context.Background(), os.Args[1:], os.Stdout, os.Stderr) }
