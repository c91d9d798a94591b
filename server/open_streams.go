package server

import (
	"sync"

	"github.com/dncd/dncd/internal/access"
	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
)

// openStreams are the streams that are being served for callers with a grant.
type openStreams struct {
	mu       sync.Mutex
	sessions map[*session]*access.Grant
}

// join adds a stream until leave is called.
func (o *openStreams) join(s *session, g *access.Grant) (leave func()) {
	if g == access.Open {
		return func() {}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.sessions == nil {
		o.sessions = map[*session]*access.Grant{}
	}
	o.sessions[s] = g
	return func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		delete(o.sessions, s)
	}
}

// end ends the streams whose grant has ended.
func (o *openStreams) end(ended func(*access.Grant) bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for s, g := range o.sessions {
		if ended(g) {
			s.cancel(errGrantEnded)
		}
	}
}

var errGrantEnded = refuse(dncv1.ErrorReason_ERROR_REASON_UNAUTHENTICATED,
	"what the caller was granted was revoked, or has expired, while the call was open")
