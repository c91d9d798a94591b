//go:build race

package store

// memTableBytes is smaller where the race detector shadows each byte of the hundreds of stores that tests open.
const memTableBytes = 8 << 20
