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

// Phases of a load as an ImportProxy reports them, beside the contract's own.
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

// ImportProxy passes a load on to a server, byte by byte, and reads the answers of the server on the way.
type ImportProxy struct {
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

// NewImportProxy listens at an address and passes connections on to a server.
func NewImportProxy(ctx context.Context, listen, server string) (*ImportProxy, error) {
	listener, err := listenAt(ctx, listen)
	if err != nil {
		return nil, err
	}
	p := &ImportProxy{Addr: listener.Addr().String(), listener: listener, server: server, phase: Before}
	p.passing.Go(p.accept)
	return p, nil
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

// Phase is the phase of the load that the server reported last.
func (p *ImportProxy) Phase() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.phase
}

// Reset prepares for another load.
func (p *ImportProxy) Reset() { p.set(Before) }

func (p *ImportProxy) set(phase string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.phase = phase
}

// Close ends the address and every connection.
func (p *ImportProxy) Close() {
	p.mu.Lock()
	p.closed = true
	conns := p.conns
	p.mu.Unlock()
	_ = p.listener.Close()
	for _, c := range conns {
		_ = c.Close()
	}
	p.passing.Wait()
}

func (p *ImportProxy) accept() {
	for {
		from, err := p.listener.Accept()
		if err != nil {
			return
		}
		to, err := net.Dial("tcp", p.server)
		if err != nil {
			_ = from.Close()
			continue
		}
		if p.keep(from, to) {
			p.passing.Go(func() { pass(to, from, from) })
			p.passing.Go(func() { p.listen(from, to) })
		}
	}
}

// keep remembers connections, to close them at the end; false: the proxy is closed already.
func (p *ImportProxy) keep(conns ...net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		for _, c := range conns {
			_ = c.Close()
		}
		return false
	}
	p.conns = append(p.conns, conns...)
	return true
}

// pass passes bytes on until one side ends, and ends both.
func pass(to, from net.Conn, bytes io.Reader) {
	_, _ = io.Copy(to, bytes)
	_ = to.Close()
	_ = from.Close()
}

// listen passes on what the server sends, and reads it.
func (p *ImportProxy) listen(client, server net.Conn) {
	read, write := io.Pipe()
	p.passing.Go(func() {
		err := p.frames(bufio.NewReader(read))
		_ = read.CloseWithError(fmt.Errorf("no frame of HTTP/2: %w", err))
	})
	pass(client, server, io.TeeReader(server, write))
	_ = write.Close()
}

// frames reads the frames of HTTP/2 that a server sends (RFC 9113, section 4.1).
func (p *ImportProxy) frames(r *bufio.Reader) error {
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
		streams[id] = p.messages(append(streams[id], payload...))
	}
}

// messages reads whole messages of gRPC and returns what is left.
func (p *ImportProxy) messages(data []byte) []byte {
	const prefix = 5 // compressed or not, and the length
	for len(data) >= prefix {
		size := prefix + int(binary.BigEndian.Uint32(data[1:]))
		if len(data) < size {
			return data
		}
		var m dncv1.ImportResponse
		if proto.Unmarshal(data[prefix:size], &m) == nil {
			p.observe(&m)
		}
		data = data[size:]
	}
	return data
}

// observe sets the phase that a message reports.
func (p *ImportProxy) observe(m *dncv1.ImportResponse) {
	switch frame := m.GetFrame().(type) {
	case *dncv1.ImportResponse_Opened, *dncv1.ImportResponse_Ack:
		p.set(Sending)
	case *dncv1.ImportResponse_Progress:
		if phase, ok := phases[frame.Progress.GetPhase()]; ok {
			p.set(phase)
		}
	case *dncv1.ImportResponse_Result:
		p.set(After)
	}
}
