package daemon

import (
	"strings"
	"testing"

	"github.com/dncd/dncd/store"
)

func TestFsckCountsInWords(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	tellWhole(&out, "data", &store.Report{Revision: 7, JournalID: "j", Events: 1, Lists: 1, Stories: 1, Gone: store.StoryLoss{Stories: 1, At: []store.Gap{{From: 5, To: 5}}}})
	tellWhole(&out, "data", &store.Report{Revision: 7, JournalID: "j", Events: 1234, Stories: 2})
	tellProblems(&out, &store.Report{Problems: []string{"p"}, Lost: []store.Gap{{From: 3, To: 3}, {From: 5, To: 6}}})
	const want = `data is whole: revision 7 of journal j, 1 event, 1 list, 1 story
stories that an earlier repair could not find: 1, of revisions 5; no check depends on them
data is whole: revision 7 of journal j, 1,234 events, 0 lists, 2 stories
problem: p
lost: acknowledged revision 3
lost: acknowledged revisions 5 to 6
`
	if got := out.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
