package client

import (
	"encoding/hex"
	"time"

	"github.com/dncd/dncd/internal/feed"
	"github.com/dncd/dncd/internal/phone"
	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
)

// ChangeKind is what a Change does.
type ChangeKind string

// The kinds of changes.
const (
	// ChangeOptOut: the row of Number and Scope is there, until Until.
	ChangeOptOut ChangeKind = "OPT_OUT"
	// ChangeWithdrawal: the row of opt-outs of Number and Scope is gone.
	ChangeWithdrawal ChangeKind = "WITHDRAWAL"
	// ChangeListAdded and ChangeListRemoved: Digits came to a list, or went from it. They come
	// before the ChangeListLoaded that they belong to, additions first.
	ChangeListAdded   ChangeKind = "LIST_ADDED"
	ChangeListRemoved ChangeKind = "LIST_REMOVED"
	// ChangeListLoaded: the list holds Numbers now, by an import or a revert.
	ChangeListLoaded ChangeKind = "LIST_LOADED"
	// ChangeListMoved: the rows of the list count at Scope now.
	ChangeListMoved ChangeKind = "LIST_MOVED"
	// ChangeListDeleted: the rows of the list are gone.
	ChangeListDeleted ChangeKind = "LIST_DELETED"
	// ChangeListInDoubt: a repair found the list damaged. Its rows stay until it is loaded again.
	ChangeListInDoubt ChangeKind = "LIST_IN_DOUBT"
	// ChangeBookmark: nothing but a Cursor. All that was yielded before is before it.
	ChangeBookmark ChangeKind = "BOOKMARK"
)

// Change is one change of a feed. Fields that its Kind does not name are zero.
type Change struct {
	Kind ChangeKind `json:"kind"`
	// ID is the event, and Time when it was recorded. A bookmark has neither.
	ID   EventID   `json:"id"`
	Time time.Time `json:"time"`
	// Number in E.164 of an opt-out or a withdrawal.
	Number string `json:"number"`
	Scope  string `json:"scope" empty:"kept"`
	// Until is the latest end in force at Number and Scope; zero: never. An end makes no change:
	// compare it with the clock.
	Until time.Time `json:"until"`
	// List by name. ListID, such as "7.0", belongs to this list only: one that is made again
	// under the same name has another.
	List   string `json:"list"`
	ListID string `json:"list_id"`
	// Numbers and ContentSHA256 (hexadecimal; empty: not known) of a list that was loaded.
	Numbers       uint64 `json:"numbers"`
	ContentSHA256 string `json:"content_sha256"`
	// Digits are numbers without their plus, ascending.
	Digits []uint64 `json:"digits"`
	// Cursor of a bookmark.
	Cursor Cursor `json:"cursor"`
}

// MarshalJSON implements json.Marshaler: see the package comment.
func (c Change) MarshalJSON() ([]byte, error) { return encode(c) }

// UnmarshalJSON implements json.Unmarshaler: see the package comment.
func (c *Change) UnmarshalJSON(text []byte) error { return decode(text, c) }

// fromFeedChange reads a change. A kind that this version does not know is an error: to pass over it could lose an objection.
func fromFeedChange(m *dncv1.FeedChange) (Change, error) {
	c := Change{ID: fromEventID(m.GetId()), Time: fromTime(m.GetTime())}
	switch kind := m.GetChange().(type) {
	case *dncv1.FeedChange_Set:
		c.Kind, c.Scope, c.Until = ChangeOptOut, kind.Set.GetScope(), fromTime(kind.Set.GetUntil())
		return c.of(kind.Set.GetNumber())
	case *dncv1.FeedChange_Remove:
		c.Kind, c.Scope = ChangeWithdrawal, kind.Remove.GetScope()
		return c.of(kind.Remove.GetNumber())
	case *dncv1.FeedChange_ListRows:
		return c.ofRows(kind.ListRows)
	case *dncv1.FeedChange_List:
		return c.ofList(ChangeListLoaded, kind.List), nil
	case *dncv1.FeedChange_Moved:
		return c.ofList(ChangeListMoved, kind.Moved), nil
	case *dncv1.FeedChange_Gone:
		return c.ofList(ChangeListDeleted, kind.Gone), nil
	case *dncv1.FeedChange_Doubt:
		return c.ofList(ChangeListInDoubt, kind.Doubt), nil
	}
	return Change{}, feedBroken("a change of a kind that this version does not know: install a newer one")
}

// maxNumber is the largest of 15 digits.
const maxNumber = 999_999_999_999_999

// of gives the change its number.
func (c Change) of(number uint64) (Change, error) {
	if number == 0 || number > maxNumber {
		return Change{}, feedBroken("a number that is none")
	}
	c.Number = phone.Number(number).E164()
	return c, nil
}

func (c Change) ofRows(m *dncv1.FeedListRows) (_ Change, err error) {
	c.Kind, c.ListID = ChangeListAdded, listID(m.GetList())
	if m.GetRemoved() {
		c.Kind = ChangeListRemoved
	}
	c.Digits, err = rowDigits(m)
	return c, err
}

// rowDigits are the numbers of rows of a list.
func rowDigits(m *dncv1.FeedListRows) ([]uint64, error) {
	digits, err := decodeAscending(m.GetAscending())
	if err != nil || len(digits) > 0 && (digits[0] == 0 || digits[len(digits)-1] > maxNumber) {
		return nil, feedBroken("rows of a list that are no numbers")
	}
	return digits, nil
}

func (c Change) ofList(kind ChangeKind, m *dncv1.FeedList) Change {
	c.Kind, c.List, c.ListID = kind, m.GetName(), listID(m.GetId())
	if kind == ChangeListLoaded || kind == ChangeListMoved {
		c.Scope = m.GetScope()
	}
	if kind == ChangeListLoaded {
		c.Numbers, c.ContentSHA256 = m.GetNumbers(), hex.EncodeToString(m.GetContentSha256())
	}
	return c
}

// listID is the id of a list as text.
func listID(m *dncv1.EventId) string { return feed.FormatEventID(toEventID(m)) }

func toEventID(m *dncv1.EventId) feed.EventID {
	return feed.EventID{Revision: m.GetRevision(), Index: m.GetIndex()}
}
