// Package client asks a dncd server whether numbers may be called, and keeps
// its opt-outs and lists.
//
//	c, err := client.New("127.0.0.1:7362", client.WithScope("acme/telecom"))
//	...
//	r, err := c.Check(ctx, "+14155550123")
//	if err != nil || !r.Callable() {
//		// do not dial
//	}
//
// What it promises:
//
//   - Result.Callable is true only for ALLOW. The zero Result is not callable,
//     and every error comes with a zero Result.
//   - New never blocks and dials nothing; connections are made by the first calls.
//   - A call whose context has no deadline ends after WithTimeout, 2 s by default.
//     Import and Export move whole lists and have no deadline of their own; Watch and
//     Follow have no end.
//   - Without a connection, a call fails immediately with ErrUnavailable, unless
//     WithWaitForReady was given.
//   - Only what is safe is retried, within the deadline: reads, and writes under the
//     request id of their first attempt. There are at most four attempts. A retry budget
//     that all calls share keeps clients from multiplying an overload (WithRetryBudget):
//     while it is low, a read ends with the error of its last attempt. Writes are
//     retried regardless. A stream of checks that breaks takes from the budget once for
//     all checks that share it. Nothing is taken for calls that a stopping server or an
//     old connection sends elsewhere, nor for an import that resumes, which sends only
//     what the server does not hold.
//   - Errors of the server or the connection are an *Error. Distinguish them by errors.Is
//     and the sentinels of this package, by Error.Reason, or by status.Code of gRPC, never
//     by their text. They hold no phone number.
//   - A Client is safe for concurrent use. Concurrent checks share messages; a single
//     check does not wait for others. Each ends with its own context, and gets the answer
//     about its own number or an error. WithUnaryChecks turns sharing off.
//   - For a target that names its resolver, such as "dns:///dncd.example:7362", the
//     servers that report that they serve checks take turns. "dncd.example:7362" stays
//     with one server, and "unix:///run/dncd.sock" is one on this machine.
//
// Watch yields the changes of a feed as they are committed, and Follow keeps a database of the
// caller's, a Base, in step with them. Both open a stream that breaks again, as often as it takes.
//
// A server that asks for it is shown a token (WithToken) or a client certificate
// (WithTLSFiles). Without one: ErrUnauthenticated. A call that the caller's roles and scopes
// do not allow: ErrPermissionDenied.
//
// Numbers are strings in E.164 with their plus, or national forms when Region
// says how to read them. Every answer marshals to the JSON that dnc prints, and reads
// back from it: field names as in the contract, times in RFC 3339 UTC, durations in
// seconds, every field present and null when unset.
package client
