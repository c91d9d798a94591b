package client

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strings"

	"google.golang.org/grpc/credentials"
)

// tokenPrefix is how every token begins, so that scanners for secrets find one that leaked.
const tokenPrefix = "dncd_"

// ErrMalformedToken is returned by New for a token that is not "dncd_" and 64 hexadecimal digits.
var ErrMalformedToken = errors.New(`the token is not "dncd_" and 64 hexadecimal digits, without a space or a line break`)

// NewToken makes the secret of a new token from 256 random bits, and its SHA-256 for
// TokenSpec. Keep the token: only the caller knows it, and no server can show it.
func NewToken() (token string, sha [sha256.Size]byte) {
	var secret [32]byte
	_, _ = rand.Read(secret[:]) // it never fails
	token = tokenPrefix + hex.EncodeToString(secret[:])
	return token, sha256.Sum256([]byte(token))
}

// WithToken shows the server a bearer token with each call. New refuses a malformed or empty
// token with ErrMalformedToken. No error holds the token, and it is sent in plain text only
// where New allows plain text.
func WithToken(token string) Option {
	return func(o *options) { o.token = &bearer{header: map[string]string{"authorization": "Bearer " + token}} }
}

// bearer sends a token with each call. Options hold a pointer to it, so that printing them does not print the token.
type bearer struct {
	header    map[string]string
	encrypted bool // the connection must be
}

var _ credentials.PerRPCCredentials = (*bearer)(nil)

// GetRequestMetadata implements credentials.PerRPCCredentials.
func (b *bearer) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return b.header, nil
}

// RequireTransportSecurity implements credentials.PerRPCCredentials.
func (b *bearer) RequireTransportSecurity() bool { return b.encrypted }

// check refuses a token that no server can know.
func (b *bearer) check() error {
	digits, ok := strings.CutPrefix(b.header["authorization"], "Bearer "+tokenPrefix)
	if secret, err := hex.DecodeString(digits); !ok || err != nil || len(secret) != 32 {
		return ErrMalformedToken
	}
	return nil
}
