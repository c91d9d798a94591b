package feed

import (
	"encoding/hex"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/dncd/dncd/internal/ascending"
	"github.com/dncd/dncd/internal/phone"
)

var update = flag.Bool("update", false, "write the files of testdata/vectors again")

// vectors are one small feed with everything that is hashed and signed in it, for programs in other languages. Each file is
// compared with what this package computes; docs/subscribers.md verifies them without it.
type vectors struct {
	Secret     string       `json:"secret"` // the journal's, in hexadecimals: known to the server only
	Journal    string       `json:"journal"`
	Subscriber string       `json:"subscriber"`
	Epoch      uint64       `json:"epoch"`
	Filter     string       `json:"filter"`
	FilterHash string       `json:"filter_hash"`
	List       listVector   `json:"list"`
	Snapshot   []string     `json:"snapshot"` // its rows, at the epoch's revision
	Digest     digestVector `json:"snapshot_digest"`
	Start      string       `json:"start"` // h(0)
	Changes    []leafVector `json:"changes"`
	Rows       []string     `json:"rows"` // those that the subscriber holds after the changes
	RowsDigest digestVector `json:"rows_digest"`
	Keys       []keyVector  `json:"keys"`
}

type listVector struct {
	ID      string   `json:"id"`
	Numbers []uint64 `json:"numbers"` // after the changes
	SHA256  string   `json:"sha256"`
}

type digestVector struct {
	Count  uint64 `json:"count"`
	SHA256 string `json:"sha256"`
}

type leafVector struct {
	Text  string `json:"text"`
	Blind string `json:"blind"`
	Leaf  string `json:"leaf"`
	Hash  string `json:"hash"` // h(n)
}

type keyVector struct {
	Private     string `json:"private"`
	Public      string `json:"public"`
	Fingerprint string `json:"fingerprint"`
}

var (
	vectorSecret     = []byte("0123456789abcdef0123456789abcdef")
	vectorSubscriber = EventID{Revision: 5}
	vectorList       = EventID{Revision: 3}
	vectorFilter     = Filter{Scopes: []Scope{"acme"}, Lists: []EventID{vectorList}}
)

const vectorEpoch = 5

// vectorNumbers are those of the list, from revision 9 on.
var vectorNumbers = []phone.Number{14155550101, 14155550102, 33199001234}

func vectorSnapshot() []Row {
	list := Source{vectorList}
	return []Row{
		{Number: 14155550123}, {Number: 14155550150, Scope: "acme/telecom", Until: someTime.AddDate(0, 0, 5)},
		{Number: 14155550101, Scope: "acme", Source: list}, {Number: 33199001234, Scope: "acme", Source: list},
		{Number: 61491570156, Scope: "acme/telecom"}, {Number: 61491570156}, // which comes before +44..., a larger number
	}
}

func vectorChanges() []Change {
	list, content := vectorList, ascending.NewHash[phone.Number]()
	content.Add(vectorNumbers)
	return []Change{
		{ID: EventID{Revision: 7}, Kind: Set, Number: 441632960123, Scope: "acme"},
		{ID: EventID{Revision: 7, Index: 1}, Kind: Set, Number: 14155550177, Scope: "acme/telecom", Until: someTime.AddDate(1, 0, 0)},
		{ID: EventID{Revision: 8}, Kind: Remove, Number: 14155550123},
		{ID: EventID{Revision: 9}, Kind: ListSet, List: list, Name: "partner", Scope: "acme", Numbers: uint64(len(vectorNumbers)), SHA256: Hash(content.Sum())},
		{ID: EventID{Revision: 10}, Kind: ListMoved, List: list, Name: "partner", Scope: "acme/telecom"},
		{ID: EventID{Revision: 11}, Kind: ListDoubt, List: list, Name: "partner"},
		{ID: EventID{Revision: 12}, Kind: ListGone, List: list, Name: "partner"},
	}
}

// vectorRows are the rows after the changes: the list is gone.
func vectorRows() []Row {
	return []Row{
		{Number: 14155550150, Scope: "acme/telecom", Until: someTime.AddDate(0, 0, 5)},
		{Number: 14155550177, Scope: "acme/telecom", Until: someTime.AddDate(1, 0, 0)},
		{Number: 61491570156, Scope: "acme/telecom"}, {Number: 61491570156},
		{Number: 441632960123, Scope: "acme"},
	}
}

// hashRows returns the lines of rows in order, and their digest.
func hashRows(t *testing.T, rows []Row) ([]string, Digest) {
	t.Helper()
	d, lines := NewDigester(), []string(nil)
	for _, r := range slices.SortedFunc(slices.Values(rows), Row.Compare) {
		line := string(r.AppendText(nil))
		if err := d.Add([]byte(line)); err != nil {
			t.Fatal(err)
		}
		lines = append(lines, line)
	}
	return lines, d.Digest()
}

// makeVectors returns the files of testdata/vectors.
func makeVectors(t *testing.T) map[string]string {
	t.Helper()
	snapshot, digest := hashRows(t, vectorSnapshot())
	rows, held := hashRows(t, vectorRows())
	v := vectors{
		Secret: hex.EncodeToString(vectorSecret), Journal: sampleCheckpoint().Journal, Subscriber: FormatEventID(vectorSubscriber), Epoch: vectorEpoch,
		Filter: vectorFilter.Text(), FilterHash: vectorFilter.Hash().String(),
		List:     listVector{FormatEventID(vectorList), nil, vectorChanges()[3].SHA256.String()},
		Snapshot: snapshot, Digest: digestVector{digest.Count, digest.SHA256.String()},
		Rows: rows, RowsDigest: digestVector{held.Count, held.SHA256.String()},
	}
	for _, n := range vectorNumbers {
		v.List.Numbers = append(v.List.Numbers, uint64(n))
	}
	h := Start(vectorSubscriber, vectorEpoch, vectorFilter.Hash(), digest.SHA256)
	v.Start = h.String()
	for _, c := range vectorChanges() {
		text, blind := c.AppendText(nil), Blind(vectorSecret, vectorSubscriber, c.ID)
		leaf := Leaf(text, blind)
		h = Next(h, leaf)
		v.Changes = append(v.Changes, leafVector{string(text), blind.String(), leaf.String(), h.String()})
	}
	for private, k := range map[string]PrivateKey{serverSecret: serverKey, baseSecret: baseKey, nextSecret: mustKey(nextSecret)} {
		v.Keys = append(v.Keys, keyVector{private, k.Public().Text(), k.Public().Fingerprint()})
	}
	slices.SortFunc(v.Keys, func(a, b keyVector) int { return strings.Compare(a.Public, b.Public) })
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	checkpoint := Checkpoint{
		Journal: v.Journal, Subscriber: vectorSubscriber, Epoch: vectorEpoch, Revision: 12, Tag: Tag{0xde, 0xad, 7: 1},
		Changes: uint64(len(v.Changes)), Hash: h, Filter: vectorFilter.Hash(), Time: someTime,
	}
	ack := Acknowledgement{Checkpoint: checkpoint, Stage: Applied, Signed: someTime.Add(90 * time.Second), Digest: held}
	return map[string]string{
		"vectors.json": string(text) + "\n", "dncd.pub": serverKey.Public().Text() + "\n", "acme-callcentre.pub": baseKey.Public().Text() + "\n",
		"dncd-2027.pub":   mustKey(nextSecret).Public().Text() + "\n",
		"checkpoint.note": signed(t, checkpoint, serverKey), "acknowledgement.note": signed(t, ack, baseKey), "rotation.note": signedRotation(t),
	}
}

func signed(t *testing.T, text interface {
	Sign(key note.Signer) ([]byte, error)
}, key PrivateKey) string {
	t.Helper()
	msg, err := text.Sign(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(msg)
}

func signedRotation(t *testing.T) string {
	t.Helper()
	msg, err := sampleRotation(t).Sign(serverKey)
	if err != nil {
		t.Fatal(err)
	}
	return string(msg)
}

// The files hold what this version computes: another version, and another language, compute the same.
func TestVectors(t *testing.T) {
	t.Parallel()
	const dir = "testdata/vectors"
	for name, want := range makeVectors(t) {
		path := filepath.Join(dir, name)
		if *update {
			if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		got, err := os.ReadFile(path)
		if err != nil || string(got) != want {
			t.Errorf("%s: %v, got\n%s\nwant\n%s\n(a change of these texts breaks every subscriber; `go test ./internal/feed -run Vectors -update` writes them)", name, err, got, want)
		}
	}
}
