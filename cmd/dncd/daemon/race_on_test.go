//go:build race

package daemon_test

// shadow is how many times more memory the race detector may take.
const shadow = 8
