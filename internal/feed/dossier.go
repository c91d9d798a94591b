package feed

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
)

// MaxDossier is how many bytes a dossier has at most: it fits into a message of gRPC, whose limit is 4 MiB.
const MaxDossier = 4<<20 - 64<<10

// MaxProofLeaves bounds the leaves of all proofs of one dossier.
const MaxProofLeaves = 50_000

// Dossier is what an organisation knows of one number, and who knew it when. It holds no other number. It is signed as a note, whose
// text is one line of JSON that begins with the origin: no checkpoint or acknowledgement begins like that.
type Dossier struct {
	Origin    string    `json:"origin"` // see DossierOrigin
	Number    string    `json:"number"`
	Regions   []string  `json:"regions"`
	MadeAt    time.Time `json:"made_at"` // by the server's clock
	JournalID string    `json:"journal_id"`
	Revision  uint64    `json:"revision"`
	Tag       string    `json:"tag"`        // hexadecimal
	ServerKey string    `json:"server_key"` // that signs it
	// KeyRotations are the notes by which that key follows from those before it, the oldest first.
	KeyRotations []string `json:"server_key_rotations"`
	Within       []string `json:"within"`             // what is outside these scopes is left out; empty: nothing is
	KeptFrom     uint64   `json:"kept_from_revision"` // the first revision that the journal keeps
	KeptFor      string   `json:"kept_for"`           // how long entries are kept
	AccessDays   int      `json:"access_log_days"`    // how long reads of the number are kept; 0: without limit

	Events []DossierEvent `json:"events"`
	Lists  []DossierList  `json:"lists"`
	// FormerLists held the number, and hold it no longer.
	FormerLists []DossierFormerList `json:"former_lists"`
	// FormerListsComplete: there are no older contents of lists that were not looked into, and none that could not be read.
	FormerListsComplete bool `json:"former_lists_complete"`

	Verdicts    []DossierVerdict    `json:"verdicts"`
	Subscribers []DossierSubscriber `json:"subscribers"`
}

// DossierEvent is an objection or a withdrawal.
type DossierEvent struct {
	ID         string       `json:"id"`
	Kind       string       `json:"kind"`
	Scope      string       `json:"scope"`
	Channel    string       `json:"channel"`
	ReceivedAt *time.Time   `json:"received_at"`
	RecordedAt time.Time    `json:"recorded_at"`
	ExpiresAt  *time.Time   `json:"expires_at"`
	Ended      []string     `json:"ended"` // of a withdrawal: ids of the objections or consents that it ended
	Desk       *DossierDesk `json:"desk"`  // registered; null: the story may name one in free text
	Story      DossierStory `json:"story"`
	// ConsentKind is of events about consents. A feed carries none of them.
	ConsentKind string `json:"consent_kind,omitempty"`
}

// DossierDesk is a registered desk.
type DossierDesk struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// DossierStory is who received an objection, and how it is proven.
type DossierStory struct {
	State            string `json:"state"`
	Desk             string `json:"desk"`
	Evidence         string `json:"evidence"`
	Note             string `json:"note"`
	Reason           string `json:"reason"`
	RecordedBy       string `json:"recorded_by"`
	RecordedByProven bool   `json:"recorded_by_proven"`
}

// DossierList is a list that holds the number.
type DossierList struct {
	Name         string     `json:"name"`
	ID           string     `json:"id"`
	Kind         string     `json:"kind"`
	Scope        string     `json:"scope"`
	SnapshotDate string     `json:"snapshot_date"`
	Event        string     `json:"event"`       // from which it holds the number, as far back as is known
	Since        *time.Time `json:"since"`       // when that was
	SinceKnown   bool       `json:"since_known"` // it did not hold the number before
}

// DossierFormerList is a time in which a list held the number. It is over, though another one may have begun.
type DossierFormerList struct {
	Name       string     `json:"name"`
	ID         string     `json:"id"`
	Kind       string     `json:"kind"`
	Scope      string     `json:"scope"` // when the number came
	Event      string     `json:"event"`
	Since      *time.Time `json:"since"`
	SinceKnown bool       `json:"since_known"` // false: it may have been earlier
	Until      *time.Time `json:"until"`       // null: not known
	UntilKnown bool       `json:"until_known"` // false: it may have been earlier
}

// DossierVerdict is what a check of the number answers.
type DossierVerdict struct {
	Scope   string   `json:"scope"`
	Verdict string   `json:"verdict"`
	Cause   string   `json:"cause"`
	Reasons []string `json:"reasons"`
}

// DossierSubscriber is a calling base, and how far it got with what concerns it.
type DossierSubscriber struct {
	Name      string        `json:"name"`
	ID        string        `json:"id"`
	Kind      string        `json:"kind"`
	Owner     string        `json:"owner"`
	RemovedAt *time.Time    `json:"removed_at"`
	Deadline  int64         `json:"deadline_seconds"`
	Items     []DossierItem `json:"items"`
}

// How an event reached a subscriber.
const (
	AsChange   = "CHANGE"   // in its log
	AsSnapshot = "SNAPSHOT" // among the rows with which its log begins
)

// DossierItem is one event and one subscriber.
type DossierItem struct {
	Event    string         `json:"event"` // an event's, or that of a list
	Reached  string         `json:"reached_as"`
	Since    time.Time      `json:"since"`    // from when on it concerned the subscriber
	Stages   []DossierStage `json:"stages"`   // received, durable, applied
	Proof    *Proof         `json:"proof"`    // null: nothing proves it offline
	Unproven string         `json:"unproven"` // why
}

// DossierStage is the first acknowledgement of a stage, or of one that includes it, with the event.
type DossierStage struct {
	Stage          string     `json:"stage"`
	AcknowledgedAt *time.Time `json:"acknowledged_at"` // recorded by the server; null: not yet
	Signed         bool       `json:"signed"`          // false: claimed
	Epoch          uint64     `json:"epoch"`
	Revision       uint64     `json:"revision"`
	Changes        uint64     `json:"changes"`
	Hash           Hash       `json:"hash"`
	Note           string     `json:"note"` // that the subscriber signed
	Key            string     `json:"key"`  // that signed it: a public key
}

// Proof leads from the hash of a log before a change to those that were acknowledged after it.
type Proof struct {
	Epoch   uint64 `json:"epoch"`
	Changes uint64 `json:"changes"` // n of the change
	Before  Hash   `json:"hash_before"`
	Change  string `json:"change"`
	Blind   Hash   `json:"blind"`
	Leaves  []Hash `json:"leaves"` // of the changes after it
}

// At is the hash after n changes of the epoch; ok is false if the proof does not reach it.
func (p *Proof) At(n uint64) (h Hash, ok bool) {
	if n < p.Changes || n-p.Changes > uint64(len(p.Leaves)) {
		return Hash{}, false
	}
	h = Next(p.Before, Leaf([]byte(p.Change), p.Blind))
	for _, leaf := range p.Leaves[:n-p.Changes] {
		h = Next(h, leaf)
	}
	return h, true
}

// DossierOrigin is how the text of a dossier of a journal begins, behind its first bracket.
func DossierOrigin(journal string) string { return "dncd/" + journal + "/dossier" }

// ErrTooLarge is a dossier of more than MaxDossier bytes.
var ErrTooLarge = errors.New("the dossier is larger than one answer may be")

// Sign returns the dossier as a note that the server's key signed.
func (d *Dossier) Sign(key note.Signer) ([]byte, error) {
	d.Origin = DossierOrigin(d.JournalID)
	text, err := json.Marshal(d)
	if err != nil {
		return nil, fmt.Errorf("dossier: %w", err)
	}
	msg, err := sign(string(text)+"\n", key)
	if err == nil && len(msg) > MaxDossier {
		err = ErrTooLarge
	}
	return msg, err
}

// OpenDossier reads a dossier that one of the keys has signed.
func OpenDossier(msg []byte, keys ...PublicKey) (*Dossier, Signature, error) {
	text, signature, err := openNote(msg, MaxDossier, keys)
	if err != nil {
		return nil, signature, fmt.Errorf("dossier: %w", err)
	}
	d, err := parseDossier(text)
	if err == nil && !signature.isOf(d.ServerKey) {
		return nil, signature, fmt.Errorf("dossier: %w: it was signed by %s, and names another key as the server's", ErrSignature, signature)
	}
	return d, signature, err
}

// ReadDossier reads a dossier without verifying its signature.
func ReadDossier(msg []byte) (*Dossier, Signature, error) {
	text, signature, err := readNote(msg, MaxDossier)
	if err != nil {
		return nil, signature, fmt.Errorf("dossier: %w", err)
	}
	d, err := parseDossier(text)
	return d, signature, err
}

// IsDossier reports whether a note may be a dossier, and nothing else.
func IsDossier(msg []byte) bool { return len(msg) > 0 && msg[0] == '{' }

// parseDossier reads the text of a dossier. Fields that a later version added are left out: the signature is over the text.
func parseDossier(text string) (*Dossier, error) {
	d := new(Dossier)
	if err := json.Unmarshal([]byte(text), d); err != nil {
		return nil, fmt.Errorf("dossier: %w", malformed("its text is no JSON of a dossier"))
	}
	if d.Origin != DossierOrigin(d.JournalID) || !strings.HasPrefix(text, `{"origin":"`+d.Origin+`"`) {
		return nil, fmt.Errorf("dossier: %w", malformed("its origin is not dncd/JOURNAL/dossier"))
	}
	return d, nil
}

// MarshalText implements encoding.TextMarshaler, as String.
func (h Hash) MarshalText() ([]byte, error) { return h.append(nil), nil }

// UnmarshalText implements encoding.TextUnmarshaler, as ParseHash.
func (h *Hash) UnmarshalText(text []byte) (err error) {
	*h, err = ParseHash(string(text))
	return err
}
