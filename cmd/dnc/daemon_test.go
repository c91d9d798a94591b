package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/signal"
	"syscall"

	"github.com/dncd/dncd/server"
	"github.com/dncd/dncd/store"
)

func dncd() int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	st, err := store.Open("data", store.Options{MinFree: -1, Ballast: -1})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	s, _ := server.New(server.Options{Store: st})
	l, _ := net.Listen("tcp", "127.0.0.1:0")
	fmt.Println("serving", l.Addr())
	s.Serve(ctx, l, nil)
	st.Close()
	return 0
}
