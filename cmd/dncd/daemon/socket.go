package daemon

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/user"
	"strconv"
)

// socketMode says who may connect to unix sockets.
type socketMode struct {
	mode  fileMode // 0: what the umask leaves
	group string   // empty: that of the process
}

// listen makes a socket. Only the owner can connect until its group and mode are set.
func (s socketMode) listen(ctx context.Context, path string) (net.Listener, error) {
	if s.mode == 0 && s.group == "" {
		return new(net.ListenConfig).Listen(ctx, "unix", path)
	}
	defer ownerOnly()()
	l, err := new(net.ListenConfig).Listen(ctx, "unix", path)
	if err != nil {
		return nil, err
	}
	if err := s.apply(path); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

// groupMode is the mode of a socket with a group and without a mode.
const groupMode = 0o660

func (s socketMode) apply(path string) error {
	mode := s.mode
	if s.group != "" {
		id, err := groupID(s.group)
		if err != nil {
			return fmt.Errorf("--socket-group: %w", err)
		}
		if err := os.Chown(path, -1, id); err != nil {
			return fmt.Errorf("--socket-group: %w", err)
		}
		mode = cmp.Or(mode, groupMode)
	}
	if err := os.Chmod(path, fs.FileMode(mode)); err != nil {
		return fmt.Errorf("--socket-mode: %w", err)
	}
	return nil
}

// groupID returns the id of a group, which is given by its name or its id.
func groupID(group string) (int, error) {
	if id, err := strconv.Atoi(group); err == nil && id >= 0 {
		return id, nil
	}
	g, err := user.LookupGroup(group)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(g.Gid)
}

// fileMode is a flag such as 0660.
type fileMode uint32

// String implements pflag.Value.
func (m *fileMode) String() string {
	if *m == 0 {
		return ""
	}
	return fmt.Sprintf("%#o", uint32(*m))
}

// Set implements pflag.Value.
func (m *fileMode) Set(s string) error {
	n, err := strconv.ParseUint(s, 8, 32)
	if err != nil || n == 0 || n > 0o777 {
		return errors.New("write it in octal, as 0660")
	}
	*m = fileMode(n)
	return nil
}

// Type implements pflag.Value.
func (*fileMode) Type() string { return "mode" }
