package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"github.com/dncd/dncd/bench/internal/process"
	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
)

// readersName is the command of this program that follows as many subscribers, as a process of its own.
const readersName = "readers"

func readersCommand() *cobra.Command {
	var addr string
	var subscribers int
	cmd := &cobra.Command{
		Use:    readersName,
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return readAll(cmd.Context(), addr, subscribers, cmd.InOrStdin(), cmd.OutOrStdout())
		},
	}
	cmd.Flags().StringVar(&addr, "addr", "", "address of the server")
	cmd.Flags().IntVar(&subscribers, "subscribers", 100, "how many follow")
	return cmd
}

// readAll follows until it reads a line with the number of changes to wait for, and says how many came.
func readAll(ctx context.Context, addr string, subscribers int, in io.Reader, out io.Writer) error {
	const perConnection = 100
	stubs, err := dialStubs(addr, (subscribers+perConnection-1)/perConnection)
	if err != nil {
		return err
	}
	defer stubs.close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var came atomic.Uint64
	for i := range subscribers {
		stream, err := openWatch(ctx, dncv1.NewPropagationServiceClient(stubs[i%len(stubs)]), subscriberName(i))
		if err != nil {
			return err
		}
		go func() {
			for {
				m, err := stream.Recv()
				if err != nil {
					return // what did not come is missing from the count
				}
				came.Add(uint64(len(m.GetChanges())))
			}
		}()
	}
	fmt.Fprintln(out, "reading")
	line, err := bufio.NewReader(in).ReadString('\n')
	if err != nil {
		return err
	}
	want, err := strconv.ParseUint(strings.TrimSpace(line), 10, 64)
	if err != nil {
		return err
	}
	for deadline := time.Now().Add(30 * time.Second); came.Load() < want && time.Now().Before(deadline); {
		time.Sleep(10 * time.Millisecond)
	}
	_, err = fmt.Fprintln(out, came.Load())
	return err
}

// readers are subscribers that follow in a process of their own.
type readers struct {
	cmd  *exec.Cmd
	in   io.WriteCloser
	out  *bufio.Reader
	said process.Tail
}

// startReaders returns once all follow. end must be called.
func startReaders(ctx context.Context, addr string, subscribers int) (*readers, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	r := &readers{cmd: exec.CommandContext(ctx, self, readersName, "--addr", addr, "--subscribers", strconv.Itoa(subscribers))}
	r.cmd.Stderr = &r.said
	if r.in, err = r.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := r.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	r.out = bufio.NewReader(out)
	if err := r.cmd.Start(); err != nil {
		return nil, err
	}
	if _, err := r.out.ReadString('\n'); err != nil {
		_ = r.cmd.Wait() // it says less than its standard error
		return nil, fmt.Errorf("subscribers do not follow: %s", r.said.String())
	}
	return r, nil
}

// end ends the process once so many changes have come, or will not, and returns how many did.
func (r *readers) end(want uint64) (came uint64, err error) {
	_, err = fmt.Fprintln(r.in, want)
	line, _ := r.out.ReadString('\n') // its end says why
	if ended := r.cmd.Wait(); ended != nil || err != nil {
		return 0, fmt.Errorf("subscribers: %w: %s", ended, r.said.String())
	}
	return strconv.ParseUint(strings.TrimSpace(line), 10, 64)
}
