//go:build !race

package daemon_test

const shadow = 1
