package daemon

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"syscall"
	"time"

	"google.golang.org/protobuf/proto"

	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
)

// Phases of a load that a Tap tells, besides the contract's own.
const (
	Before    = "before"    // the server has answered nothing
	Sending   = "sending"   // numbers arrive
	Comparing = "comparing" // with the list
	Writing   = "writing"   // blocks
	Switching = "switching"
	After     = "after" // the result is there
)

var phases = map[dncv1.ImportPhase]string{
	dncv1.ImportPhase_IMPORT_PHASE_COMPARING: Comparing,
	dncv1.ImportPhase_IMPORT_PHASE_WRITING:   Writing,
	dncv1.ImportPhase_IMPORT_PHASE_SWITCHING: Switching,
}

// Tap is an address that passes a load on to a server, byte by byte, and reads on
// the way what the server says about it.
type Tap struct {
	// Addr is where it answers.
	Addr string

	listener net.Listener
	server   string
	passing  sync.WaitGroup

	mu     sync.Mutex
	phase  string
	conns  []net.Conn
	closed bool
}

// NewTap makes a tap of a server at an address.
func NewTap(ctx context.Context, listen, server string) (*Tap, error) {
	listener, err := listenAt(ctx, listen)
	if err != nil {
		return nil, err
	}
	t := &Tap{Addr: listener.Addr().String(), listener: listener, server: server, phase: Before}
	t.passing.Go(t.accept)
	return t, nil
}

// listenAt listens, and waits for an address that was in use a moment ago.
func listenAt(ctx context.Context, address string) (net.Listener, error) {
	const patience = 10 * time.Second
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		l, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
		if !errors.Is(err, syscall.EADDRINUSE) {
			return l, err
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return nil, err
		}
	}
}

// Phase is how far the load is, as the server told last.
func (t *Tap) Phase() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.phase
}

// Reset forgets the load: another begins.
func (t *Tap) Reset() { t.tell(Before) }

func (t *Tap) tell(phase string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.phase = phase
}

// Close ends the address and every connection.
func (t *Tap) Close() {
	t.mu.Lock()
	t.closed = true
	conns := t.conns
	t.mu.Unlock()
	_ = t.listener.Close()
	for _, c := range conns {
		_ = c.Close()
	}
	t.passing.Wait()
}

func (t *Tap) accept() {
	for {
		from, err := t.listener.Accept()
		if err != nil {
			return
		}
		to, err := net.Dial("tcp", t.server)
		if err != nil {
			_ = from.Close()
			continue
		}
		if t.keep(from, to) {
			t.passing.Go(func() { pass(to, from, from) })
			t.passing.Go(func() { t.listen(from, to) })
		}
	}
}

// keep remembers connections, for the end; false: it has come.
func (t *Tap) keep(conns ...net.Conn) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		for _, c := range conns {
			_ = c.Close()
		}
		return false
	}
	t.conns = append(t.conns, conns...)
	return true
}

// pass passes bytes on until one side ends, and ends both.
func pass(to, from net.Conn, bytes io.Reader) {
	_, _ = io.Copy(to, bytes)
	_ = to.Close()
	_ = from.Close()
}

// listen passes on what the server says, and reads it.
func (t *Tap) listen(client, server net.Conn) {
	read, write := io.Pipe()
	t.passing.Go(func() {
		err := t.frames(bufio.NewReader(read))
		_ = read.CloseWithError(fmt.Errorf("no frame of HTTP/2: %w", err))
	})
	pass(client, server, io.TeeReader(server, write))
	_ = write.Close()
}

// frames reads the frames of HTTP/2 that a server sends (RFC 9113, section 4.1).
func (t *Tap) frames(r *bufio.Reader) error {
	const headerSize, dataFrame, padded = 9, 0, 0x8
	streams := map[uint32][]byte{}
	for {
		var h [headerSize]byte
		if _, err := io.ReadFull(r, h[:]); err != nil {
			return err
		}
		payload := make([]byte, int(h[0])<<16|int(h[1])<<8|int(h[2]))
		if _, err := io.ReadFull(r, payload); err != nil {
			return err
		}
		if h[3] != dataFrame || h[4]&padded != 0 { // gRPC pads nothing
			continue
		}
		id := binary.BigEndian.Uint32(h[5:])
		streams[id] = t.messages(append(streams[id], payload...))
	}
}

// messages reads whole messages of gRPC and returns what is left.
func (t *Tap) messages(data []byte) []byte {
	const prefix = 5 // compressed or not, and the length
	for len(data) >= prefix {
		size := prefix + int(binary.BigEndian.Uint32(data[1:]))
		if len(data) < size {
			return data
		}
		var m dncv1.ImportResponse
		if proto.Unmarshal(data[prefix:size], &m) == nil {
			t.note(&m)
		}
		data = data[size:]
	}
	return data
}

// note takes over the phase that a message tells.
func (t *Tap) note(m *dncv1.ImportResponse) {
	switch frame := m.GetFrame().(type) {
	case *dncv1.ImportResponse_Opened, *dncv1.ImportResponse_Ack:
		t.tell(Sending)
	case *dncv1.ImportResponse_Progress:
		if phase, ok := phases[frame.Progress.GetPhase()]; ok {
			t.tell(phase)
		}
	case *dncv1.ImportResponse_Result:
		t.tell(After)
	}
}
