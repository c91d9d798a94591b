package main

import "sync"

// maxRejectTexts bounds what rejectTexts keeps, in bytes. Rows that wait for their acks are far fewer, unless most of each
// row is in columns that are ignored.
const maxRejectTexts = 32 << 20

// rejectTexts keeps rows as their files have them until the server has staged them. Beyond maxRejectTexts the oldest are
// dropped.
type rejectTexts struct {
	mu    sync.Mutex
	first uint64   // the row of texts[0]
	texts []string // of the rows from first on
	size  int
}

// add takes the text of the next row.
func (r *rejectTexts) add(text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.texts = append(r.texts, text)
	for r.size += len(text); r.size > maxRejectTexts; {
		r.drop()
	}
}

// of is the text of a row; "" when it is gone.
func (r *rejectTexts) of(row uint64) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if row < r.first || row-r.first >= uint64(len(r.texts)) {
		return ""
	}
	return r.texts[row-r.first]
}

// forget drops the texts of the rows before one.
func (r *rejectTexts) forget(before uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for r.first < before && len(r.texts) > 0 {
		r.drop()
	}
}

func (r *rejectTexts) drop() {
	r.size -= len(r.texts[0])
	r.texts[0] = ""
	r.texts = r.texts[1:]
	r.first++
}
