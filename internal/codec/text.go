package codec

import (
	"unicode/utf8"

	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
)

// isText reports whether all strings of a message are UTF-8. Protobuf requires it, and the generated
// code does not check it. A test finds the fields that are missing here.
func isText(m message) bool {
	switch m := m.(type) {
	case *dncv1.CheckNumberRequest:
		return utf8.ValidString(m.GetNumber()) && utf8.ValidString(m.GetRegion()) && utf8.ValidString(m.GetScope()) && utf8.ValidString(m.GetPlace()) &&
			readAtIsText(m.GetReadAt())
	case *dncv1.CheckNumberResponse:
		return utf8.ValidString(m.GetNumber()) && positionIsText(m.GetPosition()) && namesAreText(m) && all(m.GetReasons(), reasonIsText)
	case *dncv1.CheckNumbersRequest:
		return utf8.ValidString(m.GetRegion()) && utf8.ValidString(m.GetScope()) && readAtIsText(m.GetReadAt()) && all(m.GetNumbers(), utf8.ValidString)
	case *dncv1.CheckNumbersResponse:
		return positionIsText(m.GetPosition()) && namesAreText(m) && all(m.GetReasons(), reasonIsText) && all(m.GetDetails(), detailIsText)
	case *dncv1.StreamChecksRequest:
		return all(m.GetChecks(), checkIsText)
	case *dncv1.StreamChecksResponse:
		return positionIsText(m.GetPosition()) && namesAreText(m) && all(m.GetReasons(), reasonIsText) && all(m.GetAnswers(), answerIsText)
	case *dncv1.WatchResponse:
		return positionIsText(m.GetCursor().GetPosition()) && utf8.ValidString(m.GetServerKey().GetPublicKey()) && all(m.GetChanges(), changeIsText)
	}
	return false
}

func all[T any](list []T, is func(T) bool) bool {
	for _, item := range list {
		if !is(item) {
			return false
		}
	}
	return true
}

func readAtIsText(at *dncv1.ReadAt) bool {
	return at == nil || positionIsText(at.GetAtLeast()) && positionIsText(at.GetPast().GetPosition()) && utf8.ValidString(at.GetPast().GetTablesVersion())
}

// answer is what names the data that it rests on.
type answer interface {
	GetPolicyVersion() string
	GetTablesVersion() string
	GetTablesDifference() []string
}

func namesAreText(m answer) bool {
	return utf8.ValidString(m.GetPolicyVersion()) && utf8.ValidString(m.GetTablesVersion()) && all(m.GetTablesDifference(), utf8.ValidString)
}

func positionIsText(p *dncv1.Position) bool { return utf8.ValidString(p.GetJournalId()) }

func reasonIsText(r *dncv1.Reason) bool {
	return utf8.ValidString(r.GetList()) && utf8.ValidString(r.GetScope()) && utf8.ValidString(r.GetSnapshotDate()) && utf8.ValidString(r.GetRule()) &&
		utf8.ValidString(r.GetSource()) && utf8.ValidString(r.GetTimeZone())
}

func detailIsText(d *dncv1.CheckDetail) bool { return utf8.ValidString(d.GetError().GetMessage()) }

func checkIsText(c *dncv1.StreamCheck) bool {
	return utf8.ValidString(c.GetNumber()) && utf8.ValidString(c.GetRegion()) && utf8.ValidString(c.GetScope()) && utf8.ValidString(c.GetPlace()) &&
		readAtIsText(c.GetReadAt())
}

func answerIsText(a *dncv1.StreamAnswer) bool { return utf8.ValidString(a.GetError().GetMessage()) }

func changeIsText(c *dncv1.FeedChange) bool {
	switch c := c.GetChange().(type) {
	case *dncv1.FeedChange_Set:
		return utf8.ValidString(c.Set.GetScope())
	case *dncv1.FeedChange_Remove:
		return utf8.ValidString(c.Remove.GetScope())
	case *dncv1.FeedChange_List:
		return listIsText(c.List)
	case *dncv1.FeedChange_Moved:
		return listIsText(c.Moved)
	case *dncv1.FeedChange_Gone:
		return listIsText(c.Gone)
	case *dncv1.FeedChange_Doubt:
		return listIsText(c.Doubt)
	}
	return true
}

func listIsText(l *dncv1.FeedList) bool {
	return utf8.ValidString(l.GetName()) && utf8.ValidString(l.GetScope())
}
