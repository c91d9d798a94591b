package main

import (
	"sync"

	"github.com/dncd/dncd/client"
)

// importMeter is how far an import is: by bytes while files are read, then by what the server reports.
type importMeter struct {
	files   fileMeter
	rejects *rejectLog

	mu   sync.Mutex
	last client.Progress
	sent uint64 // entries that the server holds
}

// fileMeter is a reader of files.
type fileMeter interface {
	BytesRead() int64
	TotalBytes() int64
}

func (m *importMeter) take(p client.Progress) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.last = p
	if p.Phase == client.PhaseSending {
		m.sent = p.Done
	}
}

func (m *importMeter) state() progressState {
	m.mu.Lock()
	defer m.mu.Unlock()
	ofFiles, ofServer := m.rejects.counts()
	s := progressState{counts: true, accepted: m.sent - min(m.sent, ofServer), rejected: ofFiles + ofServer}
	read, total := m.files.BytesRead(), m.files.TotalBytes()
	switch isSending := m.last.Phase == "" || m.last.Phase == client.PhaseSending; {
	case isSending && total > 0 && read == total:
		s.what = "waiting for the server"
	case isSending:
		s.what, s.done, s.total, s.isBytes = "reading", read, total, true
	default:
		s.what, s.done, s.total = lower(m.last.Phase), int64(m.last.Done), int64(m.last.Total)
	}
	return s
}
