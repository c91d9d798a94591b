package server

import (
	"crypto/tls"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// reloader keeps the TLS configuration in step with the files. It reads them when a connection is made and compares
// their content. So it notices files that are written in place, renamed over, or swapped by link as in a mounted
// secret. It needs no goroutine, and costs a connection less than a tenth of its handshake.
type reloader struct {
	files TLSFiles
	log   *slog.Logger
	every time.Duration
	now   atomic.Pointer[tls.Config]

	mu     sync.Mutex
	looked time.Time
	seen   tlsContent // the content that was read last, valid or not
	failed string     // why the last read failed; empty: it did not
}

const tlsEvery = time.Second

func newReloader(f TLSFiles, content tlsContent, c *tls.Config) *reloader {
	r := &reloader{files: f, log: f.Logger, every: f.Every, looked: time.Now(), seen: content}
	if r.log == nil {
		r.log = slog.New(slog.DiscardHandler)
	}
	if r.every == 0 {
		r.every = tlsEvery
	}
	r.now.Store(c)
	return r
}

// current returns the configuration for a new connection. One handshake at a time reads the files; the others do not
// wait for it.
func (r *reloader) current() *tls.Config {
	if r.mu.TryLock() {
		defer r.mu.Unlock()
		if time.Since(r.looked) >= r.every {
			r.look()
			r.looked = time.Now()
		}
	}
	return r.now.Load()
}

// look loads the files if they have changed and fit together. It logs each change once.
func (r *reloader) look() {
	content, err := r.files.read()
	if err != nil {
		r.refuse(err)
		return
	}
	if content == r.seen && r.failed == "" {
		return
	}
	changed := content != r.seen
	r.seen = content
	c, err := content.config()
	if err != nil {
		r.refuse(err)
		return
	}
	r.failed = ""
	if changed {
		r.now.Store(c)
		r.log.Info("TLS files changed: new connections get the new ones", "certificate_ends", c.Certificates[0].Leaf.NotAfter.UTC())
	}
}

// refuse keeps the previous configuration, and logs why once.
func (r *reloader) refuse(err error) {
	if r.failed != err.Error() {
		r.log.Error("TLS files changed and cannot be used: keeping the previous files until this is fixed", "error", err)
	}
	r.failed = err.Error()
}
