//go:build !race

package filter

const thinned = 1
