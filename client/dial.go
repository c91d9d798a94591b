package client

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	_ "google.golang.org/grpc/health" // the client's side of health checks
	"google.golang.org/grpc/keepalive"

	"github.com/dncd/dncd/internal/codec"
)

// maxAnswer is the largest answer of the contract, 4 MiB, and some room.
const maxAnswer = 5 << 20

// Windows are how many bytes the server may send before they are read. They are fixed, like
// the server's: otherwise gRPC sends pings to measure them.
const (
	streamWindow     = 1 << 20
	connectionWindow = 2 << 20
)

// errPlainText is why New refuses to send numbers unencrypted to another machine.
var errPlainText = errors.New("the server is on another machine and the connection is not encrypted: use TLS, or allow plain text")

func dialOptions(target string, o *options) ([]grpc.DialOption, error) {
	creds, err := transportCredentials(target, o)
	if err != nil {
		return nil, err
	}
	dial := []grpc.DialOption{
		grpc.WithTransportCredentials(creds),
		grpc.WithInitialWindowSize(streamWindow),
		grpc.WithInitialConnWindowSize(connectionWindow),
		grpc.WithDefaultCallOptions(
			grpc.WaitForReady(o.waitForReady),
			grpc.MaxCallRecvMsgSize(maxAnswer),
			grpc.ForceCodecV2(codec.New()),
		),
		// The server may be back after a second: a dialer must not wait for minutes.
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 2 * time.Second},
			MinConnectTimeout: 5 * time.Second,
		}),
		// The server enforces 30 s between pings.
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 60 * time.Second, Timeout: 10 * time.Second}),
		grpc.WithDisableServiceConfig(),
		grpc.WithUserAgent("dnc-client"),
	}
	if o.token != nil {
		if err := o.token.check(); err != nil {
			return nil, err
		}
		o.token.encrypted = o.tls != nil
		dial = append(dial, grpc.WithPerRPCCredentials(o.token))
	}
	if isBalanced(target) {
		dial = append(dial, grpc.WithDefaultServiceConfig(balanced))
	}
	return append(dial, o.dial...), nil
}

// balanced is to take the servers of a name in turn, those that say they serve checks.
const balanced = `{"loadBalancingConfig": [{"round_robin": {}}], "healthCheckConfig": {"serviceName": "dnc.v1.CheckService"}}`

// isBalanced reports whether a target asks a resolver for its servers, by naming it:
// "dns:///dncd.example:7362". Otherwise all calls go to one server, whatever its state,
// which "dncd.example:7362" and a unix socket are.
func isBalanced(target string) bool {
	scheme, _, found := strings.Cut(target, "://")
	switch scheme {
	case "unix", "unix-abstract", "passthrough":
		return false
	}
	return found || strings.HasPrefix(target, "dns:")
}

func transportCredentials(target string, o *options) (credentials.TransportCredentials, error) {
	if o.tls == nil {
		if !o.insecure && !isLocal(target) {
			return nil, errPlainText
		}
		return insecure.NewCredentials(), nil
	}
	config, err := o.tls()
	if err != nil {
		return nil, err
	}
	if config == nil {
		config = &tls.Config{MinVersion: tls.VersionTLS13}
	}
	return credentials.NewTLS(config), nil
}

func loadTLS(ca, cert, key string) (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS13}
	if ca != "" {
		pem, err := os.ReadFile(ca)
		if err != nil {
			return nil, fmt.Errorf("read CA certificates: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s holds no certificate in PEM", ca)
		}
	}
	if (cert == "") != (key == "") {
		return nil, errors.New("a client certificate needs both its certificate and its key")
	}
	if cert != "" {
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			return nil, fmt.Errorf("read client certificate: %w", err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}

// isLocal reports whether a target, with or without gRPC's scheme before it, is
// on this machine.
func isLocal(target string) bool {
	if strings.HasPrefix(target, "unix:") || strings.HasPrefix(target, "unix-abstract:") {
		return true
	}
	if u, err := url.Parse(target); err == nil && u.Scheme != "" && strings.Contains(target, "://") {
		target = strings.TrimPrefix(u.Path, "/")
	}
	host, _, err := net.SplitHostPort(target)
	if err != nil {
		host = target
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
