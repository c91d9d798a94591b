package client

import "time"

// WithStreamLife sets when a stream of checks gives way to the next.
func WithStreamLife(d time.Duration) Option { return func(o *options) { o.streamLife = d } }

// WithMaxPending sets how many checks of one stream may be unanswered.
func WithMaxPending(n int) Option { return func(o *options) { o.maxPending = n } }
