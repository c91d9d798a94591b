//go:build !race

package testparallel

// perCore is how many tests run for each core: they wait more than half of their time.
const perCore = 4
