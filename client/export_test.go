package client

import (
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/prototext"
)

// WithStreamLife sets when a stream of checks gives way to the next.
func WithStreamLife(d time.Duration) Option { return func(o *options) { o.streamLife = d } }

// WithMaxPending sets how many checks of one stream may be unanswered.
func WithMaxPending(n int) Option { return func(o *options) { o.maxPending = n } }

// WithFeedSilence sets how long the stream of a feed may be silent.
func WithFeedSilence(d time.Duration) Option { return func(o *options) { o.feedSilence = d } }

// LeafOf is the hash of a change, as Follow computes it.
var LeafOf = leafOf

// FromCursor is a cursor as the client keeps it.
var FromCursor = fromCursor

// WatchRequestText is what Watch asks the server for.
func WatchRequestText(opts ...WatchOption) string {
	w, err := new(Client).newWatcher("", opts)
	if err != nil {
		return err.Error()
	}
	return strings.ReplaceAll(prototext.MarshalOptions{}.Format(w.request), "  ", " ")
}

// RowText is the line of a row in a digest.
func RowText(r Row) ([]byte, error) {
	f, err := toFeedRow(r)
	return f.AppendText(nil), err
}
