package daemon

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strings"
	"syscall"

	"github.com/dncd/dncd/server"
)

const unixScheme = "unix://"

// errInsecure is the refusal to send numbers over a network in plain text.
var errInsecure = errors.New("is reachable from other machines and there is no TLS")

// listeners opens both addresses. web is nil if there is none.
func (c *config) listeners(ctx context.Context, tls bool) (rpc, web net.Listener, err error) {
	for _, a := range []struct{ flag, address string }{{"--listen", c.listen}, {"--http", c.http}} {
		if err := checkAddress(a.address); err != nil {
			return nil, nil, usageError{fmt.Errorf("%s %s: %w", a.flag, a.address, err)}
		}
		if err := c.checkExposure(a.address, tls); err != nil {
			return nil, nil, fmt.Errorf("%s %s: %w", a.flag, a.address, err)
		}
	}
	if err := c.checkDoor(); err != nil {
		return nil, nil, err
	}
	if rpc, err = c.listenOn(ctx, c.listen); err != nil {
		return nil, nil, fmt.Errorf("--listen: %w", err)
	}
	if c.http == "" {
		return rpc, nil, nil
	}
	if web, err = c.listenOn(ctx, c.http); err != nil {
		closeAll(rpc, nil)
		return nil, nil, fmt.Errorf("--http: %w", err)
	}
	return rpc, web, nil
}

// checkAddress refuses an address without a port, or a socket without a name: the system would choose one.
func checkAddress(address string) error {
	path, isUnix := strings.CutPrefix(address, unixScheme)
	switch _, port, err := net.SplitHostPort(address); {
	case address == "":
		return nil // none
	case isUnix && path == "":
		return errors.New("names no socket: write it as unix:///path")
	case !isUnix && err == nil && port == "":
		return errors.New("names no port: write it as host:port")
	}
	return nil // listening reports what else is wrong
}

// checkExposure refuses an address that other machines can reach when there is no TLS, unless --insecure is given.
func (c *config) checkExposure(address string, tls bool) error {
	if tls || c.insecure || address == "" || strings.HasPrefix(address, unixScheme) {
		return nil
	}
	local, err := isLocal(address)
	if err == nil && !local {
		return errInsecure
	}
	return err
}

// isLocal reports whether only this machine reaches an address.
func isLocal(address string) (bool, error) {
	a, err := net.ResolveTCPAddr("tcp", address)
	if err != nil {
		return false, err
	}
	return server.Loopback(a), nil
}

func (c *config) listenOn(ctx context.Context, address string) (net.Listener, error) {
	path, isUnix := strings.CutPrefix(address, unixScheme)
	if !isUnix {
		return new(net.ListenConfig).Listen(ctx, "tcp", address)
	}
	if err := removeStale(path); err != nil {
		return nil, err
	}
	return c.socket.listen(ctx, path)
}

// removeStale removes a socket that a killed process left behind: one that refuses a connection. Any other failure,
// such as that of a server with no room for another connection, does not prove that it is stale.
func removeStale(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) || (err == nil && info.Mode().Type() != fs.ModeSocket) {
		return nil // listening reports what is wrong
	}
	if err != nil {
		return err
	}
	conn, err := net.Dial("unix", path)
	if err == nil {
		conn.Close()
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return nil // listening reports that the address is taken
	}
	return os.Remove(path)
}

func closeAll(listeners ...net.Listener) {
	for _, l := range listeners {
		if l != nil {
			l.Close()
		}
	}
}
