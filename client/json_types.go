package client

// The types that have a JSON form: see the package comment. BatchResult has one of its own.

// MarshalJSON implements json.Marshaler: see the package comment.
func (r Result) MarshalJSON() ([]byte, error) { return encode(r) }

// UnmarshalJSON implements json.Unmarshaler: see the package comment.
func (r *Result) UnmarshalJSON(text []byte) error { return decode(text, r) }

// MarshalJSON implements json.Marshaler: see the package comment.
func (r Reason) MarshalJSON() ([]byte, error) { return encode(r) }

// UnmarshalJSON implements json.Unmarshaler: see the package comment.
func (r *Reason) UnmarshalJSON(text []byte) error { return decode(text, r) }

// MarshalJSON implements json.Marshaler: see the package comment.
func (id EventID) MarshalJSON() ([]byte, error) { return encode(id) }

// UnmarshalJSON implements json.Unmarshaler: see the package comment.
func (id *EventID) UnmarshalJSON(text []byte) error { return decode(text, id) }

// MarshalJSON implements json.Marshaler: see the package comment.
func (d BatchDetail) MarshalJSON() ([]byte, error) { return encode(d) }

// UnmarshalJSON implements json.Unmarshaler: see the package comment.
func (d *BatchDetail) UnmarshalJSON(text []byte) error { return decode(text, d) }

// MarshalJSON implements json.Marshaler: see the package comment.
func (p Position) MarshalJSON() ([]byte, error) { return encode(p) }

// UnmarshalJSON implements json.Unmarshaler: see the package comment.
func (p *Position) UnmarshalJSON(text []byte) error { return decode(text, p) }

// MarshalJSON implements json.Marshaler: see the package comment.
func (r Receipt) MarshalJSON() ([]byte, error) { return encode(r) }

// UnmarshalJSON implements json.Unmarshaler: see the package comment.
func (r *Receipt) UnmarshalJSON(text []byte) error { return decode(text, r) }

// MarshalJSON implements json.Marshaler: see the package comment.
func (r WithdrawReceipt) MarshalJSON() ([]byte, error) { return encode(r) }

// UnmarshalJSON implements json.Unmarshaler: see the package comment.
func (r *WithdrawReceipt) UnmarshalJSON(text []byte) error { return decode(text, r) }

// MarshalJSON implements json.Marshaler: see the package comment.
func (r ConsentRecord) MarshalJSON() ([]byte, error) { return encode(r) }

// UnmarshalJSON implements json.Unmarshaler: see the package comment.
func (r *ConsentRecord) UnmarshalJSON(text []byte) error { return decode(text, r) }

// MarshalJSON implements json.Marshaler: see the package comment.
func (r ConsentReceipt) MarshalJSON() ([]byte, error) { return encode(r) }

// UnmarshalJSON implements json.Unmarshaler: see the package comment.
func (r *ConsentReceipt) UnmarshalJSON(text []byte) error { return decode(text, r) }

// MarshalJSON implements json.Marshaler: see the package comment.
func (n NumberInfo) MarshalJSON() ([]byte, error) { return encode(n) }

// UnmarshalJSON implements json.Unmarshaler: see the package comment.
func (n *NumberInfo) UnmarshalJSON(text []byte) error { return decode(text, n) }

// MarshalJSON implements json.Marshaler: see the package comment.
func (r Record) MarshalJSON() ([]byte, error) { return encode(r) }

// UnmarshalJSON implements json.Unmarshaler: see the package comment.
func (r *Record) UnmarshalJSON(text []byte) error { return decode(text, r) }

// MarshalJSON implements json.Marshaler: see the package comment.
func (s Story) MarshalJSON() ([]byte, error) { return encode(s) }

// UnmarshalJSON implements json.Unmarshaler: see the package comment.
func (s *Story) UnmarshalJSON(text []byte) error { return decode(text, s) }

// MarshalJSON implements json.Marshaler: see the package comment.
func (e ListEntry) MarshalJSON() ([]byte, error) { return encode(e) }

// UnmarshalJSON implements json.Unmarshaler: see the package comment.
func (e *ListEntry) UnmarshalJSON(text []byte) error { return decode(text, e) }

// MarshalJSON implements json.Marshaler: see the package comment.
func (h History) MarshalJSON() ([]byte, error) { return encode(h) }

// UnmarshalJSON implements json.Unmarshaler: see the package comment.
func (h *History) UnmarshalJSON(text []byte) error { return decode(text, h) }

// MarshalJSON implements json.Marshaler: see the package comment.
func (e HistoryEvent) MarshalJSON() ([]byte, error) { return encode(e) }

// UnmarshalJSON implements json.Unmarshaler: see the package comment.
func (e *HistoryEvent) UnmarshalJSON(text []byte) error { return decode(text, e) }

// MarshalJSON implements json.Marshaler: see the package comment.
func (r OptOutRecord) MarshalJSON() ([]byte, error) { return encode(r) }

// UnmarshalJSON implements json.Unmarshaler: see the package comment.
func (r *OptOutRecord) UnmarshalJSON(text []byte) error { return decode(text, r) }

// MarshalJSON implements json.Marshaler: see the package comment.
func (l List) MarshalJSON() ([]byte, error) { return encode(l) }

// UnmarshalJSON implements json.Unmarshaler: see the package comment.
func (l *List) UnmarshalJSON(text []byte) error { return decode(text, l) }

// MarshalJSON implements json.Marshaler: see the package comment.
func (r ListReceipt) MarshalJSON() ([]byte, error) { return encode(r) }

// UnmarshalJSON implements json.Unmarshaler: see the package comment.
func (r *ListReceipt) UnmarshalJSON(text []byte) error { return decode(text, r) }

// MarshalJSON implements json.Marshaler: see the package comment.
func (r DeleteReceipt) MarshalJSON() ([]byte, error) { return encode(r) }

// UnmarshalJSON implements json.Unmarshaler: see the package comment.
func (r *DeleteReceipt) UnmarshalJSON(text []byte) error { return decode(text, r) }

// MarshalJSON implements json.Marshaler: see the package comment.
func (r ImportResult) MarshalJSON() ([]byte, error) { return encode(r) }

// UnmarshalJSON implements json.Unmarshaler: see the package comment.
func (r *ImportResult) UnmarshalJSON(text []byte) error { return decode(text, r) }

// MarshalJSON implements json.Marshaler: see the package comment.
func (g GuardFailure) MarshalJSON() ([]byte, error) { return encode(g) }

// UnmarshalJSON implements json.Unmarshaler: see the package comment.
func (g *GuardFailure) UnmarshalJSON(text []byte) error { return decode(text, g) }

// MarshalJSON implements json.Marshaler: see the package comment.
func (r ImportOptOutsResult) MarshalJSON() ([]byte, error) { return encode(r) }

// UnmarshalJSON implements json.Unmarshaler: see the package comment.
func (r *ImportOptOutsResult) UnmarshalJSON(text []byte) error { return decode(text, r) }

// MarshalJSON implements json.Marshaler: see the package comment.
func (r ImportRecord) MarshalJSON() ([]byte, error) { return encode(r) }

// UnmarshalJSON implements json.Unmarshaler: see the package comment.
func (r *ImportRecord) UnmarshalJSON(text []byte) error { return decode(text, r) }

// MarshalJSON implements json.Marshaler: see the package comment.
func (s ImportSource) MarshalJSON() ([]byte, error) { return encode(s) }

// UnmarshalJSON implements json.Unmarshaler: see the package comment.
func (s *ImportSource) UnmarshalJSON(text []byte) error { return decode(text, s) }

// MarshalJSON implements json.Marshaler: see the package comment.
func (t RejectTally) MarshalJSON() ([]byte, error) { return encode(t) }

// UnmarshalJSON implements json.Unmarshaler: see the package comment.
func (t *RejectTally) UnmarshalJSON(text []byte) error { return decode(text, t) }

// MarshalJSON implements json.Marshaler: see the package comment.
func (s ServerStats) MarshalJSON() ([]byte, error) { return encode(s) }

// UnmarshalJSON implements json.Unmarshaler: see the package comment.
func (s *ServerStats) UnmarshalJSON(text []byte) error { return decode(text, s) }

// MarshalJSON implements json.Marshaler: see the package comment.
func (s ListStats) MarshalJSON() ([]byte, error) { return encode(s) }

// UnmarshalJSON implements json.Unmarshaler: see the package comment.
func (s *ListStats) UnmarshalJSON(text []byte) error { return decode(text, s) }

// MarshalJSON implements json.Marshaler: see the package comment.
func (s FilterStats) MarshalJSON() ([]byte, error) { return encode(s) }

// UnmarshalJSON implements json.Unmarshaler: see the package comment.
func (s *FilterStats) UnmarshalJSON(text []byte) error { return decode(text, s) }

// MarshalJSON implements json.Marshaler: see the package comment.
func (s Stats) MarshalJSON() ([]byte, error) { return encode(s) }

// UnmarshalJSON implements json.Unmarshaler: see the package comment.
func (s *Stats) UnmarshalJSON(text []byte) error { return decode(text, s) }

// MarshalJSON implements json.Marshaler: see the package comment.
func (s ConnectionStats) MarshalJSON() ([]byte, error) { return encode(s) }

// UnmarshalJSON implements json.Unmarshaler: see the package comment.
func (s *ConnectionStats) UnmarshalJSON(text []byte) error { return decode(text, s) }
