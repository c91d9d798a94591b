package client

import "google.golang.org/grpc/connectivity"

// Stats is a Client in numbers, since New.
type Stats struct {
	// Connections in no order.
	Connections []ConnectionStats `json:"connections"`
	// RetryTokens are left, in whole ones: see WithRetryBudget. RetriesDenied are failures
	// that were returned for want of them, instead of another attempt.
	RetryTokens   int    `json:"retry_tokens"`
	RetriesDenied uint64 `json:"retries_denied"`
}

// ConnectionStats is one connection in numbers.
type ConnectionStats struct {
	// State is gRPC's: IDLE, CONNECTING, READY, TRANSIENT_FAILURE or SHUTDOWN.
	State string `json:"state"`
	// Streams of checks are open; while one gives way to the next it is two.
	Streams int `json:"streams"`
	// Checks were sent on streams in Messages: the quotient is how many shared one.
	Checks   uint64 `json:"checks"`
	Messages uint64 `json:"messages"`
	// Pending checks have no answer yet, those included that nobody waits for any more.
	Pending int `json:"pending"`
	// Retries are checks that were asked again elsewhere.
	Retries uint64 `json:"retries"`
	// Broken are streams that ended other than a server ends them on purpose.
	Broken uint64 `json:"broken"`
	// Cancelled are checks whose caller's context ended before the answer.
	Cancelled uint64 `json:"cancelled"`
}

// Stats returns what this client has done, without asking the server: ServerStats does.
func (c *Client) Stats() Stats {
	s := Stats{
		Connections:   make([]ConnectionStats, len(c.lanes)),
		RetryTokens:   int(c.budget.left.Load() / tokenParts),
		RetriesDenied: c.budget.denied.Load(),
	}
	for i, l := range c.lanes {
		s.Connections[i] = l.stats()
	}
	return s
}

func (l *lane) stats() ConnectionStats {
	return ConnectionStats{
		State:     states[l.conn.GetState()],
		Streams:   int(l.streams.Load()),
		Checks:    l.sent.Load(),
		Messages:  l.messages.Load(),
		Pending:   int(max(0, l.pending.Load())),
		Retries:   l.retries.Load(),
		Broken:    l.broken.Load(),
		Cancelled: l.left.Load(),
	}
}

var states = map[connectivity.State]string{
	connectivity.Idle:             "IDLE",
	connectivity.Connecting:       "CONNECTING",
	connectivity.Ready:            "READY",
	connectivity.TransientFailure: "TRANSIENT_FAILURE",
	connectivity.Shutdown:         "SHUTDOWN",
}
