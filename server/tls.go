package server

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"
)

// TLSFiles names the PEM files of a server's TLS.
type TLSFiles struct {
	Cert, Key string // the server's certificate, with its chain, and its key
	ClientCA  string // the CA that signs client certificates; empty: clients need none
	OrToken   bool   // a client may show a token in place of a certificate: the server must ask for one or the other

	Logger *slog.Logger  // for changes of the files; nil: no log
	Every  time.Duration // how often the files are read, at most; 0: once a second
}

// Errors of TLSFiles.Config.
var (
	ErrTLSPair   = errors.New("TLS needs a certificate and its key: give both files")
	ErrTLSClient = errors.New("a client CA needs TLS: give the server's certificate and key too")
)

// Config reads the files; nil when none is named. The server accepts only TLS 1.3. With a client CA every client must
// present a certificate that the CA signed.
//
// Files that change are read again at a handshake. Connections made from then on get the new certificate and are
// verified against the new client CA. While the new files do not fit together, which is logged, the previous content
// stays in use.
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
	content, err := f.read()
	if err != nil {
		return nil, err
	}
	c, err := content.config()
	if err != nil {
		return nil, err
	}
	r := newReloader(f, content, c)
	c = c.Clone()
	c.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return r.current(), nil }
	return c, nil
}

// tlsContent is the content of the files.
type tlsContent struct {
	cert, key, clientCA string // clientCA is empty when no file is named
	withCA, orToken     bool
}

func (f TLSFiles) read() (tlsContent, error) {
	c := tlsContent{withCA: f.ClientCA != "", orToken: f.OrToken}
	for _, file := range []struct {
		what, path string
		to         *string
	}{
		{"TLS certificate", f.Cert, &c.cert}, {"TLS key", f.Key, &c.key}, {"client CA", f.ClientCA, &c.clientCA},
	} {
		if file.path == "" {
			continue
		}
		b, err := os.ReadFile(file.path)
		if err != nil {
			return c, fmt.Errorf("read %s: %w", file.what, err)
		}
		*file.to = string(b)
	}
	return c, nil
}

// config makes the configuration of new connections. A client cannot resume a session of an earlier configuration: the
// client CA may have changed since.
func (t tlsContent) config() (*tls.Config, error) {
	pair, err := tls.X509KeyPair([]byte(t.cert), []byte(t.key))
	if err != nil {
		return nil, fmt.Errorf("TLS certificate and key: %w", err)
	}
	c := &tls.Config{
		MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{pair}, NextProtos: []string{"h2"},
		SessionTicketsDisabled: true,
	}
	if !t.withCA {
		return c, nil
	}
	c.ClientAuth = tls.RequireAndVerifyClientCert
	if t.orToken {
		c.ClientAuth = tls.VerifyClientCertIfGiven
	}
	c.ClientCAs = x509.NewCertPool()
	if !c.ClientCAs.AppendCertsFromPEM([]byte(t.clientCA)) {
		return nil, errors.New("client CA: the file holds no certificate in PEM")
	}
	return c, nil
}

// forHTTP is the same certificate for the HTTP listener. Monitors need no client certificate: what they read holds no
// number.
func forHTTP(c *tls.Config) *tls.Config {
	h := c.Clone()
	h.ClientAuth, h.ClientCAs = tls.NoClientCert, nil
	h.NextProtos = []string{"h2", "http/1.1"}
	if current := c.GetConfigForClient; current != nil {
		h.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			now, err := current(hello)
			if now == nil || err != nil {
				return nil, err
			}
			return forHTTP(now), nil
		}
	}
	return h
}

// certificateEnd is when the certificate ends that new connections get; zero: that is not known.
func certificateEnd(c *tls.Config) time.Time {
	if current := c.GetConfigForClient; current != nil {
		if now, err := current(nil); err == nil && now != nil {
			c = now
		}
	}
	if len(c.Certificates) == 0 || c.Certificates[0].Leaf == nil {
		return time.Time{}
	}
	return c.Certificates[0].Leaf.NotAfter
}
