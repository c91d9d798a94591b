//go:build race

package testparallel

// perCore is lower under the race detector, which computes where tests otherwise wait.
const perCore = 2
