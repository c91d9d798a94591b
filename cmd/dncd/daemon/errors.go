package daemon

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	"github.com/dncd/dncd/server"
	"github.com/dncd/dncd/store"
)

// dataError is an error of the store in a directory.
type dataError struct {
	dir string
	err error
}

func (e dataError) Error() string {
	if errors.Is(e.err, store.ErrLocked) {
		return fmt.Sprintf("the data directory %s is in use by another process", e.dir)
	}
	return fmt.Sprintf("data directory %s: %v", e.dir, e.err)
}

func (e dataError) Unwrap() error { return e.err }

// hintFor says what to do about an error; empty if the error says so itself.
func hintFor(err error) string {
	dir := "DIR"
	var data dataError
	if errors.As(err, &data) {
		dir = data.dir
	}
	switch {
	case errors.Is(err, store.ErrLocked):
		return "stop the other dncd, or give this one another directory with --data"
	case errors.Is(err, store.ErrSystem):
		return systemHint(err)
	case errors.Is(err, store.ErrLoss): // before damage, which accompanies it
		return fmt.Sprintf("restore a backup that has them, or continue without them: dncd fsck --data %s --repair --accept-loss", dir)
	case errors.Is(err, store.ErrNoEnd):
		return noEndHint(dir)
	case errors.Is(err, store.ErrNoStore):
		return fmt.Sprintf("mount the disk, if it is not; dncd init --data %s makes a store there", dir)
	case errors.Is(err, store.ErrStoreExists):
		return fmt.Sprintf("dncd --data %s serves it", dir)
	case errors.Is(err, store.ErrNotEmpty):
		return "name an empty directory, or one that is not there"
	case errors.Is(err, store.ErrOlderJournal):
		return fmt.Sprintf("put the whole copy back, or say that this is all there is: dncd fsck --data %s --restored", dir)
	case errors.Is(err, store.ErrDamaged), errors.Is(err, store.ErrStoriesDamaged):
		return fmt.Sprintf("dncd fsck --data %s shows what is damaged, and repairs it with --repair", dir)
	case errors.Is(err, store.ErrDiskFull):
		return "free space on the disk; what is stored is not lost"
	case errors.Is(err, store.ErrReadOnly):
		return "start dncd again: it verifies the store when it opens it"
	case errors.Is(err, errOpenDoor):
		return "give --auth required, or --insecure if every machine that reaches it may do everything"
	case errors.Is(err, errNoMapping):
		return "--admin-name NAME makes the certificate of that name the first admin, which grants roles to others"
	case errors.Is(err, errInsecure):
		return "give --tls-cert and --tls-key, or --insecure if the network is trusted"
	case errors.Is(err, server.ErrTLSPair), errors.Is(err, server.ErrTLSClient):
		return "the flags are --tls-cert, --tls-key and --tls-client-ca"
	case errors.Is(err, syscall.EADDRINUSE):
		return "is dncd running already? Choose another address with --listen and --http"
	case errors.Is(err, errFiles):
		return "raise the limit: ulimit -n 4096, or LimitNOFILE=4096 in the unit"
	case errors.Is(err, fs.ErrPermission):
		return "check who owns the file or directory, and its mode"
	}
	return ""
}

func noEndHint(dir string) string {
	return fmt.Sprintf("if nothing was written after it, dncd fsck --data %s --repair --accept-loss continues from there; otherwise restore a backup", dir)
}

// systemHint says what to do about a limit or a permission of the operating system.
func systemHint(err error) string {
	switch {
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		return "let the process open more files: ulimit -n, or LimitNOFILE of the service"
	case errors.Is(err, syscall.ENOMEM):
		return "let the process map more memory: ulimit -v, or the memory limit of the service or container"
	case errors.Is(err, syscall.EFBIG):
		return "let the process make larger files: ulimit -f, or LimitFSIZE of the service"
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return "free space on the disk; what is stored is not lost"
	}
	return "check who owns the file or directory, and its mode"
}
