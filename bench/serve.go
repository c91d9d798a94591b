package main

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/dncd/dncd/bench/internal/daemon"
	dncd "github.com/dncd/dncd/cmd/dncd/daemon"
	"github.com/dncd/dncd/server"
)

// emptyMethod answers nothing to nothing: what gRPC itself costs on the same server.
const emptyMethod = "/dncd.bench.Empty/Call"

var emptyService = grpc.ServiceDesc{
	ServiceName: "dncd.bench.Empty",
	HandlerType: (*any)(nil),
	Methods: []grpc.MethodDesc{{
		MethodName: "Call",
		Handler: func(_ any, _ context.Context, dec func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
			return new(emptypb.Empty), dec(new(emptypb.Empty))
		},
	}},
}

// serveCommand is how a measurement starts its server, as a process of its own: dncd, an empty method beside its
// services, and options that dncd has no flag for. See daemon.StartSelf.
func serveCommand() *cobra.Command {
	var age time.Duration
	var capacity int
	cmd := &cobra.Command{
		Use:    daemon.ServeCommand + " -- FLAGS-OF-DNCD",
		Hidden: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			change := func(o *server.Options) {
				o.Register = func(r grpc.ServiceRegistrar) { r.RegisterService(&emptyService, nil) }
				o.ConnectionAge, o.Capacity = age, capacity
			}
			dncd.Oversubscribe() // as dncd does
			if dncd.Run(cmd.Context(), args, cmd.OutOrStdout(), cmd.ErrOrStderr(), change) != 0 {
				return errors.New("dncd failed")
			}
			return nil
		},
	}
	cmd.Flags().DurationVar(&age, "connection-age", 0, "after which the server asks clients to reconnect; 0: like dncd")
	cmd.Flags().IntVar(&capacity, "capacity", 0, "checks a second; 0: not cut")
	return cmd
}
