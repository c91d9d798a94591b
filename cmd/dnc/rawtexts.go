package main

import "sync"

// maxRawTexts bounds what rawTexts keeps, in bytes: rows that wait for their acks are far less, unless most of each is
// in columns that are ignored.
const maxRawTexts = 32 << 20

// rawTexts remembers rows as their files have them until the server holds them. Beyond maxRawTexts the oldest go.
type rawTexts struct {
	mu    sync.Mutex
	first uint64   // the row of texts[0]
	texts []string // of the rows from first on
	size  int
}

// add takes the text of the next row.
func (r *rawTexts) add(text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.texts = append(r.texts, text)
	for r.size += len(text); r.size > maxRawTexts; {
		r.drop()
	}
}

// of is the text of a row; "" when it is gone.
func (r *rawTexts) of(row uint64) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if row < r.first || row-r.first >= uint64(len(r.texts)) {
		return ""
	}
	return r.texts[row-r.first]
}

// forget drops the texts of the rows before one.
func (r *rawTexts) forget(before uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for r.first < before && len(r.texts) > 0 {
		r.drop()
	}
}

func (r *rawTexts) drop() {
	r.size -= len(r.texts[0])
	r.texts[0] = ""
	r.texts = r.texts[1:]
	r.first++
}
