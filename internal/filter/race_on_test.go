//go:build race

package filter

// thinned is how many times fewer inputs the tests of a single goroutine try
// under the race detector, which makes them slow and finds nothing in them.
const thinned = 97
