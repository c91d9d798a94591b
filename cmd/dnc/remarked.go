package main

import "sync"

// remarkedRows counts the rows of files that are recorded with a remark. Reader and server may both have one about a row,
// and a row of several numbers has one for each. Both report rows in order.
type remarkedRows struct {
	mu      sync.Mutex
	count   uint64
	read    place         // the last that the reader reported
	judged  place         // the last that the server reported
	waiting []remarkedRow // of the reader, until the server has judged them
}

type remarkedRow struct {
	row uint64
	at  place
}

// byReader counts a row that the reader has a remark about.
func (r *remarkedRows) byReader(row uint64, at place) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if at != r.read {
		r.read = at
		r.count++
	}
	r.waiting = append(r.waiting, remarkedRow{row, at})
}

// byServer counts a row that the server has a remark about, unless the reader had one.
func (r *remarkedRows) byServer(at place) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if at == r.judged && at.line != 0 {
		return
	}
	r.judged = at
	for _, w := range r.waiting {
		if w.at == at {
			return
		}
	}
	r.count++
}

// forget notes that the server has judged the rows before one.
func (r *remarkedRows) forget(before uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(r.waiting) > 0 && r.waiting[0].row < before {
		r.waiting = r.waiting[1:]
	}
}

// rows is how many were counted.
func (r *remarkedRows) rows() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.count
}
