// Package wire appends the fields of a message as protobuf writes them: none for a zero value.
package wire

import "google.golang.org/protobuf/encoding/protowire"

// AppendVarint appends a number.
func AppendVarint(b []byte, field protowire.Number, v uint64) []byte {
	if v == 0 {
		return b
	}
	return protowire.AppendVarint(protowire.AppendTag(b, field, protowire.VarintType), v)
}

// AppendText appends a text or bytes.
func AppendText[T ~string | ~[]byte](b []byte, field protowire.Number, text T) []byte {
	if len(text) == 0 {
		return b
	}
	b = protowire.AppendVarint(protowire.AppendTag(b, field, protowire.BytesType), uint64(len(text)))
	return append(b, text...)
}
