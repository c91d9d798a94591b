package client_test

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
)

// proxy stands between client and server, and breaks what goes through it.
type proxy struct {
	listener net.Listener
	target   atomic.Value // string
	mute     atomic.Bool  // what the server says is swallowed
	toServer atomic.Int64 // bytes
	left     atomic.Int64 // bytes of answers, until all connections break; none of them: no more

	mu    sync.Mutex
	conns []net.Conn
}

func newProxy(t *testing.T, target string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{listener: l}
	p.target.Store(target)
	go p.accept()
	t.Cleanup(func() {
		l.Close()
		p.cut()
	})
	return p
}

func (p *proxy) addr() string { return p.listener.Addr().String() }

func (p *proxy) accept() {
	for {
		down, err := p.listener.Accept()
		if err != nil {
			return
		}
		up, err := net.Dial("tcp", p.target.Load().(string))
		if err != nil {
			down.Close()
			continue
		}
		p.mu.Lock()
		p.conns = append(p.conns, down, up)
		p.mu.Unlock()
		go p.pass(up, down, false)
		go p.pass(down, up, true)
	}
}

// pass copies until one side closes.
func (p *proxy) pass(to, from net.Conn, answers bool) {
	defer to.Close()
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		if !answers {
			p.toServer.Add(int64(n))
		}
		if answers && p.left.Load() > 0 && p.left.Add(-int64(n)) <= 0 {
			p.cut()
			return
		}
		if n > 0 && !(answers && p.mute.Load()) {
			if _, err := to.Write(buffer[:n]); err != nil {
				return
			}
		}
		if err == io.EOF || err != nil {
			return
		}
	}
}

// cutAfter breaks all connections once the server has answered so many bytes more: the last of them are lost.
func (p *proxy) cutAfter(bytes int64) { p.left.Store(bytes) }

// cut breaks all connections; new ones are accepted, and not mute.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, conn := range p.conns {
		conn.Close()
	}
	p.conns = nil
	p.mute.Store(false) // no sooner: what was swallowed up to now stays so
}
