package server

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
)

// TLSFiles names the PEM files of a server's TLS.
type TLSFiles struct {
	Cert, Key string // the server's certificate, with its chain, and key
	ClientCA  string // who vouches for clients; empty: clients need no certificate
}

// Errors of TLSFiles.Config.
var (
	ErrTLSPair   = errors.New("TLS needs a certificate and its key: give both files")
	ErrTLSClient = errors.New("a client CA needs TLS: give the server's certificate and key too")
)

// Config reads the files; nil when none is named. TLS 1.3 alone; with a client CA every client must show a certificate
// that it vouches for.
func (f TLSFiles) Config() (*tls.Config, error) {
	if f.Cert == "" && f.Key == "" {
		if f.ClientCA != "" {
			return nil, ErrTLSClient
		}
		return nil, nil
	}
	if f.Cert == "" || f.Key == "" {
		return nil, ErrTLSPair
	}
	pair, err := tls.LoadX509KeyPair(f.Cert, f.Key)
	if err != nil {
		return nil, fmt.Errorf("read TLS certificate and key: %w", err)
	}
	c := &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{pair}, NextProtos: []string{"h2"}}
	if f.ClientCA == "" {
		return c, nil
	}
	c.ClientAuth = tls.RequireAndVerifyClientCert
	c.ClientCAs, err = readCA(f.ClientCA)
	return c, err
}

func readCA(path string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read client CA: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("read client CA: %s holds no certificate in PEM", path)
	}
	return pool, nil
}

// forHTTP is the same certificate for the HTTP listener: monitors need no client certificate, and what they read
// holds no number.
func forHTTP(c *tls.Config) *tls.Config {
	h := c.Clone()
	h.ClientAuth, h.ClientCAs = tls.NoClientCert, nil
	h.NextProtos = []string{"h2", "http/1.1"}
	return h
}
