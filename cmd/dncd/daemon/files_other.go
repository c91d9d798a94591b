//go:build !unix

package daemon

func openFiles() int { return 0 }

func usedFiles() int { return 0 }

func ownerOnly() (restore func()) { return func() {} }

func ownedByCaller(string) error { return nil }
