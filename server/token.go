package server

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"

	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
)

// tokens makes and reads page tokens. A token is a cursor with a tag that binds it to its call and subject. The key
// lives as long as the process, so that a token reveals nothing about a number.
type tokens struct{ key [32]byte }

func newTokens() tokens {
	var t tokens
	_, _ = rand.Read(t.key[:]) // never fails: it ends the process instead
	return t
}

const tagBytes = 16

// make writes a token for the page of call and subject that begins after cursor.
func (t *tokens) make(call, subject string, cursor []byte) string {
	return base64.RawURLEncoding.EncodeToString(append(t.tag(call, subject, cursor), cursor...))
}

// read returns the cursor of a token made for the same call and subject.
func (t *tokens) read(token, call, subject string) ([]byte, error) {
	b, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || len(b) < tagBytes || !hmac.Equal(b[:tagBytes], t.tag(call, subject, b[tagBytes:])) {
		return nil, refuse(dncv1.ErrorReason_ERROR_REASON_PAGE_TOKEN_INVALID,
			"page_token is not one that this server gave for this call: start from the first page", "field", "page_token")
	}
	return b[tagBytes:], nil
}

func (t *tokens) tag(call, subject string, cursor []byte) []byte {
	h := hmac.New(sha256.New, t.key[:])
	h.Write([]byte(call + "\x00" + subject + "\x00"))
	h.Write(cursor)
	return h.Sum(nil)[:tagBytes]
}

const (
	defaultPage = 100
	maxPage     = 1000
	pageBytes   = 3 << 20 // a page ends before the response reaches the limit of 4 MiB
)

// pageSize is the size that a request asks for, within its limits.
func pageSize(asked uint32) int {
	if asked == 0 {
		return defaultPage
	}
	return int(min(asked, maxPage))
}
