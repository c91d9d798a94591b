package server

import (
	"context"
	"crypto/x509"
	"encoding/asn1"
	"net"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"

	"github.com/dncd/dncd/internal/access"
	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
	"github.com/dncd/dncd/store"
)

// recorder returns who records: the caller's name if it was granted something, else the name in its verified
// certificate, else what it claims.
func recorder(ctx context.Context, claimed string, story *store.Story) error {
	if err := checkText(field{name: "on_behalf_of", value: claimed, max: maxRecordedBy}); err != nil {
		return err
	}
	if caller := callerOf(ctx); caller != access.Open {
		story.RecordedBy, story.Proven = caller.Name, true
		return nil
	}
	cert := verifiedCertificate(ctx)
	if cert == nil {
		story.RecordedBy = claimed
		return nil
	}
	name := certificateName(cert)
	if name == "" || checkText(field{value: name, max: maxRecordedBy}) != nil {
		return refuse(dncv1.ErrorReason_ERROR_REASON_PERMISSION_DENIED,
			"the client certificate names nobody: it needs one common name, or a DNS name, of at most 256 bytes")
	}
	story.RecordedBy, story.Proven = name, true
	return nil
}

// logAct logs an administrative act that counted. about is the name of the list or the token, or the id of an import; none of
// them can be a number. Who did it is the name that was proven: what a caller claims could be anything.
func (s *service) logAct(ctx context.Context, method, about string) {
	name := callerOf(ctx).Name
	if cert := verifiedCertificate(ctx); name == "" && cert != nil {
		name = withoutDigits(certificateName(cert))
	}
	s.log.InfoContext(ctx, "act", "method", method, "about", about, "caller", name, "peer", peerAddress(ctx))
}

// verifiedCertificate returns the caller's certificate if the client CA signed it; nil otherwise.
func verifiedCertificate(ctx context.Context) *x509.Certificate {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return nil
	}
	info, ok := p.AuthInfo.(credentials.TLSInfo)
	if !ok || len(info.State.VerifiedChains) == 0 || len(info.State.VerifiedChains[0]) == 0 {
		return nil
	}
	return info.State.VerifiedChains[0][0]
}

// certificateName is the common name, else the first DNS name. A certificate with several common names has none: programs
// differ in which of them they read.
func certificateName(c *x509.Certificate) string {
	names := 0
	for _, a := range c.Subject.Names {
		if a.Type.Equal(commonName) {
			names++
		}
	}
	if names > 1 {
		return ""
	}
	if c.Subject.CommonName != "" {
		return c.Subject.CommonName
	}
	if len(c.DNSNames) > 0 {
		return c.DNSNames[0]
	}
	return ""
}

// commonName is the type of a common name in the subject of a certificate.
var commonName = asn1.ObjectIdentifier{2, 5, 4, 3}

// peerAddress returns where a call comes from, without the port; empty for a unix socket.
func peerAddress(ctx context.Context) string {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return ""
	}
	return hostOf(p.Addr)
}

func hostOf(a net.Addr) string {
	host, _, err := net.SplitHostPort(a.String())
	if err != nil {
		return ""
	}
	return host
}
