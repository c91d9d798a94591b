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
//   - Result.Callable is true for ALLOW alone. The zero Result is not callable,
//     and every error comes with a zero Result.
//   - New never blocks and dials nothing; connections are made by the first calls.
//   - A call whose context has no deadline ends after WithTimeout, 2 s by default.
//     Import and Export move whole lists and have no deadline of their own.
//   - Without a connection, a call fails at once with ErrUnavailable, unless
//     WithWaitForReady was given.
//   - Only what is safe is tried again, within the deadline: checks, other reads,
//     and records of opt-outs by their request id. Changes to lists are not. It is four
//     attempts at most, and a budget that all calls share keeps clients from multiplying
//     an overload (WithRetryBudget): while it is short, a call ends with the error of its
//     last attempt, but for records of opt-outs, which are tried again in any case. A
//     stream of checks that breaks counts once for all that share it. What a stopping
//     server or an old connection makes move does not count, nor does a load that is
//     taken up again, which sends only what the server does not hold.
//   - Errors of the server or the connection are an *Error. Distinguish them by errors.Is
//     and the sentinels of this package, by Error.Reason, or by status.Code of gRPC, never
//     by their text. They hold no phone number.
//   - A Client is safe for concurrent use. Checks that are under way together share
//     messages, and a lone one does not wait for others. Each ends with its own context,
//     and gets the answer about its own number or an error. WithUnaryChecks turns it off.
//   - A target that names its resolver, as "dns:///dncd.example:7362" does, has its
//     servers take turns, those alone that say they serve checks. "dncd.example:7362"
//     stays with one server, and "unix:///run/dncd.sock" is one on this machine.
//
// Numbers are strings in E.164 with their plus, or national forms when Region
// says how to read them. Every answer marshals to the JSON that dnc prints, and reads
// back from it: field names as in the contract, times in RFC 3339 UTC, durations in
// seconds, every field present and null when unset.
package client
